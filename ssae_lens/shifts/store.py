"""`ShiftStore`: both sides of captured pairs, with labels and origin, from a file or from memory."""

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
from ssae_lens.base.origin import Origin
from ssae_lens.shifts import hdf5, layout
from ssae_lens.shifts import rows as incoming
from ssae_lens.shifts.flat import flat_shifts
from ssae_lens.shifts.layout import BLOCK, TEXTS, About


class ShiftStore:
    """Activations of the two sides of each pair, and what is known of them.

    Made by `ShiftStore.open`, `ShiftStore.from_arrays`, `merge`, `read_reference` and a capture. A store from a file reads
    what is asked for when it is asked for; close it, or use it in a ``with`` block, to let the file go.

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

    def __init__(self, data: Mapping[str, Any], about: About, path: Path | None = None, file: Any = None) -> None:
        self._data = data
        self._about = about
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
            If there is no such file, or a shard of a merged store is gone.
        ValueError
            If it is no complete, undamaged store. Rows are checked when read.

        See Also
        --------
        ssae_lens.shifts.open_shifts : also takes files of the reference code.
        """
        file, about = layout.open_file(path)
        return cls(layout.datasets(file), about, Path(path), file)

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
        """Make a store of arrays, in memory or, with `path`, written there.

        Parameters
        ----------
        source, target
            Activations, one row for each pair.
        origin
            Where they come from; by default only their width is known.
        labels, concepts
            Signed changes (−1, 0, +1) for each row and concept, and the concepts' names: a list, or a string for one.
        row_ids
            Rows of the pairs data set; by default 0, 1, …
        texts
            Source texts and target texts, one of each for each row.
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
        data = incoming.sides(source, target, layout.storable(dtype))
        n_rows, d_model = data["source"].shape
        if n_rows == 0:
            raise ValueError("source has no rows; a store needs at least one.")
        data |= incoming.annotations(n_rows, row_ids, labels, concepts, texts)
        about = incoming.describe(d_model, origin, concepts, pairs)
        store = cls(data, about)
        return store if path is None else store.save(path, overwrite=overwrite)

    def save(self, path: str | Path, *, overwrite: bool = False) -> "ShiftStore":
        """Write the store to a file, in blocks, and return the store of that file.

        Raises
        ------
        FileExistsError
            If there is a file of other contents and `overwrite` is False.
        """
        layout.write(path, self._data, replace(self._about, digests={}, shards={}), overwrite=overwrite)
        return ShiftStore.open(path)

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def d_model(self) -> int:
        """Width of the activations."""
        return self._shape[1]

    @property
    def dtype(self) -> np.dtype:
        """The type activations are stored in; arrays are float32 whichever it is."""
        return self._dtype

    @property
    def origin(self) -> Origin:
        """The model, hook and position the activations were read at."""
        return self._about.origin

    @property
    def concepts(self) -> list[str]:
        """Names of the labels' columns."""
        return list(self._about.concepts)

    @property
    def pairs(self) -> dict[str, Any]:
        """What the capture said of its pairs data set, such as a name and a fingerprint."""
        return dict(self._about.pairs)

    @property
    def versions(self) -> dict[str, str]:
        """The packages the store was made with."""
        return dict(self._about.versions)

    @cached_property
    def source(self) -> Float[np.ndarray, "n d"]:
        """Activations of the first texts, float32; read once and kept."""
        return self._side("source", slice(0, len(self)))

    @cached_property
    def target(self) -> Float[np.ndarray, "n d"]:
        """Activations of the second texts, float32; read once and kept."""
        return self._side("target", slice(0, len(self)))

    @cached_property
    def shifts(self) -> Float[np.ndarray, "n d"]:
        """Target − source, float32; computed once, in blocks, and kept."""
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
            raise layout.damaged(self.path or "the store", "/labels holds something else than -1, 0 and 1")
        return labels

    @cached_property
    def row_ids(self) -> Int[np.ndarray, " n"]:
        """For each row, the row of the pairs data set; a pair read at several tokens has several rows."""
        return self._column("row_id", slice(0, len(self)))

    @cached_property
    def texts(self) -> tuple[list[str], list[str]] | None:
        """Source texts and target texts, or None."""
        if not all(name in self._data for name in TEXTS):
            return None
        whole = slice(0, None)
        columns = [(self._column(name, whole), self._column(end, whole)) for name, end in TEXTS.items()]
        try:
            source, target = (layout.parted(*each) for each in columns)
        except ValueError as error:
            raise layout.damaged(self.path or "the store", error) from error
        return source, target

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of all rows: the same in every store of the same data."""
        if self._about.digests:
            return self._about.fingerprint
        digests = {name: layout.digest_of(self._data[name]) for name in self._data}
        return About(self.origin, digests=digests).fingerprint

    def read(self, rows: slice) -> tuple[Float[np.ndarray, "b d"], Float[np.ndarray, "b d"]]:
        """Read some consecutive rows of source and target as float32, keeping nothing."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError(f"rows is {rows}; only consecutive rows are read at once.")
        return self._side("source", slice(start, stop)), self._side("target", slice(start, stop))

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[slice, Float[np.ndarray, "b d"], Float[np.ndarray, "b d"]]]:
        """Pass over the store in order: the rows, their source and their target, `size` at a time."""
        for rows in layout.blocks(len(self), size):
            yield rows, *self.read(rows)

    def subset(self, rows: Sequence[int] | np.ndarray) -> "ShiftStore":
        """Return a store, in memory, of some rows (numbers or a mask) in the order given."""
        rows = incoming.row_numbers(rows, len(self))
        data = {name: np.empty((len(rows), self.d_model), dtype=self.dtype) for name in ("source", "target")}
        for block, source, target in self.blocks():
            here = np.flatnonzero((rows >= block.start) & (rows < block.stop))
            data["source"][here] = source[rows[here] - block.start]
            data["target"][here] = target[rows[here] - block.start]
        data["row_id"] = self.row_ids[rows]
        if self.labels is not None:
            data["labels"] = self.labels[rows]
        for (name, end), column in zip(TEXTS.items(), self.texts or (), strict=False):
            data[name], data[end] = layout.joined([column[row] for row in rows])
        return ShiftStore(data, replace(self._about, digests={}, shards={}))

    def split(self, held_out: float = 0.1, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the row numbers of a training part and a held-out part.

        All rows of one pair (one row id) fall on the same side.
        """
        return incoming.split(self.row_ids, held_out, seed)

    def memmap(self, dtype: str = "float32") -> Float[np.memmap, "n d"]:
        """Return the shifts as a read-only memory-mapped array, whose random rows cost microseconds.

        The array is a ``.npy`` file beside the store, made the first time and used again while the store's contents are
        the same.
        """
        return flat_shifts(self, layout.storable(dtype))

    def close(self) -> None:
        """Let the file go; arrays already read stay."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        place = f" at {self.origin.hook_name} of {self.origin.model_name}" if self.origin.hook_name else ""
        return f"<ShiftStore of {len(self)} × {self.d_model} {self.dtype}{place} in {self.path or 'memory'}>"

    def _side(self, name: str, rows: slice) -> np.ndarray:
        return np.asarray(self._column(name, rows), dtype=np.float32)

    def _column(self, name: str, rows: slice) -> np.ndarray:
        self._require_open()
        try:
            return self._data[name][rows]
        except hdf5.DAMAGE as error:
            raise layout.damaged(self.path or "the store", error) from error

    def _require_open(self) -> None:
        if self._file is not None and not self._file:
            raise ValueError(f"The store {self.path} is closed; open it again with ShiftStore.open.")
