"""Worlds where the truth is known: shifts made from codes and directions that a method must find again.

`dgp` gives the three of the reference code, `world` one by knobs, `cat` the one of categorical attributes.
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

# The values of a concept that changed, by the quantile of a uniform number: so that any law can be correlated.
_LAWS: dict[str, Any] = {
    "constant": np.ones_like,
    "uniform": lambda u: u,
    "signs": lambda u: np.where(u < 0.5, -1.0, 1.0),
    "laplace": lambda u: np.sign(u - 0.5) * -np.log1p(-2 * np.abs(u - 0.5).clip(max=0.5 - 1e-12)),
}


@dataclass(frozen=True, eq=False)
class World:
    """Shifts, and what they were made of.

    Attributes
    ----------
    shifts
        What a method sees.
    codes, directions
        How much of each concept changed in each shift, and the direction in which it moves activations.
    name, description
        What the world is, in a word and in words.
    most_changed
        The most concepts that change in a shift.
    settings
        What it was made with.
    """

    shifts: Float[np.ndarray, "n d"]
    codes: Float[np.ndarray, "n c"]
    directions: Float[np.ndarray, "c d"]
    name: str
    description: str
    most_changed: int
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def n_train(self) -> int:
        """How many shifts, the first ones, are for training."""
        return round(len(self.shifts) * (1 - TEST_SHARE))

    @property
    def train(self) -> Float[np.ndarray, "n_train d"]:
        """The shifts to learn from."""
        return self.shifts[: self.n_train]

    @property
    def test(self) -> Float[np.ndarray, "n_test d"]:
        """The shifts held out."""
        return self.shifts[self.n_train :]

    @property
    def test_codes(self) -> Float[np.ndarray, "n_test c"]:
        """The codes of the shifts held out."""
        return self.codes[self.n_train :]


def dgp(
    number: int, *, most_condition: float | None = 200.0, n: int = 10_000, seed: int = 0, name: str | None = None
) -> World:
    """Return one of the reference code's three worlds.

    Nine concepts in nine dimensions, of which 0 to 5 change (any number as likely as any other), by 1 (first world), U(0, 1)
    (second) or N(0, 1) (third). Directions are the rows of a matrix of random integers from 1 to 8 that can be inverted.

    Parameters
    ----------
    most_condition
        Draw again where the condition number is larger: the reference draws one matrix and this one for each seed, of
        which some are all but singular. None takes whatever can be inverted.
    """
    checks.one_of("number", number, [1, 2, 3])
    if most_condition is not None:
        checks.at_least(
            "most_condition", most_condition, 30, "Hardly any matrix of integers from 1 to 8 has a lower one."
        )
    rng = _generator(seed, number)
    magnitudes: Magnitudes = ("constant", "uniform", "normal")[number - 1]
    size = 9
    directions = np.zeros((size, size))
    while abs(np.linalg.det(directions)) < 0.5 or np.linalg.cond(directions) > (most_condition or np.inf):
        # Determinants of integers are integers.
        directions = rng.integers(1, size, (size, size)).astype(float)
    codes = _choose(rng, n, size, 0, 5) * _values(rng, n, size, magnitudes, 0.0)
    about = f"9 concepts in 9 dimensions, 0–5 change, values {magnitudes}, integer mixing"
    settings = {"number": number, "most_condition": most_condition, "n": n, "seed": seed}
    return _made(codes @ directions, codes, directions, name or f"DGP{number}", about, 5, settings)


def world(
    d: int,
    n_concepts: int,
    *,
    most_changed: int = 3,
    correlation: float = 0.0,
    value_correlation: float = 0.0,
    magnitudes: Magnitudes = "normal",
    noise_db: float | None = None,
    condition: float | None = None,
    bend: float = 0.0,
    nonlinearity: float = 0.0,
    n: int = 10_000,
    seed: int = 0,
    name: str | None = None,
) -> World:
    """Make a world by knobs.

    Parameters
    ----------
    d, n_concepts
        Dimensions and concepts; there may be more of either.
    most_changed
        From 1 to so many concepts change in a shift, any number as likely as any other.
    correlation
        Of the changes of two concepts of a pair (0 and 1, 2 and 3, …), as that of two 0/1 variables; which pairs
        change is chosen freely.
    value_correlation
        Of their values where both change (of the normal scores, for laws that are not normal).
    magnitudes
        The law of the values: ``"normal"``, ``"uniform"`` (0 to 1), ``"constant"`` (1), ``"signs"`` (±1), ``"laplace"``.
    noise_db
        Energy of the shifts over that of Gaussian noise added to them, in decibels. None adds none.
    condition
        The condition number of the directions. None draws them at random on the sphere.
    bend
        The share of the energy of a concept's shift that depends on the context (of eight, one for each shift), beyond the
        direction that all contexts have in common.
    nonlinearity
        From 0, where activations are linear in concepts, to 1, where they are the tanh of it.
    """
    given = {k: v for k, v in locals().items() if k != "name"}
    _check(given)
    rng = _generator(seed)
    directions = _directions(rng, n_concepts, d, condition)
    changed = _correlated_changes(rng, n, n_concepts, most_changed, correlation)
    codes = changed * _values(rng, n, n_concepts, magnitudes, value_correlation)
    moved = _bent(rng, codes, directions, bend)
    if nonlinearity:
        moved = _through_tanh(rng, moved, directions, nonlinearity)
    if noise_db is not None:
        spread = np.sqrt((moved**2).mean() * 10 ** (-noise_db / 10))
        moved = moved + spread * rng.normal(size=moved.shape)
    told = [f"{n_concepts} concepts in {d} dimensions", f"1–{most_changed} change"]
    told += [f"values {magnitudes}"] if magnitudes != "normal" else []
    told += [f"changes correlated at {correlation:g}"] if correlation else []
    told += [f"values correlated at {value_correlation:g}"] if value_correlation else []
    told += [f"noise at {noise_db:g} dB"] if noise_db is not None else []
    told += [f"condition {condition:g}"] if condition is not None else []
    told += [f"{bend:.0%} of each shift bends with its context"] if bend else []
    told += [f"nonlinearity {nonlinearity:g}"] if nonlinearity else []
    return _made(moved, codes, directions, name or f"d={d}, c={n_concepts}", ", ".join(told), most_changed, given)


def cat(
    *, d: int = 512, values: int = 10, attributes: int = 3, n: int = 10_000, seed: int = 0, name: str | None = None
) -> World:
    """Make the world of categorical attributes: by default "shape colour object", CAT(135, 3).

    From one to all attributes are resampled to another value. Every unordered pair of an attribute's values is a concept
    (135 of them), with a Gaussian direction of its own; its code is 1 one way, −1 the other.
    """
    for given, value in (("d", d), ("values", values), ("attributes", attributes), ("n", n)):
        checks.integer(given, value, 2 if given == "values" else 1)
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
    return _made(
        codes @ directions,
        codes,
        directions,
        name or f"CAT({codes.shape[1]},{attributes})",
        about,
        attributes,
        settings,
    )


def _generator(seed: int, number: int = 0) -> np.random.Generator:
    """Return a stream of a world's own: a method begun from the same seed must not draw the same directions."""
    return np.random.default_rng([seed, 1 + number])


