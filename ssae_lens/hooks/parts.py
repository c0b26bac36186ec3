"""`Parts`: what each batch gave, put aside until the store of a capture can be written.

On the disk they are the folder ``<path>.partial``: ``header.json``, which says what is being captured, and a file for each
finished batch. A file is there whole or not at all, so that a process killed at any moment leaves nothing to mend; and as a
batch is always of the same texts, what is there is what would have been computed again. Several processes, on one machine or
on several that share the folder, may each write files of their own.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.base import checks, files
from ssae_lens.shifts.disk import naming_a_full_disk, require_room
from ssae_lens.shifts.layout import SIDES, About

OPEN_AT_ONCE = 256


class Parts:
    """The rows of every finished batch, of shape (hooks, rows, d_model); in memory where there is no folder."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._held: dict[int, np.ndarray] = {}
        self._open = lru_cache(OPEN_AT_ONCE)(self._read)

    @classmethod
    def of(cls, path: Path | None, header: dict[str, Any], n_bytes: int) -> "Parts":
        """Begin a capture that is to become `path`, or go on with the one that was begun.

        Raises
        ------
        ValueError
            If what was begun there is another capture; both sides of each difference are named.
        OSError
            If the disk has no room for `n_bytes`.
        """
        if path is None:
            return cls(None)
        folder = path.with_name(path.name + ".partial")
        file = folder / "header.json"
        if file.exists():
            checks.made_for(folder, json.loads(file.read_text(encoding="utf-8")), header)
        else:
            require_room(path, n_bytes)
            files.write_json(file, header)
        return cls(folder)

    def __contains__(self, batch: int) -> bool:
        return batch in self._held if self.folder is None else self._file(batch).exists()

    def put(self, batch: int, rows: Float[np.ndarray, "hooks rows d_model"]) -> None:
        """Keep what a batch gave."""
        if self.folder is None:
            self._held[batch] = rows
            return
        file = self._file(batch)
        with naming_a_full_disk(file, rows.nbytes), files.writing(file) as temporary, temporary.open("wb") as opened:
            np.save(opened, rows, allow_pickle=False)
            opened.flush()
            os.fsync(opened.fileno())

    def get(self, batch: int) -> Float[np.ndarray, "hooks rows d_model"]:
        """Give what a batch gave."""
        return self._held[batch] if self.folder is None else self._open(batch)

    @contextmanager
    def becoming(self, path: Path) -> Iterator[Path]:
        """Give a place to write what is to be `path`, and move it there.

        What a kill leaves of it is removed by the next call. All parts are there by then, and no process writes any.
        """
        assert self.folder is not None
        for leftover in self.folder.glob(".*"):
            leftover.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        yield self.folder / path.name
        (self.folder / path.name).replace(path)

    def remove(self) -> None:
        """Remove the folder, once it has become a store or can never become one."""
        self._open.cache_clear()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, batch: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{batch:07}.npy"

    def _read(self, batch: int) -> np.ndarray:
        return np.load(self._file(batch), mmap_mode="r", allow_pickle=False)


class Side:
    """One side of every row, gathered from parts: an array in all that writing a store asks of one.

    Parameters
    ----------
    parts
        What the batches gave.
    hook
        Which of the hooks it is of.
    batch, place
        For each row, the batch that holds it and its number there.
    d_model, dtype
        Width and type of the rows.
    """

    def __init__(
        self,
        parts: Parts,
        hook: int,
        batch: Int[np.ndarray, " rows"],
        place: Int[np.ndarray, " rows"],
        d_model: int,
        dtype: np.dtype,
    ) -> None:
        self._parts, self._hook, self._batch, self._place = parts, hook, batch, place
        self.shape, self.dtype = (len(batch), d_model), dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Float[np.ndarray, "some d_model"]:
        batch, place = self._batch[rows], self._place[rows]
        gathered = np.empty((len(batch), self.shape[1]), dtype=self.dtype)
        for each in np.unique(batch):
            here = np.flatnonzero(batch == each)
            gathered[here] = self._parts.get(int(each))[self._hook, place[here]]
        return gathered


def identity(about: About, n_rows: int, dtype: np.dtype) -> dict[str, Any]:
    """Say, flat and JSON-able, what a store is apart from its activations."""
    origin = {f"origin.{name}": value for name, value in about.origin.to_dict().items()}
    digests = {name: digest for name, digest in sorted(about.digests.items()) if name not in SIDES}
    return {
        "rows": n_rows,
        "dtype": dtype.name,
        **origin,
        "concepts": list(about.concepts),
        "pairs": about.pairs,
        **digests,
    }
