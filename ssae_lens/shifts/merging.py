"""Merging of stores: the shards of one capture as one store, without copying their activations."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checksums
from ssae_lens.shifts import layout
from ssae_lens.shifts.contents import SIDES, TEXTS, Metadata, join_texts
from ssae_lens.shifts.store import ShiftStore

# HDF5 searches all pieces of a virtual data set at every read.
MAX_PIECES = 20_000


def merge(paths: Sequence[str | Path], out: str | Path, *, overwrite: bool = False) -> ShiftStore:
    """Merge several files into one store, with rows in the order of their row ids.

    The activations are not copied: `out` has an HDF5 virtual data set with paths to the shards relative to itself, so that
    the folder can be moved. Labels, row ids and texts are small and are copied. `ShiftStore.save` writes a file that does
    not need the shards.

    Parameters
    ----------
    paths
        Files of one capture: the same origin, pairs, concepts and type, and no row id in two of them.
    out
        The file to write.
    overwrite
        Whether a file of other contents may be replaced.

    Returns
    -------
    ShiftStore
        The merged store, open.
    """
    out = Path(out)
    paths = [Path(path) for path in paths]
    if not paths or len({path.resolve() for path in (*paths, out)}) != len(paths) + 1:
        raise ValueError(f"paths are {[str(path) for path in paths]} and out is {str(out)!r}; give different files.")
    with ExitStack() as stack:
        shards = [stack.enter_context(ShiftStore.open(path)) for path in paths]
        first = shards[0]
        for shard in shards[1:]:
            _require_compatible(first, shard)
        ids = np.concatenate([shard.row_ids for shard in shards])
        owner = np.repeat(np.arange(len(shards)), [len(shard) for shard in shards])
        order = np.argsort(ids, kind="stable")
        _require_disjoint(ids[order], owner[order], paths)
        data: dict[str, Any] = {name: _virtual(shards, owner[order], order, name, out) for name in SIDES}
        data |= _annotations(shards, order)
        metadata = Metadata(
            first.origin,
            first._metadata.concepts,
            first.pairs,
            {name: checksums.fingerprint(shard._metadata.digests[name] for shard in shards) for name in SIDES},
            first.versions,
            {_relative(path, out): shard.fingerprint for path, shard in zip(paths, shards, strict=True)},
        )
        layout.write(out, data, metadata, overwrite=overwrite)
    return ShiftStore.open(out)


def _require_compatible(first: ShiftStore, other: ShiftStore) -> None:
    first.origin.require_same(
        other.origin, f"{first.path} and {other.path} were captured differently", hint="Merge shards of one capture."
    )
    for what in ("d_model", "dtype", "concepts", "pairs"):
        mine, theirs = getattr(first, what), getattr(other, what)
        if mine != theirs:
            raise ValueError(f"{first.path} and {other.path} differ in {what}: {mine} against {theirs}.")
    if set(first._data) != set(other._data):
        raise ValueError(
            f"{first.path} holds {sorted(first._data)} and {other.path} {sorted(other._data)}; "
            "give labels and texts to all or none."
        )


def _require_disjoint(ids: np.ndarray, owner: np.ndarray, paths: list[Path]) -> None:
    twice = np.flatnonzero((ids[1:] == ids[:-1]) & (owner[1:] != owner[:-1]))
    if len(twice):
        at = twice[0]
        raise ValueError(
            f"Row id {ids[at]} is in both {paths[owner[at]]} and {paths[owner[at + 1]]}, and {len(twice)} such in all; "
            "shards must hold different rows."
        )


def _virtual(shards: list[ShiftStore], owner: np.ndarray, order: np.ndarray, name: str, out: Path) -> Any:
    import h5py

    first = shards[0]
    virtual = h5py.VirtualLayout((len(order), first.d_model), first.dtype)
    starts = np.cumsum([0, *(len(shard) for shard in shards)])
    n_pieces = 0
    for number, shard in enumerate(shards):
        assert shard.path is not None
        source = h5py.VirtualSource(_relative(shard.path, out), name, (len(shard), first.d_model))
        into = np.flatnonzero(owner == number)
        rows = order[into] - starts[number]
        for piece in _even_pieces(into, rows):
            n_pieces += 1
            if n_pieces > MAX_PIECES:
                raise ValueError(
                    f"The shards' rows interleave in more than {MAX_PIECES} pieces, too many for a virtual data set; "
                    "capture each shard from consecutive or evenly spaced rows."
                )
            virtual[_slice(into[piece])] = source[_slice(rows[piece])]
    return virtual


def _even_pieces(into: np.ndarray, rows: np.ndarray) -> Iterator[slice]:
    """Yield pieces of two lists of row numbers in which both increase by a constant step of their own."""
    steps = np.stack([np.diff(into), np.diff(rows)])
    changes = np.flatnonzero((steps[:, 1:] != steps[:, :-1]).any(axis=0)) + 1
    start = 0
    while start < len(into):
        later = np.searchsorted(changes, start, side="right")
        stop = int(changes[later]) + 1 if later < len(changes) else len(into)
        if start + 1 < len(into) and (steps[:, start] < 1).any():
            stop = start + 1
        yield slice(start, stop)
        start = stop


def _slice(numbers: np.ndarray) -> slice:
    step = int(numbers[1] - numbers[0]) if len(numbers) > 1 else 1
    return slice(int(numbers[0]), int(numbers[-1]) + 1, step)


def _annotations(shards: list[ShiftStore], order: np.ndarray) -> dict[str, np.ndarray]:
    """Return the shards' row ids, labels and texts in one order."""
    arrays = {"row_id": np.concatenate([shard.row_ids for shard in shards])[order]}
    labels = [shard.labels for shard in shards if shard.labels is not None]
    if labels:
        arrays["labels"] = np.concatenate(labels)[order]
    texts = [shard.texts for shard in shards if shard.texts is not None]
    if texts:
        for side, (name, end) in enumerate(TEXTS.items()):
            column = [text for shard in texts for text in shard[side]]
            arrays[name], arrays[end] = join_texts([column[row] for row in order])
    return arrays


def _relative(path: Path, out: Path) -> str:
    return os.path.relpath(path.resolve(), out.resolve().parent)
