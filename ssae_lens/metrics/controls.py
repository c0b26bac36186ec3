"""Controls: a score on shuffled factors and on rotated directions, and its expected value for independent codes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base.checks import at_least, integer, one_of
from ssae_lens.metrics.arrays import Array, as_matrix, same_length, same_width
from ssae_lens.metrics.matching import Match, hungarian

Rule = Literal["hungarian", "max", "signed max"]
RULES: tuple[Rule, ...] = ("hungarian", "max", "signed max")


@dataclass(frozen=True, eq=False)
class Control:
    """A score of randomised data, repeated: the mean and standard deviation, and the score of every repeat."""

    mean: float
    sd: float
    scores: Float[np.ndarray, "repeats"]


def control_shuffled(
    score: Callable[[np.ndarray, np.ndarray], Match | float],
    codes: Shaped[Array, "n k"],
    factors: Shaped[Array, "n c"],
    *,
    repeats: int = 20,
    seed: int = 0,
) -> Control:
    """Score `codes` against `factors` whose rows are shuffled.

    Rows move whole: the dependence among factors stays, and only that between codes and factors goes.

    Parameters
    ----------
    score
        Such as `mcc_codes`, or ``lambda codes, factors: dci(codes, factors).disentanglement``.
    codes, factors
        Row i of both is the same example.
    """
    codes, factors = as_matrix("codes", codes), as_matrix("factors", factors)
    same_length("codes", codes, "factors", factors, least=2)
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

    Shuffling their order would change nothing. Norms and angles among the directions stay.
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
    small n, Spearman's correlations follow this, whatever the distribution of many rows; for RDC use `control_shuffled`.

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


def _expected_largest(dimensions: int, k: int, *, signed: bool) -> float:
    """Integrate the quantile of the largest of k: that at u is the quantile of one at u^(1/k)."""
    from scipy.special import betaincinv

    nodes, weights = np.polynomial.legendre.leggauss(400)
    # u = sin²: the quantile is steep at both ends, and the nodes crowd there.
    angle = (nodes + 1) * np.pi / 4
    level = np.sin(angle) ** (2 / k)
    weights = weights * np.pi / 4 * np.sin(2 * angle)
    if signed:
        level = 2 * level - 1
    entry = np.sign(level) * np.sqrt(betaincinv(0.5, (dimensions - 1) / 2, abs(level)))
    return float(weights @ entry)


def _repeated(score: Callable[[], Match | float], repeats: int) -> Control:
    at_least("repeats", repeats, 2)
    integer("repeats", repeats)
    results = (score() for _ in range(repeats))
    scores = np.array([result.score if isinstance(result, Match) else float(result) for result in results])
    return Control(float(scores.mean()), float(scores.std(ddof=1)), scores)
