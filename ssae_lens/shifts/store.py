"""`ShiftStore`: activations of both sides of text pairs, with labels and origin, in a file or in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import Self

from ssae_lens.base import checks
from ssae_lens.base.provenance import Origin
from ssae_lens.shifts import contents, hdf5, layout
from ssae_lens.shifts.contents import SIDES, TEXTS, Metadata
from ssae_lens.shifts.disk import flat_shifts
from ssae_lens.shifts.layout import BLOCK

# Norms are means over at most so many blocks.
MAX_NORM_BLOCKS = 64


class ShiftStore:
    """Activations of the two sides of each pair, with labels, texts and origin.

    Returned by `ShiftStore.open`, `ShiftStore.from_arrays`, `merge`, `read_reference` and `capture_shifts`. A store in a
    file reads its arrays when they are accessed. Close it, or use it in a ``with`` block, to close the file.

    Attributes
    ----------
    path
        The file, or None for a store in memory.

    Examples
    --------
    >>> import torch
    >>> store = ShiftStore.from_arrays(torch.zeros(2, 3), torch.ones(2, 3), labels=torch.tensor([[1], [1]]), concepts=["a"])
    >>> len(store), store.shifts.shape, store.labels.tolist()
    (2, (2, 3), [[1], [1]])
    """

    def __init__(self, data: Mapping[str, Any], metadata: Metadata, path: Path | None = None, file: Any = None) -> None:
        self._data = data
        self._metadata = metadata
        self._file = file
        self._shape: tuple[int, int] = data["source"].shape
        self._dtype: np.dtype = data["source"].dtype
        self.path = path

    @classmethod
    def open(cls, path: str | Path) -> "ShiftStore":
        """Open a store's file for reading.

        Raises
        ------
        FileNotFoundError
            If there is no such file, or a shard of a merged store is missing.
        ValueError
            If it is not a complete, undamaged store. Rows are checked when they are read.

        See Also
        --------
        ssae_lens.shifts.open_shifts : opens files of the reference code, too.
        """
        file, metadata = layout.open_file(path)
        return cls(layout.datasets(file), metadata, Path(path), file)

    @classmethod
    def from_arrays(
        cls,
        source: Float[Tensor, "n d"] | Float[np.ndarray, "n d"],
        target: Float[Tensor, "n d"] | Float[np.ndarray, "n d"],
        *,
        origin: Origin | None = None,
        labels: Int[Tensor, "n c"] | Int[np.ndarray, "n c"] | None = None,
        concepts: str | Sequence[str] = (),
        row_ids: Sequence[int] | np.ndarray | None = None,
        texts: tuple[Sequence[str], Sequence[str]] | None = None,
        pairs: Mapping[str, Any] | None = None,
        dtype: str = "float32",
        path: str | Path | None = None,
        overwrite: bool = False,
    ) -> "ShiftStore":
        """Return a store of arrays, in memory or, with `path`, in a file.

        Parameters
        ----------
        source, target
            Activations, one row for each pair.
        origin
            The model, hook and position of the activations.
        labels, concepts
            Signed changes (−1, 0, +1) of each row and concept, and the concepts' names: a list, or a string for one.
        row_ids
            Rows of the pairs data set; by default 0, 1, …
        texts
            Source texts and target texts, one per row.
        pairs
            JSON-able description of the pairs data set.
        dtype
            ``float32`` or ``float16``.
        path
            File to write; by default the store stays in memory.
        overwrite
            Whether a file of other contents may be replaced.
        """
        concepts = checks.name_list("concepts", concepts)
        data = contents.sides(source, target, layout.storable(dtype))
        n_rows, d_model = data["source"].shape
        if n_rows == 0:
            raise ValueError("source has no rows; a store needs at least one.")
        data |= contents.annotations(n_rows, row_ids, labels, concepts, texts)
        store = cls(data, contents.describe(d_model, origin, concepts, pairs))
        return store if path is None else store.save(path, overwrite=overwrite)

    def save(self, path: str | Path, *, overwrite: bool = False) -> "ShiftStore":
        """Write the store to a file, in blocks, and return the store of the file.

        Raises
        ------
        FileExistsError
            If there is a file of other contents and `overwrite` is False.
        """
        layout.write(path, self._data, replace(self._metadata, digests={}, shards={}), overwrite=overwrite)
        return ShiftStore.open(path)

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def d_model(self) -> int:
        """The width of the activations."""
        return self._shape[1]

    @property
    def dtype(self) -> np.dtype:
        """The type of the stored activations; arrays are returned as float32."""
        return self._dtype

    @property
    def origin(self) -> Origin:
        """The model, hook and position of the activations."""
        return self._metadata.origin

    @property
    def concepts(self) -> list[str]:
        """The names of the labels' columns."""
        return list(self._metadata.concepts)

    @property
    def pairs(self) -> dict[str, Any]:
        """The description of the pairs data set, such as a name and a fingerprint."""
        return dict(self._metadata.pairs)

    @property
    def versions(self) -> dict[str, str]:
        """The packages the store was made with."""
        return dict(self._metadata.versions)

    @cached_property
    def source(self) -> Float[np.ndarray, "n d"]:
        """Activations of the source texts, float32; read once and cached."""
        return self._side("source", slice(0, len(self)))

    @cached_property
    def target(self) -> Float[np.ndarray, "n d"]:
        """Activations of the target texts, float32; read once and cached."""
        return self._side("target", slice(0, len(self)))

    @cached_property
    def shifts(self) -> Float[np.ndarray, "n d"]:
        """Target − source, float32; computed once, in blocks, and cached."""
        shifts = np.empty((len(self), self.d_model), dtype=np.float32)
        for rows, source, target in self.blocks():
            np.subtract(target, source, out=shifts[rows])
        return shifts

    @cached_property
    def labels(self) -> Int[np.ndarray, "n c"] | None:
        """Signed changes −1, 0, +1 of each concept, int8, or None."""
        if "labels" not in self._data:
            return None
        labels = self._column("labels", slice(0, len(self)))
        if not np.isin(labels, (-1, 0, 1)).all():
            raise hdf5.damaged(self.path or "the store", "/labels holds values other than -1, 0 and 1")
        return labels

    @cached_property
    def row_ids(self) -> Int[np.ndarray, " n"]:
        """The row of the pairs data set of each row; a pair captured at several tokens has several rows."""
        return self._column("row_id", slice(0, len(self)))

    @cached_property
    def texts(self) -> tuple[list[str], list[str]] | None:
        """Source texts and target texts, or None."""
        if not all(name in self._data for name in TEXTS):
            return None
        everything = slice(0, None)
        columns = [(self._column(name, everything), self._column(end, everything)) for name, end in TEXTS.items()]
        try:
            source, target = (contents.split_texts(*column) for column in columns)
        except ValueError as error:
            raise hdf5.damaged(self.path or "the store", error) from error
        return source, target

    @cached_property
    def norms(self) -> dict[str, float]:
        """The mean norms of activations and of shifts, as `SteeringVector` takes them, without norms of 0.

        Of a large store, they are those of evenly spaced blocks.
        """
        blocks = list(layout.blocks(len(self), BLOCK))
        n_rows, totals = 0, {"mean_residual_norm": 0.0, "mean_shift_norm": 0.0}
        for rows in blocks[:: -(-len(blocks) // MAX_NORM_BLOCKS)]:
            source, target = (side.astype(np.float64) for side in self.read(rows))
            both = np.linalg.norm(source, axis=1) + np.linalg.norm(target, axis=1)
            totals["mean_residual_norm"] += float(both.sum()) / 2
            totals["mean_shift_norm"] += float(np.linalg.norm(target - source, axis=1).sum())
            n_rows += len(source)
        return {name: total / n_rows for name, total in totals.items() if total}

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of all data sets: equal in every store of the same data."""
        if self._metadata.digests:
            return self._metadata.fingerprint
        digests = {name: layout.digest_of(self._data[name]) for name in self._data}
        return Metadata(self.origin, digests=digests).fingerprint

    def read(self, rows: slice) -> tuple[Float[np.ndarray, "b d"], Float[np.ndarray, "b d"]]:
        """Return consecutive rows of source and target as float32, without caching them."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError(f"rows is {rows}; it must be a slice of consecutive rows.")
        return self._side("source", slice(start, stop)), self._side("target", slice(start, stop))

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[slice, Float[np.ndarray, "b d"], Float[np.ndarray, "b d"]]]:
        """Yield slices of `size` rows in order, with their source and target."""
        for rows in layout.blocks(len(self), size):
            yield rows, *self.read(rows)

    def subset(self, rows: Sequence[int] | np.ndarray) -> "ShiftStore":
        """Return a store, in memory, of the given rows (numbers or a mask) in their order."""
        rows = contents.row_numbers(rows, len(self))
        data = {name: np.empty((len(rows), self.d_model), dtype=self.dtype) for name in SIDES}
        for block, source, target in self.blocks():
            inside = np.flatnonzero((rows >= block.start) & (rows < block.stop))
            data["source"][inside] = source[rows[inside] - block.start]
            data["target"][inside] = target[rows[inside] - block.start]
        data["row_id"] = self.row_ids[rows]
        if self.labels is not None:
            data["labels"] = self.labels[rows]
        for (name, end), column in zip(TEXTS.items(), self.texts or (), strict=False):
            data[name], data[end] = contents.join_texts([column[row] for row in rows])
        return ShiftStore(data, replace(self._metadata, digests={}, shards={}))

    def split(self, held_out: float = 0.1, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the row numbers of a training part and a held-out part; all rows of a pair are in the same part."""
        return contents.split(self.row_ids, held_out, seed)

    def memmap(self, dtype: str = "float32") -> Float[np.memmap, "n d"]:
        """Return the shifts as a read-only memory-mapped array, with fast access to random rows.

        The array is a ``.npy`` file beside the store, written at the first call and reused while the store's contents are
        the same.
        """
        if self.path is None:
            raise ValueError("The store is in memory and so are its shifts; save it to a file first, or use .shifts.")
        return flat_shifts(
            self.path,
            self.fingerprint,
            (len(self), self.d_model),
            layout.storable(dtype),
            lambda: (target - source for _, source, target in self.blocks()),
        )

    def close(self) -> None:
        """Close the file; cached arrays stay."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        hook = f" at {self.origin.hook_name} of {self.origin.model_name}" if self.origin.hook_name else ""
        return f"<ShiftStore of {len(self)} × {self.d_model} {self.dtype}{hook} in {self.path or 'memory'}>"

    def _side(self, name: str, rows: slice) -> np.ndarray:
        return np.asarray(self._column(name, rows), dtype=np.float32)

    def _column(self, name: str, rows: slice) -> np.ndarray:
        self._require_open()
        try:
            return self._data[name][rows]
        except hdf5.DAMAGE as error:
            raise hdf5.damaged(self.path or "the store", error) from error

    def _require_open(self) -> None:
        if self._file is not None and not self._file:
            raise ValueError(f"The store {self.path} is closed; open it again with ShiftStore.open.")
