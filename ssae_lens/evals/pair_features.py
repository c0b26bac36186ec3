"""Features of captured pairs: SSAE codes, SAE codes, raw shifts or any function of the two sides, oriented by a label."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.latents.codes import encode, require_fit
from ssae_lens.shifts import ShiftStore

# A function of the sources and the targets of some pairs.
FeatureReader = Callable[[Float[np.ndarray, "b d"], Float[np.ndarray, "b d"]], Float[np.ndarray, "b m"]]

SSAE_CODES, SAE_CODES, RAW_SHIFTS = "SSAE codes", "SAE codes", "raw shifts"


def readers(ssae: Any, sae: Any, shifts: ShiftStore) -> dict[str, FeatureReader]:
    """Return the features by name, each a function of the two sides of some pairs."""
    by_name: dict[str, FeatureReader] = {}
    if ssae is not None:
        require_fit(ssae, shifts)
        by_name[SSAE_CODES] = lambda source, target: encode(ssae, target - source)
    if sae is not None:
        require_fit(sae, shifts)
        by_name[SAE_CODES] = lambda source, target: encode(sae, target) - encode(sae, source)
    by_name[RAW_SHIFTS] = lambda source, target: target - source
    return by_name


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """Features of pairs from source to target, and from target to source where that is not the negative."""

    forward: Mapping[str, Float[np.ndarray, "n m"]]
    backward: Mapping[str, Float[np.ndarray, "n m"]]
    labels: Int[np.ndarray, "n c"]

    @classmethod
    def of(
        cls, shifts: ShiftStore, by_name: Mapping[str, FeatureReader], rows: Int[np.ndarray, " n"]
    ) -> "PairFeatures":
        """Read a store once, and keep the features of some rows."""
        forward: dict[str, list[np.ndarray]] = {name: [] for name in by_name}
        backward: dict[str, list[np.ndarray]] = {name: [] for name in by_name}
        for block, source, target in shifts.blocks():
            within = rows[(rows >= block.start) & (rows < block.stop)] - block.start
            sides = source[within], target[within]
            for name, reader in by_name.items() if len(within) else ():
                odd = bool(forward[name]) and not backward[name]
                forward[name].append(reader(*sides))
                turned = None if odd else reader(*sides[::-1])
                if turned is not None and not np.array_equal(turned, -forward[name][-1]):
                    backward[name].append(turned)
        assert shifts.labels is not None
        there, back = (
            {name: np.concatenate(parts) for name, parts in side.items() if parts} for side in (forward, backward)
        )
        return cls(there, back, shifts.labels[rows])

    def balanced(self, concept: int, seed: int) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
        """Draw as many pairs in which a concept changes as pairs in which it does not: their rows, and 1 or 0."""
        changed = np.flatnonzero(self.labels[:, concept])
        unchanged = np.flatnonzero(self.labels[:, concept] == 0)
        count = min(len(changed), len(unchanged))
        rng = np.random.default_rng([seed, concept])
        rows = np.concatenate([rng.choice(part, count, replace=False) for part in (changed, unchanged)])
        return rows, np.repeat((1, 0), count)

    def oriented(self, name: str, concept: int, rows: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m f"]:
        """Return features of rows, with each pair turned so that the concept, where it changes, goes from 0 to 1."""
        values = self.forward[name][rows]
        turned = self.labels[rows, concept] < 0
        values[turned] = self.backward[name][rows[turned]] if name in self.backward else -values[turned]
        return values
