import dashboard_samples as samples
import numpy as np
import pytest

from ssae_lens.dashboards import figures
from ssae_lens.dashboards.latents import Latents
from ssae_lens.shifts import summarise


def test_maps_show_every_cell():
    values = np.array([[1, -0.254], [-0.254, 1]])
    drawn = figures.cosines_figure(["0", "1"], values, n_latents=5)
    assert drawn["data"][0]["z"] == [[1, -0.25], [-0.25, 1]]
    assert "the 2 strongest of 5" in drawn["title"]
    assert "0.25" in drawn["alt"]


def test_a_map_holds_the_strongest_only(monkeypatch):
    monkeypatch.setattr(figures, "MAX_LATENTS", 3)
    latents = Latents(samples.ssae(), samples.store(n=60))
    drawn = figures.figures_of_latents(latents, {})
    assert sorted(map(int, drawn["cosines"]["data"][0]["x"])) == sorted(latents.order[:3])
    z = np.array(drawn["concepts"]["data"][0]["z"])
    rows = [int(each) for each in drawn["concepts"]["data"][0]["y"]]
    np.testing.assert_allclose(z, latents.correlations[rows], atol=0.0051)


def test_udr_stands_at_its_width_and_level():
    drawn = figures.udr_figure(samples.sweep_table())
    cells = drawn["data"][0]
    for row in samples.sweep_table():
        assert (
            cells["z"][cells["y"].index(f"{row['level']:g}")][cells["x"].index(str(row["d_sae"]))]
            == row["udr_decoders"]
        )
    assert "0.940, at d_sae 6 and level 0.05" in drawn["alt"]


def test_udr_over_budgets_and_with_holes():
    rows = [
        {"d_sae": 4, "level": float("nan"), "budget": b, "udr_decoders": u}
        for b, u in ((0.1, 0.5), (0.2, float("nan")))
    ]
    drawn = figures.udr_figure([*rows, {"d_sae": 8, "level": None, "budget": 0.1, "udr_decoders": 0.7}])
    assert drawn["layout"]["yaxis"]["title"]["text"] == "budget"
    assert drawn["data"][0]["z"][0] == [0.5, 0.7]
    assert drawn["data"][0]["z"][1][1] is None


def test_training_draws_every_member():
    drawn = figures.training_figure(samples.history(), ["a", "b", "c"])
    found = {(line["name"], line["yaxis"]): line["y"] for line in drawn["data"]}
    assert found["b", "y"] == [row["loss"][1] for row in samples.history()]
    assert found["c", "y3"] == [row["multiplier"][2] for row in samples.history()]
    single = figures.training_figure([{"step": 2, "loss": 0.5}, {"step": 1, "loss": 1.0}])
    assert single["data"][0]["y"] == [1.0, 0.5]


def test_spectrum_is_the_summarys():
    summary = summarise(samples.store(n=50), quiet=True)
    drawn = figures.spectrum_drawing(summary)
    np.testing.assert_allclose(drawn["data"][0]["y"], summary["spectrum"]["share"])
    assert "template" not in drawn["layout"]


def test_bars_are_the_counts():
    edges, counts = np.array([-2.0, -1, 0, 1]), np.array([3, 0, 5])
    below, above = figures.codes_figure(edges, counts, n_zeros=4)["data"]
    assert (below["x"], below["y"]) == ([-1.5, -0.5], [3, 0])
    assert (above["x"], above["y"]) == ([0.5], [5])
    drawn = figures.codes_figure(edges, counts, n_zeros=4)
    assert "4 codes of exactly 0" in drawn["title"]
    assert "3 negative, 5 positive" in drawn["alt"]
    assert drawn["layout"]["shapes"][0]["x0"] == 0


def test_correlations_are_sorted_and_cut():
    values = np.linspace(-0.5, 0.9, 30)
    bars = figures.correlations_figure([f"c{i}" for i in range(30)], values)["data"][0]
    assert bars["x"] == sorted(values.tolist(), key=abs, reverse=True)[:20]
    assert bars["y"][0] == "c29"
    assert bars["marker"]["color"][0] != bars["marker"]["color"][bars["x"].index(min(bars["x"]))]


@pytest.mark.parametrize(("latent", "expected"), [(0, {"codes", "correlations"}), (5, set())])
def test_a_latent_that_never_fires_has_nothing_to_draw(latent, expected):
    assert set(figures.figures_of_latent(Latents(samples.ssae(dead=(5,)), samples.store(n=40)), latent)) == expected
