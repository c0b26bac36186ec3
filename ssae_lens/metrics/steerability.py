"""Steerability (Tan et al. 2024): how much the propensity of a behaviour moves with the scale of the steering vector."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.metrics.arrays import Array, as_array, as_matrix
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
