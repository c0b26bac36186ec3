"""Matching latents with factors: which latent stands for which, with what sign, and how well."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from ssae_lens.metrics.arrays import Array, as_matrix


@dataclass(frozen=True, eq=False)
class Match:
    """Which latent stands for each factor.

    Attributes
    ----------
    score
        The number that the function which made this reports.
    per_factor
        How well each factor is matched: |entry| of its latent, and 0 where it has none. (Signed from a signed `mcc_max`.)
    latents
        Each factor's latent; −1 where it has none (fewer latents than factors).
    signs
        1 or −1: multiply the latent by it to point as the factor does. 0 where there is none, or the entry is 0.
    matrix
        Every latent with every factor, signed.
    """

    score: float
    per_factor: Float[np.ndarray, "c"]
    latents: Int[np.ndarray, "c"]
    signs: Float[np.ndarray, "c"]
    matrix: Float[np.ndarray, "k c"]


def hungarian(matrix: Shaped[Array, "k c"]) -> Match:
    """Match each factor with a latent of its own so that the sum of |entries| is largest.

    `score` is the mean over the factors; where latents are fewer, those left over count 0.
    """
    from scipy.optimize import linear_sum_assignment

    matrix = as_matrix("matrix", matrix)
    rows, columns = linear_sum_assignment(abs(matrix), maximize=True)
    latents = np.full(matrix.shape[1], -1)
    latents[columns] = rows
    return _match(matrix, latents)


def best_latents(matrix: Shaped[Array, "k c"], *, signed: bool) -> Match:
    """Match each factor with the latent of the largest entry (|entry| unless `signed`); latents may be shared."""
    matrix = as_matrix("matrix", matrix)
    latents = (matrix if signed else abs(matrix)).argmax(axis=0)
    match = _match(matrix, latents)
    if not signed:
        return match
    entries = matrix[latents, np.arange(matrix.shape[1])]
    return Match(float(entries.mean()), entries, latents, match.signs, matrix)


def _match(matrix: np.ndarray, latents: np.ndarray) -> Match:
    entries = np.where(latents < 0, 0, matrix[latents, np.arange(matrix.shape[1])])
    per_factor = abs(entries)
    return Match(float(per_factor.mean()), per_factor, latents, np.sign(entries), matrix)
