"""The shifts of a store as one flat memory-mapped file beside it, for random rows of more than memory holds."""

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ssae_lens.base import files
from ssae_lens.base.progress import progress
from ssae_lens.shifts.disk import naming_a_full_disk, require_room

if TYPE_CHECKING:
    from ssae_lens.shifts.store import ShiftStore


def flat_shifts(store: "ShiftStore", dtype: np.dtype) -> Float[np.memmap, "n d"]:
    """Map the flat file of a store's shifts, making it first where there is none for this store's contents.

    The contents' fingerprint is part of the file's name, so a store that was replaced does not find the old one's shifts.
    """
    if store.path is None:
        raise ValueError("The store is in memory and so are its shifts; save it to a file first, or use .shifts.")
    path = _path_for(store, dtype)
    mapped = _mapped(path)
    if mapped is None or mapped.shape != (len(store), store.d_model) or mapped.dtype != dtype:
        _make(store, path, dtype)
        mapped = _mapped(path)
        assert mapped is not None
    return mapped


def _path_for(store: "ShiftStore", dtype: np.dtype) -> Path:
    assert store.path is not None
    folder = store.path.absolute().parent
    if not os.access(folder, os.W_OK):
        folder = files.cache_folder() / "shifts"
    return folder / f"{store.path.name}.{store.fingerprint}.{dtype.name}.npy"


def _mapped(path: Path) -> np.memmap | None:
    """Map a .npy file, or give None where there is none or only a part of one."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError):
        return None
    return mapped if isinstance(mapped, np.memmap) else None


def _make(store: "ShiftStore", path: Path, dtype: np.dtype) -> None:
    n_bytes = len(store) * store.d_model * dtype.itemsize
    require_room(path, n_bytes)
    with (
        naming_a_full_disk(path, n_bytes),
        files.writing(path) as temporary,
        temporary.open("wb") as file,
        progress(total=len(store), unit=" rows", about="Flat shifts") as bar,
    ):
        header = {"descr": dtype.str, "fortran_order": False, "shape": (len(store), store.d_model)}
        np.lib.format.write_array_header_1_0(file, header)
        for rows, source, target in store.blocks():
            with np.errstate(over="ignore"):
                shifts = (target - source).astype(dtype)
            if not np.isfinite(shifts).all():
                raise ValueError(f"A shift of rows {rows.start}–{rows.stop} is too large for {dtype}; use float32.")
            file.write(shifts.data)
            bar.update(len(shifts))
    assert store.path is not None
    for other in path.parent.glob(f"{glob.escape(store.path.name)}.*.{dtype.name}.npy"):
        if other != path:
            other.unlink(missing_ok=True)
