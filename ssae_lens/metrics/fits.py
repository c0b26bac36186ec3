"""Fits of codes to signed changes: correlations, the matching of concepts with latents, permutation tests and intervals."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ssae_lens.metrics.controls import bootstrap_interval
from ssae_lens.metrics.matching import hungarian, unit_columns

# A latent with less than this fraction of the energy of all codes counts as unused.
MIN_ENERGY = 1e-6
N_BOOTSTRAP = 500


@dataclass(frozen=True, eq=False)
class Matches:
    """The fit of every latent to every concept, and the one-to-one matching.

    Attributes
    ----------
    fits
        Pearson correlations of codes with signed changes. A concept with the same change in all pairs has no correlation;
        its fit is the cosine Σyh / (‖y‖‖h‖).
    latents
        The latent of each concept in the matching with the largest sum of |fits|; −1 where no latent is left.
    p_values
        Permutation p-values of the largest |fit| of any latent to each concept.
    """

    fits: Float[np.ndarray, "k c"]
    latents: Int[np.ndarray, " c"]
    p_values: Float[np.ndarray, " c"]


def matched(
    codes: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n c"], *, n_permutations: int, seed: int = 0
) -> Matches:
    """Match concepts with latents one to one, with a permutation test of each fit.

    The null distribution permutes the labels among the pairs. For a concept with the same change in all pairs it flips the
    direction of each pair at random instead. The statistic is the largest |fit| over all latents, and the data themselves
    count as one permutation: p = (1 + #{permuted ≥ observed}) / (1 + n_permutations). All permutations are computed as one
    product of matrices, which `scipy.stats.permutation_test` cannot do for many latents and concepts at once.
    """
    energy = np.square(codes, dtype=np.float64).sum(axis=0)
    codes = codes * (energy > MIN_ENERGY * energy.sum())
    parts = [part for constant in (False, True) if len((part := _Part(codes, labels, constant=constant)).columns)]
    fits = np.zeros((codes.shape[1], labels.shape[1]))
    for part in parts:
        fits[:, part.columns] = part.fits()
    match = hungarian(fits)
    rng = np.random.default_rng(seed)
    n_as_large = np.ones(labels.shape[1])
    for _ in range(n_permutations):
        order, flips = rng.permutation(len(codes)), rng.choice((-1.0, 1.0), (len(codes), 1))
        for part in parts:
            largest = abs(part.fits(order, flips)).max(axis=0)
            n_as_large[part.columns] += largest >= match.per_factor[part.columns]
    return Matches(fits, np.where(match.per_factor > 0, match.latents, -1), n_as_large / (n_permutations + 1))


class _Part:
    """The concepts whose changes vary over pairs, or those whose changes are constant, with all codes."""

    def __init__(self, codes: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n c"], *, constant: bool) -> None:
        is_constant: Bool[np.ndarray, " c"] = (labels == labels[:1]).all(axis=0)
        self.constant = constant
        self.columns = np.flatnonzero(is_constant == constant)
        values = labels[:, self.columns].astype(np.float64)
        self.codes, self.labels = (
            (matrix / np.maximum(np.linalg.norm(matrix, axis=0), np.finfo(float).tiny) for matrix in (codes, values))
            if constant
            else (unit_columns(matrix, "pearson") for matrix in (codes, values))
        )

    def fits(self, order: np.ndarray | None = None, flips: np.ndarray | None = None) -> Float[np.ndarray, "k c"]:
        """Return the fits; with an order of the pairs and a flip of each, those of the permuted data."""
        labels = self.labels
        if order is not None and flips is not None:
            labels = labels * flips if self.constant else labels[order]
        return np.clip(self.codes.T @ labels, -1, 1)


def fit_of(code: Float[np.ndarray, " n"], changes: Int[np.ndarray, " n"]) -> float:
    """Return the |fit| of one code to one concept, as in `Matches`."""
    constant = bool((changes == changes[0]).all())
    return float(abs(_Part(code[:, None], changes[:, None], constant=constant).fits()[0, 0]))


def fit_interval(code: Float[np.ndarray, " n"], changes: Int[np.ndarray, " n"], seed: int) -> list[float]:
    """Return the 95 % percentile bootstrap interval of a |fit| over pairs."""
    both = np.stack([code, changes], axis=1).astype(np.float64)
    found = bootstrap_interval(both, lambda rows: fit_of(rows[:, 0], rows[:, 1]), resamples=N_BOOTSTRAP, seed=seed)
    return [found.low, found.high]
