"""Synthetic shifts with ground truth: products of sparse codes and directions.

`dgp` makes the data of the reference code, `synthetic_shifts` data of adjustable difficulty, `cat` categorical attributes.
"""

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from ssae_lens.base import checks

Magnitudes = Literal["normal", "uniform", "constant", "signs", "laplace"]
TEST_SHARE = 0.2
CONTEXTS = 8

# Quantile functions of the values of changed concepts; with them, values of any distribution can be correlated.
_LAWS: dict[str, Any] = {
    "constant": np.ones_like,
    "uniform": lambda u: u,
    "signs": lambda u: np.where(u < 0.5, -1.0, 1.0),
    "laplace": lambda u: np.sign(u - 0.5) * -np.log1p(-2 * np.abs(u - 0.5).clip(max=0.5 - 1e-12)),
}


@dataclass(frozen=True, eq=False)
class SyntheticData:
    """Synthetic shifts with their codes and directions.

    Attributes
    ----------
    shifts
        The shifts.
    codes, directions
        The change of each concept in each shift, and the direction of each concept.
    name, description
        A short name, and a description.
    max_changed
        The maximum number of concepts that change in a shift.
    settings
        The arguments that made it.
    """

    shifts: Float[np.ndarray, "n d"]
    codes: Float[np.ndarray, "n c"]
    directions: Float[np.ndarray, "c d"]
    name: str
    description: str
    max_changed: int
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def n_train(self) -> int:
        """The number of training shifts, which come first."""
        return round(len(self.shifts) * (1 - TEST_SHARE))

    @property
    def train(self) -> Float[np.ndarray, "n_train d"]:
        """The training shifts."""
        return self.shifts[: self.n_train]

    @property
    def test(self) -> Float[np.ndarray, "n_test d"]:
        """The held-out shifts."""
        return self.shifts[self.n_train :]

    @property
    def test_codes(self) -> Float[np.ndarray, "n_test c"]:
        """The codes of the held-out shifts."""
        return self.codes[self.n_train :]


def dgp(
    number: int, *, max_condition: float | None = 200.0, n: int = 10_000, seed: int = 0, name: str | None = None
) -> SyntheticData:
    """Make one of the three synthetic data sets of the reference code.

    Nine concepts in nine dimensions, of which 0 to 5 (uniform) change, by 1 (number 1), U(0, 1) (number 2) or N(0, 1)
    (number 3). Directions are the rows of an invertible matrix of random integers from 1 to 8.

    Parameters
    ----------
    max_condition
        Redraw matrices with a larger condition number; the reference does not. None accepts any invertible matrix.
    """
    checks.one_of("number", number, [1, 2, 3])
    if max_condition is not None:
        checks.at_least("max_condition", max_condition, 30, "Hardly any matrix of integers from 1 to 8 has less.")
    rng = _generator(seed, number)
    magnitudes: Magnitudes = ("constant", "uniform", "normal")[number - 1]
    size = 9
    directions = np.zeros((size, size))
    while abs(np.linalg.det(directions)) < 0.5 or np.linalg.cond(directions) > (max_condition or np.inf):
        # Determinants of integers are integers.
        directions = rng.integers(1, size, (size, size)).astype(float)
    codes = _choose(rng, n, size, 0, 5) * _values(rng, n, size, magnitudes, 0.0)
    about = f"9 concepts in 9 dimensions, 0–5 change, values {magnitudes}, integer mixing"
    settings = {"number": number, "max_condition": max_condition, "n": n, "seed": seed}
    return _made(codes @ directions, codes, directions, name or f"DGP{number}", about, 5, settings)


