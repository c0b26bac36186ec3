import numpy as np
import pytest
import torch
from sae_lens.evals import ExplainedVarianceCalculator
from scipy import stats
from sklearn.metrics import r2_score

from ssae_lens.metrics import (
    active_codes,
    density,
    harmonic_mean,
    mean_abs,
    p_match,
    propensity,
    r2_centred,
    r2_uncentred,
    steerability,
)


@pytest.fixture
def shifts():
    torch.manual_seed(0)
    return torch.randn(100, 8) * torch.arange(1, 9) + 3


def test_centred_is_saelens_and_sklearn(shifts):
    back = shifts + torch.randn_like(shifts)
    theirs = ExplainedVarianceCalculator()
    theirs.add_batch(back, shifts)
    assert r2_centred(shifts, back) == pytest.approx(theirs.compute(), abs=1e-6)
    assert r2_centred(shifts, back) == pytest.approx(r2_score(shifts, back, multioutput="variance_weighted"), abs=1e-6)


def test_what_scores_zero_and_one(shifts):
    assert r2_centred(shifts, shifts) == r2_uncentred(shifts, shifts) == 1
    assert r2_uncentred(shifts, torch.zeros_like(shifts)) == 0
    mean = shifts.mean(dim=0).expand_as(shifts)
    assert r2_centred(shifts, mean) == pytest.approx(0, abs=1e-6)
    assert r2_uncentred(shifts, mean) == pytest.approx((mean.norm() ** 2 / shifts.norm() ** 2).item(), abs=1e-6)
    assert r2_uncentred(shifts, -shifts) == pytest.approx(-3)
    constant = torch.full((3, 2), 0.1)
    assert r2_centred(constant, constant) == 1
    assert r2_uncentred(0 * constant, constant) == 0


def test_counts():
    codes = torch.tensor([[4.0, -0.03, 0.0], [0.0, 0.0, 0.0], [-1.0, 0.5, -0.02], [2e-9, 0.0, 1e-9]])
    assert active_codes(codes, relative=0.01) == (1 + 0 + 3 + 2) / 4
    assert active_codes(codes, relative=0) == (2 + 0 + 3 + 2) / 4
    assert active_codes(codes) == (1 + 0 + 2 + 2) / 4
    np.testing.assert_array_equal(density(codes), [3 / 4, 1 / 4, 1 / 4])
    assert density(codes).sum() == active_codes(codes)
    assert mean_abs(codes) == pytest.approx((4.03 + 1.52 + 3e-9) / 12)


def test_counts_do_not_depend_on_scale():
    codes = torch.randn(20, 30)
    assert active_codes(codes * 1e-6, relative=0.3) == active_codes(codes, relative=0.3)


def test_unusable_reconstructions(shifts):
    with pytest.raises(ValueError, match="values has 8 columns and reconstructed has 7"):
        r2_centred(shifts, shifts[:, 1:])
    with pytest.raises(ValueError, match="relative is -1"):
        density(shifts, relative=-1)
    with pytest.raises(ValueError, match="codes holds NaN"):
        mean_abs(shifts / 0 * 0)


def test_p_match_is_the_share_of_two_probabilities():
    logits = torch.randn(20, 50)
    probabilities = logits.softmax(dim=1)
    expected = probabilities[:, 3] / (probabilities[:, 3] + probabilities[:, 7])
    np.testing.assert_allclose(p_match(logits[:, 3], logits[:, 7]), expected, rtol=1e-5)
    log_probabilities = logits.log_softmax(dim=1)
    np.testing.assert_allclose(
        propensity(log_probabilities[:, 3], log_probabilities[:, 7]),
        propensity(logits[:, 3], logits[:, 7]),
        atol=1e-5,
    )


def test_extremes_and_sign():
    np.testing.assert_array_equal(p_match(np.array([1e4, -1e4, 2.0]), np.array([0.0, 0.0, 2.0])), [1, 0, 0.5])
    np.testing.assert_array_equal(propensity(np.array([3.0]), np.array([1.0])), [2])


def test_harmonic_mean_is_scipys():
    scores = np.random.default_rng(0).uniform(size=(6, 3))
    np.testing.assert_allclose(harmonic_mean(torch.tensor(scores)), stats.hmean(scores, axis=1))
    np.testing.assert_allclose(harmonic_mean(scores, axis=0), stats.hmean(scores, axis=0))
    np.testing.assert_allclose(harmonic_mean([[1.0, 1.0, 0.0], [0.5, 0.5, 0.5]]), [0, 0.5])
    assert harmonic_mean([0.2, 0.8]) == pytest.approx(0.32)


def test_unusable():
    with pytest.raises(ValueError, match="logit_pos has 2 rows and logit_neg has 3"):
        propensity(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"scores holds -0\.1"):
        harmonic_mean([0.5, -0.1])
    with pytest.raises(ValueError, match="axis is 1"):
        harmonic_mean([0.5, 0.1], axis=1)
    with pytest.raises(ValueError, match="scores has shape"):
        harmonic_mean([])


SCALES = np.array([-1.5, -1, -0.5, 0, 0.5, 1, 1.5])


def test_slopes_are_polyfits():
    moved = np.random.default_rng(0).normal(size=(40, 7))
    found = steerability(torch.tensor(SCALES), torch.tensor(moved))
    np.testing.assert_allclose(found.slopes, np.polyfit(SCALES, moved.T, 1)[0], atol=1e-12)
    assert found.mean.estimate == pytest.approx(found.slopes.mean())
    assert found.mean.low < found.mean.estimate < found.mean.high
    assert found.anti_steerable.estimate == np.mean(found.slopes < 0)


def test_exact_lines_with_any_offset():
    slopes = np.array([2.0, -1.0, 0.0, 0.5])
    found = steerability(SCALES + 3, slopes[:, None] * SCALES + np.array([5.0, -7.0, 0.0, 1e3])[:, None])
    np.testing.assert_allclose(found.slopes, slopes, atol=1e-12)


def test_nothing_moved():
    found = steerability(SCALES, np.ones((10, 7)))
    assert found.mean.estimate == found.anti_steerable.estimate == 0
    assert found.anti_steerable.high > 0.1  # ten examples do not rule it out


def test_chance_is_half_anti_steerable():
    found = steerability(SCALES, np.random.default_rng(1).normal(size=(500, 7)))
    assert found.mean.low < 0 < found.mean.high
    assert found.anti_steerable.low < 0.5 < found.anti_steerable.high


def test_unusable_scales():
    with pytest.raises(ValueError, match="There are 7 scales, and propensities has 6 columns"):
        steerability(SCALES, np.ones((3, 6)))
    with pytest.raises(ValueError, match=r"scales holds only 1\.0"):
        steerability(np.ones(3), np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"propensities holds NaN .*\(1\)"):
        steerability(SCALES, np.where(np.arange(3)[:, None] == 1, np.nan, np.ones((3, 7))))
