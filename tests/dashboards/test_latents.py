from itertools import pairwise

import dashboard_samples as samples
import numpy as np
import pytest
import torch

from ssae_lens.dashboards.latents import LatentName, Latents, latent_names
from ssae_lens.latents.concepts import Concept
from ssae_lens.sae import SSAE


@pytest.fixture(scope="module")
def shifts():
    return samples.store()


@pytest.fixture(scope="module")
def latents(shifts):
    return Latents(samples.ssae(dead=(5,)), shifts)


def test_numbers_are_those_of_the_codes(latents, shifts):
    """The SSAE of the sample reads coordinate i as code i."""
    codes = shifts.shifts[:, :6].copy()
    codes[:, 5] = 0
    np.testing.assert_allclose(latents.strength, abs(codes).mean(0), rtol=1e-5)
    active = abs(codes) > 0.1 * abs(codes).max(1, keepdims=True)
    np.testing.assert_allclose(latents.density, active.mean(0))
    expected = np.corrcoef(codes[:, 0], shifts.labels[:, 0])[0, 1]
    np.testing.assert_allclose(latents.correlations[0, 0], expected, rtol=1e-5)
    assert latents.order[0] == int(abs(codes).mean(0).argmax())
    assert latents.order[-1] == 5


def test_histogram_counts_every_code_and_parts_them_at_zero(latents, shifts):
    edges, counts = latents.histogram(0)
    codes = shifts.shifts[:, 0]
    assert counts.sum() == len(codes)
    assert np.any(edges == 0)
    assert counts[edges[:-1] < 0].sum() == (codes < 0).sum()
    np.testing.assert_allclose(np.diff(edges), edges[1] - edges[0])
    assert edges[0] <= codes.min() + 1e-9
    assert len(counts) <= 42
    assert latents.histogram(5)[1].sum() == 0


def test_nearest_are_those_of_the_largest_cosine():
    W = torch.tensor([[1.0, 0, 0], [-1, 0.1, 0], [0, 1, 0], [1, 1, 0]])
    latents = Latents(SSAE.from_weights(W.T.contiguous(), W))
    found = latents.nearest(0)
    assert [other for other, _ in found] == [1, 3, 2]
    np.testing.assert_allclose([cosine for _, cosine in found], [-1 / np.sqrt(1.01), 1 / np.sqrt(2), 0], atol=1e-6)


def test_like_directions_come_together():
    base = torch.eye(8)[:3]
    W = torch.cat([base, -base, base + 0.01])[torch.randperm(9)]
    order = Latents(SSAE.from_weights(W.T.contiguous(), W)).order_by_similarity(list(range(9)))
    kinds = abs(W[order]).argmax(1).tolist()
    assert sorted(order) == list(range(9))
    assert sum(a != b for a, b in pairwise(kinds)) == 2


def test_nan_breaks_one_latent_only(shifts):
    ssae = samples.ssae()
    ssae.W_dec.data[2, 0] = torch.nan
    ssae.W_enc.data[:, 2] = torch.nan
    latents = Latents(ssae, shifts)
    assert latents.broken.tolist() == [False, False, True, False, False, False]
    assert np.isnan(latents.strength[2])
    assert np.isfinite(np.delete(latents.strength, 2)).all()
    assert np.isfinite(latents.cosines).all()


def test_the_best_fitting_concept_names_a_latent():
    def found(latent, fit):
        return Concept("", [latent], [-1.0], fit=fit)

    named = latent_names(4, {"tense": found(2, 0.5), "number": found(2, 0.9), "none": Concept("none")})
    assert named == {2: LatentName("number", 0.9, -1.0)}
    assert latent_names(4, {"size": Concept("size", [0, 3], [1.0, -2.0], confidence=0.8)}) == {
        0: LatentName("size", 0.8, 1.0),
        3: LatentName("size", 0.8, -1.0),
    }
    with pytest.raises(ValueError, match="the latent of 'tense' is 7"):
        latent_names(4, {"tense": found(7, 1)})
