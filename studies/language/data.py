"""A corpus as captured at one place: what is learned from, what is held out, and what labels alone say of both."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.metrics import mcc_codes, steered_cosines
from ssae_lens.shifts import ShiftStore


@dataclass(frozen=True, eq=False)
class Data:
    """Captured pairs in two parts.

    Attributes
    ----------
    train, test
        Stores with labels: the pairs to learn from, and those held out.
    left_out
        How many pairs are not there for an activation of enormous norm.
    """

    train: ShiftStore
    test: ShiftStore
    left_out: int = 0

    @property
    def concepts(self) -> list[str]:
        """The concepts' names."""
        return self.train.concepts

    @cached_property
    def most_changed(self) -> int:
        """The most concepts that change in a pair."""
        return max(1, int((self.train.labels != 0).sum(axis=1).max()))

    @cached_property
    def mean_shifts(self) -> Float[np.ndarray, "c d"]:
        """For each concept the mean shift of the training pairs that change it, turned to where it rises: by labels."""
        return mean_shifts(self.train.shifts, labels_of(self.train))

    @cached_property
    def turned(self) -> Float[np.ndarray, "n 1"]:
        """For each held-out pair 1 to read it as it is, −1 to read it from target to source.

        Drawn at random: a pair has no direction of its own, and where all pairs change a concept one way there is nothing
        that a code could correlate with.
        """
        return turns(len(self.test), seed=0)

    @cached_property
    def sides(self) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
        """The held-out activations before and after, as the pairs are turned."""
        return sides_of(self.test, self.turned)

    @cached_property
    def labels(self) -> Float[np.ndarray, "n c"]:
        """The signed changes of the held-out pairs, as they are turned."""
        return labels_of(self.test) * self.turned

    @cached_property
    def ceiling(self) -> float:
        """How well a linear reader told the labels does: MCC of a ridge's predictions, each with its own concept."""
        found = self._ridge.predict(self.turned * self.test.shifts).reshape(self.labels.shape)
        return float(np.mean([mcc_codes(found[:, [c]], self.labels[:, [c]]).score for c in range(len(self.concepts))]))

    @cached_property
    def unsteered(self) -> float:
        """The mean cosine of source and target, nothing added: what a steered one has to better."""
        source, target = self.sides
        return float(steered_cosines(source, np.zeros_like(source[0]), target).mean())

    @cached_property
    def _ridge(self) -> Any:
        from sklearn.linear_model import RidgeCV

        shifts = self.train.shifts
        alphas = np.logspace(-4, 1, 11) * float((shifts**2).sum() / shifts.shape[1])
        return RidgeCV(alphas=alphas, fit_intercept=False).fit(shifts, labels_of(self.train))


def turns(n: int, *, seed: int) -> Float[np.ndarray, "n 1"]:
    """Draw for each of n pairs 1 or −1."""
    return np.where(np.random.default_rng(seed).random((n, 1)) < 0.5, 1, -1).astype(np.float32)


def sides_of(
    store: ShiftStore, turned: Float[np.ndarray, "n 1"]
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
    """Return the activations before and after, of pairs turned round where `turned` is −1."""
    forth = turned > 0
    return np.where(forth, store.source, store.target), np.where(forth, store.target, store.source)


def labels_of(store: ShiftStore) -> Float[np.ndarray, "n c"]:
    """Return a store's signed changes as numbers."""
    if store.labels is None:
        raise ValueError("The pairs have no signed changes; give a corpus with a column `changes`.")
    return store.labels.astype(np.float32)


def mean_shifts(shifts: Float[np.ndarray, "n d"], labels: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "c d"]:
    """Return for each concept the mean of the shifts that change it, each by its sign; zero for one that never changes."""
    counts = np.abs(labels).sum(axis=0)[:, None]
    return (labels.T @ shifts) / np.maximum(counts, 1)


def single(labels: Int[np.ndarray, "n c"] | Float[np.ndarray, "n c"], concept: int) -> Int[np.ndarray, " m"]:
    """Return the rows in which one concept changes and no other does."""
    return np.flatnonzero((labels[:, concept] != 0) & ((labels != 0).sum(axis=1) == 1))


def explained(shifts: Float[np.ndarray, "n d"], predicted: Float[np.ndarray, "n d"]) -> float:
    """Return the share of the shifts' energy that a prediction of them explains."""
    total = float((shifts.astype(np.float64) ** 2).sum())
    return 1 - float(((shifts - predicted).astype(np.float64) ** 2).sum()) / total if total else 0.0


def along(shifts: Float[np.ndarray, "n d"], directions: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " k"]:
    """Return the share of the shifts' energy within the span of the first, the first two, … orthonormal directions."""
    energy = (shifts.astype(np.float64) @ directions.T.astype(np.float64)) ** 2
    return energy.sum(axis=0).cumsum() / (shifts.astype(np.float64) ** 2).sum()
