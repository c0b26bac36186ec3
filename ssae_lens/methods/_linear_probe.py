"""Linear probe: the direction that separates the two sides of the pairs best."""

import numpy as np

from ssae_lens.base import checks
from ssae_lens.methods.contrast import Contrast
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector


def linear_probe(
    shifts: ShiftStore, concept: str = "", *, C: float = 1.0, max_pairs: int = 20_000, seed: int = 0
) -> SteeringVector:
    """Return the weights of a logistic regression between the two sides, as long as the pairs move along them.

    With x̂ the activations less their mean and divided by their root mean square (one number for all dimensions), w and b
    make C · Σ log(1 + exp(−y(w·x̂ + b))) + ½‖w‖² least, y = +1 for the sides with the concept and −1 for those without. With
    u = w/‖w‖ and m the mean signed shift, v = (u·m)u: a scale of 1 adds as much as the pairs move along u on average.

    Parameters
    ----------
    shifts, concept
        As in `mean_shift`.
    C
        scikit-learn's: how much the examples count beside the penalty.
    max_pairs, seed
        How many of the pairs to fit to, at most; these are held in memory. `seed` selects which.

    Notes
    -----
    The direction that separates the sides best need not be the one along which they differ: the weights also cancel what
    the sides have in common. Probes therefore often steer worse than `mean_shift`.
    """
    from sklearn.linear_model import LogisticRegression

    checks.above("C", C, 0)
    checks.integer("max_pairs", max_pairs, minimum=2)
    checks.integer("seed", seed, minimum=0)
    contrast = Contrast.of(shifts, concept, min_pairs=2)
    sides = zip(*contrast.sample(max_pairs, seed).blocks(), strict=True)
    rows = np.concatenate([np.concatenate(blocks) for blocks in sides]).astype(np.float64)
    positive = np.arange(len(rows)) >= len(rows) // 2
    rows -= rows.mean(0)
    rows /= np.sqrt(np.mean(rows**2)) or 1.0
    # Fine enough that the direction, and not only the score, is the solution's.
    fitted = LogisticRegression(C=C, tol=1e-6, max_iter=2000).fit(rows, positive)
    if not fitted.coef_.any():
        raise ValueError("Both sides of the pairs are alike, and nothing tells them apart; give pairs that differ.")
    return contrast.vector_along(fitted.coef_[0], "linear_probe")
