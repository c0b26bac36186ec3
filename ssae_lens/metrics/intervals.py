"""Intervals and tests: bootstrap and Wilson intervals of a number, and a paired test between two methods.

The bootstrap and the test are not SciPy's, whose draws from one seed differ: published numbers stay as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ssae_lens.base.checks import integer
from ssae_lens.metrics.arrays import Array, as_array, same_length


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
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a statistic with its percentile bootstrap interval: items are resampled with replacement.

    Parameters
    ----------
    values
        One value for each item, or one row, which is drawn whole (so that scores of one item stay together). Items must
        be independent: average the samples of one prompt before they come here.
    statistic
        From an array like `values` to a number.
    confidence
        Of the interval.
    resamples, seed
        How many times items are drawn, and from which seed.

    See Also
    --------
    scipy.stats.bootstrap : with other kinds, such as BCa.
    """
    _share("confidence", confidence)
    integer("resamples", resamples, minimum=100)
    array = as_array("values", values, 2 if np.ndim(values) == 2 else 1)
    n = len(array)
    if n < 2:
        raise ValueError(f"values has {n} items; an interval needs at least 2.")
    rng = np.random.default_rng(seed)
    estimate = float(statistic(array))
    resampled = np.array([float(statistic(array[rng.integers(n, size=n)])) for _ in range(resamples)])
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high), confidence)


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return a share with Wilson's score interval, which has a width at 0 and 1 too, where a bootstrap has none."""
    from scipy.stats import binomtest

    integer("n", n)
    integer("successes", successes, minimum=0)
    _share("confidence", confidence)
    if successes > n:
        raise ValueError(f"successes is {successes}; it must be at most n, which is {n}.")
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(interval.low), float(interval.high), confidence)


def sign_flip_test(
    first: Shaped[Array, "n"], second: Shaped[Array, "n"], *, draws: int = 10_000, seed: int = 0
) -> PairedTest:
    """Test whether two methods differ in mean on the same items, by flipping the signs of their differences.

    The test is exact, over all 2ⁿ flips, where these are at most `draws`. Otherwise flips are drawn, and the data itself
    counts as one of the draws, so that p is never 0.
    """
    a, b = as_array("first", first, 1), as_array("second", second, 1)
    same_length("first", a, "second", b)
    integer("draws", draws, minimum=100)
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
    as_extreme = np.count_nonzero(abs(sums) >= abs(differences.sum()) - 1e-12 * abs(differences).sum())
    p_value = as_extreme / len(sums) if exact else (as_extreme + 1) / (draws + 1)
    return PairedTest(float(differences.mean()), float(p_value), n)


def _share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value!r}; it must be between 0 and 1, such as 0.95.")
