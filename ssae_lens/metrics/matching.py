"""Matching of latents with factors, and the mean correlation coefficients (MCC) computed from it.

Three numbers are called MCC. `mcc_codes` compares codes with true factors, `mcc_max` is its greedy variant in the SSAE's
later code, and `mcc_decoders` (in `_cosines.py`) compares directions. A column that never changes correlates with nothing:
its entries are 0, not NaN.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from ssae_lens.base.checks import one_of
from ssae_lens.metrics.arrays import Array, as_matrix, same_length

Kind = Literal["pearson", "spearman"]
KINDS: tuple[Kind, ...] = ("pearson", "spearman")


@dataclass(frozen=True, eq=False)
class Match:
    """The latent of each factor.

    Attributes
    ----------
    score
        The number that the function which returned this reports.
    per_factor
        |entry| of each factor's latent, and 0 where it has none. (Signed from a signed `mcc_max`.)
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

    `score` is the mean over the factors; where latents are fewer, the unmatched factors count 0.
    """
    from scipy.optimize import linear_sum_assignment

    matrix = as_matrix("matrix", matrix)
    rows, columns = linear_sum_assignment(abs(matrix), maximize=True)
    latents = np.full(matrix.shape[1], -1)
    latents[columns] = rows
    return _match(matrix, latents)


def best_latents(matrix: Shaped[Array, "k c"], *, signed: bool) -> Match:
    """Match each factor with the latent of the largest entry (|entry| unless `signed`); factors may share a latent."""
    matrix = as_matrix("matrix", matrix)
    latents = (matrix if signed else abs(matrix)).argmax(axis=0)
    match = _match(matrix, latents)
    if not signed:
        return match
    entries = matrix[latents, np.arange(matrix.shape[1])]
    return Match(float(entries.mean()), entries, latents, match.signs, matrix)


def correlations(
    codes: Shaped[Array, "n k"], factors: Shaped[Array, "n c"], *, kind: Kind = "pearson"
) -> Float[np.ndarray, "k c"]:
    """Return the correlation of every column of `codes` with every column of `factors`.

    Parameters
    ----------
    codes, factors
        Row i of both is the same example.
    kind
        ``pearson`` or ``spearman`` (ties share their mean rank, so codes with many exact zeros are treated fairly).

    Returns
    -------
    np.ndarray
        Shape (k, c), between −1 and 1, in the precision of the inputs.
    """
    one_of("kind", kind, KINDS)
    codes, factors = as_matrix("codes", codes), as_matrix("factors", factors)
    same_length("codes", codes, "factors", factors, minimum=2)
    return np.clip(unit_columns(codes, kind).T @ unit_columns(factors, kind), -1, 1)


def mcc_codes(codes: Shaped[Array, "n k"], factors: Shaped[Array, "n c"], *, kind: Kind = "pearson") -> Match:
    """Match latents with factors one to one, and average the |correlations|.

    The score does not depend on the order, scale or sign of the latents: codes that are the factors up to these score 1.
    The mean is over the factors: an unmatched factor counts 0, and spare latents cost nothing. Parameters are as in
    `correlations`.

    See Also
    --------
    control_shuffled : the same with the rows of the factors shuffled.
    expected_chance : the score of independent codes.
    """
    return hungarian(correlations(codes, factors, kind=kind))


def mcc_max(
    codes: Shaped[Array, "n k"], factors: Shaped[Array, "n c"], *, kind: Kind = "pearson", signed: bool = True
) -> Match:
    """Match each factor with the latent that correlates best with it, and average the correlations.

    The "MCC" of the SSAE's later code. It is the largest of k numbers, so it **grows with width** whatever was learned
    (by about √(2 ln k / n) from nothing), and one latent may be matched with several factors: compare only equal widths,
    and with `control_shuffled`. In that code rows are single texts and factors 0/1 labels.

    Parameters
    ----------
    codes, factors, kind
        As in `correlations`.
    signed
        Whether a latent that falls where the factor rises does not count, as in that code. False takes |correlations|,
        which suits signed codes.
    """
    return best_latents(correlations(codes, factors, kind=kind), signed=signed)


def unit_columns(values: np.ndarray, kind: Kind, block: int = 32) -> np.ndarray:
    """Return each column (or its ranks, for Spearman) centred and scaled to unit norm; a constant one becomes zero.

    The sums are in float64 whatever the input, a block of columns at a time, so that 4096 latents of 30 000 rows fit.
    """
    unit = np.empty_like(values)
    for start in range(0, values.shape[1], block):
        # Transposed, because sums (and, for ranks, sorts) along rows are several times faster than along columns.
        columns = np.array(values[:, start : start + block].T, dtype=np.float64, order="C")
        # Checked before centring: the mean of equal numbers may have a rounding error, which would be all that remains.
        constant = columns.max(axis=1, keepdims=True) == columns.min(axis=1, keepdims=True)
        if kind == "spearman":
            from scipy.stats import rankdata

            columns = rankdata(columns, axis=1)
        columns -= columns.mean(axis=1, keepdims=True)
        columns /= np.where(constant, 1, abs(columns).max(axis=1, keepdims=True))  # squares stay finite
        columns /= np.where(constant, 1, np.linalg.norm(columns, axis=1, keepdims=True))
        unit[:, start : start + block] = np.where(constant, 0, columns).T
    return unit


def _match(matrix: np.ndarray, latents: np.ndarray) -> Match:
    entries = np.where(latents < 0, 0, matrix[latents, np.arange(matrix.shape[1])])
    per_factor = abs(entries)
    return Match(float(per_factor.mean()), per_factor, latents, np.sign(entries), matrix)
