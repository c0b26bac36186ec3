"""The flat file of a store's shifts, and rows of it by their numbers, in memory that does not grow."""

import tracemalloc

import numpy as np
import pytest
import torch

from ssae_lens.base.checksums import unseal
from ssae_lens.shifts import ShiftStore
from ssae_lens.shifts.disk import RowReader

N, D = 150, 16


@pytest.fixture
def store(sides, tmp_path):
    with ShiftStore.from_arrays(*sides, path=tmp_path / "shifts.h5") as store:
        yield store


@pytest.fixture
def shifts(sides):
    return torch.from_numpy(sides[1] - sides[0])


def test_rows_are_read_by_their_numbers(store, shifts):
    reader = RowReader(store.memmap())
    assert reader.shape == (N, D)
    wanted = [np.array([3, 149, 0, 3]), np.arange(40), np.array([], dtype=int)]
    coming = [reader.begin(rows) for rows in wanted]  # several under way
    for rows, found in zip(wanted, coming, strict=True):
        assert torch.equal(found.result(), shifts[rows])


def test_a_batch_is_the_callers_own(store, shifts):
    reader = RowReader(store.memmap())
    reader.begin(np.arange(N)).result().zero_()
    assert torch.equal(reader.begin(np.arange(N)).result(), shifts)


def test_a_file_that_ends_early_is_named(store):
    reader = RowReader(store.memmap())
    with reader.path.open("r+b") as file:
        file.truncate(unseal(reader.path) - 4)
    with pytest.raises(ValueError, match=r"shifts.h5.*npy ends before row 149; remove it and it will be made again"):
        reader.begin(np.arange(N)).result()


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
            reader = RowReader(store.memmap())
            for rows in np.random.default_rng(0).permutation(n_rows).reshape(-1, 256):
                reader.begin(rows).result()
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    peak(512)  # what is imported on the way counts once
    few, many = peak(4_096), peak(32_768)
    assert many - few < 1e6 < 32_768 * 64 * 4 / 4
