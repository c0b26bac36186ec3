"""Splits by content: nothing of a test item, neither its texts nor its content, is seen in training.

Rows that share a text or a content belong together, and go to one side together. Which side depends on a hash of what
they hold and on nothing random. Where nearly all rows belong together (each object of a grid paired with many others),
the texts themselves are divided, and the pairs with one text on each side are dropped.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int8

from ssae_lens.base.checks import one_of
from ssae_lens.base.files import fingerprint

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "test")
TRAIN, TEST, DROPPED = 0, 1, -1


def split_by_content(dataset: "Dataset", split: str, test_fraction: float = 0.1, *, stacklevel: int = 2) -> "Dataset":
    """Return the part of `dataset` for training or testing; no text or `content` stands in both.

    Parameters
    ----------
    dataset
        A paired text data set.
    split
        ``"train"`` or ``"test"``.
    test_fraction
        The share of the rows to hold out.
    stacklevel
        Whose line a warning names, as in `warnings.warn`: the caller's.

    Warns
    -----
    UserWarning
        Where pairs had to be dropped because their texts fall on both sides: how many.
    """
    one_of("split", split, SPLITS)
    sides = sides_of(keys_of(dataset), test_fraction)
    if dropped := np.count_nonzero(sides == DROPPED):
        warnings.warn(
            f"{dropped} of {len(dataset)} pairs were dropped: nearly all pairs share texts, so the texts were "
            "divided, and these have one on each side.",
            stacklevel=stacklevel,
        )
    rows = np.flatnonzero(sides == SPLITS.index(split))
    if not len(rows):
        raise ValueError(
            f"No pair is left for split {split!r}: the {len(dataset)} pairs cannot be divided without sharing texts or "
            "content. Give more pairs, or another test_fraction."
        )
    return dataset.select(rows)


def taken(dataset: "Dataset", n: int | None, seed: int, title: str) -> "Dataset":
    """Take `n` pairs at random, in their order; all of them where `n` is None."""
    if n is None:
        return dataset
    if n > len(dataset):
        raise ValueError(f"{title} has {len(dataset)} pairs here; n is {n}. Ask for at most that many.")
    return dataset.select(np.sort(np.random.default_rng(seed).permutation(len(dataset))[:n]))


def keys_of(dataset: "Dataset") -> list[tuple[str, ...]]:
    """Return for each row what must not stand in two splits: its content, where it has one, and its texts."""
    texts = [dataset["source"][:], dataset["target"][:]]
    if "content" not in dataset.column_names:
        return list(zip(*texts, strict=True))
    return [
        (source, target) if content is None else (content, source, target)
        for content, source, target in zip(dataset["content"][:], *texts, strict=True)
    ]


def sides_of(
    keys: Sequence[tuple[str, ...]], test_fraction: float = 0.1, *, lasting: bool = False
) -> Int8[np.ndarray, " n"]:
    """Return each row's side: 0 for training, 1 for testing, −1 where its keys fall on both sides.

    Parameters
    ----------
    keys
        For each row, what must not stand on both sides; the first names it.
    test_fraction
        The share of the rows to hold out.
    lasting
        Let a row's side depend on its own keys alone, so that it stays when others are added; the share is then met on
        average, not nearly exactly.
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction is {test_fraction!r}; it must lie between 0 and 1.")
    numbers: dict[str, int] = {}
    for row in keys:
        for key in row:
            numbers.setdefault(key, len(numbers))
    together = _components(keys, numbers)
    # A component is named by the smallest of its rows' first keys, which another row of the same content does not change.
    names: dict[int, str] = {}
    for row, component in zip(keys, together.tolist(), strict=True):
        names[component] = min(row[0], names.get(component, row[0]))
    hashes = np.array([_unit(names[component]) for component in range(len(names))])
    sizes = np.bincount(together)
    n_test = max(1, round(test_fraction * len(keys)))
    tested = hashes < test_fraction if lasting else _filled(hashes, sizes, n_test)
    if n_test / 2 <= sizes[tested].sum() <= 1.5 * n_test:
        return np.where(tested[together], TEST, TRAIN).astype(np.int8)
    return _divide(keys, numbers, test_fraction)


def _components(keys: Sequence[tuple[str, ...]], numbers: dict[str, int]) -> np.ndarray:
    """Return each row the number of its connected component; rows with a key in common are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.array([(numbers[row[0]], numbers[key]) for row in keys for key in row])
    graph = coo_array((np.ones(len(edges), dtype=bool), edges.T), shape=(len(numbers), len(numbers)))
    _, labels = connected_components(graph, directed=False)
    return labels[[numbers[row[0]] for row in keys]]


def _filled(hashes: np.ndarray, sizes: np.ndarray, n_test: int) -> np.ndarray:
    """Choose components in the order of their hashes, up to `n_test` rows."""
    tested, held = np.zeros(len(sizes), dtype=bool), 0
    for component in np.argsort(hashes):
        if held + sizes[component] <= n_test:
            tested[component] = True
            held += sizes[component]
    return tested


def _divide(keys: Sequence[tuple[str, ...]], numbers: dict[str, int], test_fraction: float) -> Int8[np.ndarray, " n"]:
    """Send each key to a side by its own hash; a row with keys on both is dropped.

    With k keys in a row and a share p of the keys tested, p^k of the rows are kept for testing and (1 − p)^k for
    training, so `test_fraction` of the rows kept are tested where p / (1 − p) is the k-th root of its odds.
    """
    odds = (test_fraction / (1 - test_fraction)) ** (1 / max(len(set(row)) for row in keys))
    tested = {key: _unit(key) < odds / (1 + odds) for key in numbers}
    sides = [{tested[key] for key in row} for row in keys]
    return np.array([DROPPED if len(side) > 1 else TEST if True in side else TRAIN for side in sides], np.int8)


def _unit(key: str) -> float:
    """Hash `key` to a number in [0, 1)."""
    return int(fingerprint([key]), 16) / 2**64
