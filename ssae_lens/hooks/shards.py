"""`Parts`: what each batch gave, kept until the store of a capture (or the file of effects) can be written.

On the disk they are the folder ``<path>.partial``: ``header.json``, which says what is being captured, and a file for
each finished batch. Each file carries a checksum and the hash of its header, so that a part that is damaged or belongs to
another capture is computed again. A batch is always of the same texts, so what is there is what would be computed again.
Several processes, on one machine or on several that share the folder, may each write files of their own.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.base import checks, files
from ssae_lens.shifts.disk import require_room
from ssae_lens.shifts.layout import SIDES, About

OPEN_AT_ONCE = 256
HEADER = "header.json"


class Parts:
    """The rows of every finished batch, of shape (hooks, rows, d_model); in memory where there is no folder."""

    def __init__(self, folder: Path | None, owner: str = "") -> None:
        self.folder, self.owner = folder, owner
        self._held: dict[int, np.ndarray] = {}
        self._open = lru_cache(OPEN_AT_ONCE)(self._read)

    @classmethod
    def of(cls, path: Path | None, header: dict[str, Any], n_bytes: int) -> "Parts":
        """Begin what is to become `path`, or resume what was begun; the caller holds the lock of `path`.

        Raises
        ------
        ValueError
            If what was begun there is something else; both sides of each difference are named.
        OSError
            If the disk has no room for `n_bytes`.
        """
        if path is None:
            return cls(None)
        folder = folder_of(path)
        try:
            checks.made_for(folder, files.read_json(folder / HEADER), header)
        except (FileNotFoundError, files.DamagedFileError):
            # Nobody can tell whose the rest is: each part says so itself.
            require_room(path, n_bytes)
            files.write_json(folder / HEADER, header)
        return cls(folder, files.fingerprint([header]))

    def __contains__(self, batch: int) -> bool:
        if self.folder is None:
            return batch in self._held
        try:
            self._open(batch)
        except FileNotFoundError:
            return False
        except files.DamagedFileError:
            self._file(batch).unlink(missing_ok=True)
            return False
        return True

    def put(self, batch: int, rows: Float[np.ndarray, "hooks rows d_model"]) -> None:
        """Keep what a batch gave."""
        if self.folder is None:
            self._held[batch] = rows
            return
        with files.writing(self._file(batch), tidy=False) as temporary:
            with temporary.open("wb") as opened:
                np.save(opened, rows, allow_pickle=False)
            files.seal(temporary, self.owner)

    def get(self, batch: int) -> Float[np.ndarray, "hooks rows d_model"]:
        """Return what a batch gave."""
        return self._held[batch] if self.folder is None else self._open(batch)

    def remove(self) -> None:
        """Remove the folder, once it has become a file or can never become one."""
        self._open.cache_clear()
        if self.folder is not None:
            files.discard(self.folder)

    def _file(self, batch: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{batch:07}.npy"

    def _read(self, batch: int) -> np.ndarray:
        files.unseal(self._file(batch), self.owner)
        return np.load(self._file(batch), mmap_mode="r", allow_pickle=False)


def folder_of(path: Path) -> Path:
    """Return where the parts of what is to become `path` are kept."""
    return path.with_name(path.name + ".partial")


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
    """Return, flat and JSON-able, what a store is apart from its activations."""
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
