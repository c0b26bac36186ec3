"""How far planted concepts are directions, and categories subspaces."""

import numpy as np
import pytest
from planted import HOOK

from ssae_lens.base.origin import Origin
from ssae_lens.shifts import ShiftStore
from studies.language.bending import attributes, bending, categories
from studies.language.data import Data

D = 24


def store(shifts, labels, concepts):
    source = np.zeros_like(shifts)
    return ShiftStore.from_arrays(source, shifts, labels=labels, concepts=concepts, origin=Origin(HOOK, D, "planted"))


def bent(seed, n=600, share=0.36):
    """The first concept is one direction; of the second's energy a share lies anywhere else, evenly."""
    rng = np.random.default_rng(seed)
    which, sign = rng.integers(0, 2, n), rng.choice((-1, 1), n)
    labels = np.eye(2, dtype=int)[which] * sign[:, None]
    off = rng.normal(size=(n, D)) * [0, 0, *[1] * (D - 2)]
    off *= np.sqrt(share / (1 - share)) / np.linalg.norm(off, axis=1, keepdims=True)
    return store(labels[:, :1] * np.eye(D)[0] + labels[:, 1:] * (np.eye(D)[1] + off), labels, ["straight", "bent"])


def test_a_bent_concept_is_told_from_a_straight_one():
    found = bending(Data(bent(0), bent(1)))
    assert found["straight"]["mean"] == pytest.approx(1, abs=1e-6)
    assert found["straight"]["dimensions"] == 1
    assert found["bent"]["mean"] == pytest.approx(0.64, abs=0.02)
    assert found["bent"]["one"] == pytest.approx(0.64, abs=0.02)
    # .36 over 22 directions: .9 is reached with the first and sixteen of them.
    assert 14 <= found["bent"]["dimensions"] <= 18
    assert found["bent"]["pairs"] + found["straight"]["pairs"] == 600


def test_what_hardly_changes_alone_is_left_out():
    data = bent(0)
    both = np.ones_like(data.labels)
    assert bending(Data(store(data.shifts, both, data.concepts), data)) == {}


VALUES = ("red", "green", "blue", "grey")
CONTRASTS = [f"hue:{a}>{b}" for i, a in enumerate(VALUES) for b in VALUES[i + 1 :]]


def coloured(seed, places, n=500):
    rng = np.random.default_rng(seed)
    labels, shifts = np.zeros((n, len(CONTRASTS) + 1), dtype=int), np.zeros((n, D))
    for row in range(n):
        a, b = rng.choice(4, 2, replace=False)
        low, high = min(a, b), max(a, b)
        labels[row, CONTRASTS.index(f"hue:{VALUES[low]}>{VALUES[high]}")] = 1 if a < b else -1
        shifts[row] = places[b] - places[a]
    return store(shifts, labels, [*CONTRASTS, "size=large"])


def test_values_have_places_in_a_subspace():
    places = np.random.default_rng(0).normal(size=(4, D))
    found = categories(Data(coloured(0, places), coloured(1, places)))
    assert set(found) == {"hue"}
    hue = found["hue"]
    assert (hue["values"], hue["pairs"]) == (4, 500)
    for name in ("places", "span", "contrasts"):
        assert hue[name] == pytest.approx(1, abs=1e-5)
    assert hue["one"] < 0.8
    assert hue["dimensions"] <= 3


def test_values_along_one_line_have_one_dimension():
    places = np.arange(4)[:, None] * np.eye(D)[3]
    hue = categories(Data(coloured(0, places), coloured(1, places)))["hue"]
    assert hue["one"] == pytest.approx(1)
    assert hue["dimensions"] == 1


def test_attributes_by_name():
    assert attributes(["a:x>y", "a:x>z", "b=x", "plain"]) == {"a": [0, 1], "b": [2]}