def synthetic_shifts(
    d: int,
    n_concepts: int,
    *,
    max_changed: int = 3,
    correlation: float = 0.0,
    value_correlation: float = 0.0,
    magnitudes: Magnitudes = "normal",
    noise_db: float | None = None,
    condition: float | None = None,
    context_dependence: float = 0.0,
    nonlinearity: float = 0.0,
    n: int = 10_000,
    seed: int = 0,
    name: str | None = None,
) -> SyntheticData:
    """Make synthetic shifts of adjustable difficulty.

    Parameters
    ----------
    d, n_concepts
        Numbers of dimensions and of concepts; either may be larger.
    max_changed
        The number of concepts that change in a shift is uniform from 1 to this.
    correlation
        Correlation of the changes of concepts 0 and 1, 2 and 3, …, as of two 0/1 variables.
    value_correlation
        Correlation of their values when both change (of normal scores if values are not normal).
    magnitudes
        Distribution of values: ``"normal"``, ``"uniform"`` (0 to 1), ``"constant"`` (1), ``"signs"`` (±1), ``"laplace"``.
    noise_db
        Signal-to-noise ratio of added Gaussian noise, in decibels. None adds none.
    condition
        The condition number of the directions. None draws them uniformly on the sphere.
    context_dependence
        The fraction of the energy of a concept's shift that depends on the context (one of eight, drawn for each shift), and
        not on the direction common to all contexts.
    nonlinearity
        From 0 (activations are linear in concepts) to 1 (the tanh of a linear function).
    """
    settings = {k: v for k, v in locals().items() if k != "name"}
    _check(settings)
    rng = _generator(seed)
    directions = _directions(rng, n_concepts, d, condition)
    changed = _correlated_changes(rng, n, n_concepts, max_changed, correlation)
    codes = changed * _values(rng, n, n_concepts, magnitudes, value_correlation)
    moved = _context_dependent(rng, codes, directions, context_dependence)
    if nonlinearity:
        moved = _through_tanh(rng, moved, directions, nonlinearity)
    if noise_db is not None:
        spread = np.sqrt((moved**2).mean() * 10 ** (-noise_db / 10))
        moved = moved + spread * rng.normal(size=moved.shape)
    parts = [f"{n_concepts} concepts in {d} dimensions", f"1–{max_changed} change"]
    parts += [f"values {magnitudes}"] if magnitudes != "normal" else []
    parts += [f"changes correlated at {correlation:g}"] if correlation else []
    parts += [f"values correlated at {value_correlation:g}"] if value_correlation else []
    parts += [f"noise at {noise_db:g} dB"] if noise_db is not None else []
    parts += [f"condition {condition:g}"] if condition is not None else []
    parts += [f"{context_dependence:.0%} of each shift depends on the context"] if context_dependence else []
    parts += [f"nonlinearity {nonlinearity:g}"] if nonlinearity else []
    return _made(moved, codes, directions, name or f"d={d}, c={n_concepts}", ", ".join(parts), max_changed, settings)


def cat(
    *, d: int = 512, values: int = 10, attributes: int = 3, n: int = 10_000, seed: int = 0, name: str | None = None
) -> SyntheticData:
    """Make data of categorical attributes: by default "shape colour object", CAT(135, 3).

    From one to all attributes are resampled to another value. Every unordered pair of an attribute's values is a concept
    (135 of them), with a Gaussian direction of its own; its code is 1 one way, −1 the other.
    """
    for argument, value in (("d", d), ("values", values), ("attributes", attributes), ("n", n)):
        checks.integer(argument, value, 2 if argument == "values" else 1)
    rng = _generator(seed)
    number = np.full((values, values), -1)
    pairs = list(combinations(range(values), 2))
    for concept, (low, high) in enumerate(pairs):
        number[low, high] = number[high, low] = concept
    before = rng.integers(0, values, (n, attributes))
    after = (before + rng.integers(1, values, (n, attributes))) % values
    changed = _choose(rng, n, attributes, 1, attributes)
    codes = np.zeros((n, attributes, len(pairs)))
    row, attribute = np.nonzero(changed)
    low, high = before[row, attribute], after[row, attribute]
    codes[row, attribute, number[low, high]] = np.where(high > low, 1.0, -1.0)
    codes = codes.reshape(n, -1)
    directions = rng.normal(size=(codes.shape[1], d)) / np.sqrt(d)
    about = f"{codes.shape[1]} differences of {attributes} attributes with {values} values in {d} dimensions"
    settings = {"d": d, "values": values, "attributes": attributes, "n": n, "seed": seed}
    name = name or f"CAT({codes.shape[1]},{attributes})"
    return _made(codes @ directions, codes, directions, name, about, attributes, settings)


def _generator(seed: int, number: int = 0) -> np.random.Generator:
    """Return a generator that differs from that of a method with the same seed, which must not draw the same directions."""
    return np.random.default_rng([seed, 1 + number])


def _made(
    shifts: np.ndarray,
    codes: np.ndarray,
    directions: np.ndarray,
    name: str,
    about: str,
    max_changed: int,
    settings: dict[str, Any],
) -> SyntheticData:
    single = (values.astype(np.float32) for values in (shifts, codes, directions))
    return SyntheticData(*single, name=name, description=about, max_changed=max_changed, settings=settings)


