"""Context dependence of planted concepts, and attributes as subspaces."""

import numpy as np
import pytest
from planted import HOOK

from ssae_lens.base.provenance import Origin
from ssae_lens.shifts import ShiftStore
from studies.language.context_dependence import (
    _alone,
    attributes,
    measure_context_dependence,
    measure_subspaces,
    shares_within,
)
from studies.language.data import LanguageData

D = 24


def store(shifts, labels, concepts):
    source = np.zeros_like(shifts)
    return ShiftStore.from_arrays(source, shifts, labels=labels, concepts=concepts, origin=Origin(HOOK, D, "planted"))


def with_context(seed, n=600, share=0.36):
    """The first concept is one direction; of the second's energy a share lies anywhere else, evenly."""
    rng = np.random.default_rng(seed)
    which, sign = rng.integers(0, 2, n), rng.choice((-1, 1), n)
    labels = np.eye(2, dtype=int)[which] * sign[:, None]
    off = rng.normal(size=(n, D)) * [0, 0, *[1] * (D - 2)]
    off *= np.sqrt(share / (1 - share)) / np.linalg.norm(off, axis=1, keepdims=True)
    return store(labels[:, :1] * np.eye(D)[0] + labels[:, 1:] * (np.eye(D)[1] + off), labels, ["constant", "context"])


def test_a_context_dependent_concept_is_distinguished_from_a_constant_one():
    numbers = measure_context_dependence(LanguageData(with_context(0), with_context(1)))
    assert numbers["constant"]["mean_direction"] == pytest.approx(1, abs=1e-6)
    assert numbers["constant"]["dimensions"] == 1
    assert numbers["context"]["mean_direction"] == pytest.approx(0.64, abs=0.02)
    assert numbers["context"]["best_direction"] == pytest.approx(0.64, abs=0.02)
    # .36 over 22 directions: .9 is reached with the first and sixteen of them.
    assert 14 <= numbers["context"]["dimensions"] <= 18
    assert numbers["context"]["pairs"] + numbers["constant"]["pairs"] == 600


def test_concepts_that_hardly_change_alone_are_left_out():
    data = with_context(0)
    both = np.ones_like(data.labels)
    assert measure_context_dependence(LanguageData(store(data.shifts, both, data.concepts), data)) == {}


VALUES = ("red", "green", "blue", "grey")
CONTRASTS = [f"hue:{a}>{b}" for i, a in enumerate(VALUES) for b in VALUES[i + 1 :]]


def coloured(seed, embeddings, n=500):
    rng = np.random.default_rng(seed)
    labels, shifts = np.zeros((n, len(CONTRASTS) + 1), dtype=int), np.zeros((n, D))
    for row in range(n):
        a, b = rng.choice(4, 2, replace=False)
        low, high = min(a, b), max(a, b)
        labels[row, CONTRASTS.index(f"hue:{VALUES[low]}>{VALUES[high]}")] = 1 if a < b else -1
        shifts[row] = embeddings[b] - embeddings[a]
    return store(shifts, labels, [*CONTRASTS, "size=large"])


def test_values_have_embeddings_in_a_subspace():
    embeddings = np.random.default_rng(0).normal(size=(4, D))
    numbers = measure_subspaces(LanguageData(coloured(0, embeddings), coloured(1, embeddings)))
    assert set(numbers) == {"hue"}
    hue = numbers["hue"]
    assert (hue["values"], hue["pairs"]) == (4, 500)
    for name in ("embeddings", "span", "contrasts"):
        assert hue[name] == pytest.approx(1, abs=1e-5)
    assert hue["best_direction"] < 0.8
    assert hue["dimensions"] <= 3


def test_values_along_one_line_have_one_dimension():
    embeddings = np.arange(4)[:, None] * np.eye(D)[3]
    hue = measure_subspaces(LanguageData(coloured(0, embeddings), coloured(1, embeddings)))["hue"]
    assert hue["best_direction"] == pytest.approx(1)
    assert hue["dimensions"] == 1


def test_attributes_by_name():
    assert attributes(["a:x>y", "a:x>z", "b=x", "plain"]) == {"a": [0, 1], "b": [2]}


def test_shares_of_the_squared_norm():
    axes = np.eye(4)
    shifts = np.array([[3.0, 4, 0, 0], [0, 0, 0, 5]])
    assert np.allclose(shares_within(shifts, axes[:2]), [9 / 50, 25 / 50])


def test_changes_alone():
    assert _alone(np.array([[1, 0], [1, -1], [0, 1], [-1, 0]]), [0]).tolist() == [0, 3]
