from itertools import permutations

import numpy as np
import pytest
import torch
from sae_lens.synthetic import mean_correlation_coefficient
from scipy import stats

from ssae_lens.metrics import correlations, hungarian, mcc_codes, mcc_decoders, mcc_max
from ssae_lens.metrics.matching import best_latents, unit_columns


@pytest.mark.parametrize("shape", [(4, 4), (6, 3)])
def test_best_of_all_permutations(shape):
    matrix = np.random.default_rng(sum(shape)).uniform(-1, 1, size=shape)
    k, c = shape
    best = max(sum(abs(matrix[i, j]) for j, i in enumerate(order)) for order in permutations(range(k), c))
    match = hungarian(matrix)
    assert match.score == pytest.approx(best / c)
    assert len(set(match.latents)) == c
    np.testing.assert_array_equal(match.per_factor, abs(matrix[match.latents, range(c)]))
    np.testing.assert_array_equal(match.signs, np.sign(matrix[match.latents, range(c)]))


def test_fewer_latents_than_factors():
    match = hungarian(torch.tensor([[0.1, -0.9, 0.2, 0.3]]))
    np.testing.assert_array_equal(match.latents, [-1, 0, -1, -1])
    np.testing.assert_array_equal(match.signs, [0, -1, 0, 0])
    np.testing.assert_allclose(match.per_factor, [0, 0.9, 0, 0], rtol=1e-6)
    assert match.score == pytest.approx(0.9 / 4)


def test_the_greedy_choice_is_not_the_best():
    match = hungarian(np.array([[0.9, 0.8], [0.85, 0.1]]))
    np.testing.assert_array_equal(match.latents, [1, 0])


def test_best_latents_may_share():
    matrix = np.array([[0.5, 0.6], [-0.9, 0.1]])
    signed, unsigned = best_latents(matrix, signed=True), best_latents(matrix, signed=False)
    np.testing.assert_array_equal(signed.latents, [0, 0])
    assert signed.score == pytest.approx(0.55)
    np.testing.assert_array_equal(unsigned.latents, [1, 0])
    np.testing.assert_array_equal(unsigned.signs, [-1, 1])
    assert unsigned.score == pytest.approx(0.75)
    assert best_latents(-abs(matrix), signed=True).score == pytest.approx(-0.3)


def test_nan_is_named():
    with pytest.raises(ValueError, match=r"matrix holds NaN .*\(1\)"):
        hungarian(np.array([[1.0], [np.nan]]))


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(300, 3))
    codes = np.concatenate([factors @ rng.normal(size=(3, 4)), rng.normal(size=(300, 2))], axis=1)
    codes[abs(codes) < 0.7] = 0  # many ties, as in sparse codes
    return codes, factors


def test_pearson_is_numpys(data):
    codes, factors = data
    expected = np.corrcoef(codes, factors, rowvar=False)[:6, 6:]
    np.testing.assert_allclose(correlations(codes, factors), expected, atol=1e-13)


def test_spearman_is_scipys(data):
    codes, factors = data
    expected = stats.spearmanr(codes, factors).statistic[:6, 6:]
    np.testing.assert_allclose(correlations(codes, factors, kind="spearman"), expected, atol=1e-13)


def test_blocks_and_precision(data):
    codes, factors = data
    for kind in ("pearson", "spearman"):
        np.testing.assert_array_equal(unit_columns(codes, kind, block=4), unit_columns(codes, kind))
    single = correlations(torch.tensor(codes, dtype=torch.float32), torch.tensor(factors, dtype=torch.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, correlations(codes, factors), atol=2e-6)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_constant_columns_give_zero(kind):
    codes = np.random.default_rng(0).normal(size=(50, 3))
    codes[:, 1] = 0.1  # its mean is off by a rounding
    factors = np.stack([codes[:, 0], np.full(50, 0.3)], axis=1)
    found = correlations(codes, factors, kind=kind)
    assert found[0, 0] == pytest.approx(1)
    assert (found[1] == 0).all()
    assert (found[:, 1] == 0).all()


def test_magnitude_does_not_matter(data):
    codes, factors = data
    expected = correlations(codes, factors)
    for scale in (1e-200, 1e200):
        np.testing.assert_allclose(correlations(codes * scale, factors), expected, atol=1e-12)
    offset = correlations((codes + 1e4).astype(np.float32), factors)
    np.testing.assert_allclose(offset, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_given_stays_as_it_was(data, kind, order):
    codes, factors = (np.array(each, order=order) for each in data)
    correlations(codes, factors, kind=kind)
    np.testing.assert_array_equal(codes, data[0])
    np.testing.assert_array_equal(factors, data[1])


def test_spearman_needs_only_the_order(data):
    codes, factors = data
    np.testing.assert_allclose(
        correlations(np.exp(codes), factors**3, kind="spearman"),
        correlations(codes, factors, kind="spearman"),
        atol=1e-12,
    )


def test_unusable_columns(data):
    codes, factors = data
    with pytest.raises(ValueError, match="codes has 300 rows and factors has 299"):
        correlations(codes, factors[1:])
    with pytest.raises(ValueError, match="1 rows; at least 2"):
        correlations(codes[:1], factors[:1])
    with pytest.raises(ValueError, match=r"kind is 'spearmen'.*Did you mean 'spearman'"):
        correlations(codes, factors, kind="spearmen")


@pytest.fixture
def factors():
    return np.random.default_rng(0).normal(size=(400, 5))


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_permuted_scaled_and_flipped_is_one(factors, kind):
    order, scales = [3, 1, 4, 0, 2], np.array([2.0, -0.1, 1.0, -30.0, 5.0])
    match = mcc_codes(factors[:, order] * scales, factors, kind=kind)
    assert match.score == pytest.approx(1, abs=1e-4)
    np.testing.assert_array_equal(np.array(order)[match.latents], range(5))
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
