"""The shifts of a store as one flat memory-mapped file beside it, for random rows of more than memory holds."""

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ssae_lens.base import files
from ssae_lens.base.progress import progress
from ssae_lens.shifts.disk import require_room

if TYPE_CHECKING:
    from ssae_lens.shifts.store import ShiftStore


def flat_shifts(store: "ShiftStore", dtype: np.dtype) -> Float[np.memmap, "n d"]:
    """Map the flat file of a store's shifts, once its checksum is verified; it is made where there is none.

    The contents' fingerprint is part of the file's name, so a store that was replaced does not find the old one's shifts.
    """
    if store.path is None:
        raise ValueError("The store is in memory and so are its shifts; save it to a file first, or use .shifts.")
    path = _path_for(store, dtype)
    mapped = _mapped(path, store.fingerprint)
    if mapped is None:
        _make(store, path, dtype)
        mapped = _mapped(path, store.fingerprint)
    assert mapped is not None
    return mapped


def _path_for(store: "ShiftStore", dtype: np.dtype) -> Path:
    assert store.path is not None
    folder = store.path.absolute().parent
    if not os.access(folder, os.W_OK):
        folder = files.cache_folder() / "shifts"
    return folder / f"{store.path.name}.{store.fingerprint}.{dtype.name}.npy"


def _mapped(path: Path, owner: str) -> np.memmap | None:
    """Map a .npy file whose checksum is right, or return None: then it is made, or made again."""
    try:
        files.unseal(path, owner)
    except (FileNotFoundError, files.DamagedFileError):
        return None
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _make(store: "ShiftStore", path: Path, dtype: np.dtype) -> None:
    n_bytes = len(store) * store.d_model * dtype.itemsize
    require_room(path, n_bytes)
    with files.writing(path) as temporary:
        with temporary.open("wb") as file, progress(total=len(store), unit=" rows", about="Flat shifts") as bar:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (len(store), store.d_model)}
            np.lib.format.write_array_header_1_0(file, header)
            for rows, source, target in store.blocks():
                with np.errstate(over="ignore"):
                    shifts = (target - source).astype(dtype)
                if not np.isfinite(shifts).all():
                    raise ValueError(f"A shift of rows {rows.start}–{rows.stop} is too large for {dtype}; use float32.")
                file.write(shifts.data)
                bar.update(len(shifts))
        files.seal(temporary, store.fingerprint)
    assert store.path is not None
    for other in path.parent.glob(f"{glob.escape(store.path.name)}.*.{dtype.name}.npy"):
        if other != path:
            other.unlink(missing_ok=True)
