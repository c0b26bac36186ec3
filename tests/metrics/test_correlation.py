import numpy as np
import pytest
import torch
from scipy import stats

from ssae_lens.metrics import correlations
from ssae_lens.metrics.matching import unit_columns


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


@pytest.mark.parametrize("kind", ["pearson", "spearman", "rdc"])
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


@pytest.mark.parametrize("kind", ["pearson", "spearman", "rdc"])
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


def test_unusable(data):
    codes, factors = data
    with pytest.raises(ValueError, match="codes has 300 rows and factors has 299"):
        correlations(codes, factors[1:])
    with pytest.raises(ValueError, match="1 rows; at least 2"):
        correlations(codes[:1], factors[:1])
    with pytest.raises(ValueError, match=r"kind is 'spearmen'.*Did you mean 'spearman'"):
        correlations(codes, factors, kind="spearmen")
