"""Small captured pairs with known directions, for the tests of this room."""

import numpy as np
import pytest

from ssae_lens.base.provenance import Origin
from ssae_lens.shifts import ShiftStore

N, D = 300, 12
CONCEPTS = ["tense", "sentiment", "gender"]
ORIGIN = Origin("blocks.1.hook_resid_post", D, "tiny-gpt2", "HookedTransformer", {"fold_ln": True}, "last", "abc")


@pytest.fixture(scope="session")
def directions():
    """Orthonormal rows, one a concept."""
    return np.linalg.qr(np.random.default_rng(1).normal(size=(D, D)))[0][: len(CONCEPTS)]


@pytest.fixture(scope="session")
def labels():
    return np.random.default_rng(2).integers(-1, 2, (N, len(CONCEPTS)))


@pytest.fixture(scope="session")
def sides(directions, labels):
    """Sides far from the origin, whose shifts are 4, 3 and 2 of the directions, and noise."""
    generator = np.random.default_rng(3)
    source = generator.normal(size=(N, D)) + 5
    target = source + (labels * [4, 3, 2]) @ directions + 0.2 * generator.normal(size=(N, D))
    return source.astype(np.float32), target.astype(np.float32)


@pytest.fixture(scope="session")
def store(sides, labels):
    return ShiftStore.from_arrays(*sides, origin=ORIGIN, labels=labels, concepts=CONCEPTS)


@pytest.fixture(scope="session")
def unlabelled(sides):
    return ShiftStore.from_arrays(*sides, origin=ORIGIN)


@pytest.fixture(scope="session")
def signed(sides, labels):
    """The signed shifts of the pairs in which sentiment changes, float64."""
    signs = labels[:, 1]
    shifts = sides[1].astype(np.float64) - sides[0]
    return (signs[:, None] * shifts)[signs != 0]
