"""How far real concepts are directions: what of a concept's shift one direction explains, and categories as subspaces."""

from typing import Any

import numpy as np
from jaxtyping import Float

from studies.language.data import Data, along, explained, labels_of, mean_shifts, single

# Directions are counted until they hold this share of a shift's energy.
MOST = 0.9
LEAST_PAIRS = 4


def bending(data: Data) -> dict[str, dict[str, float]]:
    """Return for each concept, from the pairs that change it alone, how its shift bends; measured on held-out pairs.

    Returns
    -------
    dict
        For each concept: ``mean``, the share of its shifts' energy along their mean direction (the rest is its bending);
        ``one`` along the best single direction; ``dimensions``, how many directions hold nine tenths; and ``pairs``, how
        many held-out pairs that is measured on. Concepts that hardly ever change alone are left out.
    """
    found = {}
    for concept, name in enumerate(data.concepts):
        train, test = (_signed(each, concept) for each in (data.train, data.test))
        if min(len(train), len(test)) < LEAST_PAIRS:
            continue
        mean = train.mean(axis=0, keepdims=True)
        shares = along(test, _principal(train))
        found[name] = {
            "mean": float(along(test, mean / np.linalg.norm(mean))[-1]),
            "one": float(shares[0]),
            "dimensions": _count(shares),
            "pairs": len(test),
        }
    return found


def categories(data: Data) -> dict[str, dict[str, float]]:
    """Return for each attribute of several values how its shifts lie: as a subspace, and as contrasts of two values.

    A concept is named ``attribute:before>after`` or ``attribute=value``. From the training pairs that change one attribute
    alone, each of its values gets a place e, by least squares of the shift on e(after) − e(before); v values so make v − 1
    directions. Beside it every contrast of two values has a direction of its own.

    Returns
    -------
    dict
        For each attribute, on held-out pairs that change it alone: ``values``; ``places``, the share of the shifts'
        energy that the values' places explain; ``span``, the share within their subspace; ``dimensions``, how many of its
        directions hold nine tenths of the places' own energy; ``contrasts``, the share explained by the mean shift of
        each contrast; ``one``, by the best single direction; and ``pairs``.
    """
    train, test = labels_of(data.train), labels_of(data.test)
    found = {}
    for attribute, columns in attributes(data.concepts).items():
        values, design = _values(data.concepts, columns)
        if len(values) < 3:
            continue
        rows = [_alone(each, columns) for each in (train, test)]
        shifts = data.train.shifts[rows[0]], data.test.shifts[rows[1]]
        if min(map(len, shifts)) < LEAST_PAIRS:
            continue
        before, after = (each[r][:, columns] for each, r in zip((train, test), rows, strict=True))
        places = np.linalg.lstsq(before @ design, shifts[0], rcond=None)[0]
        centred = places - places.mean(axis=0)
        _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
        sizes, directions = sizes[: len(values) - 1], directions[: len(values) - 1]
        found[attribute] = {
            "values": len(values),
            "places": explained(shifts[1], after @ design @ places),
            "span": float(along(shifts[1], directions)[-1]),
            "dimensions": _count((sizes**2).cumsum() / (sizes**2).sum()),
            "contrasts": explained(shifts[1], after @ mean_shifts(shifts[0], before)),
            "one": float(along(shifts[1], _principal(shifts[0])[:1])[-1]),
            "pairs": len(shifts[1]),
        }
    return found


def attributes(concepts: list[str]) -> dict[str, list[int]]:
    """Return the columns of each attribute, from concepts named ``attribute:before>after`` or ``attribute=value``."""
    found: dict[str, list[int]] = {}
    for column, name in enumerate(concepts):
        attribute = name.partition(":" if ">" in name else "=")
        if attribute[1]:
            found.setdefault(attribute[0], []).append(column)
    return found


def _values(concepts: list[str], columns: list[int]) -> tuple[list[str], Float[np.ndarray, "k v"]]:
    """Return an attribute's values, and what a change of each of its concepts does to them: from −1 to 1."""
    ends = [concepts[column].partition(":" if ">" in concepts[column] else "=")[2] for column in columns]
    sides = [end.split(">") if ">" in end else [end] for end in ends]
    values = sorted({value for side in sides for value in side})
    design = np.zeros((len(columns), len(values)), dtype=np.float32)
    for row, side in enumerate(sides):
        design[row, values.index(side[-1])] = 1
        if len(side) == 2:
            design[row, values.index(side[0])] = -1
    return values, design


def _alone(labels: Float[np.ndarray, "n c"], columns: list[int]) -> np.ndarray:
    others = np.delete(labels, columns, axis=1)
    return np.flatnonzero((labels[:, columns] != 0).any(axis=1) & ~(others != 0).any(axis=1))


def _signed(store: Any, concept: int) -> Float[np.ndarray, "m d"]:
    """Return the shifts that change one concept alone, turned to where it rises."""
    labels = labels_of(store)
    rows = single(labels, concept)
    return store.shifts[rows] * labels[rows, concept][:, None]


def _principal(shifts: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "k d"]:
    return np.linalg.svd(shifts, full_matrices=False)[2]


def _count(shares: Float[np.ndarray, " k"]) -> int:
    """Count directions up to the share wanted; all of them, and one more, where they do not reach it."""
    return int(np.searchsorted(shares, MOST * (1 - 1e-6)) + 1)
