"""Fits of codes with labels, and their permutation test."""

import numpy as np
import pytest

from ssae_lens.metrics import correlations
from ssae_lens.metrics.fits import matched


def test_fits_are_correlations_and_of_constant_concepts_cosines():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(50, 3)) + 0.5
    labels = np.stack([rng.integers(-1, 2, 50), np.ones(50), -np.ones(50)], axis=1).astype(int)
    fits = matched(codes, labels, n_permutations=20).fits
    np.testing.assert_allclose(fits[:, 0], [np.corrcoef(column, labels[:, 0])[0, 1] for column in codes.T])
    cosines = codes.mean(0) / np.sqrt((codes**2).mean(0))
    np.testing.assert_allclose(fits[:, 1:], np.stack([cosines, -cosines], axis=1))


def test_latents_in_another_order_and_turned_round_are_found():
    rng = np.random.default_rng(1)
    labels = rng.integers(-1, 2, (200, 6))
    order, signs = rng.permutation(6), rng.choice((-1, 1), 6)
    codes = (labels * signs * rng.uniform(1, 9, 6))[:, order]
    found = matched(codes, labels, n_permutations=50)
    np.testing.assert_array_equal(order[found.latents], np.arange(6))
    np.testing.assert_array_equal(np.sign(found.fits[found.latents, np.arange(6)]), signs)
    np.testing.assert_allclose(found.p_values, 1 / 51)


@pytest.mark.parametrize("constant", [False, True])
def test_chances_are_p_values_where_there_is_nothing(constant):
    """Of many n_sets without a connection, a share of p gets p or less: here at p = .1, .2, … .9."""
    rng = np.random.default_rng(2)
    n_sets, n_permutations = 60, 19
    labels = rng.integers(-1, 2, (n_sets, 30, 1))
    if constant:
        labels = np.ones_like(labels)
    # Heavy tails, one common cause for all latents, and latents of different sizes: nothing is assumed of codes.
    codes = (rng.standard_t(2, (n_sets, 30, 4)) + rng.normal(size=(n_sets, 30, 1))) * [1, 5, 0.2, 3]
    p_values = np.array(
        [
            matched(*data, n_permutations=n_permutations, seed=i).p_values[0]
            for i, data in enumerate(zip(codes, labels, strict=True))
        ]
    )
    for level in np.arange(0.1, 1, 0.1):
        share = (p_values <= level + 1e-9).mean()
        assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / n_sets)


def test_rows_of_nothing_fit_nothing():
    labels = np.random.default_rng(3).integers(-1, 2, (40, 2))
    found = matched(np.zeros((40, 3)), labels, n_permutations=20)
    assert (found.latents == -1).all()
    np.testing.assert_array_equal(found.p_values, 1)


def test_what_training_left_of_a_latent_does_not_count():
    """A code that is a millionth of the others follows them, and means nothing."""
    labels = np.random.default_rng(4).integers(-1, 2, (100, 1))
    codes = np.concatenate([labels + 0.1 * np.random.default_rng(5).normal(size=(100, 1)), 1e-4 * labels], axis=1)
    assert matched(codes, labels, n_permutations=20).latents[0] == 0
    assert matched(codes[:, 1:], labels, n_permutations=20).latents[0] == 0  # alone it is all there is


def test_more_concepts_than_latents():
    labels = np.random.default_rng(6).integers(-1, 2, (100, 3))
    found = matched(labels[:, :2] * 1.0, labels, n_permutations=20)
    assert found.latents.tolist() == [0, 1, -1]
    np.testing.assert_allclose(found.fits, correlations(labels[:, :2], labels))
