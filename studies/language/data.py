"""`LanguageData`: the captured pairs of a corpus, training and held out, with what their labels alone show."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ssae_lens.metrics import mcc_codes, steered_cosines
from ssae_lens.shifts import ShiftStore


@dataclass(frozen=True, eq=False)
class LanguageData:
    """The training pairs and the held-out pairs of a corpus, as stores with labels."""

    train: ShiftStore
    test: ShiftStore

    @property
    def concepts(self) -> list[str]:
        """The names of the concepts."""
        return self.train.concepts

    @cached_property
    def max_changed(self) -> int:
        """The largest number of concepts that change in a training pair."""
        return max(1, int((self.train.labels != 0).sum(axis=1).max()))

    @cached_property
    def mean_shifts(self) -> Float[np.ndarray, "c d"]:
        """The mean shift of each concept over the training pairs that change it, in the direction of its increase."""
        return mean_shifts(self.train.shifts, labels_of(self.train))

    @cached_property
    def orientation(self) -> Float[np.ndarray, "n 1"]:
        """1 or −1 for each held-out pair: read from source to target, or from target to source.

        Drawn at random, because pairs have no order of their own: where all pairs change a concept in the same direction,
        there is no variation for a code to correlate with.
        """
        return random_signs(len(self.test), seed=0)

    @cached_property
    def sides(self) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
        """The held-out activations before and after, as the pairs are oriented."""
        return oriented_sides(self.test, self.orientation)

    @cached_property
    def labels(self) -> Float[np.ndarray, "n c"]:
        """The signed changes of the held-out pairs, as the pairs are oriented."""
        return labels_of(self.test) * self.orientation

    @cached_property
    def ceiling(self) -> float:
        """The MCC of a ridge regression trained on the labels, each prediction with its own concept."""
        from sklearn.linear_model import RidgeCV

        shifts = self.train.shifts
        alphas = np.logspace(-4, 1, 11) * float((shifts**2).sum() / shifts.shape[1])
        ridge = RidgeCV(alphas=alphas, fit_intercept=False).fit(shifts, labels_of(self.train))
        predicted = ridge.predict(self.orientation * self.test.shifts).reshape(self.labels.shape)
        return float(
            np.mean([mcc_codes(predicted[:, [c]], self.labels[:, [c]]).score for c in range(len(self.concepts))])
        )

    @cached_property
    def unsteered(self) -> float:
        """The mean cosine of source and target with nothing added."""
        source, target = self.sides
        return float(steered_cosines(source, np.zeros_like(source[0]), target).mean())


def random_signs(n: int, *, seed: int) -> Float[np.ndarray, "n 1"]:
    """Draw 1 or −1 for each of n pairs."""
    return np.where(np.random.default_rng(seed).random((n, 1)) < 0.5, 1, -1).astype(np.float32)


def oriented_sides(
    store: ShiftStore, orientation: Float[np.ndarray, "n 1"]
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
    """Return the activations before and after, with the sides of a pair swapped where `orientation` is −1."""
    forward = orientation > 0
    return np.where(forward, store.source, store.target), np.where(forward, store.target, store.source)


def labels_of(store: ShiftStore) -> Float[np.ndarray, "n c"]:
    """Return the signed changes of a store as floats."""
    if store.labels is None:
        raise ValueError("The pairs have no labels; use a corpus with a column `changes`.")
    return store.labels.astype(np.float32)


def mean_shifts(shifts: Float[np.ndarray, "n d"], labels: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "c d"]:
    """Return the mean of the shifts that change each concept, times the sign of the change; zero if it never changes."""
    counts = np.abs(labels).sum(axis=0)[:, None]
    return (labels.T @ shifts) / np.maximum(counts, 1)
