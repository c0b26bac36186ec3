"""Contrast: the pairs of a store in which a concept changes, each oriented from its negative to its positive side.

Methods read shifts through it, a block at a time, so that a store may be larger than memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int8

from ssae_lens.base import checks
from ssae_lens.sae.codes import require_origin, require_usable
from ssae_lens.shifts import ShiftStore
from ssae_lens.shifts.layout import BLOCK
from ssae_lens.steering_vector import SteeringVector


@dataclass(frozen=True, eq=False)
class Contrast:
    """Pairs that differ in one concept, whatever else they differ in.

    Attributes
    ----------
    shifts
        The store that they are in.
    concept
        What changes, or "" where that is not labelled.
    signs
        For each row of the store, whether the concept comes (1), goes (−1) or stays (0) from source to target.
    """

    shifts: ShiftStore
    concept: str
    signs: Int8[np.ndarray, " n"]

    @classmethod
    def of(cls, shifts: ShiftStore, concept: str = "", *, min_pairs: int = 1) -> "Contrast":
        """Return the pairs in which a concept changes, of which there must be `min_pairs`.

        Without a concept it is the only one that the store has labels of or, if it has none, whatever takes every source to
        its target.
        """
        known = require_store(shifts).concepts
        concept = chosen_concept(concept, known)
        labels = shifts.labels
        contrast = cls.whole(shifts) if labels is None else cls(shifts, concept, labels[:, known.index(concept)])
        if len(contrast) < min_pairs:
            what = f"{concept!r} changes in" if concept else "The shifts hold"
            raise ValueError(
                f"{what} {len(contrast)} of {len(shifts)} pairs; at least {min_pairs} are needed: capture more."
            )
        return contrast

    @classmethod
    def whole(cls, shifts: ShiftStore) -> "Contrast":
        """Return all pairs, from source to target, whatever changes in them."""
        return cls(require_store(shifts), "", np.ones(len(shifts), dtype=np.int8))

    def __len__(self) -> int:
        return int(np.count_nonzero(self.signs))

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[Float[np.ndarray, "b d"], Float[np.ndarray, "b d"]]]:
        """Yield the pairs in order: the negative sides (without the concept) and the positive sides (with it)."""
        for rows, source, target in self.shifts.blocks(size):
            changed = self.signs[rows] != 0
            if changed.any():
                comes = self.signs[rows][changed, None] > 0
                sides = source[changed], target[changed]
                yield np.where(comes, *sides), np.where(comes, *sides[::-1])

    def sample(self, max_pairs: int, seed: int) -> "Contrast":
        """Return at most `max_pairs` of the pairs, drawn at random."""
        if len(self) <= max_pairs:
            return self
        rows = np.random.default_rng(seed).choice(np.flatnonzero(self.signs), max_pairs, replace=False)
        signs = np.zeros_like(self.signs)
        signs[rows] = self.signs[rows]
        return replace(self, signs=signs)

    @property
    def mean_shift(self) -> Float[np.ndarray, " d"]:
        """The mean shift from the negative to the positive side, float64."""
        return self._means[0]

    @property
    def norms(self) -> dict[str, float]:
        """The mean norms of the activations and of their shifts, as a steering vector carries them."""
        _, residual, shift = self._means
        return {name: value for name, value in (("mean_residual_norm", residual), ("mean_shift_norm", shift)) if value}

    def vector(self, direction: Float[np.ndarray, " d"], method: str) -> SteeringVector:
        """Return a steering vector for these pairs."""
        origin, values = self.shifts.origin, torch.from_numpy(direction)
        return SteeringVector(values, origin=origin, method=method, concept=self.concept, norms=self.norms)

    def vector_along(self, direction: Float[np.ndarray, " d"], method: str) -> SteeringVector:
        """Return the part of the mean shift that lies along a direction: its sign and length are those of the data."""
        unit = direction / np.linalg.norm(direction)
        return self.vector(unit * (unit @ self.mean_shift), method)

    @cached_property
    def _means(self) -> tuple[Float[np.ndarray, " d"], float, float]:
        total, residual, shift = np.zeros(self.shifts.d_model), 0.0, 0.0
        for negative, positive in self.blocks():
            moved = positive.astype(np.float64) - negative
            total += moved.sum(0)
            shift += float(np.linalg.norm(moved, axis=1).sum())
            residual += sum(float(np.linalg.norm(side, axis=1).sum(dtype=np.float64)) for side in (negative, positive))
        return total / len(self), residual / (2 * len(self)), shift / len(self)


def chosen_concept(concept: str, known: list[str]) -> str:
    """Return the labelled concept that is meant: the one named, or the only one, or "" where there is none."""
    if concept and not known:
        raise ValueError(
            f"concept is {concept!r}, and the pairs have no labels to find it by; give pairs with signed changes, or leave "
            "concept out to go from source to target."
        )
    if not concept and len(known) > 1:
        raise ValueError(f"The pairs have labels of several concepts; give concept as one of {', '.join(known)}.")
    if concept:
        checks.one_of("concept", concept, known)
    return concept or "".join(known)


def require_store(shifts: ShiftStore) -> ShiftStore:
    """Raise unless `shifts` is a store that names the hook of its activations."""
    if not isinstance(shifts, ShiftStore):
        raise ValueError(  # noqa: TRY004 - unusable input is a ValueError
            f"shifts is a {type(shifts).__name__}; give a ShiftStore, as capture_shifts and open_shifts make one."
        )
    if not shifts.origin.hook_name:
        raise ValueError(
            "The shifts do not say at which hook they were captured; make the store with origin=Origin(hook_name, d_model)."
        )
    return shifts


def require_fit(sae: Any, shifts: ShiftStore) -> None:
    """Raise, naming both sides, unless an SAE is of the model, hook and width that shifts were captured at."""
    require_usable(sae)
    require_origin(sae, require_store(shifts).origin)
