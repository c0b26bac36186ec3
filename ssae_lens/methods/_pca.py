"""PCA: the direction of the largest variance of the shifts."""

import numpy as np

from ssae_lens.methods.contrast import Contrast
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector


def pca(shifts: ShiftStore, concept: str = "") -> SteeringVector:
    """Return the first principal direction of the pairs, each centred on its own mean, as long as the pairs move along it.

    With u the unit vector that makes Σ (u·δᵢ)² largest, v = (u·m)u, where m is the mean signed shift. Centred on their
    mean, the sides of pair i are ±δᵢ/2, so u is as well the first right singular vector of the matrix of shifts, not
    centred; the shifts' signs do not matter to u. They give v its sign and its length: a scale of 1 adds as much as the
    pairs move along u on average. Where the pairs move along u in both directions, that is hardly anything.

    Parameters
    ----------
    shifts, concept
        As in `mean_shift`.
    """
    from scipy.linalg import eigh

    contrast = Contrast.of(shifts, concept, min_pairs=2)
    moments = np.zeros((shifts.d_model, shifts.d_model))
    for negative, positive in contrast.blocks():
        moved = positive.astype(np.float64) - negative
        moments += moved.T @ moved
    last = shifts.d_model - 1
    _, vectors = eigh(moments, subset_by_index=[last, last], overwrite_a=True)
    return contrast.vector_along(vectors[:, 0], "pca")
