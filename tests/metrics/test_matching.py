from itertools import permutations

import numpy as np
import pytest
import torch

from ssae_lens.metrics import hungarian
from ssae_lens.metrics.matching import best_latents


@pytest.mark.parametrize("shape", [(4, 4), (6, 3)])
def test_best_of_all_permutations(shape):
    matrix = np.random.default_rng(sum(shape)).uniform(-1, 1, size=shape)
    k, c = shape
    best = max(sum(abs(matrix[i, j]) for j, i in enumerate(order)) for order in permutations(range(k), c))
    match = hungarian(matrix)
    assert match.score == pytest.approx(best / c)
    assert len(set(match.latents)) == c
    np.testing.assert_array_equal(match.per_factor, abs(matrix[match.latents, range(c)]))
    np.testing.assert_array_equal(match.signs, np.sign(matrix[match.latents, range(c)]))


def test_fewer_latents_than_factors():
    match = hungarian(torch.tensor([[0.1, -0.9, 0.2, 0.3]]))
    np.testing.assert_array_equal(match.latents, [-1, 0, -1, -1])
    np.testing.assert_array_equal(match.signs, [0, -1, 0, 0])
    np.testing.assert_allclose(match.per_factor, [0, 0.9, 0, 0], rtol=1e-6)
    assert match.score == pytest.approx(0.9 / 4)


def test_the_greedy_choice_is_not_the_best():
    match = hungarian(np.array([[0.9, 0.8], [0.85, 0.1]]))
    np.testing.assert_array_equal(match.latents, [1, 0])


def test_best_latents_may_share():
    matrix = np.array([[0.5, 0.6], [-0.9, 0.1]])
    signed, unsigned = best_latents(matrix, signed=True), best_latents(matrix, signed=False)
    np.testing.assert_array_equal(signed.latents, [0, 0])
    assert signed.score == pytest.approx(0.55)
    np.testing.assert_array_equal(unsigned.latents, [1, 0])
    np.testing.assert_array_equal(unsigned.signs, [-1, 1])
    assert unsigned.score == pytest.approx(0.75)
    assert best_latents(-abs(matrix), signed=True).score == pytest.approx(-0.3)


def test_nan_is_named():
    with pytest.raises(ValueError, match=r"matrix holds NaN .*\(1\)"):
        hungarian(np.array([[1.0], [np.nan]]))
