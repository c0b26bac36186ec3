import numpy as np
import pytest
import torch
from sae_lens.evals import ExplainedVarianceCalculator
from sklearn.metrics import r2_score

from ssae_lens.metrics import active_codes, density, mean_abs, r2_centred, r2_uncentred


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
    assert active_codes(codes) == (1 + 0 + 3 + 2) / 4
    assert active_codes(codes, relative=0) == (2 + 0 + 3 + 2) / 4
    assert active_codes(codes, relative=0.1) == (1 + 0 + 2 + 2) / 4
    np.testing.assert_array_equal(density(codes), [3 / 4, 1 / 4, 2 / 4])
    assert density(codes).sum() == active_codes(codes)
    assert mean_abs(codes) == pytest.approx((4.03 + 1.52 + 3e-9) / 12)


def test_counts_do_not_depend_on_scale():
    codes = torch.randn(20, 30)
    assert active_codes(codes * 1e-6, relative=0.3) == active_codes(codes, relative=0.3)


def test_unusable(shifts):
    with pytest.raises(ValueError, match="values has 8 columns and reconstructed has 7"):
        r2_centred(shifts, shifts[:, 1:])
    with pytest.raises(ValueError, match="relative is -1"):
        density(shifts, relative=-1)
    with pytest.raises(ValueError, match="codes holds NaN"):
        mean_abs(shifts / 0 * 0)
