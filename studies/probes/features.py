"""What probes read: features of pairs, which may be turned round, and the pairs of one concept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.latents.codes import encode, require_fit
from ssae_lens.shifts import ShiftStore

Reader = Callable[[Float[np.ndarray, "b d"], Float[np.ndarray, "b d"]], Float[np.ndarray, "b m"]]


def readers(ssae: Any, sae: Any, shifts: ShiftStore) -> dict[str, Reader]:
    """Return the features by name, each a function of the two sides of some pairs."""
    found: dict[str, Reader] = {}
    if ssae is not None:
        require_fit(ssae, shifts)
        found["SSAE codes"] = lambda source, target: encode(ssae, target - source)
    if sae is not None:
        require_fit(sae, shifts)
        found["SAE codes"] = lambda source, target: encode(sae, target) - encode(sae, source)
    found["raw shifts"] = lambda source, target: target - source
    return found


@dataclass(frozen=True, eq=False)
class Features:
    """Features of pairs, from source to target, and from target to source where that is not the negative."""

    forth: Mapping[str, Float[np.ndarray, "n m"]]
    back: Mapping[str, Float[np.ndarray, "n m"]]
    labels: Int[np.ndarray, "n c"]

    @classmethod
    def of(cls, shifts: ShiftStore, by_name: Mapping[str, Reader], rows: Int[np.ndarray, " n"]) -> "Features":
        """Read a store once, and keep the features of some rows."""
        forth: dict[str, list[np.ndarray]] = {name: [] for name in by_name}
        back: dict[str, list[np.ndarray]] = {name: [] for name in by_name}
        for block, source, target in shifts.blocks():
            here = rows[(rows >= block.start) & (rows < block.stop)] - block.start
            sides = source[here], target[here]
            for name, read in by_name.items() if len(here) else ():
                odd = bool(forth[name]) and not back[name]
                forth[name].append(read(*sides))
                turned = None if odd else read(*sides[::-1])
                if turned is not None and not np.array_equal(turned, -forth[name][-1]):
                    back[name].append(turned)
        assert shifts.labels is not None
        there, again = (
            {name: np.concatenate(parts) for name, parts in side.items() if parts} for side in (forth, back)
        )
        return cls(there, again, shifts.labels[rows])

    def balanced(self, concept: int, seed: int) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
        """Draw as many pairs in which a concept changes as in which it does not: their rows, and 1 or 0."""
        changed = np.flatnonzero(self.labels[:, concept])
        same = np.flatnonzero(self.labels[:, concept] == 0)
        count = min(len(changed), len(same))
        rng = np.random.default_rng([seed, concept])
        rows = np.concatenate([rng.choice(each, count, replace=False) for each in (changed, same)])
        return rows, np.repeat((1, 0), count)

    def read(self, name: str, concept: int, rows: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m f"]:
        """Return features of rows, each pair turned so that the concept, where it changes, goes from 0 to 1.

        Features are signed: of a change either way a linear probe could see no more than noise.
        """
        values = self.forth[name][rows]
        turned = self.labels[rows, concept] < 0
        values[turned] = self.back[name][rows[turned]] if name in self.back else -values[turned]
        return values
