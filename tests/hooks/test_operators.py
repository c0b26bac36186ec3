"""Each operator against its formula, written out in NumPy for one activation at a time."""

import numpy as np
import pytest
import torch

from ssae_lens.hooks.operators import OPERATORS

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 5))
DIRECTIONS = RNG.standard_normal((2, 5))
COEFFICIENTS = RNG.standard_normal((2, 3, 2))


def span(rows):
    """An orthonormal basis of the rows' span, by Gram and Schmidt."""
    basis = []
    for row in rows:
        rest = row - sum((row @ each) * each for each in basis)
        basis.append(rest / np.linalg.norm(rest))
    return basis


def removed(x, rows):
    return sum((x @ each) * each for each in span(rows))


def by_hand(name, x, v, c):
    if name == "add":
        return x + sum(ci * vi for ci, vi in zip(c, v, strict=True))
    if name == "ablate":
        return x - c[0] * removed(x, v)
    if name == "ablate_add":
        return x - removed(x, v) + sum(ci * vi for ci, vi in zip(c, v, strict=True))
    if name == "add_keep_norm":
        moved = by_hand("add", x, v, c)
        return moved / np.linalg.norm(moved) * np.linalg.norm(x)
    # clamp: solve for the multiples of each direction that bring every projection to its mark
    marks = [ci * (vi @ vi) - x @ vi for ci, vi in zip(c, v, strict=True)]
    return x + np.linalg.solve(v @ v.T, marks) @ v


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("k", [1, 2])
def test_formula(name, k):
    v, c = DIRECTIONS[:k], COEFFICIENTS[..., :k]
    expected = [[by_hand(name, X[b, p], v, c[b, p]) for p in range(3)] for b in range(2)]
    directions = torch.tensor(v)[None]
    found = OPERATORS[name](torch.tensor(X), directions, torch.linalg.pinv(directions), torch.tensor(c))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("name", OPERATORS)
def test_each_row_its_own_direction(name):
    own = torch.tensor(DIRECTIONS)[:, None]
    c = torch.tensor(COEFFICIENTS[..., :1])
    together = OPERATORS[name](torch.tensor(X), own, torch.linalg.pinv(own), c)
    for row in range(2):
        x, v = torch.tensor(X[row : row + 1]), own[row : row + 1]
        alone = OPERATORS[name](x, v, torch.linalg.pinv(v), c[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone)


def test_what_ablation_leaves():
    directions = torch.tensor(DIRECTIONS)[None]
    x = torch.tensor(X)
    rest = OPERATORS["ablate"](x, directions, torch.linalg.pinv(directions), torch.ones(1, 1, 1).double())
    assert (rest @ directions.mT).abs().max() < 1e-12


def test_clamp_is_ablate_add_for_one_direction_and_not_for_two():
    x, c = torch.tensor(X), torch.tensor(COEFFICIENTS)
    both = torch.tensor(DIRECTIONS)[None]

    def results(directions, c):
        inverse = torch.linalg.pinv(directions)
        return [OPERATORS[name](x, directions, inverse, c) for name in ("clamp", "ablate_add")]

    torch.testing.assert_close(*results(both[:, :1], c[..., :1]))
    clamped, replaced = results(both, c)
    assert (clamped - replaced).abs().max() > 0.1
