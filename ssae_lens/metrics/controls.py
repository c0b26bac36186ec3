"""Controls and intervals: scores under randomisation and at chance, bootstrap and Wilson intervals, a paired test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base.checks import integer, one_of
from ssae_lens.metrics.arrays import Array, as_array, as_matrix, same_length, same_width
from ssae_lens.metrics.matching import Match, hungarian

Rule = Literal["hungarian", "max", "signed max"]
RULES: tuple[Rule, ...] = ("hungarian", "max", "signed max")


@dataclass(frozen=True, eq=False)
class Control:
    """A score of randomised data, repeated: the mean and standard deviation, and the score of every repeat."""

    mean: float
    sd: float
    scores: Float[np.ndarray, "repeats"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval."""

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


def control_shuffled(
    score: Callable[[np.ndarray, np.ndarray], Match | float],
    codes: Shaped[Array, "n k"],
    factors: Shaped[Array, "n c"],
    *,
    repeats: int = 20,
    seed: int = 0,
) -> Control:
    """Score `codes` against `factors` with shuffled rows.

    Rows move whole: the dependence among factors stays, and only that between codes and factors is removed.

    Parameters
    ----------
    score
        Such as `mcc_codes`, or ``lambda codes, factors: dci(codes, factors).disentanglement``.
    codes, factors
        Row i of both is the same example.
    """
    codes, factors = as_matrix("codes", codes), as_matrix("factors", factors)
    same_length("codes", codes, "factors", factors, minimum=2)
    rng = np.random.default_rng(seed)
    return _repeated(lambda: score(codes, factors[rng.permutation(len(factors))]), repeats)


def control_rotated(
    score: Callable[[np.ndarray, np.ndarray], Match | float],
    decoder: Shaped[Array, "k d"],
    directions: Shaped[Array, "c d"],
    *,
    repeats: int = 20,
    seed: int = 0,
) -> Control:
    """Score `decoder` against `directions` rotated at random, all together.

    Norms and angles among the directions stay. (Shuffling their order would change nothing.)
    """
    decoder, directions = as_matrix("decoder", decoder), as_matrix("directions", directions)
    same_width("decoder", decoder, "directions", directions)
    rng = np.random.default_rng(seed)
    # directions = body @ frame, with orthonormal rows in the frame: a random frame is a random rotation.
    left, spread, frame = np.linalg.svd(directions, full_matrices=False)
    body = left * spread

    def rotated() -> np.ndarray:
        return body @ np.linalg.qr(rng.normal(size=frame.T.shape)).Q.T

    return _repeated(lambda: score(decoder, rotated()), repeats)


def expected_chance(
    dimensions: int,
    n_latents: int,
    n_factors: int,
    *,
    rule: Rule = "hungarian",
    draws: int = 32,
    seed: int = 0,
) -> float:
    """Return the expected score of codes that are independent of the factors.

    Between independent Gaussian columns a squared correlation follows Beta(½, (m − 1)/2) in m = n − 1 dimensions
    (centring takes one), and so does a squared cosine between random directions in m = d. The largest of k is an integral
    of its quantiles, near √(2 ln k / m); the Hungarian sum over k × c independent ones is drawn. Pearson's and, but for
    small n, Spearman's correlations follow this, whatever the distribution of many rows.

    Parameters
    ----------
    dimensions
        Rows less one for correlations; the width d for cosines of decoder rows.
    n_latents, n_factors
        k and c.
    rule
        ``hungarian`` for `mcc_codes` and `mcc_decoders` (mean over the factors), ``max`` and ``signed max`` for
        `mcc_max`.
    draws, seed
        Of the Hungarian sum.
    """
    integer("dimensions", dimensions, minimum=2)
    integer("n_latents", n_latents)
    integer("n_factors", n_factors)
    one_of("rule", rule, RULES)
    if rule == "hungarian":
        integer("draws", draws)
        rng = np.random.default_rng(seed)
        squares = (rng.beta(0.5, (dimensions - 1) / 2, size=(n_latents, n_factors)) for _ in range(draws))
        return float(np.mean([hungarian(np.sqrt(entries)).score for entries in squares]))
    return _expected_largest(dimensions, n_latents, signed=rule == "signed max")


def bootstrap_interval(
    values: Shaped[Array, "n"] | Shaped[Array, "n m"],
    statistic: Callable[[np.ndarray], Any] = np.mean,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a statistic with its percentile bootstrap interval over items (`scipy.stats.bootstrap`).

    Parameters
    ----------
    values
        One value for each item, or one row, which is drawn whole (so that scores of one item stay together). Items must
        be independent: average the samples of one prompt first.
    statistic
        From an array like `values` to a number.
    confidence
        Of the interval.
    resamples, seed
        The number of resamples, and their seed.
    """
    from scipy.stats import bootstrap

    _check_confidence(confidence)
    integer("resamples", resamples, minimum=100)
    array = as_array("values", values, 2 if np.ndim(values) == 2 else 1)
    if len(array) < 2:
        raise ValueError(f"values has {len(array)} items; an interval needs at least 2.")
    drawn = bootstrap(
        (np.arange(len(array)),),
        lambda rows: float(statistic(array[rows])),
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        vectorized=False,
        random_state=np.random.default_rng(seed),  # pyright: ignore[reportCallIssue]  (`rng` from SciPy 1.15 on)
    ).confidence_interval
    return Interval(float(statistic(array)), float(drawn.low), float(drawn.high), confidence)


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return a fraction with Wilson's score interval, which has a width at 0 and 1 too, where a bootstrap has none."""
    from scipy.stats import binomtest

    integer("n", n)
    integer("successes", successes, minimum=0)
    _check_confidence(confidence)
    if successes > n:
        raise ValueError(f"successes is {successes}; it must be at most n, which is {n}.")
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(interval.low), float(interval.high), confidence)


def sign_flip_test(
    first: Shaped[Array, "n"], second: Shaped[Array, "n"], *, draws: int = 10_000, seed: int = 0
) -> PairedTest:
    """Test whether two methods differ in mean on the same items, by flipping the signs of their differences.

    The test is exact, over all 2ⁿ flips, where these are at most `draws`. Otherwise flips are drawn, and the data itself
    counts as one of the draws, so that p is never 0. (`scipy.stats.permutation_test` doubles the smaller tail, which is
    another p-value where flips are drawn.)
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


def _expected_largest(dimensions: int, k: int, *, signed: bool) -> float:
    """Integrate the quantile of the largest of k: that at u is the quantile of one at u^(1/k)."""
    from scipy.special import betaincinv

    nodes, weights = np.polynomial.legendre.leggauss(400)
    # u = sin²: the quantile is steep at both ends, where the nodes are dense.
    angle = (nodes + 1) * np.pi / 4
    level = np.sin(angle) ** (2 / k)
    weights = weights * np.pi / 4 * np.sin(2 * angle)
    if signed:
        level = 2 * level - 1
    entry = np.sign(level) * np.sqrt(betaincinv(0.5, (dimensions - 1) / 2, abs(level)))
    return float(weights @ entry)


def _repeated(score: Callable[[], Match | float], repeats: int) -> Control:
    integer("repeats", repeats, minimum=2)
    results = (score() for _ in range(repeats))
    scores = np.array([result.score if isinstance(result, Match) else float(result) for result in results])
    return Control(float(scores.mean()), float(scores.std(ddof=1)), scores)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}; it must be between 0 and 1, such as 0.95.")
