"""Orthogonal matching pursuit: a vector as a sum of a few atoms of a dictionary, with signs or without."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ssae_lens.base import checks
from ssae_lens.metrics._cosines import unit_rows


@dataclass(frozen=True, eq=False)
class Step:
    """A vector as a sum of so many atoms.

    Attributes
    ----------
    atoms
        Their numbers, in the order in which they were taken.
    coefficients
        Of these atoms, as they are given.
    explained
        1 − ‖v − v̂‖² / ‖v‖².
    """

    atoms: list[int]
    coefficients: Float[np.ndarray, " k"]
    explained: float

    def codes(self, n: int) -> Float[np.ndarray, " n"]:
        """Return a coefficient for each of the dictionary's n atoms, most of them 0."""
        codes = np.zeros(n)
        codes[self.atoms] = self.coefficients
        return codes


def pursuit(
    atoms: Float[np.ndarray, "n d"], vector: Float[np.ndarray, " d"], most: int, *, signed: bool = True
) -> list[Step]:
    """Take the atom nearest to what is left, fit all that were taken, and again: what there is after 1, 2, … atoms.

    Parameters
    ----------
    atoms
        A dictionary's rows, such as an SAE's decoder; their lengths have no say in which is taken.
    vector
        What to write as a sum of them.
    most
        How many atoms to take. Fewer are taken where nothing is left, or nothing that any atom would help with.
    signed
        Whether coefficients may be negative. Without, those that the fit sets to 0 stay among the atoms taken.

    Examples
    --------
    >>> steps = pursuit(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0.6, 0.8]]), np.array([1.0, -3, 0]), 2)
    >>> steps[-1].atoms, steps[-1].coefficients.round(6).tolist(), steps[0].explained
    ([1, 0], [-3.0, 1.0], 0.9)
    """
    from scipy.optimize import nnls

    checks.integer("most", most)
    rows, vector = np.asarray(atoms, dtype=np.float64), np.asarray(vector, dtype=np.float64)
    if rows.ndim != 2 or vector.shape != rows.shape[1:]:
        raise ValueError(f"atoms has shape {rows.shape} and vector {vector.shape}; give rows as wide as the vector.")
    units, energy = unit_rows(rows), float(vector @ vector)
    if not energy:
        return []
    taken: list[int] = []
    steps: list[Step] = []
    left = vector
    for _ in range(min(most, len(rows))):
        towards = units @ left
        sizes = abs(towards) if signed else towards
        sizes[taken] = -np.inf
        best = int(sizes.argmax())
        # What rounding leaves is no direction.
        if sizes[best] <= 1e-9 * energy**0.5:
            break
        taken.append(best)
        some = rows[taken]
        found = np.linalg.lstsq(some.T, vector, rcond=None)[0] if signed else nnls(some.T, vector)[0]
        left = vector - found @ some
        steps.append(Step(list(taken), found, 1 - float(left @ left) / energy))
    return steps
