"""Splits by content: no text and no content of a test pair is in a training pair.

Rows that share a text or a content form a component, and a component is on one side. The side depends on a hash of the
component's keys, not on a random seed. If nearly all rows are one component (each object of a grid paired with many others),
the texts themselves are split, and pairs with one text on each side are dropped.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int8

from ssae_lens.base.checks import one_of, warn
from ssae_lens.base.checksums import fingerprint

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "test")
TRAIN, TEST, DROPPED = 0, 1, -1


def split_by_content(dataset: "Dataset", split: str, test_fraction: float = 0.1) -> "Dataset":
    """Return the part of `dataset` for ``"train"`` or ``"test"``; no text or `content` is in both.

    Warns
    -----
    UserWarning
        If pairs had to be dropped because their texts are on both sides.
    """
    one_of("split", split, SPLITS)
    sides = sides_of(keys_of(dataset), test_fraction)
    if dropped := np.count_nonzero(sides == DROPPED):
        warn(
            f"{dropped} of {len(dataset)} pairs were dropped: nearly all pairs share texts, so the texts were "
            "split, and these have one on each side."
        )
    rows = np.flatnonzero(sides == SPLITS.index(split))
    if not len(rows):
        raise ValueError(
            f"No pair is left for split {split!r}: the {len(dataset)} pairs cannot be split without sharing texts or "
            "content. Give more pairs, or another test_fraction."
        )
    return dataset.select(rows)


def taken(dataset: "Dataset", n: int | None, seed: int, title: str) -> "Dataset":
    """Return `n` pairs at random, in their order; all if `n` is None."""
    if n is None:
        return dataset
    if n > len(dataset):
        raise ValueError(f"{title} has {len(dataset)} pairs here; n is {n}. Ask for at most that many.")
    return dataset.select(np.sort(np.random.default_rng(seed).permutation(len(dataset))[:n]))


def without_keys_of(train: "Dataset", test: "Dataset") -> "Dataset":
    """Return the training pairs that share no text and no content with a test pair."""
    held_out = {key for row in keys_of(test) for key in row}
    kept = [row for row, keys in enumerate(keys_of(train)) if held_out.isdisjoint(keys)]
    if not kept:
        raise ValueError("Every training pair shares a text or content with the test split; none is left.")
    if len(kept) < len(train):
        warn(
            f"{len(train) - len(kept)} of {len(train)} training pairs were dropped: they share a text or content with the "
            "test split."
        )
    return train.select(kept)


def keys_of(dataset: "Dataset") -> list[tuple[str, ...]]:
    """Return each row's keys, which must not be in two splits: its content, if it has one, and its texts."""
    columns = [dataset[name][:] for name in ("content", "source", "target") if name in dataset.column_names]
    return [tuple(key for key in row if key is not None) for row in zip(*columns, strict=True)]


def sides_of(
    keys: Sequence[tuple[str, ...]], test_fraction: float = 0.1, *, lasting: bool = False
) -> Int8[np.ndarray, " n"]:
    """Return each row's side: 0 for training, 1 for testing, −1 (dropped) if its keys are on both sides.

    `keys` are what must not be on both sides; the first key identifies the row. With `lasting`, a row's side depends on its
    own keys only, so that it stays when rows are added; `test_fraction` is then met on average, not almost exactly.
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction is {test_fraction!r}; it must lie between 0 and 1.")
    numbers: dict[str, int] = {}
    for row in keys:
        for key in row:
            numbers.setdefault(key, len(numbers))
    components = _components(keys, numbers)
    # A component is identified by its smallest first key, which another row of the same content does not change.
    names: dict[int, str] = {}
    for row, component in zip(keys, components.tolist(), strict=True):
        names[component] = min(row[0], names.get(component, row[0]))
    hashes = np.array([_unit(names[component]) for component in range(len(names))])
    sizes = np.bincount(components)
    n_test = max(1, round(test_fraction * len(keys)))
    tested = hashes < test_fraction if lasting else _filled(hashes, sizes, n_test)
    if n_test / 2 <= sizes[tested].sum() <= 1.5 * n_test:
        return np.where(tested[components], TEST, TRAIN).astype(np.int8)
    return _split_keys(keys, numbers, test_fraction)


def _components(keys: Sequence[tuple[str, ...]], numbers: dict[str, int]) -> np.ndarray:
    """Return the number of each row's connected component; rows with a common key are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.array([(numbers[row[0]], numbers[key]) for row in keys for key in row])
    graph = coo_array((np.ones(len(edges), dtype=bool), edges.T), shape=(len(numbers), len(numbers)))
    _, labels = connected_components(graph, directed=False)
    return labels[[numbers[row[0]] for row in keys]]


def _filled(hashes: np.ndarray, sizes: np.ndarray, n_test: int) -> np.ndarray:
    """Return the components to test: in the order of their hashes, up to `n_test` rows."""
    tested, n_held_out = np.zeros(len(sizes), dtype=bool), 0
    for component in np.argsort(hashes):
        if n_held_out + sizes[component] <= n_test:
            tested[component] = True
            n_held_out += sizes[component]
    return tested


def _split_keys(
    keys: Sequence[tuple[str, ...]], numbers: dict[str, int], test_fraction: float
) -> Int8[np.ndarray, " n"]:
    """Assign each key to a side by its own hash; a row with keys on both sides is dropped.

    With k keys in a row and a fraction p of the keys tested, p^k of the rows are kept for testing and (1 − p)^k for
    training, so `test_fraction` of the kept rows are tested if p / (1 − p) is the k-th root of its odds.
    """
    odds = (test_fraction / (1 - test_fraction)) ** (1 / max(len(set(row)) for row in keys))
    tested = {key: _unit(key) < odds / (1 + odds) for key in numbers}
    sides = [{tested[key] for key in row} for row in keys]
    return np.array([DROPPED if len(side) > 1 else TEST if True in side else TRAIN for side in sides], np.int8)


def _unit(key: str) -> float:
    """Hash `key` to a number in [0, 1)."""
    return int(fingerprint([key]), 16) / 2**64
