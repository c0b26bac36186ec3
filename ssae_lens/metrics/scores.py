"""Scores of reconstruction (R², active codes, density) and of steering towards one behaviour (propensity, steerability).

Steerability (Tan et al. 2024) is the change of a behaviour's propensity per unit of the steering vector's scale.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ssae_lens.base.checks import at_least, one_of
from ssae_lens.metrics.arrays import Array, as_array, as_matrix, same_length, same_width
from ssae_lens.metrics.controls import Interval, bootstrap_interval, wilson_interval

# A code counts as active above this fraction of its row's largest.
RELATIVE = 0.1


@dataclass(frozen=True, eq=False)
class Steerability:
    """The slope of each example, and their summary.

    Attributes
    ----------
    slopes
        The change of propensity per unit of scale, in each example.
    mean
        Their mean, with a bootstrap interval over examples.
    anti_steerable
        The fraction of slopes below 0, with Wilson's interval.
    """

    slopes: Float[np.ndarray, "n"]
    mean: Interval
    anti_steerable: Interval


def r2_centred(values: Shaped[Array, "n d"], reconstructed: Shaped[Array, "n d"]) -> float:
    """Return 1 − Σ‖x − x̂‖² / Σ‖x − mean‖²: explained variance, as in SAELens. Predicting the mean scores 0."""
    values, reconstructed = _both(values, reconstructed)
    return _r2(values - values.mean(axis=0), values - reconstructed)


def r2_uncentred(values: Shaped[Array, "n d"], reconstructed: Shaped[Array, "n d"]) -> float:
    """Return 1 − Σ‖x − x̂‖² / Σ‖x‖², which is 1 − FVU about zero. Predicting zero scores 0.

    It is never below `r2_centred`; the two are far apart where all shifts have much in common.
    """
    values, reconstructed = _both(values, reconstructed)
    return _r2(values, values - reconstructed)


def active_codes(codes: Shaped[Array, "n k"], *, relative: float = RELATIVE) -> float:
    """Return the mean number of codes in a row whose |value| is above `relative` times the largest |value| of that row.

    ``relative=0`` counts what is not exactly zero (the L0 of a hard-sparse code); a code from an L1 constraint is never
    exactly zero, so it needs a threshold. A row of zeros has none.
    """
    return float(active(codes, relative).sum(axis=1).mean())


def density(codes: Shaped[Array, "n k"], *, relative: float = RELATIVE) -> Float[np.ndarray, "k"]:
    """Return for each latent the fraction of rows it is active in, as `active_codes` counts; 0 is a dead latent."""
    return active(codes, relative).mean(axis=0)


def mean_abs(codes: Shaped[Array, "n k"]) -> float:
    """Return the mean |code| over rows and latents, which the constraint of an SSAE bounds."""
    return float(abs(as_matrix("codes", codes)).mean(dtype=np.float64))


def active(codes: Shaped[Array, "n k"], relative: float = RELATIVE) -> Bool[np.ndarray, "n k"]:
    """Return which codes are active, as `active_codes` counts."""
    at_least("relative", relative, 0)
    sizes = abs(as_matrix("codes", codes))
    return sizes > relative * sizes.max(axis=1, keepdims=True)


def propensity(logit_pos: Shaped[Array, "n"], logit_neg: Shaped[Array, "n"]) -> Float[np.ndarray, "n"]:
    """Return the logit (or log-probability) of the answer that shows the behaviour minus that of the other."""
    positive, negative = as_array("logit_pos", logit_pos, 1), as_array("logit_neg", logit_neg, 1)
    same_length("logit_pos", positive, "logit_neg", negative)
    return positive.astype(np.float64) - negative


def p_match(logit_pos: Shaped[Array, "n"], logit_neg: Shaped[Array, "n"]) -> Float[np.ndarray, "n"]:
    """Return p(behaviour) / (p(behaviour) + p(other)), as CAA scores A/B questions: the sigmoid of `propensity`."""
    return 0.5 * (1 + np.tanh(propensity(logit_pos, logit_neg) / 2))  # 1 / (1 + e^−m) without overflow


def harmonic_mean(scores: Shaped[Array, "*items n"], *, axis: int = -1) -> Float[np.ndarray, "*items"]:
    """Return the harmonic mean of non-negative scores along an axis: 0 where any score is 0."""
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
        For each example, the `propensity` at each scale.
    confidence
        Of both intervals.
    seed
        Of the bootstrap.
    """
    steps, values = as_array("scales", scales, 1), as_matrix("propensities", propensities)
    if len(steps) != values.shape[1]:
        raise ValueError(
            f"There are {len(steps)} scales, and propensities has {values.shape[1]} columns; give a column for each scale."
        )
    if steps.min() == steps.max():
        raise ValueError(f"scales holds only {steps[0]}; a slope needs at least two different scales.")
    steps = steps.astype(np.float64)
    steps -= steps.mean()
    slopes = values.astype(np.float64) @ steps / (steps @ steps)
    return Steerability(
        slopes,
        bootstrap_interval(slopes, confidence=confidence, seed=seed),
        wilson_interval(int((slopes < 0).sum()), len(slopes), confidence=confidence),
    )


def _both(values: Array, reconstructed: Array) -> tuple[np.ndarray, np.ndarray]:
    original, back = as_matrix("values", values), as_matrix("reconstructed", reconstructed)
    same_length("values", original, "reconstructed", back)
    same_width("values", original, "reconstructed", back)
    return original.astype(np.float64), back.astype(np.float64)


def _r2(total: np.ndarray, residual: np.ndarray) -> float:
    """Return R², as in SAELens: without any variance it is 1 for an exact reconstruction and 0 for another."""
    variance, error = float((total**2).sum()), float((residual**2).sum())
    if variance == 0:
        return 1.0 if error == 0 else 0.0
    return 1 - error / variance
