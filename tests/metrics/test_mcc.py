import numpy as np
import pytest
import torch
from sae_lens.synthetic import mean_correlation_coefficient

from ssae_lens.metrics import mcc_codes, mcc_decoders, mcc_max

KINDS = ["pearson", "spearman", "rdc"]


@pytest.fixture
def factors():
    return np.random.default_rng(0).normal(size=(400, 5))


@pytest.mark.parametrize("kind", KINDS)
def test_permuted_scaled_and_flipped_is_one(factors, kind):
    order, scales = [3, 1, 4, 0, 2], np.array([2.0, -0.1, 1.0, -30.0, 5.0])
    match = mcc_codes(factors[:, order] * scales, factors, kind=kind)
    assert match.score == pytest.approx(1, abs=1e-4)
    np.testing.assert_array_equal(np.array(order)[match.latents], range(5))
    if kind != "rdc":
        np.testing.assert_array_equal(match.signs, np.sign(scales)[match.latents])


def test_a_mixed_code_is_not_one(factors):
    hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    independent = np.linalg.qr(factors - factors.mean(axis=0)).Q[:, :4]
    # Uncorrelated factors mixed in equal parts: every correlation is 1/2.
    assert mcc_codes(independent @ hadamard, independent).score == pytest.approx(0.5)


def test_spare_latents_cost_nothing_and_missing_ones_do(factors):
    noise = np.random.default_rng(1).normal(size=(400, 3))
    assert mcc_codes(np.concatenate([noise, factors], axis=1), factors).score == pytest.approx(1)
    assert mcc_codes(factors[:, :2], factors).score == pytest.approx(2 / 5)


def test_dead_latents(factors):
    codes = factors.copy()
    codes[:, 2] = 0
    match = mcc_codes(codes, factors)
    assert match.score == pytest.approx(4 / 5)
    assert match.per_factor[2] == 0


def test_max_as_the_authors_compute_it(factors):
    """Their formula, in torch: centred products over norms, the largest over latents for each label, signed."""
    labels = torch.tensor(factors[:, :3] > 0).double()
    codes = torch.randn(400, 7, dtype=torch.float64) - torch.tensor(factors[:, :1])
    a, b = codes - codes.mean(0), labels - labels.mean(0)
    expected = ((a.T @ b) / (a.norm(dim=0)[:, None] * b.norm(dim=0))).max(dim=0)
    match = mcc_max(codes, labels)
    np.testing.assert_allclose(match.per_factor, expected.values, atol=1e-12)
    np.testing.assert_array_equal(match.latents, expected.indices)
    # Every code falls as the first factor rises: only the unsigned score sees it.
    assert mcc_max(codes, labels, signed=False).per_factor[0] > match.per_factor[0] + 0.1


def test_max_is_never_below_the_matching(factors):
    codes = factors @ np.random.default_rng(2).normal(size=(5, 8))
    assert mcc_max(codes, factors, signed=False).score >= mcc_codes(codes, factors).score


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9)])
def test_decoders_equal_saelens(shape):
    a, b = torch.randn(shape[0], 16), torch.randn(shape[1], 16) * 3
    a[0] = 0
    assert mcc_decoders(a, b).score == pytest.approx(mean_correlation_coefficient(a, b), abs=1e-6)


def test_decoders_permuted_and_flipped():
    rows = np.random.default_rng(0).normal(size=(6, 16))
    match = mcc_decoders(-2 * rows[::-1], rows)
    assert match.score == pytest.approx(1)
    np.testing.assert_array_equal(match.latents, range(5, -1, -1))
    assert (match.signs == -1).all()


def test_the_first_versions_score_centres_the_rows():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 30)) + 4
    centred = mcc_decoders(a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True))
    assert mcc_codes(a.T, b.T).score == pytest.approx(centred.score)
    assert mcc_decoders(a, b).score > centred.score + 0.3


def test_widths_are_named():
    with pytest.raises(ValueError, match="decoder has 4 columns and directions has 5"):
        mcc_decoders(np.ones((2, 4)), np.ones((2, 5)))
