"""Correlations between every latent and every factor: Pearson's, Spearman's, or the randomised dependence coefficient.

A column that never changes correlates with nothing: its entries are 0, not NaN.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base.checks import one_of
from ssae_lens.metrics.arrays import Array, as_matrix, same_length
from ssae_lens.metrics.rdc import rdc_matrix

Kind = Literal["pearson", "spearman", "rdc"]
KINDS: tuple[Kind, ...] = ("pearson", "spearman", "rdc")


def correlations(
    codes: Shaped[Array, "n k"], factors: Shaped[Array, "n c"], *, kind: Kind = "pearson", seed: int = 0
) -> Float[np.ndarray, "k c"]:
    """Correlate every column of `codes` with every column of `factors`.

    Parameters
    ----------
    codes, factors
        Row i of both is the same example.
    kind
        ``pearson``; ``spearman`` (ties share their mean rank, so codes with many exact zeros are treated fairly); or
        ``rdc``, which sees any smooth dependence, and has no sign.
    seed
        Of the random features of ``rdc``; the others draw nothing.

    Returns
    -------
    np.ndarray
        Shape (k, c), between −1 and 1, in the precision of the inputs.
    """
    one_of("kind", kind, KINDS)
    codes, factors = as_matrix("codes", codes), as_matrix("factors", factors)
    same_length("codes", codes, "factors", factors, least=2)
    if kind == "rdc":
        return rdc_matrix(codes, factors, seed)
    return np.clip(unit_columns(codes, kind).T @ unit_columns(factors, kind), -1, 1)


def unit_columns(values: np.ndarray, kind: Kind, block: int = 32) -> np.ndarray:
    """Centre each column (of ranks, for Spearman) and scale it to unit norm; a constant one becomes zero.

    The sums are in float64 whatever the input, a block of columns at a time, so that 4096 latents of 30 000 rows fit.
    """
    unit = np.empty_like(values)
    for start in range(0, values.shape[1], block):
        # Transposed, because sums (and, for ranks, sorts) along rows are several times quicker than down columns.
        columns = np.array(values[:, start : start + block].T, dtype=np.float64, order="C")
        # Asked before centring: the mean of equal numbers may be off by a rounding, which would then be all there is.
        constant = columns.max(axis=1, keepdims=True) == columns.min(axis=1, keepdims=True)
        if kind == "spearman":
            columns = ranks(columns)
        columns -= columns.mean(axis=1, keepdims=True)
        columns /= np.where(constant, 1, abs(columns).max(axis=1, keepdims=True))  # squares stay finite
        columns /= np.where(constant, 1, np.linalg.norm(columns, axis=1, keepdims=True))
        unit[:, start : start + block] = np.where(constant, 0, columns).T
    return unit


def ranks(rows: np.ndarray) -> np.ndarray:
    """Rank each row from 1, ties sharing their mean rank."""
    from scipy.stats import rankdata

    return rankdata(rows, axis=1)
