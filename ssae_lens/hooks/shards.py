"""Shards: the results of finished batches, kept until the file that they become can be written.

On disk they are the folder ``<path>.partial`` with ``header.json``, the settings of the work, and one file for each finished
batch. Each file carries a checksum and the hash of the header; a damaged shard, or one of other work, is computed again. The
batches of a header are always the same, so an interrupted job resumes to the same bits. Several processes, on one or several
machines that share the folder, can write shards at once.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.base import checks, checksums, files
from ssae_lens.shifts.disk import require_room

MAX_OPEN = 256
HEADER = "header.json"


class Shards:
    """The array of each finished batch; kept in memory where there is no folder."""

    def __init__(self, folder: Path | None, owner: str = "") -> None:
        self.folder, self.owner = folder, owner
        self._in_memory: dict[int, np.ndarray] = {}
        self._open = lru_cache(MAX_OPEN)(self._read)

    @classmethod
    def of(cls, path: Path | None, header: dict[str, Any], n_bytes: int) -> "Shards":
        """Return the shards of the file `path`, new or resumed; the caller holds the lock of `path`.

        Raises
        ------
        ValueError
            If the folder belongs to other work; both sides of each difference are named.
        OSError
            If the disk does not have `n_bytes` of room.
        """
        if path is None:
            return cls(None)
        folder = folder_of(path)
        try:
            checks.made_for(folder, checksums.read_json(folder / HEADER), header)
        except (FileNotFoundError, checksums.DamagedFileError):
            # Shards without a readable header are checked one by one, by the hash that each of them carries.
            require_room(path, n_bytes)
            checksums.write_json(folder / HEADER, header)
        return cls(folder, checksums.fingerprint([header]))

    def __contains__(self, batch: int) -> bool:
        if self.folder is None:
            return batch in self._in_memory
        try:
            self._open(batch)
        except FileNotFoundError:
            return False
        except checksums.DamagedFileError:
            self._file(batch).unlink(missing_ok=True)
            return False
        return True

    def put(self, batch: int, values: np.ndarray) -> None:
        """Store the result of a batch."""
        if self.folder is None:
            self._in_memory[batch] = values
            return
        with files.writing(self._file(batch), tidy=False) as temporary:
            with temporary.open("wb") as file:
                np.save(file, values, allow_pickle=False)
            checksums.seal(temporary, self.owner)

    def get(self, batch: int) -> np.ndarray:
        """Return the result of a batch."""
        return self._in_memory[batch] if self.folder is None else self._open(batch)

    def remove(self) -> None:
        """Remove the folder, after the file was written or when it never can be."""
        self._open.cache_clear()
        if self.folder is not None:
            files.discard(self.folder)

    def _file(self, batch: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{batch:07}.npy"

    def _read(self, batch: int) -> np.ndarray:
        checksums.unseal(self._file(batch), self.owner)
        return np.load(self._file(batch), mmap_mode="r", allow_pickle=False)


def folder_of(path: Path) -> Path:
    """Return the folder of the shards of `path`."""
    return path.with_name(path.name + ".partial")


class ShardedRows:
    """Rows gathered from shards of shape (hooks, rows, d_model): as much of an array as writing a store needs.

    Parameters
    ----------
    shards
        The result of each batch.
    hook
        The index of the hook.
    batch, row
        For each row, its batch and its index there.
    d_model, dtype
        Width and type of the rows.
    """

    def __init__(
        self,
        shards: Shards,
        hook: int,
        batch: Int[np.ndarray, " rows"],
        row: Int[np.ndarray, " rows"],
        d_model: int,
        dtype: np.dtype,
    ) -> None:
        self._shards, self._hook, self._batch, self._row = shards, hook, batch, row
        self.shape, self.dtype = (len(batch), d_model), dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Float[np.ndarray, "some d_model"]:
        batches, indices = self._batch[rows], self._row[rows]
        values = np.empty((len(batches), self.shape[1]), dtype=self.dtype)
        for batch in np.unique(batches):
            mask = batches == batch
            values[mask] = self._shards.get(int(batch))[self._hook, indices[mask]]
        return values
