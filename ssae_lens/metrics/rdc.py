"""The randomised dependence coefficient (Lopez-Paz, Hennig and Schölkopf 2013), for every latent with every factor.

Each variable is replaced by its ranks over n (its copula), sent through random sinusoids, and the largest canonical
correlation between the two sets of sinusoids is the coefficient: 1 for any smooth dependence, monotone or not.
"""

import numpy as np

# The settings of the evaluations of nonlinear ICA (and of the SSAE's authors): weights from N(0, 0.5²).
FEATURES = 20
SCALE = 0.5
# Sinusoids this slow are nearly polynomials of low degree: the directions below this share of the largest variance are
# rounding, and would correlate with anything.
NEGLIGIBLE = 1e-10


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
    found = np.empty((codes.shape[1], factors.shape[1]))
    for j in range(0, factors.shape[1], block):
        right = _orthonormal(factor_waves[factor_ranks[j : j + block]])
        for i in range(0, codes.shape[1], block):
            left = _orthonormal(code_waves[code_ranks[i : i + block]])
            between = left.reshape(-1, n) @ right.reshape(-1, n).T
            between = between.reshape(*left.shape[:2], *right.shape[:2]).swapaxes(1, 2)
            found[i : i + block, j : j + block] = np.linalg.norm(between, ord=2, axis=(-2, -1))
    return np.clip(found, 0, 1)


def doubled_ranks(columns: np.ndarray) -> np.ndarray:
    """Return twice the ranks of each column, as (columns, n).

    Ties share their mean rank: told apart, they would bring in the order of the rows.
    """
    from scipy.stats import rankdata

    # The smallest type holds 2n for any n that fits in memory, and rows are quicker to sort than columns.
    return np.stack([2 * rankdata(each) for each in columns.T]).astype(np.int32)


def _orthonormal(waves: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of each column's centred sinusoids: (columns, n, features) to (columns, rank, n)."""
    constant = (waves == waves[:, :1]).all(axis=(1, 2))
    waves -= waves.mean(axis=1, keepdims=True)
    variances, directions = np.linalg.eigh(waves.swapaxes(1, 2) @ waves)
    kept = (variances > NEGLIGIBLE * variances[:, -1:]) & ~constant[:, None]
    scales = np.where(kept, 1 / np.sqrt(np.where(kept, variances, 1)), 0)
    rank = max(kept.sum(axis=1).max(), 1)  # eigenvalues ascend: what is kept stands last
    return (waves @ (directions * scales[:, None, :])[:, :, -rank:]).swapaxes(1, 2)
