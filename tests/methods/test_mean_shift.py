import numpy as np
import pytest
import torch

from ssae_lens.methods import mean_shift
from ssae_lens.methods.contrast import Contrast
from ssae_lens.shifts import ShiftStore


def test_it_is_the_mean_of_signed_shifts(store, signed):
    vector = mean_shift(store, "sentiment")
    np.testing.assert_allclose(vector.direction.numpy(), signed.mean(0), rtol=1e-6)
    assert (vector.method, vector.concept, vector.origin) == ("mean_shift", "sentiment", store.origin)
    assert vector.norms == Contrast.of(store, "sentiment").norms


def test_without_labels_it_goes_from_source_to_target(unlabelled, sides):
    expected = (sides[1].astype(np.float64) - sides[0]).mean(0)
    np.testing.assert_allclose(mean_shift(unlabelled).direction.numpy(), expected, rtol=1e-5)


def test_a_store_of_many_blocks(tmp_path, store):
    generator = np.random.default_rng(0)
    source, target = generator.normal(size=(2, 5000, 12)).astype(np.float32)
    signs = generator.integers(-1, 2, (5000, 1))
    on_disk = ShiftStore.from_arrays(
        source, target, origin=store.origin, labels=signs, concepts=["tense"], path=tmp_path / "shifts.h5"
    )
    expected = (signs * (target.astype(np.float64) - source)).sum(0) / np.count_nonzero(signs)
    np.testing.assert_allclose(mean_shift(on_disk).direction.numpy(), expected, rtol=1e-5, atol=1e-8)


def test_shifts_that_cancel_point_nowhere(store):
    ends = torch.tensor([[1.0] * 12, [-1.0] * 12])
    with pytest.raises(ValueError, match=r"direction is zero at 'blocks.1.hook_resid_post'"):
        mean_shift(ShiftStore.from_arrays(torch.zeros(2, 12), ends, origin=store.origin))


def test_nan_never_gets_into_a_store(store):
    bad = torch.zeros(2, 12)
    bad[1, 3] = torch.nan
    with pytest.raises(ValueError, match="target holds NaN"):
        mean_shift(ShiftStore.from_arrays(torch.zeros(2, 12), bad, origin=store.origin))
