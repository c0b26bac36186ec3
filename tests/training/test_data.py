import numpy as np
import pytest
import torch

from ssae_lens.base.provenance import Origin
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
        assert len({each.fingerprint for each in kinds[:3]}) == 1
        assert {each.fingerprint for each in kinds[3:]} == {store.fingerprint}


def test_the_fingerprint_is_of_every_row(monkeypatch):
    values = torch.randn(2000, D)
    before = open_data(values, 8).fingerprint
    assert open_data(values.clone(), 8).fingerprint == before
    for row in (0, 1, 31, 1983, 1999):
        changed = values.clone()
        changed[row, 3] += 1
        assert open_data(changed, 8).fingerprint != before
    monkeypatch.setattr(data, "BLOCK", 300)
    assert open_data(values, 8).fingerprint == before
    assert open_data(values.reshape(1000, 2 * D), 8).fingerprint != before


@pytest.fixture
def on_disk(values, tmp_path, monkeypatch):
    """Shifts that memory is not to hold, and the same from memory."""
    zeros = np.zeros((N, D), dtype=np.float32)
    with ShiftStore.from_arrays(zeros, values.numpy(), path=tmp_path / "shifts.h5") as store:
        memory = open_data(store, 8)
        monkeypatch.setattr(data, "HOLD_BYTES", 0)
        yield open_data(store, 8), memory


def test_shifts_that_are_not_held_are_read_row_by_row(on_disk, monkeypatch):
    """Not by indexing the memory map, which counts every page that it touches as this process's memory."""
    monkeypatch.setattr(np.memmap, "__getitem__", lambda *_: pytest.fail("the memory map was indexed"))
    disk, memory = on_disk
    for one, other in zip([disk, *disk.halves()], [memory, *memory.halves()], strict=True):
        torch.testing.assert_close(one.sample(), other.sample(), rtol=0, atol=0)
        torch.testing.assert_close(torch.cat(list(one.blocks(7))), other.sample(), rtol=0, atol=0)
        for step in (0, 1, 2, 40, 41, 3):  # in order, after a gap, and back
            torch.testing.assert_close(one.batch(step, 8, 3), other.batch(step, 8, 3), rtol=0, atol=0)


def test_the_next_batch_is_read_meanwhile(on_disk, monkeypatch):
    disk, _ = on_disk
    asked = []
    begin = disk.values.begin
    monkeypatch.setattr(disk.values, "begin", lambda rows: (asked.append(rows.tolist()), begin(rows))[1])
    for step in range(3):
        disk.batch(step, 8, 3)
    assert asked == [disk.pick(step, 8, 3).tolist() for step in range(4)]


def test_a_sample_of_many_is_evenly_spaced(on_disk, monkeypatch):
    monkeypatch.setattr(data, "FIT_ROWS", 30)
    disk, memory = on_disk
    torch.testing.assert_close(disk.sample(), memory.sample(), rtol=0, atol=0)
    torch.testing.assert_close(disk.sample(), torch.cat(list(memory.blocks()))[::4], rtol=0, atol=0)


def test_nested_lists_are_arrays_and_lists_of_matrices_are_batches(values):
    rows = values.tolist()
    for given in (rows, [tuple(each) for each in rows], tuple(rows), list(values), list(values.numpy())):
        found = open_data(given, 8)
        assert isinstance(found, Rows)
        torch.testing.assert_close(found.sample(), values)
    for given in (list(values.split(50)), [each.tolist() for each in values.split(50)]):
        assert isinstance(open_data(given, 4), Stream)
    with pytest.raises(ValueError, match=r"shifts is a list with rows of different lengths .* must be \(N, d\)"):
        open_data([[1.0, 2.0], [3.0]], 8)
    with pytest.raises(ValueError, match=r"shifts has shape \(3,\)"):
        open_data([1.0, 2.0, 3.0], 8)


def test_whole_numbers_are_numbers(values):
    whole = (values * 10).round()
    torch.testing.assert_close(open_data(whole.numpy().astype(np.int16), 8).sample(), whole)


def test_a_store_is_opened_by_its_path(values, tmp_path):
    zeros = np.zeros((N, D), dtype=np.float32)
    path = tmp_path / "shifts.h5"
    ShiftStore.from_arrays(zeros, values.numpy(), path=path).close()
    for each in (path, str(path)):
        torch.testing.assert_close(open_data(each, 8).sample(), values)
    with pytest.raises(FileNotFoundError, match=r"no file .*shifts.h6. Did you mean 'shifts.h5'"):
        open_data(tmp_path / "shifts.h6", 8)


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
    with pytest.raises(ValueError, match="ended at step 10; give a longer one"):
        stream.batch(10, 2, 0)


def test_unusable(values):
    bad = values.clone()
    bad[3, 1], bad[97, 0] = torch.nan, torch.inf
    with pytest.raises(ValueError, match=r"NaN or infinite values in 2 of 100 rows \(3, 97\)"):
        open_data(bad, 8)
    with pytest.raises(ValueError, match="batch 0 of the shifts holds NaN"):
        open_data(iter([bad]), 8)
    for same in (torch.ones(5, D), torch.zeros(1, D), iter([torch.ones(5, D)])):
        with pytest.raises(ValueError, match="shifts are the same"):
            open_data(same, 8)
    with pytest.raises(ValueError, match=r"shape \(100,\); it must be \(N, d\)"):
        open_data(values[:, 0], 8)
    with pytest.raises(ValueError, match="Batch 1 of the shifts"):
        open_data(iter([values, values[0]]), 64)
    with pytest.raises(ValueError, match="no rows"):
        open_data(values[:0], 8)
    with pytest.raises(ValueError, match="is empty"):
        open_data(iter([]), 8)
    with pytest.raises(ValueError, match=r"shifts must be a ShiftStore .* got int"):
        open_data(3, 8)
    with pytest.raises(ValueError, match="There is 1 shift; training needs several"):
        open_data(values[:1], 8)
    with pytest.raises(ValueError, match=r"root mean square of \S+e-37; it must be from 1e-34 .* Multiply"):
        open_data(values * 1e-37, 8)
    with pytest.raises(ValueError, match="shifts holds object"):
        open_data(np.array([[None, 1.0]]), 8)
    with pytest.raises(ValueError, match=r"shifts reach 1e\+300, beyond the largest float32; divide them"):
        open_data(np.array([[1.0, 1e300], [2.0, -1.0]]), 8)
