from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import gammaln

from ssae_lens.metrics import (
    bootstrap_interval,
    control_rotated,
    control_shuffled,
    expected_chance,
    mcc_codes,
    mcc_decoders,
    mcc_max,
    sign_flip_test,
    wilson_interval,
)


def test_shuffled_factors_give_chance():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(101, 4))
    codes = np.concatenate([factors, rng.normal(size=(101, 8))], axis=1)
    control = control_shuffled(mcc_codes, codes, factors, repeats=60)
    assert mcc_codes(codes, factors).score == pytest.approx(1)
    error = control.sd / np.sqrt(60)
    assert control.mean == pytest.approx(expected_chance(100, 12, 4, draws=400), abs=4 * error)
    assert control.scores.std(ddof=1) == pytest.approx(control.sd)
    assert len(control.scores) == 60


def test_shuffling_keeps_rows_whole():
    factors = np.random.default_rng(0).normal(size=(50, 2))
    factors[:, 1] = factors[:, 0]
    seen = []
    control_shuffled(lambda _, shuffled: seen.append(shuffled) or 0.0, factors, factors, repeats=3)
    assert all((each[:, 0] == each[:, 1]).all() for each in seen)
    assert all((np.sort(each[:, 0]) == np.sort(factors[:, 0])).all() for each in seen)
    assert not np.array_equal(seen[0], seen[1])


def test_turned_directions_give_chance_and_keep_their_angles():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(5, 40))
    directions[1] += 3 * directions[0]
    seen = []

    def score(decoder, turned):
        seen.append(turned)
        return mcc_decoders(decoder, turned)

    control = control_rotated(score, directions, directions, repeats=40)
    np.testing.assert_allclose(seen[0] @ seen[0].T, directions @ directions.T, atol=1e-10)
    orthogonal = np.linalg.qr(directions.T).Q.T
    control = control_rotated(mcc_decoders, orthogonal, orthogonal, repeats=60)
    assert control.mean == pytest.approx(expected_chance(40, 5, 5, draws=400), abs=0.02)


def test_more_directions_than_dimensions():
    directions = np.random.default_rng(0).normal(size=(9, 4))
    control_rotated(
        lambda _, turned: np.testing.assert_allclose(turned @ turned.T, directions @ directions.T) or 0.0,
        directions,
        directions,
        repeats=2,
    )


@pytest.mark.parametrize("dimensions", [2, 5, 60, 3000])
def test_one_latent_is_the_mean_of_a_half_t(dimensions):
    """E|r| = Γ(m/2) / (√π Γ((m+1)/2)), and the signed mean is 0."""
    exact = np.exp(gammaln(dimensions / 2) - gammaln((dimensions + 1) / 2)) / np.sqrt(np.pi)
    assert expected_chance(dimensions, 1, 1, rule="max") == pytest.approx(exact, rel=1e-5)
    assert expected_chance(dimensions, 1, 1, rule="signed max") == pytest.approx(0, abs=1e-8)
    assert expected_chance(dimensions, 1, 1, draws=4000) == pytest.approx(exact, rel=0.06)


def test_against_real_independent_columns():
    rng = np.random.default_rng(0)
    found = {"hungarian": [], "max": [], "signed max": []}
    for _ in range(300):
        codes, factors = rng.normal(size=(61, 10)), rng.normal(size=(61, 4))
        found["hungarian"].append(mcc_codes(codes, factors).score)
        found["max"].append(mcc_max(codes, factors, signed=False).score)
        found["signed max"].append(mcc_max(codes, factors).score)
    for rule, scores in found.items():
        expected = expected_chance(60, 10, 4, rule=rule, draws=500)
        assert np.mean(scores) == pytest.approx(expected, abs=4 * np.std(scores) / np.sqrt(300)), rule


def test_the_bias_grows_with_width():
    largest = [expected_chance(999, k, 1, rule="max") for k in (16, 256, 4096)]
    assert largest[0] < largest[1] < largest[2]
    np.testing.assert_allclose(largest[2], np.sqrt(2 * np.log(4096) / 999), rtol=0.1)


def test_unusable():
    with pytest.raises(ValueError, match="dimensions is 1"):
        expected_chance(1, 2, 2)
    with pytest.raises(ValueError, match="rule is 'mean'"):
        expected_chance(9, 2, 2, rule="mean")
    with pytest.raises(ValueError, match="repeats is 1"):
        control_shuffled(mcc_codes, np.eye(3), np.eye(3), repeats=1)


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_bootstrap_by_its_definition(statistic):
    values = np.random.default_rng(0).exponential(size=41)
    interval = bootstrap_interval(values, statistic, confidence=0.9, resamples=600, seed=3)
    rng = np.random.default_rng(3)
    drawn = [statistic(values[rng.integers(41, size=41)]) for _ in range(600)]
    assert interval.estimate == statistic(values)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(drawn, [0.05, 0.95])), rel=1e-12)


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


def test_unusable_intervals():
    with pytest.raises(ValueError, match="values has 1 items"):
        bootstrap_interval(np.ones(1))
    with pytest.raises(ValueError, match="confidence is 95"):
        bootstrap_interval(np.ones(5), confidence=95)
    with pytest.raises(ValueError, match="successes is 5; it must be at most n, which is 4"):
        wilson_interval(5, 4)
    with pytest.raises(ValueError, match="first has 3 rows and second has 2"):
        sign_flip_test(np.ones(3), np.ones(2))
