"""Scores of steering towards one behaviour: propensity, its probability, harmonic means, and steerability.

Steerability (Tan et al. 2024) is how much the propensity of a behaviour moves with the scale of the steering vector.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base.checks import one_of
from ssae_lens.metrics.arrays import Array, as_array, as_matrix, same_length
from ssae_lens.metrics.intervals import Interval, bootstrap_interval, wilson_interval


@dataclass(frozen=True, eq=False)
class Steerability:
    """The slope of each example, their mean, and the share of examples that move the wrong way.

    Attributes
    ----------
    slopes
        Propensity gained for one unit of scale, in each example.
    mean
        Their mean, with a bootstrap interval over examples.
    anti_steerable
        The share of slopes below 0, with Wilson's interval.
    """

    slopes: Float[np.ndarray, "n"]
    mean: Interval
    anti_steerable: Interval


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


def steerability(
    scales: Shaped[Array, "m"], propensities: Shaped[Array, "n m"], *, confidence: float = 0.95, seed: int = 0
) -> Steerability:
    """Fit each example's propensity as a line in the scale, by least squares.

    Parameters
    ----------
    scales
        The multipliers λ, such as −1.5, −1, −0.5, 0, 0.5, 1, 1.5.
    propensities
        For each example, the propensity (logit of the behaviour's answer less that of the other) at each scale.
    confidence
        Of both intervals.
    seed
        Of the bootstrap.
    """
    steps, moved = as_array("scales", scales, 1), as_matrix("propensities", propensities)
    if len(steps) != moved.shape[1]:
        raise ValueError(
            f"There are {len(steps)} scales, and propensities has {moved.shape[1]} columns; give one column for each scale."
        )
    if steps.min() == steps.max():
        raise ValueError(f"scales holds only {steps[0]}; a slope needs at least two different scales.")
    steps = steps.astype(np.float64)
    steps -= steps.mean()
    slopes = moved.astype(np.float64) @ steps / (steps @ steps)
    return Steerability(
        slopes,
        bootstrap_interval(slopes, confidence=confidence, seed=seed),
        wilson_interval(int((slopes < 0).sum()), len(slopes), confidence=confidence),
    )
