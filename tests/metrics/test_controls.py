import numpy as np
import pytest
from scipy.special import gammaln

from ssae_lens.metrics import (
    control_rotated,
    control_shuffled,
    expected_chance,
    mcc_codes,
    mcc_decoders,
    mcc_max,
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