def _check(settings: dict[str, Any]) -> None:
    for name in ("d", "n_concepts", "max_changed", "n"):
        checks.integer(name, settings[name])
    checks.one_of("magnitudes", settings["magnitudes"], ["normal", *_LAWS])
    for name in ("correlation", "value_correlation", "context_dependence", "nonlinearity"):
        if not 0 <= settings[name] <= 1:
            raise ValueError(f"{name} is {settings[name]!r}; it must be between 0 and 1.")
    if settings["max_changed"] > settings["n_concepts"]:
        raise ValueError(f"max_changed is {settings['max_changed']}, of {settings['n_concepts']} concepts; lower it.")
    if settings["n_concepts"] % 2 and (settings["correlation"] or settings["value_correlation"]):
        raise ValueError(
            f"n_concepts is {settings['n_concepts']}; correlated concepts come in pairs: give an even number."
        )
    if settings["condition"] is not None:
        checks.at_least("condition", settings["condition"], 1)


def _choose(rng: np.random.Generator, n: int, of: int, minimum: int, maximum: int) -> Bool[np.ndarray, "n of"]:
    """Draw in each row from `minimum` to `maximum` of `of` items, without replacement."""
    counts = rng.integers(minimum, maximum + 1, n)
    return _first(rng, counts, of)


def _first(rng: np.random.Generator, counts: np.ndarray, of: int) -> Bool[np.ndarray, "n of"]:
    order = rng.random((len(counts), of)).argsort(axis=1)
    return order < counts[:, None]


def _correlated_changes(
    rng: np.random.Generator, n: int, c: int, maximum: int, correlation: float
) -> Bool[np.ndarray, "n c"]:
    """Draw the concepts that change, with the given correlation between the two concepts of a pair.

    In a fraction of the rows the concepts of a pair change together, in the others independently. Both kinds of rows change
    each concept equally often, so that the correlation is the weighted mean of the two.
    """
    counts = rng.integers(1, maximum + 1, n)
    alone = _first(rng, counts, c)
    if correlation == 0:
        return alone
    # The means of n and of n(n − 1) for n uniform from 1 to the maximum.
    mean, pairs_mean = (1 + maximum) / 2, (maximum**2 - 1) / 3
    rate = mean / c
    independent = (pairs_mean / (c * (c - 1)) - rate**2) / (rate * (1 - rate))
    share = (correlation - independent) / (1 - independent)
    halves = (counts + rng.integers(0, 2, n)) // 2  # odd numbers are rounded up or down at random
    together = _first(rng, halves, c // 2).repeat(2, axis=1)
    return np.where(rng.random((n, 1)) < share, together, alone)


def _values(
    rng: np.random.Generator, n: int, c: int, magnitudes: Magnitudes, correlation: float
) -> Float[np.ndarray, "n c"]:
    scores = rng.normal(size=(n, c))
    if correlation:
        scores[:, 1::2] = correlation * scores[:, ::2] + np.sqrt(1 - correlation**2) * scores[:, 1::2]
    if magnitudes == "normal":
        return scores
    from scipy.special import ndtr

    return _LAWS[magnitudes](ndtr(scores))


def _directions(rng: np.random.Generator, c: int, d: int, condition: float | None) -> Float[np.ndarray, "c d"]:
    rows = rng.normal(size=(c, d))
    if condition is None:
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
    left, _, right = np.linalg.svd(rows, full_matrices=False)
    spread = np.geomspace(condition, 1, min(c, d))
    rows = left * spread @ right
    return rows / np.linalg.norm(rows, axis=1).mean()


def _context_dependent(
    rng: np.random.Generator, codes: np.ndarray, directions: np.ndarray, context_dependence: float
) -> Float[np.ndarray, "n d"]:
    """Move along the direction of each concept, and along another direction that depends on the context."""
    straight = codes @ directions
    if context_dependence == 0:
        return straight
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    aside = rng.normal(size=(CONTEXTS, *directions.shape))
    unit = directions / lengths
    aside -= (aside * unit).sum(axis=2, keepdims=True) * unit
    aside -= aside.mean(axis=0)  # the mean over contexts belongs to the direction
    aside *= lengths / np.sqrt((aside**2).sum(axis=2).mean(axis=0))[:, None]
    context = rng.integers(0, CONTEXTS, len(codes))
    moved = np.empty_like(straight)
    for number in range(CONTEXTS):
        rows = context == number
        moved[rows] = codes[rows] @ aside[number]
    return np.sqrt(1 - context_dependence) * straight + np.sqrt(context_dependence) * moved


def _through_tanh(
    rng: np.random.Generator, moved: np.ndarray, directions: np.ndarray, share: float
) -> Float[np.ndarray, "n d"]:
    """Return the shifts between two sides after a tanh of each coordinate."""
    before = rng.normal(size=(len(moved), len(directions))) @ directions
    scale = before.std()

    def squash(x: np.ndarray) -> np.ndarray:
        return (1 - share) * x + share * np.tanh(x)

    return scale * (squash((before + moved) / scale) - squash(before / scale))
