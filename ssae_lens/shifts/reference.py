"""The HDF5 files of the Sparse Shift Autoencoder paper's code, read and written.

``cfc_train`` and ``cfc_test`` have shape (n, 2, d): source and target of each pair; or (n, d), where each row's pair is the
row after it, so that the shifts are the n − 1 consecutive differences. ``cfc_train_labels`` and ``cfc_test_labels`` may hold
a JSON object for each pair: concept → whether it changed. A split without pairs is an empty data set.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks, files
from ssae_lens.base.origin import Origin
from ssae_lens.base.reading import parse_json, well_formed
from ssae_lens.shifts import hdf5, layout
from ssae_lens.shifts import rows as incoming
from ssae_lens.shifts.disk import require_room
from ssae_lens.shifts.store import ShiftStore

SPLITS = ("train", "test")


class _Side:
    """One side of a reference data set, as an (n, d) array that is read when it is sliced."""

    def __init__(self, rows: Any, side: int) -> None:
        self._rows = rows
        self._side = side
        paired = len(rows.shape) == 3
        self.shape = (rows.shape[0] - (0 if paired else 1), rows.shape[-1])
        # Reference files may be float64; what is read of them is what a store would hold.
        self.dtype = np.dtype(np.float16 if rows.dtype == np.float16 else np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        if len(self._rows.shape) == 3:
            block = self._rows[rows, self._side]
        else:
            block = self._rows[rows.start + self._side : rows.stop + self._side]
        return incoming.activations(self._rows.name, block, self.dtype, np.arange(rows.start, rows.stop))


def read_reference(path: str | Path, split: str = "train", *, origin: Origin | None = None) -> ShiftStore:
    """Open one split of a reference file; activations are read from it when they are asked for.

    Parameters
    ----------
    path
        The HDF5 file.
    split
        ``train`` or ``test``.
    origin
        Where the activations come from: the file does not say.

    Returns
    -------
    ShiftStore
        Labels that are true or false become 1 and 0: the file does not say in which direction a concept changed.
        `ShiftStore.save` makes a file of this package of it.
    """
    checks.one_of("split", split, SPLITS)
    path = Path(path)
    file = hdf5.open_file(path)
    try:
        pairs = _pairs(path, file, f"cfc_{split}")
        sides = {name: _Side(pairs, side) for side, name in enumerate(layout.SIDES)}
        n_rows, d_model = sides["source"].shape
        labels, concepts = _labels(path, file, f"cfc_{split}_labels", n_rows)
        with well_formed(path):
            data = sides | incoming.annotations(n_rows, None, labels, concepts)
            about = incoming.describe(d_model, origin, concepts, {"name": path.stem, "split": split})
    except BaseException:
        file.close()
        raise
    return ShiftStore(data, about, path, file)


def write_reference(
    path: str | Path, train: ShiftStore, test: ShiftStore | None = None, *, overwrite: bool = False
) -> None:
    """Write stores as a reference file, both sides of each pair; signed changes are written as numbers.

    Parameters
    ----------
    path
        The file to write.
    train, test
        Stores for its two splits; without `test` that split is empty, as the reference code writes it.
    overwrite
        Whether a file of other contents may be replaced.
    """
    import h5py

    path = Path(path)
    stores = {"train": train} if test is None else {"train": train, "test": test}
    if test is not None and test.d_model != train.d_model:
        raise ValueError(f"train is {train.d_model} wide and test {test.d_model}; they must come from one place.")
    size = sum(8 * len(store) * store.d_model for store in stores.values())
    require_room(path, size)
    with files.writing(path, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        for split, store in stores.items():
            into = file.create_dataset(f"cfc_{split}", (len(store), 2, store.d_model), np.float32)
            for rows, source, target in store.blocks():
                into[rows] = np.stack([source, target], axis=1)
            if store.labels is not None:
                changes = [json.dumps(dict(zip(store.concepts, row, strict=True))) for row in store.labels.tolist()]
                file.create_dataset(f"cfc_{split}_labels", data=changes, dtype=h5py.string_dtype())
        if test is None:
            file.create_dataset("cfc_test", data=np.empty(0, np.float32))


def open_shifts(path: str | Path, split: str = "train") -> ShiftStore:
    """Open a store of shifts: a file of this package, or a split of one of the reference code."""
    path = checks.existing_file(path, "Shifts are written there by capture_shifts and by ShiftStore.save.")
    return read_reference(path, split) if is_reference(path) else ShiftStore.open(path)


def is_reference(path: Path) -> bool:
    """Say whether a file is the reference code's rather than this package's."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with hdf5.open_file(path) as file:
        names = hdf5.names_in(path, file)
        return hdf5.attribute(path, file, "schema") is None and any(f"cfc_{each}" in names for each in SPLITS)


def _pairs(path: Path, file: Any, name: str) -> Any:
    if name not in (names := hdf5.names_in(path, file)):
        raise ValueError(f"{path} has no {name}; it holds {sorted(names)[:8] or 'nothing'}.")
    pairs = hdf5.dataset(path, file, name)
    paired = len(pairs.shape) == 3 and pairs.shape[1] == 2
    consecutive = len(pairs.shape) == 2
    few = 0 in pairs.shape or (consecutive and pairs.shape[0] < 2)
    if not (paired or consecutive) or few or pairs.dtype.kind != "f":
        raise ValueError(
            f"{name} of {path} has shape {pairs.shape} and type {pairs.dtype}; at least one pair is wanted, as "
            "floating-point numbers of shape (n, 2, d) or (n, d)."
        )
    return pairs


def _labels(path: Path, file: Any, name: str, n_rows: int) -> tuple[np.ndarray | None, list[str]]:
    if name not in hdf5.names_in(path, file):
        return None, []
    found = hdf5.dataset(path, file, name)
    try:
        if found.shape == (0,):
            return None, []
        if len(found.shape) != 1:
            raise ValueError(f"it has shape {found.shape}")
        rows = [parse_json(text.decode(), "a row") for text in hdf5.texts(path, found)]
        concepts = list(rows[0])
        labels = np.array([[_change(row[concept]) for concept in concepts] for row in rows])
    except hdf5.DAMAGE as error:
        if type(error) is ValueError and str(path) in str(error):
            raise
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"{name} of {path} is not a JSON object of changes for each pair ({why}).") from error
    if len(labels) != n_rows:
        raise ValueError(f"{name} of {path} has {len(labels)} rows for {n_rows} pairs; they must agree.")
    return labels.reshape(n_rows, len(concepts)), concepts


def _change(value: Any) -> int:
    if not isinstance(value, bool | int | float) or value not in (-1, 0, 1):
        raise ValueError(f"a change is {str(value)[:40]!r} and not -1, 0 or 1")
    return int(value)
