import dashboard_samples as samples
import numpy as np
import plotly.graph_objects as go
import pytest

import ssae_lens as sl
import ssae_lens.dashboards
from ssae_lens.dashboards import notebook
from ssae_lens.models import tiny_model


@pytest.fixture(scope="module")
def shifts():
    return samples.store(n=60, extra="<b>&")


def test_importing_the_package_of_dashboards_does_not_hide_the_function():
    assert sl.dashboard is notebook.dashboard
    assert sl.dashboards is ssae_lens.dashboards


def test_one_latent(shifts):
    figure = sl.dashboard(samples.ssae(), shifts, latent=0, concepts=samples.concepts())
    assert isinstance(figure, go.Figure)
    assert figure.layout.title.text == "Latent 0: tense"
    kinds = [trace.type for trace in figure.data]
    assert kinds == ["bar", "bar", "bar", "table"]
    assert sum(sum(trace.y) for trace in figure.data[:2]) == len(shifts)
    codes, source, _ = figure.data[3].cells.values
    assert float(codes[0]) == pytest.approx(shifts.shifts[:, 0].max(), rel=0.01)
    assert "<b>walks" in source[0]
    assert "&lt;b&gt;&amp;" in source[0]


def test_a_latent_that_never_fires(shifts):
    figure = sl.dashboard(samples.ssae(dead=(5,)), shifts, latent=5)
    assert figure.layout.title.text == "Latent 5 (dead: never active on these pairs)"


def test_all_latents(shifts):
    figure = sl.dashboard(samples.ssae(), shifts)
    cosines, concepts, words = figure.data
    assert list(words.cells["values"][0]) == [str(latent) for latent in range(6)]
    assert np.array(cosines.z).shape == (6, 6)
    assert cosines.coloraxis != concepts.coloraxis
    assert {cosines.coloraxis, concepts.coloraxis} <= set(figure.layout.to_plotly_json())


def test_an_array_is_enough():
    figure = sl.dashboard(samples.ssae(), np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32), latent=1)
    assert [trace.type for trace in figure.data] == ["bar", "bar"]


def test_a_model_names_tokens():
    model = tiny_model()
    shifts = sl.capture_shifts(model, sl.load_pairs("gender", n=8), "blocks.1.hook_resid_post", quiet=True)
    ssae = sl.SSAE.from_weights(np_eye(32), np_eye(32))
    figure = sl.dashboard(ssae, shifts, latent=0, model=model)
    assert list(figure.data[-1].header["values"]) == ["promoted", "logit", "suppressed", "logit"]


def np_eye(width):
    import torch

    return torch.eye(width)


@pytest.mark.parametrize("latent", [6, -1, 1.0, True, "3", "tense"])
def test_a_latent_must_be_there(shifts, latent):
    with pytest.raises(ValueError, match="latents 0 to 5"):
        sl.dashboard(samples.ssae(), shifts, latent=latent)
