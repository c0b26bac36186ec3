"""Context dependence: how much of a concept's shift one direction explains, and attributes as subspaces.

All shares are of the squared norm of held-out shifts in which one concept, or one attribute, changes alone.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from ssae_lens.metrics import r2_uncentred
from studies.language.data import LanguageData, labels_of, mean_shifts

# Directions are counted until they explain this share.
ENOUGH = 0.9
MIN_PAIRS = 4


def measure_context_dependence(data: LanguageData) -> dict[str, dict[str, float]]:
    """Return for each concept how well one direction explains its shifts.

    Returns
    -------
    dict
        For each concept with enough pairs that change it alone: ``mean_direction``, the share explained by the mean
        direction (the rest depends on context); ``best_direction``, by the first singular vector; ``dimensions``, how many
        singular vectors explain nine tenths; ``pairs``, the number of held-out pairs.
    """
    numbers = {}
    for concept, name in enumerate(data.concepts):
        train, test = (_signed_shifts(store, concept) for store in (data.train, data.test))
        if min(len(train), len(test)) < MIN_PAIRS:
            continue
        mean = train.mean(axis=0, keepdims=True)
        shares = shares_within(test, _singular_vectors(train))
        numbers[name] = {
            "mean_direction": float(shares_within(test, mean / np.linalg.norm(mean))[-1]),
            "best_direction": float(shares[0]),
            "dimensions": _count(shares),
            "pairs": len(test),
        }
    return numbers


def measure_subspaces(data: LanguageData) -> dict[str, dict[str, float]]:
    """Return for each attribute of three or more values how well embeddings of its values explain its shifts.

    A concept is named ``attribute:before>after`` or ``attribute=value``. The embedding e of each value is fitted by least
    squares of the shift on e(after) − e(before), over the training pairs that change the attribute alone. The embeddings of
    v values span v − 1 dimensions. For comparison, each contrast of two values has a mean shift of its own.

    Returns
    -------
    dict
        For each attribute: ``values``, their number; ``embeddings``, the share that the embeddings explain; ``span``, the
        share within their subspace; ``dimensions``, how many of its directions hold nine tenths of the embeddings' variance;
        ``contrasts``, the share explained by the mean shift of each contrast; ``best_direction``; ``pairs``.
    """
    train, test = labels_of(data.train), labels_of(data.test)
    numbers = {}
    for attribute, columns in attributes(data.concepts).items():
        values, design = _values(data.concepts, columns)
        rows = [_alone(labels, columns) for labels in (train, test)]
        if len(values) < 3 or min(map(len, rows)) < MIN_PAIRS:
            continue
        shifts, held_out = data.train.shifts[rows[0]], data.test.shifts[rows[1]]
        changes, held_out_changes = train[rows[0]][:, columns], test[rows[1]][:, columns]
        embeddings = np.linalg.lstsq(changes @ design, shifts, rcond=None)[0]
        _, sizes, directions = np.linalg.svd(embeddings - embeddings.mean(axis=0), full_matrices=False)
        sizes, directions = sizes[: len(values) - 1], directions[: len(values) - 1]
        numbers[attribute] = {
            "values": len(values),
            "embeddings": r2_uncentred(held_out, held_out_changes @ design @ embeddings),
            "span": float(shares_within(held_out, directions)[-1]),
            "dimensions": _count((sizes**2).cumsum() / (sizes**2).sum()),
            "contrasts": r2_uncentred(held_out, held_out_changes @ mean_shifts(shifts, changes)),
            "best_direction": float(shares_within(held_out, _singular_vectors(shifts)[:1])[-1]),
            "pairs": len(held_out),
        }
    return numbers


def attributes(concepts: list[str]) -> dict[str, list[int]]:
    """Return the columns of each attribute, from concepts named ``attribute:before>after`` or ``attribute=value``."""
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(concepts):
        attribute, separator, _ = name.partition(":" if ">" in name else "=")
        if separator:
            columns.setdefault(attribute, []).append(column)
    return columns


def shares_within(shifts: Float[np.ndarray, "n d"], directions: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " k"]:
    """Return the share of the squared norm within the span of the first, the first two, … orthonormal directions."""
    energy = (shifts.astype(np.float64) @ directions.T.astype(np.float64)) ** 2
    return energy.sum(axis=0).cumsum() / (shifts.astype(np.float64) ** 2).sum()


def _values(concepts: list[str], columns: list[int]) -> tuple[list[str], Float[np.ndarray, "k v"]]:
    """Return the values of an attribute, and a design matrix: −1 for the value before, 1 for the value after."""
    changes = [concepts[column].partition(":" if ">" in concepts[column] else "=")[2].split(">") for column in columns]
    values = sorted({value for change in changes for value in change})
    design = np.zeros((len(columns), len(values)), dtype=np.float32)
    for row, change in enumerate(changes):
        design[row, values.index(change[-1])] = 1
        if len(change) == 2:
            design[row, values.index(change[0])] = -1
    return values, design


def _alone(labels: Float[np.ndarray, "n c"], columns: list[int]) -> np.ndarray:
    """Return the rows in which some of these concepts change and no other does."""
    others = np.delete(labels, columns, axis=1)
    return np.flatnonzero((labels[:, columns] != 0).any(axis=1) & ~(others != 0).any(axis=1))


def _signed_shifts(store: Any, concept: int) -> Float[np.ndarray, "m d"]:
    """Return the shifts that change one concept alone, in the direction of its increase."""
    labels = labels_of(store)
    rows = _alone(labels, [concept])
    return store.shifts[rows] * labels[rows, concept][:, None]


def _singular_vectors(shifts: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "k d"]:
    return np.linalg.svd(shifts, full_matrices=False)[2]


def _count(shares: Float[np.ndarray, " k"]) -> int:
    """Count the directions up to the share; one more than there are, where they do not reach it."""
    return int(np.searchsorted(shares, ENOUGH * (1 - 1e-6)) + 1)
