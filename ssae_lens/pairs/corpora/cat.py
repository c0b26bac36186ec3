"""Objects with a shape and a colour ("round red lamp"), of which one to three parts change.

A concept is one contrast of two values of one part, "colour:red>blue": +1 when red becomes blue, −1 when blue becomes
red. Three parts of ten values make 3 · C(10, 2) = 135 concepts, and a changed part changes exactly one of them.
"""

from itertools import combinations, product
from typing import Any

import numpy as np

_TABLE = """
shape: round square oval triangular rectangular hexagonal octagonal star-shaped heart-shaped diamond-shaped
colour: red blue green yellow orange purple pink brown black white
object: lamp box mirror cushion table tray tile button candle rug
"""
PARTS = {part: values.split() for part, values in (line.split(": ") for line in _TABLE.strip().splitlines())}
CONCEPTS = tuple(
    f"{part}:{before}>{after}" for part, values in PARTS.items() for before, after in combinations(values, 2)
)
_KNOWN = frozenset(CONCEPTS)


def rows(n: int, seed: int) -> list[dict[str, Any]]:
    """Give `n` different ordered pairs; one, two and three changed parts are equally likely until one runs out."""
    places = np.indices([len(values) for values in PARTS.values()]).reshape(len(PARTS), -1).T
    changed = (places[:, None] != places[None]).sum(axis=-1).ravel()
    # Exponential clocks: the n that ring first are a sample without replacement, at rates of one over the class's size.
    ring = np.random.default_rng(seed).exponential(size=changed.shape) * np.bincount(changed)[changed]
    ring[changed == 0] = np.inf
    first = np.argsort(ring, kind="stable")[:n]
    phrases = [" ".join(values) for values in product(*PARTS.values())]
    return [
        {"source": phrases[i], "target": phrases[j], "changes": _changes(phrases[i], phrases[j])}
        for i, j in zip(*(each.tolist() for each in np.divmod(first, len(phrases))), strict=True)
    ]


def _changes(before: str, after: str) -> dict[str, int]:
    changes = {}
    for part, old, new in zip(PARTS, before.split(), after.split(), strict=True):
        if old != new:
            forward = f"{part}:{old}>{new}"
            changes.update({forward: 1} if forward in _KNOWN else {f"{part}:{new}>{old}": -1})
    return changes
