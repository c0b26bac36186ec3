import numpy as np
import pytest
import torch

from ssae_lens.methods import linear_probe
from ssae_lens.shifts import ShiftStore


def by_newton(without, with_it, strength):
    """Minimise the penalised log-loss in float64, by Newton's steps on weights and intercept together."""
    rows = np.concatenate([without, with_it]).astype(np.float64)
    rows -= rows.mean(0)
    rows /= np.sqrt((rows**2).mean())
    rows = np.hstack([rows, np.ones((len(rows), 1))])
    wanted = np.repeat([0.0, 1.0], len(without))
    penalty = np.diag([1.0] * (rows.shape[1] - 1) + [0.0])
    weights = np.zeros(rows.shape[1])
    for _ in range(50):
        chances = 1 / (1 + np.exp(-rows @ weights))
        slope = strength * rows.T @ (chances - wanted) + penalty @ weights
        curvature = strength * (rows.T * (chances * (1 - chances))) @ rows + penalty
        weights -= np.linalg.solve(curvature, slope)
    assert np.linalg.norm(slope) < 1e-9
    return weights[:-1]


@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_it_is_the_solution_that_newton_finds(store, sides, labels, signed, strength):
    signs = labels[:, 1]
    comes = signs[:, None] > 0
    without, with_it = np.where(comes, *sides)[signs != 0], np.where(comes, *sides[::-1])[signs != 0]
    expected = by_newton(without, with_it, strength)
    expected /= np.linalg.norm(expected)
    vector = linear_probe(store, "sentiment", C=strength)
    np.testing.assert_allclose(vector.direction.numpy(), expected * (signed.mean(0) @ expected), atol=1e-4)
    assert signed.mean(0) @ expected > 0
    assert (vector.method, vector.concept, vector.origin) == ("linear_probe", "sentiment", store.origin)


def test_it_fits_to_a_sample_where_there_are_many(store):
    whole, some, other = (
        linear_probe(store, "tense", max_pairs=most, seed=s) for most, s in [(999, 0), (50, 0), (50, 1)]
    )
    assert torch.equal(some.direction, linear_probe(store, "tense", max_pairs=50).direction)
    assert not torch.equal(some.direction, other.direction)
    # What the pairs move along it is taken of all of them.
    assert some.norms == whole.norms


def test_what_cannot_be_used_is_said(store):
    rows = torch.randn(4, 12)
    with pytest.raises(ValueError, match="Both sides of the pairs are alike"):
        linear_probe(ShiftStore.from_arrays(rows, rows, origin=store.origin))
    with pytest.raises(ValueError, match="at least 2 are needed"):
        linear_probe(ShiftStore.from_arrays(rows[:1], -rows[:1], origin=store.origin))
    with pytest.raises(ValueError, match="C is 0; it must be greater than 0"):
        linear_probe(store, "tense", C=0)
    with pytest.raises(ValueError, match="max_pairs is 1"):
        linear_probe(store, "tense", max_pairs=1)
