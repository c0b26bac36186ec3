"""Two halves of the shifts that share no pair and no text, for fits that are then compared.

A store may have several rows of a pair, and several pairs of a text. What both halves hold is found in both, whether or not
it is there in other pairs.
"""

import numpy as np
from jaxtyping import Int

from ssae_lens.shifts import ShiftStore

# Halves of which the smaller has less than this share of the rows are none.
SMALLEST_HALF = 1 / 3

Halves = tuple[np.ndarray | slice, np.ndarray | slice]


def halves_of(store: ShiftStore) -> tuple[Halves | None, bool]:
    """Return the rows of two halves of a store, and whether they share texts.

    Pairs with a text in common, and so on along a chain of such pairs, go to one half. Where nearly all pairs are connected
    in this way, the halves are split by pair and share texts. None means that a single pair has most of the rows.
    """
    pairs = store.row_ids
    by_text = balanced(connected(pairs, store.texts)) if store.texts is not None else None
    if by_text is not None:
        return by_text, False
    return balanced(pairs), store.texts is not None


def connected(pairs: Int[np.ndarray, " n"], texts: tuple[list[str], list[str]]) -> Int[np.ndarray, " n"]:
    """Return the number of each row's group: rows of one pair, and rows with a text in common, are of one group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, pair = np.unique(pairs, return_inverse=True)
    numbers: dict[str, int] = {}
    used = np.array([[numbers.setdefault(text, len(numbers)) for text in column] for column in texts])
    size = len(names) + len(numbers)
    edges = np.tile(pair, len(texts)), len(names) + used.ravel()
    graph = coo_array((np.ones(used.size, dtype=bool), edges), shape=(size, size))
    return connected_components(graph, directed=False)[1][pair]


def balanced(groups: Int[np.ndarray, " n"]) -> Halves | None:
    """Return the rows of two halves that share no group, or None where groups are too large for that.

    Groups go to the smaller half, largest first, and of one size in order of appearance: single rows alternate.
    """
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    if sizes.max() == 1:
        return slice(0, None, 2), slice(1, None, 2)
    second_half, held = np.zeros(len(sizes), dtype=bool), [0, 0]
    for number in np.lexsort((first, -sizes)).tolist():
        smaller = int(held[1] < held[0])
        second_half[number] = smaller
        held[smaller] += int(sizes[number])
    if min(held) < SMALLEST_HALF * len(groups):
        return None
    return np.flatnonzero(~second_half[group]), np.flatnonzero(second_half[group])
