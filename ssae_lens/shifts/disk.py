"""Shifts larger than memory: disk space, memory maps, and the flat file of shifts that training reads.

- `require_room` and `allocate` check and reserve disk space before anything is written.
- `release` drops the pages of a memory map from this process's memory.
- `flat_shifts` writes and maps a store's shifts as one ``.npy`` file, and `RowReader` reads its rows in a thread.
"""

import errno
import glob
import mmap
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.base import checks, checksums, files
from ssae_lens.base.progress_bars import progress


def require_room(path: Path, n_bytes: int) -> None:
    """Raise before anything is written if `path` cannot be written, or its disk has less than `n_bytes` free."""
    checks.writable(path)
    free = shutil.disk_usage(checks.nearest_folder(path)).free
    if free < n_bytes:
        raise OSError(
            errno.ENOSPC,
            f"{path} needs {n_bytes / 1e9:.2f} GB and its disk has {free / 1e9:.2f} GB free; "
            "make room, store float16, or give a path on another disk",
        )


def allocate(path: Path, n_bytes: int) -> None:
    """Reserve `n_bytes` of disk space for the file `path`, keeping its contents.

    If the disk fills up, a memory-mapped file with holes kills the process (SIGBUS), and HDF5 may ignore the error when it
    closes.
    """
    path.touch()
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(1, n_bytes))
        elif path.stat().st_size < n_bytes:
            file.truncate(n_bytes)


def release(array: Any) -> None:
    """Drop the pages of a memory map from this process's memory; their contents stay in the file."""
    mapped = getattr(array, "base", None)
    if isinstance(array, np.memmap) and isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def flat_shifts(
    store_path: Path,
    fingerprint: str,
    shape: tuple[int, int],
    dtype: np.dtype,
    blocks: Callable[[], Iterable[Float[np.ndarray, "b d"]]],
) -> Float[np.memmap, "n d"]:
    """Map the flat file of a store's shifts, verified by its checksum; write it from `blocks` of shifts if there is none.

    The fingerprint of the store's contents is part of the file's name, so that a store that was replaced gets a new file.
    """
    folder = store_path.absolute().parent
    if not os.access(folder, os.W_OK):
        folder = files.cache_folder() / "shifts"
    path = folder / f"{store_path.name}.{fingerprint}.{dtype.name}.npy"
    mapped = _mapped(path, fingerprint)
    if mapped is None:
        _write(path, fingerprint, shape, dtype, blocks)
        for other in folder.glob(f"{glob.escape(store_path.name)}.*.{dtype.name}.npy"):
            if other != path:
                other.unlink(missing_ok=True)
        mapped = _mapped(path, fingerprint)
    assert mapped is not None
    return mapped


class RowReader:
    """Reads rows of the flat file that `ShiftStore.memmap` returns, in a thread, while the caller works.

    Rows are read one by one instead of through the memory map, which would load whole pages around each row until the
    complete file counts as this process's memory.
    """

    def __init__(self, flat: Float[np.memmap, "n d"]) -> None:
        assert flat.filename is not None
        self.path = Path(flat.filename)
        self.shape: tuple[int, int] = flat.shape
        self._dtype, self._offset = flat.dtype, flat.offset
        # Only this thread uses the file, so that no other read moves its position.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shifts")
        self._file = self.path.open("rb", buffering=0)

    def begin(self, rows: Int[np.ndarray, " b"]) -> "Future[Tensor]":
        """Start to read rows, as a (b, d) tensor of the file's type; `result()` waits for them."""
        return self._thread.submit(self._read, rows)

    def _read(self, rows: np.ndarray) -> Tensor:
        batch = np.empty((len(rows), self.shape[1]), self._dtype)
        row_bytes = batch.strides[0]
        for row, into in zip(rows.tolist(), batch, strict=True):
            self._file.seek(self._offset + row * row_bytes)
            if self._file.readinto(into.data) != row_bytes:
                raise ValueError(f"{self.path} ends before row {row}; remove it and it will be made again.")
        return torch.from_numpy(batch)


def _mapped(path: Path, owner: str) -> np.memmap | None:
    """Map a .npy file, or return None if there is none or it fails its checksum."""
    try:
        checksums.unseal(path, owner)
    except (FileNotFoundError, checksums.DamagedFileError):
        return None
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _write(
    path: Path,
    owner: str,
    shape: tuple[int, int],
    dtype: np.dtype,
    blocks: Callable[[], Iterable[Float[np.ndarray, "b d"]]],
) -> None:
    require_room(path, shape[0] * shape[1] * dtype.itemsize)
    with files.writing(path) as temporary:
        with temporary.open("wb") as file, progress(total=shape[0], unit=" rows", desc="Flat shifts") as bar:
            header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            n_written = 0
            for block in blocks():
                with np.errstate(over="ignore"):
                    shifts = block.astype(dtype)
                if not np.isfinite(shifts).all():
                    rows = f"{n_written}–{n_written + len(block)}"
                    raise ValueError(f"A shift of rows {rows} is too large for {dtype}; use float32.")
                file.write(shifts.data)
                n_written += len(block)
                bar.update(len(shifts))
        checksums.seal(temporary, owner)
