"""Cosines: between all rows of two matrices, and between steered activations and their targets.

The latter come two ways: plainly, and as the SSAE's authors compute them.
"""

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.metrics.arrays import Array, as_array, as_matrix, same_length, same_width


def cosines(rows: Shaped[Array, "k d"], others: Shaped[Array, "c d"]) -> Float[np.ndarray, "k c"]:
    """Return the cosine of every row of one with every row of the other; a zero row has cosine 0 with all."""
    rows, others = as_matrix("rows", rows), as_matrix("others", others)
    same_width("rows", rows, "others", others)
    return np.clip(unit_rows(rows) @ unit_rows(others).T, -1, 1)


def steered_cosines(
    source: Shaped[Array, "n d"], shift: Shaped[Array, "n d"] | Shaped[Array, "d"], target: Shaped[Array, "n d"]
) -> Float[np.ndarray, "n"]:
    """Return for each row the cosine of source + shift with the target.

    Parameters
    ----------
    source, target
        Activations before and after the change, z and z̃.
    shift
        What steering adds: a row for each source, or one vector for all, at the scale it is to have.
    """
    source, shift, target = _three(source, shift, target)
    return _row_cosines(source + shift, target)


def steered_cosines_frobenius(
    source: Shaped[Array, "n d"], shift: Shaped[Array, "n d"] | Shaped[Array, "d"], target: Shaped[Array, "n d"]
) -> Float[np.ndarray, "n"]:
    """Return the cosines as the SSAE's authors do: z and η divided by the Frobenius norms of the whole matrices first.

    This sets the scale of η: as large, over all rows, as the sources. (z̃ is divided too, which changes no cosine.) One
    vector for all rows is divided by its own norm and so added √n times larger; their mean-difference baseline is
    steered that way, their own method with a row for each source.
    """
    source, shift, target = _three(source, shift, target)
    if not shift.any():
        raise ValueError("shift is zero everywhere; dividing by its norm needs at least one value that is not.")
    if not source.any():
        raise ValueError("source is zero everywhere; dividing by its norm needs at least one value that is not.")
    return _row_cosines(source / np.linalg.norm(source) + shift / np.linalg.norm(shift), target)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Scale each row to unit norm; a zero row stays zero."""
    largest = abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest == 0, 1, largest)  # squares of tiny or huge numbers stay finite
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1, norms)


def _three(source: Array, shift: Array, target: Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z, wanted = as_matrix("source", source), as_matrix("target", target)
    eta = as_array("shift", shift, 1) if np.ndim(shift) == 1 else as_matrix("shift", shift)
    same_length("source", z, "target", wanted)
    same_width("source", z, "target", wanted)
    same_width("source", z, "shift", eta)
    if eta.ndim == 2:
        same_length("source", z, "shift", eta)
    return z.astype(np.float64), eta.astype(np.float64), wanted.astype(np.float64)


def _row_cosines(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.clip((unit_rows(rows) * unit_rows(others)).sum(axis=1), -1, 1)
