"""Matching with labels: which latent is which concept, and whether chance would have found one that fits as well."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ssae_lens.metrics import hungarian
from ssae_lens.metrics.matching import unit_columns

# A latent with less than this share of all codes' energy is what training left of one that it did not need.
NEGLIGIBLE = 1e-6


@dataclass(frozen=True, eq=False)
class Matches:
    """What fits each concept, and how well.

    Attributes
    ----------
    fits
        How well every latent fits every concept, from −1 to 1: Pearson's correlation of its codes with the signed changes.
        With a concept that changes alike in all pairs nothing correlates; there it is Σyh / (‖y‖‖h‖), which is ±1 for a
        latent that always changes with it, and by as much.
    latents
        Each concept's own latent, no two the same and their |fits| largest in sum; −1 where there is none left.
    chances
        How often chance finds a latent, of all latents, that fits as well.
    """

    fits: Float[np.ndarray, "k c"]
    latents: Int[np.ndarray, " c"]
    chances: Float[np.ndarray, " c"]


def matched(
    codes: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n c"], *, shuffles: int, seed: int = 0
) -> Matches:
    """Match concepts with latents one to one, and try as often as asked what chance would find.

    Chance deals labels out anew among the pairs. Those of a concept that changes alike in all pairs would stay as they are:
    there it swaps source and target of every pair or not, as a coin falls. The data as they are count as one of the tries,
    so that `chances` are p-values: of concepts that no latent has to do with, a share of at most p gets p or less.
    """
    energy = np.square(codes, dtype=np.float64).sum(axis=0)
    codes = codes * (energy > NEGLIGIBLE * energy.sum())
    parts = [part for steady in (False, True) if len((part := _Part(codes, labels, steady=steady)).columns)]
    fits = np.zeros((codes.shape[1], labels.shape[1]))
    for part in parts:
        fits[:, part.columns] = part.fits()
    match = hungarian(fits)
    rng = np.random.default_rng(seed)
    as_good = np.ones(labels.shape[1])
    for _ in range(shuffles):
        order, coins = rng.permutation(len(codes)), rng.choice((-1.0, 1.0), (len(codes), 1))
        for part in parts:
            best = abs(part.fits(order, coins)).max(axis=0)
            as_good[part.columns] += best >= match.per_factor[part.columns]
    return Matches(fits, np.where(match.per_factor > 0, match.latents, -1), as_good / (shuffles + 1))


class _Part:
    """The concepts that vary, or those that change alike in all pairs, each beside all codes."""

    def __init__(self, codes: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n c"], *, steady: bool) -> None:
        constant: Bool[np.ndarray, " c"] = (labels == labels[:1]).all(axis=0)
        self.steady = steady
        self.columns = np.flatnonzero(constant == steady)
        values = labels[:, self.columns].astype(np.float64)
        self.codes, self.labels = (
            (each / np.maximum(np.linalg.norm(each, axis=0), np.finfo(float).tiny) for each in (codes, values))
            if steady
            else (unit_columns(each, "pearson") for each in (codes, values))
        )

    def fits(self, order: np.ndarray | None = None, coins: np.ndarray | None = None) -> Float[np.ndarray, "k c"]:
        """Return how well they fit; with an order of the pairs and a coin for each, as chance has it."""
        labels = self.labels
        if order is not None and coins is not None:
            labels = labels * coins if self.steady else labels[order]
        return np.clip(self.codes.T @ labels, -1, 1)
