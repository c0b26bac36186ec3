import numpy as np
import pytest

from ssae_lens.metrics import expected_chance
from studies.baselines import affine, dictionary_learning, fast_ica, pca, random_directions
from studies.saes import sae
from studies.synthetic import world
from studies.synthetic.scores import scores

MADE = world(12, 5, most_changed=2, n=1500)
METHODS = {
    "affine": lambda: affine(MADE.train, 5, steps=100),
    "pca": lambda: pca(MADE.train, 5),
    "fast_ica": lambda: fast_ica(MADE.train, 5),
    "dictionary_learning": lambda: dictionary_learning(MADE.train, 5, active=2),
    "random_directions": lambda: random_directions(MADE.train, 5),
    **{
        name: lambda name=name: sae(MADE.train, 5, architecture=name, active=2, steps=25, lr=1e-2)
        for name in ("standard", "topk", "abstopk")
    },
}


@pytest.mark.parametrize("name", METHODS)
def test_each_reads_and_writes_shifts(name):
    found = METHODS[name]()
    codes = found.encode(MADE.test)
    assert found.directions.shape == (5, 12)
    assert codes.shape == (300, 5)
    assert found.decode(codes).shape == MADE.test.shape
    numbers = scores(found, MADE)
    assert all(-1 <= numbers[each] <= 1 + 1e-6 for each in numbers)
    assert numbers["mcc_shuffled"] < 0.25
    np.testing.assert_allclose(METHODS[name]().encode(MADE.test), codes, atol=1e-4)


def test_affine_reconstructs_and_is_not_constrained():
    numbers = scores(affine(MADE.train, 5, steps=400), MADE)
    assert numbers["r2"] > 0.999
    assert numbers["mcc_codes"] < 0.9
    rows = affine(MADE.train, 5, steps=20).directions
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_pca_against_numpy():
    found = pca(MADE.train, 3)
    _, _, rows = np.linalg.svd(MADE.train - MADE.train.mean(0), full_matrices=False)
    np.testing.assert_allclose(abs((found.directions * rows[:3]).sum(1)), 1, atol=1e-3)


def test_ica_finds_independent_concepts():
    assert scores(fast_ica(MADE.train, 5), MADE)["mcc_codes"] > 0.98


def test_signs_of_codes():
    assert (METHODS["topk"]().encode(MADE.test) >= 0).all()
    abstopk = METHODS["abstopk"]().encode(MADE.test)
    assert (abstopk < 0).any()
    assert ((abstopk != 0).sum(1) == 2).all()


def test_random_directions_give_chance():
    made = world(40, 8, n=100)
    found = [scores(random_directions(made.train, 8, seed=seed), made)["mcc_decoders"] for seed in range(30)]
    chance = expected_chance(40, 8, 8, draws=200)
    assert np.mean(found) == pytest.approx(chance, abs=4 * np.std(found) / 30**0.5)


def test_an_architecture_that_is_not():
    with pytest.raises(ValueError, match="Did you mean 'topk'"):
        sae(MADE.train, 5, architecture="topkk", active=2)
