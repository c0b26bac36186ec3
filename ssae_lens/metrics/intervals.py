"""How sure a number is: bootstrap and Wilson intervals, and a paired test between two methods."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped

from ssae_lens.base.checks import one_of, whole
from ssae_lens.metrics.arrays import Array, as_array, same_length

BootstrapKind = Literal["percentile", "bca"]


@dataclass(frozen=True)
class Interval:
    """A number, and the interval it lies in with this confidence."""

    estimate: float
    low: float
    high: float
    confidence: float = 0.95


@dataclass(frozen=True)
class PairedTest:
    """The mean difference between two methods on the same items, and its two-sided p-value."""

    difference: float
    p_value: float
    n: int


def bootstrap_interval(
    values: Shaped[Array, "n"] | Shaped[Array, "n m"],
    statistic: Callable[[np.ndarray], Any] = np.mean,
    *,
    confidence: float = 0.95,
    kind: BootstrapKind = "percentile",
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a statistic with its bootstrap interval, items drawn again with replacement.

    Parameters
    ----------
    values
        One value for each item, or one row, which is drawn whole (so that scores of one item stay together). Items must
        be independent: average the samples of one prompt before they come here.
    statistic
        From an array like `values` to a number.
    kind
        ``percentile``, or ``bca``, corrected for bias and skew (Efron 1987).
    """
    one_of("kind", kind, ("percentile", "bca"))
    _share("confidence", confidence)
    whole("resamples", resamples, least=100)
    array = as_array("values", values, 2 if np.ndim(values) == 2 else 1)
    n = len(array)
    if n < 2:
        raise ValueError(f"values has {n} items; an interval needs at least 2.")
    rng = np.random.default_rng(seed)
    estimate = float(statistic(array))
    again = np.array([float(statistic(array[rng.integers(n, size=n)])) for _ in range(resamples)])
    tails = np.array([1 - confidence, 1 + confidence]) / 2
    if kind == "bca":
        tails = _corrected(tails, estimate, again, array, statistic)
    low, high = np.quantile(again, tails)
    return Interval(estimate, float(low), float(high), confidence)


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return a share with Wilson's score interval, which is not empty at 0 and 1, as a bootstrap would be."""
    from scipy.special import ndtri

    whole("n", n)
    whole("successes", successes, least=0)
    _share("confidence", confidence)
    if successes > n:
        raise ValueError(f"successes is {successes}; it must be at most n, which is {n}.")
    share, z = successes / n, float(ndtri((1 + confidence) / 2))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At the ends the bound is exact; rounding would put it a hair beyond.
    low = 0.0 if successes == 0 else float(centre - half)
    return Interval(share, low, 1.0 if successes == n else float(centre + half), confidence)


def sign_flip_test(
    first: Shaped[Array, "n"], second: Shaped[Array, "n"], *, draws: int = 10_000, seed: int = 0
) -> PairedTest:
    """Test whether two methods differ in mean on the same items, by flipping the signs of their differences.

    Exact, over all 2ⁿ flips, where these are at most `draws`; drawn otherwise, with the data itself counted as one of the
    draws, so that p is never 0.
    """
    a, b = as_array("first", first, 1), as_array("second", second, 1)
    same_length("first", a, "second", b)
    whole("draws", draws, least=100)
    differences = a.astype(np.float64) - b
    n = len(differences)
    exact = n < 31 and 2**n <= draws
    if exact:
        flips = 1 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
        sums = flips @ differences
    else:
        rng = np.random.default_rng(seed)
        sums = np.array([(1 - 2.0 * rng.integers(2, size=n)) @ differences for _ in range(draws)])
    # Flips that tie with the data in exact arithmetic must tie here too.
    as_far = np.count_nonzero(abs(sums) >= abs(differences.sum()) - 1e-12 * abs(differences).sum())
    p_value = as_far / len(sums) if exact else (as_far + 1) / (draws + 1)
    return PairedTest(float(differences.mean()), float(p_value), n)


def _corrected(
    tails: np.ndarray, estimate: float, again: np.ndarray, array: np.ndarray, statistic: Callable[[np.ndarray], Any]
) -> np.ndarray:
    """Move the two quantiles by the bias of the resamples and the skew of the jackknife."""
    from scipy.special import ndtr, ndtri

    if again.min() == again.max():
        return tails
    # Ties count half; the clip keeps a statistic outside all resamples finite.
    below = np.mean(again < estimate) + np.mean(again == estimate) / 2
    bias = ndtri(np.clip(below, 0.5 / len(again), 1 - 0.5 / len(again)))
    without = np.array([float(statistic(np.delete(array, i, axis=0))) for i in range(len(array))])
    pull = without.mean() - without
    spread = (pull**2).sum() ** 1.5
    skew = (pull**3).sum() / (6 * spread) if spread > 0 else 0.0
    z = bias + ndtri(tails)
    return ndtr(bias + z / (1 - skew * z))


def _share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value!r}; it must be between 0 and 1, such as 0.95.")
