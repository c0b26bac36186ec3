"""Shuffled batches: every row once an epoch, the same from memory and from disk, in memory that does not grow."""

import tracemalloc
from itertools import islice

import numpy as np
import pytest
import torch

from ssae_lens.shifts import ShiftStore

N, D = 150, 16


@pytest.fixture
def store(sides, tmp_path):
    with ShiftStore.from_arrays(*sides, path=tmp_path / "shifts.h5") as store:
        yield store


@pytest.fixture
def shifts(sides):
    return torch.from_numpy(sides[1] - sides[0])


@pytest.fixture(params=[1 << 30, 0], ids=["memory", "disk"])
def ram_limit(request):
    return request.param


def sorted_rows(rows):
    return rows[rows[:, 0].argsort()]


def test_every_row_once_an_epoch(store, shifts, ram_limit):
    batches = list(store.batches(40, epochs=2, ram_limit=ram_limit))
    assert [len(batch) for batch in batches] == [40, 40, 40, 30] * 2
    first, second = torch.cat(batches[:4]), torch.cat(batches[4:])
    torch.testing.assert_close(sorted_rows(first), sorted_rows(shifts), rtol=0, atol=0)
    torch.testing.assert_close(sorted_rows(second), sorted_rows(shifts), rtol=0, atol=0)
    assert not torch.equal(first, second)
    assert not torch.equal(first, shifts)


def test_order_is_the_seeds(store, ram_limit):
    one, again, other = (
        torch.cat(list(store.batches(64, seed=seed, epochs=1, ram_limit=ram_limit))) for seed in (3, 3, 4)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_memory_and_disk_agree(store):
    memory = list(islice(store.batches(64, seed=5), 7))
    disk = list(islice(store.batches(64, seed=5, ram_limit=0), 7))
    assert len(memory) == len(disk) == 7
    assert all(torch.equal(one, other) for one, other in zip(memory, disk, strict=True))


def test_rows_and_drop_last(store, shifts, ram_limit):
    rows = np.arange(10, 60)
    batches = list(store.batches(16, rows=rows, epochs=1, drop_last=True, ram_limit=ram_limit))
    assert [len(batch) for batch in batches] == [16, 16, 16]
    allowed = {row.numpy().tobytes() for row in shifts[rows]}
    assert {row.numpy().tobytes() for row in torch.cat(batches)} <= allowed
    assert all(batch.dtype == torch.float32 and batch.device.type == "cpu" for batch in batches)


def test_a_batch_is_the_callers_own(store, shifts, ram_limit):
    for batch in store.batches(50, epochs=1, ram_limit=ram_limit):
        batch.zero_()
    torch.testing.assert_close(torch.from_numpy(store.shifts), shifts, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 151, "drop_last": True}, "no batch would be left"),
        ({"rows": [150]}, "rows reach from 150 to 150"),
        ({"rows": []}, "at least one row number"),
        ({"rows": np.ones(3, dtype=bool)}, "a mask of 150"),
    ],
)
def test_refused_at_once(store, wrong, message):
    with pytest.raises(ValueError, match=message):
        store.batches(**{"batch_size": 10} | wrong)


def test_memmap(store, shifts, tmp_path):
    flat = store.memmap()
    assert isinstance(flat, np.memmap)
    assert not flat.flags.writeable
    np.testing.assert_array_equal(flat, shifts.numpy())
    np.testing.assert_array_equal(store.memmap("float16"), shifts.numpy().astype(np.float16))
    (made,) = tmp_path.glob("*.float32.npy")
    np.testing.assert_array_equal(np.load(made), shifts.numpy())


def test_memmap_is_made_once(store, tmp_path):
    store.memmap()
    (made,) = tmp_path.glob("*.npy")
    before = made.stat().st_mtime_ns
    store.memmap()
    assert made.stat().st_mtime_ns == before


def test_memmap_follows_the_file(store, sides, tmp_path):
    """A store written in the place of another is not taken for it, and an incomplete flat file not for a whole one."""
    store.memmap()
    (old,) = tmp_path.glob("*.npy")
    with ShiftStore.from_arrays(sides[0], sides[1] * 2).save(store.path, overwrite=True) as replaced:
        np.testing.assert_array_equal(replaced.memmap(), sides[1] * 2 - sides[0])
        assert not old.exists()
        (made,) = tmp_path.glob("*.npy")
        made.write_bytes(made.read_bytes()[:-100])
        np.testing.assert_array_equal(replaced.memmap(), sides[1] * 2 - sides[0])


def test_memmap_of_a_store_in_memory(sides):
    with pytest.raises(ValueError, match="save it to a file first"):
        ShiftStore.from_arrays(*sides).memmap()


def test_memmap_beyond_half_precision(tmp_path):
    sides = np.full((2, 1), 60_000), np.full((2, 1), -60_000)
    with ShiftStore.from_arrays(*sides, dtype="float16", path=tmp_path / "shifts.h5") as store:
        assert store.memmap()[1, 0] == -120_000
        with pytest.raises(ValueError, match="too large for float16; use float32"):
            store.memmap("float16")


def test_memory_does_not_grow_with_rows(tmp_path):
    """Making the flat file and training from it hold a block at a time, not the rows."""

    def peak(n_rows):
        sides = np.ones((n_rows, 64), dtype=np.float32)
        with ShiftStore.from_arrays(sides, sides, path=tmp_path / f"{n_rows}.h5") as store:
            del sides
            tracemalloc.start()
            for _ in store.batches(256, epochs=1, ram_limit=0):
                pass
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    peak(512)  # what is imported on the way counts once
    few, many = peak(4_096), peak(32_768)
    assert many - few < 1e6 < 32_768 * 64 * 4 / 4
