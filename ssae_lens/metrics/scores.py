"""Scores of one behaviour: propensity and its probability, and the harmonic mean that joins several scores."""

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base.checks import one_of
from ssae_lens.metrics.arrays import Array, as_array, same_length


def propensity(logit_pos: Shaped[Array, "n"], logit_neg: Shaped[Array, "n"]) -> Float[np.ndarray, "n"]:
    """Return the logit of the answer that shows the behaviour less that of the other; log-probabilities do as well."""
    first, second = as_array("logit_pos", logit_pos, 1), as_array("logit_neg", logit_neg, 1)
    same_length("logit_pos", first, "logit_neg", second)
    return first.astype(np.float64) - second


def p_match(logit_pos: Shaped[Array, "n"], logit_neg: Shaped[Array, "n"]) -> Float[np.ndarray, "n"]:
    """Return p(behaviour) / (p(behaviour) + p(other)), as CAA scores A/B questions: the sigmoid of `propensity`."""
    return 0.5 * (1 + np.tanh(propensity(logit_pos, logit_neg) / 2))  # 1 / (1 + e^−m), which overflows nowhere


def harmonic_mean(scores: Shaped[Array, "*items n"], *, axis: int = -1) -> Float[np.ndarray, "*items"]:
    """Return the harmonic mean of non-negative scores along an axis: 0 where any is 0, so that none makes up for another."""
    array = as_array("scores", scores, max(np.ndim(scores), 1)).astype(np.float64)
    one_of("axis", axis, range(-array.ndim, array.ndim))
    if (array < 0).any():
        raise ValueError(f"scores holds {array.min()}; all must be at least 0, so scale them to 0–1 first.")
    zero = (array == 0).any(axis=axis)
    inverse = (1 / np.where(array == 0, 1, array)).mean(axis=axis)
    return np.where(zero, 0, 1 / inverse)
