"""Files larger than memory: room for them on the disk, and pages of them let go."""

import errno
import mmap
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks


def require_room(path: Path, n_bytes: int) -> None:
    """Raise before anything is written if `path` cannot be written, or `n_bytes` will not fit beside it."""
    checks.writable(path)
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise OSError(
            errno.ENOSPC,
            f"{path} needs {n_bytes / 1e9:.2f} GB and its disk has {free / 1e9:.2f} GB free; "
            "make room, store float16, or give a path on another disk",
        )


def allocate(path: Path, n_bytes: int) -> None:
    """Make `path` a file of at least `n_bytes` that the disk has room for; what it already holds stays.

    A disk that fills up under a memory-mapped file with holes kills the process (SIGBUS) and raises nothing; one that fills
    up under HDF5 may do so on closing, where the failure is passed over.
    """
    path.touch()
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(1, n_bytes))
        elif path.stat().st_size < n_bytes:
            file.truncate(n_bytes)


def release(array: Any) -> None:
    """Let go of the pages a memory map has read or written, so that they do not count as this process's memory.

    Their contents are in the file, and mostly still in the system's cache.
    """
    mapped = getattr(array, "base", None)
    if isinstance(array, np.memmap) and isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
