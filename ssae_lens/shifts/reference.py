"""HDF5 files of the reference code of the Sparse Shift Autoencoder paper: reading and writing.

``cfc_train`` and ``cfc_test`` have shape (n, 2, d): source and target of each pair; or (n, d), where the target of each row
is the next row, so that the shifts are the n − 1 consecutive differences. ``cfc_train_labels`` and ``cfc_test_labels`` are
optional and hold a JSON object per pair: concept → whether it changed. A split without pairs is an empty data set.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks, files
from ssae_lens.base.provenance import Origin
from ssae_lens.base.reading import parse_json, well_formed
from ssae_lens.shifts import contents, hdf5
from ssae_lens.shifts.disk import require_room
from ssae_lens.shifts.store import ShiftStore

SPLITS = ("train", "test")


class _Side:
    """One side of a reference data set: an (n, d) array that is read when it is sliced."""

    def __init__(self, rows: Any, side: int) -> None:
        self._rows = rows
        self._side = side
        paired = len(rows.shape) == 3
        self.shape = (rows.shape[0] - (0 if paired else 1), rows.shape[-1])
        # Reference files may be float64; a store holds float32.
        self.dtype = np.dtype(np.float16 if rows.dtype == np.float16 else np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        if len(self._rows.shape) == 3:
            block = self._rows[rows, self._side]
        else:
            block = self._rows[rows.start + self._side : rows.stop + self._side]
        return contents.activations(self._rows.name, block, self.dtype, np.arange(rows.start, rows.stop))


def read_reference(path: str | Path, split: str = "train", *, origin: Origin | None = None) -> ShiftStore:
    """Open one split of a reference file; its activations are read when they are accessed.

    Parameters
    ----------
    path
        The HDF5 file.
    split
        ``train`` or ``test``.
    origin
        The origin of the activations, which the file does not contain.

    Returns
    -------
    ShiftStore
        Labels that are true or false become 1 and 0, because the file has no direction of change. `ShiftStore.save` converts
        it to a file of this package.
    """
    checks.one_of("split", split, SPLITS)
    path = Path(path)
    file = hdf5.open_file(path)
    try:
        pairs = _pairs(path, file, f"cfc_{split}")
        sides = {name: _Side(pairs, side) for side, name in enumerate(contents.SIDES)}
        n_rows, d_model = sides["source"].shape
        labels, concepts = _labels(path, file, f"cfc_{split}_labels", n_rows)
        with well_formed(path):
            data = sides | contents.annotations(n_rows, None, labels, concepts)
            metadata = contents.describe(d_model, origin, concepts, {"name": path.stem, "split": split})
    except BaseException:
        file.close()
        raise
    return ShiftStore(data, metadata, path, file)


def write_reference(
    path: str | Path, train: ShiftStore, test: ShiftStore | None = None, *, overwrite: bool = False
) -> None:
    """Write stores as a reference file, with signed changes as numbers.

    Parameters
    ----------
    path
        The file to write.
    train, test
        Stores of its two splits; without `test`, that split is empty.
    overwrite
        Whether a file of other contents may be replaced.
    """
    import h5py

    path = Path(path)
    stores = {"train": train} if test is None else {"train": train, "test": test}
    if test is not None and test.d_model != train.d_model:
        raise ValueError(f"train is {train.d_model} wide and test {test.d_model}; they must be of one hook.")
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
    """Open a store of shifts: a file of this package, or a split of a file of the reference code."""
    path = checks.existing_file(path, "Shifts are written there by capture_shifts and by ShiftStore.save.")
    return read_reference(path, split) if is_reference(path) else ShiftStore.open(path)


def is_reference(path: Path) -> bool:
    """Return whether a file is one of the reference code instead of this package."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with hdf5.open_file(path) as file:
        names = hdf5.names_in(path, file)
        return hdf5.attribute(path, file, "schema") is None and any(f"cfc_{split}" in names for split in SPLITS)


def _pairs(path: Path, file: Any, name: str) -> Any:
    if name not in (names := hdf5.names_in(path, file)):
        raise ValueError(f"{path} has no {name}; it holds {sorted(names)[:8] or 'nothing'}.")
    pairs = hdf5.dataset(path, file, name)
    paired = len(pairs.shape) == 3 and pairs.shape[1] == 2
    consecutive = len(pairs.shape) == 2
    few = 0 in pairs.shape or (consecutive and pairs.shape[0] < 2)
    if not (paired or consecutive) or few or pairs.dtype.kind != "f":
        raise ValueError(
            f"{name} of {path} has shape {pairs.shape} and type {pairs.dtype}; at least one pair is expected, as "
            "floating-point numbers of shape (n, 2, d) or (n, d)."
        )
    return pairs


def _labels(path: Path, file: Any, name: str, n_rows: int) -> tuple[np.ndarray | None, list[str]]:
    if name not in hdf5.names_in(path, file):
        return None, []
    values = hdf5.dataset(path, file, name)
    try:
        if values.shape == (0,):
            return None, []
        if len(values.shape) != 1:
            raise ValueError(f"it has shape {values.shape}")
        rows = [parse_json(text.decode(), "a row") for text in hdf5.texts(path, values)]
        concepts = list(rows[0])
        labels = np.array([[_change(row[concept]) for concept in concepts] for row in rows])
    except hdf5.DAMAGE as error:
        if type(error) is ValueError and str(path) in str(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{name} of {path} is not a JSON object of changes for each pair ({reason}).") from error
    if len(labels) != n_rows:
        raise ValueError(f"{name} of {path} has {len(labels)} rows for {n_rows} pairs; they must agree.")
    return labels.reshape(n_rows, len(concepts)), concepts


def _change(value: Any) -> int:
    if not isinstance(value, bool | int | float) or value not in (-1, 0, 1):
        raise ValueError(f"a change is {str(value)[:40]!r} and not -1, 0 or 1")
    return int(value)
