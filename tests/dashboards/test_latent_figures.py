import dashboard_samples as samples
import numpy as np
import pytest

from ssae_lens.dashboards.latent_figures import codes_figure, correlations_figure, figures_of_latent, steering_figure
from ssae_lens.dashboards.latents import Latents


def test_bars_are_the_counts():
    edges, counts = np.array([-2.0, -1, 0, 1]), np.array([3, 0, 5])
    below, above = codes_figure(edges, counts, zeros=4)["data"]
    assert (below["x"], below["y"]) == ([-1.5, -0.5], [3, 0])
    assert (above["x"], above["y"]) == ([0.5], [5])
    drawn = codes_figure(edges, counts, zeros=4)
    assert "4 of exactly zero" in drawn["title"]
    assert "3 below zero, 5 above" in drawn["alt"]
    assert drawn["layout"]["shapes"][0]["x0"] == 0


def test_correlations_are_sorted_and_cut():
    values = np.linspace(-0.5, 0.9, 30)
    bars = correlations_figure([f"c{i}" for i in range(30)], values)["data"][0]
    assert bars["x"] == sorted(values.tolist(), key=abs, reverse=True)[:20]
    assert bars["y"][0] == "c29"
    assert bars["marker"]["color"][0] != bars["marker"]["color"][bars["x"].index(min(bars["x"]))]


def test_steering_is_drawn_by_scale():
    rows = [{"scale": s, "behaviour": s * 2, "coherence": 1 - s} for s in (1.0, -1.0, 0.0)]
    behaviour, coherence = steering_figure(rows)["data"]
    assert behaviour["x"] == [-1, 0, 1]
    assert behaviour["y"] == [-2, 0, 2]
    assert coherence["y"] == [2, 1, 0]
    assert [each["name"] for each in steering_figure([{"scale": 0.0, "coherence": 1.0}])["data"]] == ["coherence"]


@pytest.mark.parametrize(("latent", "expected"), [(0, {"codes", "correlations"}), (5, set())])
def test_a_latent_that_never_fires_has_nothing_to_draw(latent, expected):
    assert set(figures_of_latent(Latents(samples.ssae(dead=(5,)), samples.store(n=40)), latent)) == expected
