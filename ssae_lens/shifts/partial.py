"""`PartialStore`: a store while it is being captured, which a kill at any moment leaves fit to go on from.

An HDF5 file whose writer is killed may not open again, so rows go to plain memory-mapped files in the folder
``<path>.partial`` and become the HDF5 file, in one step, when all are there::

    header.json   what the store will be; written last when the folder is made
    source.bin    (n, d) raw
    target.bin
    done.bin      one byte a row: 1 once its activations are written

Several processes of one machine may write different rows at once.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import Self

from ssae_lens.base import checks, files
from ssae_lens.base.origin import Origin
from ssae_lens.shifts import layout
from ssae_lens.shifts import rows as incoming
from ssae_lens.shifts.disk import allocate, naming_a_full_disk, release, require_room
from ssae_lens.shifts.layout import SIDES, About
from ssae_lens.shifts.store import ShiftStore

SECONDS_BETWEEN_MARKS = 1.0


class PartialStore:
    """A store of `n_rows` rows that are still being written. Made by `PartialStore.open_or_create`.

    Leaving its ``with`` block marks what was written; what a killed process had not marked, about a second's work, is
    written again.
    """

    def __init__(self, path: Path, annotations: dict[str, np.ndarray], about: About, dtype: np.dtype) -> None:
        self.path = path
        self.folder = folder_of(path)
        self._annotations = annotations
        self._about = about
        self._dtype = dtype
        self._shape = (len(annotations["row_id"]), about.origin.d_model)
        self._unmarked: list[np.ndarray] = []
        self._marked_at = time.monotonic()
        self._maps: dict[str, np.memmap] = {}  # empty once finished or closed

    @classmethod
    def open_or_create(
        cls,
        path: str | Path,
        n_rows: int,
        *,
        origin: Origin,
        labels: Int[np.ndarray, "n c"] | None = None,
        concepts: Sequence[str] = (),
        row_ids: Sequence[int] | np.ndarray | None = None,
        texts: tuple[Sequence[str], Sequence[str]] | None = None,
        pairs: Mapping[str, Any] | None = None,
        dtype: str = "float32",
    ) -> "PartialStore":
        """Begin a store, or go on with the one begun at `path`.

        Where the store at `path` is finished already, no row is missing and `finish` opens it.

        Parameters
        ----------
        path
            The file the store is to be.
        n_rows
            How many rows it will have.
        origin
            Where the activations come from; its `d_model` is their width.
        labels, concepts, row_ids, texts, pairs, dtype
            As for `ShiftStore.from_arrays`.

        Raises
        ------
        ValueError
            If what stands at `path` was begun with anything else; both sides are named.
        OSError
            If the disk has no room for the rows, twice: once now and once for the finished file.
        """
        checks.whole("n_rows", n_rows)
        annotations = incoming.annotations(n_rows, row_ids, labels, concepts, texts)
        about = incoming.describe(origin.d_model, origin, concepts, pairs)
        partial = cls(Path(path), annotations, about, layout.storable(dtype))
        if partial.path.exists():
            with ShiftStore.open(partial.path) as finished:
                partial._require_same(finished.path, _header(finished._about, len(finished), finished.dtype))
            shutil.rmtree(partial.folder, ignore_errors=True)
        else:
            partial._prepare()
        return partial

    def __len__(self) -> int:
        return self._shape[0]

    def missing_rows(self) -> Int[np.ndarray, " m"]:
        """Give the numbers of the rows that are not written yet, in order."""
        self.flush()
        if self.path.exists():
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self._open_maps()["done"] == 0)

    def write(
        self,
        rows: Sequence[int] | np.ndarray,
        source: Float[Tensor, "b d"] | Float[np.ndarray, "b d"],
        target: Float[Tensor, "b d"] | Float[np.ndarray, "b d"],
    ) -> None:
        """Write the activations of some rows, given by number.

        Raises
        ------
        ValueError
            If they hold NaN or infinite values, or do not fit; nothing of them is written then.
        """
        maps = self._open_maps()
        if len(rows) == 0:
            return
        rows = incoming.row_numbers(rows, len(self))
        given = incoming.sides(source, target, self._dtype, rows)
        if given["source"].shape != (len(rows), self._shape[1]):
            raise ValueError(
                f"source has shape {given['source'].shape}; {(len(rows), self._shape[1])} is due for {len(rows)} rows."
            )
        for name in SIDES:
            maps[name][rows] = given[name]
        self._unmarked.append(rows)
        if time.monotonic() - self._marked_at > SECONDS_BETWEEN_MARKS:
            self.flush()

    def flush(self) -> None:
        """Bring what was written to the disk, and only then mark it as written."""
        if not self._unmarked:
            return
        for name in SIDES:
            self._maps[name].flush()
            release(self._maps[name])
        self._maps["done"][np.concatenate(self._unmarked)] = 1
        self._maps["done"].flush()
        self._unmarked.clear()
        self._marked_at = time.monotonic()

    def finish(self) -> ShiftStore:
        """Make the HDF5 file of the rows, remove the folder, and open the store.

        Where several processes write, one of them finishes, after the others have closed theirs.

        Raises
        ------
        ValueError
            If rows are missing.
        """
        if not self.path.exists():
            missing = self.missing_rows()
            if len(missing):
                raise ValueError(
                    f"{self.path} lacks {len(missing)} of {len(self)} rows, the first of them {missing[0]}; write them."
                )
            # In the folder, where what a kill leaves of it is removed by the next call.
            whole = self.folder / "whole.h5"
            for leftover in self.folder.glob(f".{whole.name}.*"):
                leftover.unlink()
            layout.write(whole, {name: self._maps[name] for name in SIDES} | self._annotations, self._about)
            whole.replace(self.path)
        self._maps = {}
        shutil.rmtree(self.folder, ignore_errors=True)
        return ShiftStore.open(self.path)

    def close(self) -> None:
        """Mark what was written and let the files go."""
        self.flush()
        self._maps = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        """Make the folder if it is not there whole, and map its files.

        Every step may be done twice, by two processes at once or after a kill: nothing that is written is lost by it.
        """
        header = self.folder / "header.json"
        n_bytes = int(np.prod(self._shape)) * self._dtype.itemsize
        if header.exists():
            self._require_same(self.folder, json.loads(header.read_text(encoding="utf-8")))
        else:
            require_room(self.path, 2 * len(SIDES) * n_bytes)
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with naming_a_full_disk(self.path, 2 * len(SIDES) * n_bytes):
                    for name in SIDES:
                        allocate(self.folder / f"{name}.bin", n_bytes)
                    allocate(self.folder / "done.bin", len(self))
            except OSError:
                if not header.exists():
                    shutil.rmtree(self.folder, ignore_errors=True)
                raise
            files.write_json(header, self._header())
        shapes = dict.fromkeys(SIDES, (self._dtype, self._shape)) | {"done": (np.dtype(np.uint8), (len(self),))}
        self._maps = {
            name: np.memmap(self.folder / f"{name}.bin", dtype, "r+", shape=shape)
            for name, (dtype, shape) in shapes.items()
        }

    def _open_maps(self) -> dict[str, np.memmap]:
        if not self._maps:
            raise ValueError(f"{self.path} is finished or closed; open it again to write rows that are missing.")
        return self._maps

    def _header(self) -> dict[str, Any]:
        digests = {name: layout.digest_of(values) for name, values in self._annotations.items()}
        return _header(replace(self._about, digests=digests), len(self), self._dtype)

    def _require_same(self, where: Any, begun: dict[str, Any]) -> None:
        now = json.loads(json.dumps(self._header()))
        checks.made_for(where, begun, now)


def folder_of(path: str | Path) -> Path:
    """Give the folder in which the store of `path` is made."""
    path = Path(path)
    return path.with_name(path.name + ".partial")


def _header(about: About, n_rows: int, dtype: np.dtype) -> dict[str, Any]:
    """Say, flat and JSON-able, what two captures must share for one to go on with the other."""
    origin = {f"origin.{name}": value for name, value in about.origin.to_dict().items()}
    content = {name: digest for name, digest in sorted(about.digests.items()) if name not in SIDES}
    return {
        "schema": layout.SCHEMA,
        "rows": n_rows,
        "dtype": dtype.name,
        **origin,
        "concepts": list(about.concepts),
        "pairs": about.pairs,
        **content,
    }