def _made(
    shifts: np.ndarray,
    codes: np.ndarray,
    directions: np.ndarray,
    name: str,
    about: str,
    most_changed: int,
    settings: dict[str, Any],
) -> World:
    single = (each.astype(np.float32) for each in (shifts, codes, directions))
    return World(*single, name=name, description=about, most_changed=most_changed, settings=settings)


def _check(given: dict[str, Any]) -> None:
    for name in ("d", "n_concepts", "most_changed", "n"):
        checks.integer(name, given[name])
    checks.one_of("magnitudes", given["magnitudes"], ["normal", *_LAWS])
    for name in ("correlation", "value_correlation", "bend", "nonlinearity"):
        if not 0 <= given[name] <= 1:
            raise ValueError(f"{name} is {given[name]!r}; it must be between 0 and 1.")
    if given["most_changed"] > given["n_concepts"]:
        raise ValueError(f"most_changed is {given['most_changed']}, of {given['n_concepts']} concepts; lower it.")
    if given["n_concepts"] % 2 and (given["correlation"] or given["value_correlation"]):
        raise ValueError(
            f"n_concepts is {given['n_concepts']}; correlated concepts come in pairs: give an even number."
        )
    if given["condition"] is not None:
        checks.at_least("condition", given["condition"], 1)


def _choose(rng: np.random.Generator, n: int, of: int, least: int, most: int) -> Bool[np.ndarray, "n of"]:
    """Choose from least to most of `of` things in each row, without replacement."""
    how_many = rng.integers(least, most + 1, n)
    return _first(rng, how_many, of)


def _first(rng: np.random.Generator, how_many: np.ndarray, of: int) -> Bool[np.ndarray, "n of"]:
    order = rng.random((len(how_many), of)).argsort(axis=1)
    return order < how_many[:, None]


def _correlated_changes(
    rng: np.random.Generator, n: int, c: int, most: int, correlation: float
) -> Bool[np.ndarray, "n c"]:
    """Choose what changes, the two concepts of a pair with the correlation asked for.

    In a share of the rows pairs change as one, in the rest each concept by itself. Both kinds of rows change each concept
    equally often, so that correlations mix in proportion.
    """
    how_many = rng.integers(1, most + 1, n)
    alone = _first(rng, how_many, c)
    if correlation == 0:
        return alone
    mean, pairs_mean = (1 + most) / 2, (most**2 - 1) / 3  # of n and of n(n − 1), n uniform from 1 to most
    often = mean / c
    by_chance = (pairs_mean / (c * (c - 1)) - often**2) / (often * (1 - often))
    share = (correlation - by_chance) / (1 - by_chance)
    halves = (how_many + rng.integers(0, 2, n)) // 2  # an odd number is rounded up as often as down
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


def _bent(rng: np.random.Generator, codes: np.ndarray, directions: np.ndarray, bend: float) -> Float[np.ndarray, "n d"]:
    """Move along each concept's direction, and along another that its context turns it to."""
    straight = codes @ directions
    if bend == 0:
        return straight
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    aside = rng.normal(size=(CONTEXTS, *directions.shape))
    unit = directions / lengths
    aside -= (aside * unit).sum(axis=2, keepdims=True) * unit
    aside -= aside.mean(axis=0)  # what contexts have in common belongs to the direction
    aside *= lengths / np.sqrt((aside**2).sum(axis=2).mean(axis=0))[:, None]
    context = rng.integers(0, CONTEXTS, len(codes))
    moved = np.empty_like(straight)
    for each in range(CONTEXTS):
        here = context == each
        moved[here] = codes[here] @ aside[each]
    return np.sqrt(1 - bend) * straight + np.sqrt(bend) * moved


def _through_tanh(
    rng: np.random.Generator, moved: np.ndarray, directions: np.ndarray, share: float
) -> Float[np.ndarray, "n d"]:
    """Return the shifts between two sides that were squashed, each coordinate by itself."""
    before = rng.normal(size=(len(moved), len(directions))) @ directions
    scale = before.std()

    def squash(x: np.ndarray) -> np.ndarray:
        return (1 - share) * x + share * np.tanh(x)

    return scale * (squash((before + moved) / scale) - squash(before / scale))
