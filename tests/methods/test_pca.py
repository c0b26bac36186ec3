import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA, TruncatedSVD

from ssae_lens.methods import mean_shift, pca
from ssae_lens.shifts import ShiftStore


def pair_centred(sides, labels):
    """Both sides of the pairs in which sentiment changes, each less its pair's mean."""
    changed = labels[:, 1] != 0
    source, target = (side[changed].astype(np.float64) for side in sides)
    middle = (source + target) / 2
    return np.concatenate([source - middle, target - middle])


def test_it_is_the_first_component_of_pair_centred_activations(store, sides, labels, signed):
    vector = pca(store, "sentiment")
    first = PCA(1, svd_solver="full").fit(pair_centred(sides, labels)).components_[0]
    unit = vector.direction.double().numpy() / vector.direction.norm().item()
    assert abs(unit @ first) == pytest.approx(1, abs=1e-6)
    # The same of shifts that are not centred, signed or not.
    uncentred = TruncatedSVD(1, algorithm="arpack", random_state=0).fit(signed).components_[0]
    assert abs(unit @ uncentred) == pytest.approx(1, abs=1e-6)


def test_sign_and_length_are_those_of_the_data(store, sides, labels, signed):
    vector = pca(store, "sentiment")
    unit = vector.direction.double().numpy() / vector.direction.norm().item()
    assert signed.mean(0) @ unit > 0
    assert vector.direction.norm().item() == pytest.approx(signed.mean(0) @ unit, rel=1e-6)
    turned = ShiftStore.from_arrays(*sides, origin=store.origin, labels=-labels, concepts=store.concepts)
    torch.testing.assert_close(pca(turned, "sentiment").direction, -vector.direction)
    assert (vector.method, vector.concept, vector.origin) == ("pca", "sentiment", store.origin)


def test_of_one_concept_alone_it_is_the_mean_shift(store, sides, directions):
    alone = ShiftStore.from_arrays(sides[0], sides[0] + 2 * directions[:1].astype(np.float32), origin=store.origin)
    torch.testing.assert_close(pca(alone).direction, mean_shift(alone).direction, atol=1e-4, rtol=1e-4)


def test_one_pair_is_too_few(store):
    with pytest.raises(ValueError, match="The shifts hold 1 of 1 pairs; at least 2 are needed"):
        pca(ShiftStore.from_arrays(torch.zeros(1, 12), torch.ones(1, 12), origin=store.origin))
