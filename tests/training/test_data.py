import numpy as np
import pytest
import torch

from ssae_lens.base.origin import Origin
from ssae_lens.shifts import ShiftStore
from ssae_lens.training import data
from ssae_lens.training.data import Rows, Stream, open_data

N, D = 100, 6


@pytest.fixture
def values():
    return torch.randn(N, D)


def test_every_kind_gives_the_same_batches(values, tmp_path, monkeypatch):
    origin = Origin("blocks.0.hook_resid_post", D)
    zeros = np.zeros((N, D), dtype=np.float32)
    with ShiftStore.from_arrays(zeros, values.numpy(), origin=origin, path=tmp_path / "shifts.h5") as store:
        kinds = [open_data(each, 8) for each in (values, values.numpy(), values.double(), store)]
        monkeypatch.setattr(data, "HOLD_BYTES", 0)
        kinds.append(open_data(store, 8))
        assert [each.path_backed for each in kinds] == [False, False, False, False, True]
        for step in (0, 7, 20):
            for each in kinds:
                torch.testing.assert_close(each.batch(step, 8, 3), kinds[0].batch(step, 8, 3))
        assert len({each.fingerprint() for each in kinds}) == 1


def test_an_epoch_gives_each_row_once_and_the_next_another_order(values):
    rows = Rows(values.numpy())
    epochs = [torch.cat([rows.pick(epoch * 5 + step, 20, seed=1) for step in range(5)]) for epoch in range(2)]
    for order in epochs:
        assert sorted(order.tolist()) == list(range(N))
    assert not torch.equal(*epochs)
    again = Rows(values.numpy())
    assert torch.equal(again.pick(7, 20, seed=1), rows.pick(7, 20, seed=1))
    assert not torch.equal(again.pick(7, 20, seed=2), rows.pick(7, 20, seed=1))


def test_halves_share_no_row_and_leave_none_out(values):
    first, second = Rows(values.numpy()).halves()
    assert (first.n, second.n) == (N // 2, N // 2)
    both = torch.cat([first.sample(), second.sample()])
    assert sorted(both.tolist()) == sorted(values.tolist())
    torch.testing.assert_close(first.batch(0, N // 2, 0).sort(0).values, values[::2].sort(0).values)


def test_fewer_rows_than_a_batch(values):
    assert sorted(Rows(values[:5].numpy()).pick(3, 256, 0).tolist()) == list(range(5))


def test_a_stream_trains_on_what_it_was_fitted_to(values):
    stream = open_data((each for each in values.split(10)), batch_size=2)
    assert isinstance(stream, Stream)
    sample = stream.sample()
    assert len(sample) >= 4 * D
    seen = [stream.batch(step, 2, 0) for step in range(10)]
    torch.testing.assert_close(torch.cat(seen), values)
    torch.testing.assert_close(torch.cat(seen)[: len(sample)], sample)
    with pytest.raises(ValueError, match="ended at step 10; give one that goes on"):
        stream.batch(10, 2, 0)


def test_unusable(values):
    bad = values.clone()
    bad[3, 1], bad[97, 0] = torch.nan, torch.inf
    with pytest.raises(ValueError, match=r"NaN or infinite values in 2 of 100 rows \(3, 97\)"):
        open_data(bad, 8)
    with pytest.raises(ValueError, match="batch 0 of the shifts holds NaN"):
        open_data(iter([bad]), 8)
    for same in (torch.ones(5, D), torch.zeros(1, D), iter([torch.ones(5, D)])):
        with pytest.raises(ValueError, match="nothing in them varies"):
            open_data(same, 8)
    with pytest.raises(ValueError, match=r"shape \(100,\); it must be \(N, d\)"):
        open_data(values[:, 0], 8)
    with pytest.raises(ValueError, match="Batch 1 of the shifts"):
        open_data(iter([values, values[0]]), 64)
    with pytest.raises(ValueError, match="no rows"):
        open_data(values[:0], 8)
    with pytest.raises(ValueError, match="gave no batch"):
        open_data(iter([]), 8)
    with pytest.raises(ValueError, match="shifts is a int; give a ShiftStore"):
        open_data(3, 8)
