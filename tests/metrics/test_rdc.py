import numpy as np
import pytest
from scipy import linalg, stats

from ssae_lens.metrics import correlations
from ssae_lens.metrics.matching import FEATURES, NEGLIGIBLE, SCALE, rdc_matrix


def canonical(x, y):
    """The largest canonical correlation of two sets of columns, through singular vectors."""
    bases = []
    for each in (x - x.mean(axis=0), y - y.mean(axis=0)):
        left, sizes, _ = linalg.svd(each, full_matrices=False)
        bases.append(left[:, sizes**2 > NEGLIGIBLE * sizes[0] ** 2])
    return linalg.svdvals(bases[0].T @ bases[1])[0]


def test_against_canonical_correlation_of_the_same_features():
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(400, 2))
    codes = np.stack([factors[:, 0] ** 2, np.sin(2 * factors[:, 1]) + rng.normal(size=400), factors[:, 0]], axis=1)
    codes[:150, 2] = 0  # ties
    (code_slopes, code_offsets), (slopes, offsets) = np.random.default_rng(3).normal(scale=SCALE, size=(2, 2, FEATURES))

    def waves(column, a, b):
        return np.sin(np.outer(stats.rankdata(column) / len(column), a) + b)

    expected = [
        [canonical(waves(c, code_slopes, code_offsets), waves(f, slopes, offsets)) for f in factors.T] for c in codes.T
    ]
    np.testing.assert_allclose(rdc_matrix(codes, factors, seed=3), expected, atol=1e-6)


def test_sees_what_pearson_does_not():
    x = np.random.default_rng(0).normal(size=(2000, 1))
    assert abs(correlations(x**2, x)).max() < 0.1
    assert correlations(x**2, x, kind="rdc").min() > 0.95


def test_independent_columns_score_low():
    rng = np.random.default_rng(0)
    found = correlations(rng.normal(size=(3000, 5)), rng.normal(size=(3000, 4)), kind="rdc")
    assert found.max() < 0.12


def test_invariances():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 500, 3))
    y = y + x
    found = correlations(x, y, kind="rdc", seed=5)
    np.testing.assert_allclose(correlations(np.exp(x), 3 * y + 1, kind="rdc", seed=5), found, atol=1e-12)
    np.testing.assert_array_equal(correlations(x, y, kind="rdc", seed=5), found)
    assert not np.array_equal(correlations(x, y, kind="rdc", seed=6), found)
    np.testing.assert_allclose(rdc_matrix(x, y, 5, block=2), found, atol=1e-9)
    np.testing.assert_allclose(np.diag(correlations(x, -x, kind="rdc")), 1, atol=1e-4)


def test_row_order_does_not_leak_through_ties():
    """Two 0/1 columns: told apart by their place, tied values would look dependent when rows are sorted."""
    label = np.repeat([0.0, 1.0], 500)[:, None]
    other = np.tile([0.0, 1.0], 500)[:, None]
    assert correlations(label, other, kind="rdc")[0, 0] == pytest.approx(0, abs=1e-6)
    flipped = label.copy()
    flipped[:100] = 1
    assert correlations(label, flipped, kind="rdc")[0, 0] == pytest.approx(
        np.corrcoef(label[:, 0], flipped[:, 0])[0, 1], abs=1e-6
    )
