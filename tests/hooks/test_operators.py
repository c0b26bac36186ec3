"""Each operator against its formula, written out in NumPy for one activation at a time."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

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
    if name == "rotate":
        # The exponential of the generator of rotations in the plane of both, by the arc's angle or up to the goal.
        goal = sum(ci * vi for ci, vi in zip(c, v, strict=True))
        basis, triangle = np.linalg.qr(np.stack([x, goal], axis=1))
        basis = basis * np.sign(triangle.diagonal())
        angle = min(
            np.linalg.norm(goal) / np.linalg.norm(x), np.arccos(x @ goal / np.linalg.norm(x) / np.linalg.norm(goal))
        )
        plane = np.outer(basis[:, 1], basis[:, 0])
        return expm(angle * (plane - plane.T)) @ x
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


def test_rotation_keeps_norms_and_ends_at_the_direction():
    directions = torch.tensor(DIRECTIONS[:1])[None]
    x, none = torch.tensor(X), torch.zeros(2, 3, 1).double()
    rotate = OPERATORS["rotate"]
    torch.testing.assert_close(rotate(x, directions, directions.mT, none), x, rtol=0, atol=0)
    far = rotate(x, directions, directions.mT, none + 1e6)
    torch.testing.assert_close(far.norm(dim=-1), x.norm(dim=-1))
    cosines = torch.nn.functional.cosine_similarity(far, directions[0], dim=-1)
    torch.testing.assert_close(cosines, torch.ones_like(cosines))
    small = rotate(x, directions, directions.mT, none + 1e-6) - x
    across = directions[0, 0] - (x @ directions[0, 0])[..., None] * x / x.square().sum(-1, keepdim=True)
    expected = 1e-6 * directions[0, 0].norm() * torch.nn.functional.normalize(across, dim=-1)
    torch.testing.assert_close(small, expected, rtol=1e-3, atol=1e-10)
