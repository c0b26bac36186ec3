"""Correlations of latents with factors, and the matchings and MCCs (mean correlation coefficients) made from them.

Correlations are Pearson's, Spearman's, or the randomised dependence coefficient (RDC; Lopez-Paz, Hennig and Schölkopf 2013):
each variable is replaced by its ranks over n (its copula) and sent through random sinusoids, and the largest canonical
correlation between the two sets of sinusoids is the coefficient: 1 for any smooth dependence, monotone or not. A column that
never changes correlates with nothing: its entries are 0, not NaN.

Three numbers are called MCC. Here `mcc_codes` compares codes with true factors, `mcc_max` is its greedy variant of the
SSAE's later code, and `mcc_decoders` (in `cosines.py`) compares directions.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from ssae_lens.base.checks import one_of
from ssae_lens.metrics.arrays import Array, as_matrix, same_length

Kind = Literal["pearson", "spearman", "rdc"]
KINDS: tuple[Kind, ...] = ("pearson", "spearman", "rdc")

# The settings of the evaluations of nonlinear ICA (and of the SSAE's authors): weights from N(0, 0.5²).
FEATURES = 20
SCALE = 0.5
# Sinusoids this slow are nearly polynomials of low degree: the directions below this share of the largest variance are
# rounding, and would correlate with anything.
NEGLIGIBLE = 1e-10


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


def mcc_codes(
    codes: Shaped[Array, "n k"], factors: Shaped[Array, "n c"], *, kind: Kind = "pearson", seed: int = 0
) -> Match:
    """Match latents with factors one to one, and average the |correlations|.

    Permutation, scale and sign of the latents do not matter: a code that is the factors up to these scores 1. The mean
    is over the factors: a factor left without a latent counts 0, and spare latents cost nothing.

    Parameters
    ----------
    codes, factors
        Row i of both is the same example.
    kind
        ``pearson``, ``spearman`` or ``rdc``.
    seed
        Of the random features of ``rdc``.

    See Also
    --------
    control_shuffled : the same with the rows of the factors shuffled.
    expected_chance : what independent codes give.
    """
    return hungarian(correlations(codes, factors, kind=kind, seed=seed))


def mcc_max(
    codes: Shaped[Array, "n k"],
    factors: Shaped[Array, "n c"],
    *,
    kind: Kind = "pearson",
    signed: bool = True,
    seed: int = 0,
) -> Match:
    """Return each factor the latent that correlates best with it, and average the correlations.

    The "MCC" of the SSAE's later code. It is the largest of k numbers, so it **grows with width** whatever was learned
    (by about √(2 ln k / n) from nothing), and one latent may stand for several factors: compare only equal widths, and
    beside `control_shuffled`.

    Parameters
    ----------
    codes, factors
        Row i of both is the same example; there, single texts and 0/1 labels.
    kind
        ``pearson``, ``spearman`` or ``rdc``.
    signed
        As there: a latent that falls where the factor rises does not count. False takes |correlations|, which suits
        signed codes.
    seed
        Of the random features of ``rdc``.
    """
    return best_latents(correlations(codes, factors, kind=kind, seed=seed), signed=signed)


def unit_columns(values: np.ndarray, kind: Kind, block: int = 32) -> np.ndarray:
    """Centre each column (of ranks, for Spearman) and scale it to unit norm; a constant one becomes zero.

    The sums are in float64 whatever the input, a block of columns at a time, so that 4096 latents of 30 000 rows fit.
    """
    unit = np.empty_like(values)
    for start in range(0, values.shape[1], block):
        # Transposed, because sums (and, for ranks, sorts) along rows are several times quicker than down columns.
        columns = np.array(values[:, start : start + block].T, dtype=np.float64, order="C")
        # Checked before centring: the mean of equal numbers may be off by a rounding error, which would be all that is left.
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


def rdc_matrix(codes: np.ndarray, factors: np.ndarray, seed: int, block: int = 32) -> np.ndarray:
    """Return the coefficient of each column of `codes` with each of `factors`, as (k, c).

    Every code goes through the same sinusoids, so that entries can be compared; the factors have their own. Columns are
    taken in blocks, whose sinusoids are all that memory holds beside the ranks.
    """
    rng = np.random.default_rng(seed)
    # A rank is a whole or a half number (ties), so each sinusoid takes at most 2n values: computed once, looked up after.
    n = len(codes)
    copula = np.arange(2 * n + 1) / (2 * n)
    code_waves, factor_waves = (
        np.sin(copula[:, None] * slopes + offsets) for slopes, offsets in rng.normal(scale=SCALE, size=(2, 2, FEATURES))
    )
    code_ranks, factor_ranks = doubled_ranks(codes), doubled_ranks(factors)
    coefficients = np.empty((codes.shape[1], factors.shape[1]))
    for j in range(0, factors.shape[1], block):
        right = _orthonormal(factor_waves[factor_ranks[j : j + block]])
        for i in range(0, codes.shape[1], block):
            left = _orthonormal(code_waves[code_ranks[i : i + block]])
            between = left.reshape(-1, n) @ right.reshape(-1, n).T
            between = between.reshape(*left.shape[:2], *right.shape[:2]).swapaxes(1, 2)
            coefficients[i : i + block, j : j + block] = np.linalg.norm(between, ord=2, axis=(-2, -1))
    return np.clip(coefficients, 0, 1)


def doubled_ranks(columns: np.ndarray) -> np.ndarray:
    """Return twice the ranks of each column, as (columns, n).

    Ties share their mean rank: ranked apart, they would bring in the order of the rows.
    """
    from scipy.stats import rankdata

    # The smallest type holds 2n for any n that fits in memory, and rows are quicker to sort than columns.
    return np.stack([2 * rankdata(column) for column in columns.T]).astype(np.int32)


def _orthonormal(waves: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of each column's centred sinusoids: (columns, n, features) to (columns, rank, n)."""
    constant = (waves == waves[:, :1]).all(axis=(1, 2))
    waves -= waves.mean(axis=1, keepdims=True)
    variances, directions = np.linalg.eigh(waves.swapaxes(1, 2) @ waves)
    kept = (variances > NEGLIGIBLE * variances[:, -1:]) & ~constant[:, None]
    scales = np.where(kept, 1 / np.sqrt(np.where(kept, variances, 1)), 0)
    rank = max(kept.sum(axis=1).max(), 1)  # eigenvalues ascend: what is kept stands last
    return (waves @ (directions * scales[:, None, :])[:, :, -rank:]).swapaxes(1, 2)


def _match(matrix: np.ndarray, latents: np.ndarray) -> Match:
    entries = np.where(latents < 0, 0, matrix[latents, np.arange(matrix.shape[1])])
    per_factor = abs(entries)
    return Match(float(per_factor.mean()), per_factor, latents, np.sign(entries), matrix)
