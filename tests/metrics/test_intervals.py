from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from ssae_lens.metrics import bootstrap_interval, sign_flip_test, wilson_interval


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_bootstrap_is_scipys(statistic):
    values = np.random.default_rng(0).exponential(size=41)
    ours = bootstrap_interval(values, statistic, resamples=6000)
    found = stats.bootstrap((values,), statistic, n_resamples=6000, method="percentile", random_state=1)
    expected = found.confidence_interval
    spread = np.std(found.bootstrap_distribution)
    assert ours.estimate == statistic(values)
    assert ours.low == pytest.approx(expected.low, abs=0.12 * spread)
    assert ours.high == pytest.approx(expected.high, abs=0.12 * spread)


def test_it_covers():
    """A 90 % interval for the mean of 40 normal values holds the truth about 9 times in 10."""
    rng = np.random.default_rng(0)
    held = 0
    for i in range(200):
        found = bootstrap_interval(rng.normal(size=40), confidence=0.9, resamples=300, seed=i)
        held += found.low < 0 < found.high
    assert 0.83 < held / 200 < 0.95


def test_rows_are_drawn_whole():
    """The ratio of two columns that are proportional in every row is certain, though each alone is not."""
    a = np.random.default_rng(0).uniform(1, 2, size=30)
    found = bootstrap_interval(torch.tensor(np.c_[2 * a, a]), lambda rows: rows[:, 0].sum() / rows[:, 1].sum())
    assert (found.low, found.estimate, found.high) == pytest.approx((2, 2, 2))


def test_constant_values_and_seeds():
    constant = bootstrap_interval(np.full(10, 0.3))
    assert constant.low == constant.high == pytest.approx(0.3)
    values = np.random.default_rng(0).normal(size=20)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)


@pytest.mark.parametrize("successes", [0, 3, 12])
def test_wilson_by_its_formula(successes):
    """The shares whose score test is just not rejected: (x - p)² = z² p (1 - p) / n."""
    found = wilson_interval(successes, 12, confidence=0.9)
    z, n, x = stats.norm.ppf(0.95), 12, successes / 12
    roots = sorted(np.roots([1 + z**2 / n, -2 * x - z**2 / n, x**2]))
    assert (found.low, found.high) == pytest.approx(roots, abs=1e-12)
    assert 0 <= found.low <= found.high <= 1
    assert found.low <= found.estimate == successes / 12 <= found.high


def test_sign_flips_by_hand():
    a, b = np.array([1.0, 2.0, 3.0, 0.5]), np.array([0.0, 0.0, 1.0, 1.0])
    sums = [abs(np.dot(signs, a - b)) for signs in product((1, -1), repeat=4)]
    expected = np.mean([each >= abs((a - b).sum()) - 1e-12 for each in sums])
    found = sign_flip_test(a, b)
    assert found.p_value == expected == 4 / 16
    assert found.difference == pytest.approx((a - b).mean())
    assert sign_flip_test(b, a).p_value == found.p_value


def test_sign_flips_are_scipys():
    rng = np.random.default_rng(0)
    a = rng.normal(size=60)
    b = a + rng.normal(size=60) + 0.3
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=10_000, random_state=2
    )
    assert sign_flip_test(torch.tensor(a), torch.tensor(b)).p_value == pytest.approx(theirs.pvalue, abs=0.015)


def test_equal_methods_and_ties():
    same = np.arange(5.0)
    assert sign_flip_test(same, same).p_value == 1
    # 0.1 + 0.2 is not 0.3 in floating point, but the flips tie all the same: 2 of 8 are as far as the data.
    assert sign_flip_test(np.array([0.1, 0.2, 0.3]), np.zeros(3)).p_value == 2 / 8


def test_p_is_uniform_under_no_difference():
    rng = np.random.default_rng(0)
    p = [sign_flip_test(*rng.normal(size=(2, 10)), draws=2000).p_value for _ in range(200)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_never_zero():
    assert sign_flip_test(np.full(50, 1.0), np.zeros(50), draws=200).p_value == 1 / 201


def test_unusable():
    with pytest.raises(ValueError, match="values has 1 items"):
        bootstrap_interval(np.ones(1))
    with pytest.raises(ValueError, match="confidence is 95"):
        bootstrap_interval(np.ones(5), confidence=95)
    with pytest.raises(ValueError, match="successes is 5; it must be at most n, which is 4"):
        wilson_interval(5, 4)
    with pytest.raises(ValueError, match="first has 3 rows and second has 2"):
        sign_flip_test(np.ones(3), np.ones(2))
