"""Many shards of one capture as one store, without copying their activations."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import files
from ssae_lens.shifts import layout
from ssae_lens.shifts.layout import SIDES, TEXTS, About
from ssae_lens.shifts.store import ShiftStore

# HDF5 looks through all pieces of a virtual data set on each read.
MOST_PIECES = 20_000


def merge(paths: Sequence[str | Path], out: str | Path, *, overwrite: bool = False) -> ShiftStore:
    """Make one store of several files, its rows in the order of their row ids.

    The activations stay where they are: `out` holds an HDF5 virtual data set, which names the shards relative to itself,
    so the folder may be moved. Labels, row ids and texts are small and are copied. `ShiftStore.save` makes a file that
    stands alone.

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
        for shard in shards[1:]:
            _require_alike(shards[0], shard)
        ids = np.concatenate([shard.row_ids for shard in shards])
        owner = np.repeat(np.arange(len(shards)), [len(shard) for shard in shards])
        order = np.argsort(ids, kind="stable")
        _require_apart(ids[order], owner[order], paths)
        data: dict[str, Any] = {name: _virtual(shards, owner[order], order, name, out) for name in SIDES}
        data |= _annotations(shards, order)
        first = shards[0]
        about = About(
            first.origin,
            first._about.concepts,
            first.pairs,
            {name: files.fingerprint(shard._about.digests[name] for shard in shards) for name in SIDES},
            first.versions,
            {_relative(path, out): shard.fingerprint for path, shard in zip(paths, shards, strict=True)},
        )
        layout.write(out, data, about, overwrite=overwrite)
    return ShiftStore.open(out)


def _require_alike(first: ShiftStore, other: ShiftStore) -> None:
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


def _require_apart(ids: np.ndarray, owner: np.ndarray, paths: list[Path]) -> None:
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
    begins = np.cumsum([0, *(len(shard) for shard in shards)])
    pieces = 0
    for number, shard in enumerate(shards):
        assert shard.path is not None
        rows = h5py.VirtualSource(_relative(shard.path, out), name, (len(shard), first.d_model))
        into = np.flatnonzero(owner == number)
        come = order[into] - begins[number]
        for piece in _even_pieces(into, come):
            pieces += 1
            if pieces > MOST_PIECES:
                raise ValueError(
                    f"The shards' rows interleave in more than {MOST_PIECES} pieces, too many for a virtual data set; "
                    "capture each shard from consecutive or evenly spaced rows."
                )
            virtual[_slice(into[piece])] = rows[_slice(come[piece])]
    return virtual


def _even_pieces(into: np.ndarray, come: np.ndarray) -> Iterator[slice]:
    """Cut two lists of row numbers where either stops going up by its own constant step."""
    steps = np.stack([np.diff(into), np.diff(come)])
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
    """Bring what is known of each shard's rows in one order."""
    found = {"row_id": np.concatenate([shard.row_ids for shard in shards])[order]}
    labels = [shard.labels for shard in shards if shard.labels is not None]
    if labels:
        found["labels"] = np.concatenate(labels)[order]
    texts = [shard.texts for shard in shards if shard.texts is not None]
    if texts:
        for side, (name, end) in enumerate(TEXTS.items()):
            column = [text for shard in texts for text in shard[side]]
            found[name], found[end] = layout.joined([column[row] for row in order])
    return found


def _relative(path: Path, out: Path) -> str:
    return os.path.relpath(path.resolve(), out.resolve().parent)
