import numpy as np
import pytest
import torch

from ssae_lens.metrics import steerability

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


def test_unusable():
    with pytest.raises(ValueError, match="There are 7 scales, and propensities has 6 columns"):
        steerability(SCALES, np.ones((3, 6)))
    with pytest.raises(ValueError, match=r"scales holds only 1\.0"):
        steerability(np.ones(3), np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"propensities holds NaN .*\(1\)"):
        steerability(SCALES, np.where(np.arange(3)[:, None] == 1, np.nan, np.ones((3, 7))))
