import numpy as np
import pytest
import torch

from ssae_lens.evals.synthetic_data import synthetic_shifts
from ssae_lens.metrics import expected_chance
from studies.baselines import affine, dictionary_learning, fast_ica, pca, random_directions, sae
from studies.synthetic.runner import scores

MADE = synthetic_shifts(12, 5, max_changed=2, n=1500)
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
def test_each_encodes_and_decodes_shifts(name):
    fitted = METHODS[name]()
    codes = fitted.encode(MADE.test)
    assert fitted.directions.shape == (5, 12)
    assert codes.shape == (300, 5)
    assert fitted.decode(codes).shape == MADE.test.shape
    numbers = scores(fitted, MADE)
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
    fitted = pca(MADE.train, 3)
    _, _, rows = np.linalg.svd(MADE.train - MADE.train.mean(0), full_matrices=False)
    np.testing.assert_allclose(abs((fitted.directions * rows[:3]).sum(1)), 1, atol=1e-3)


def test_ica_finds_independent_concepts():
    assert scores(fast_ica(MADE.train, 5), MADE)["mcc_codes"] > 0.98


def test_signs_of_codes():
    assert (METHODS["topk"]().encode(MADE.test) >= 0).all()
    abstopk = METHODS["abstopk"]().encode(MADE.test)
    assert (abstopk < 0).any()
    assert ((abstopk != 0).sum(1) == 2).all()


def test_random_directions_give_chance():
    made = synthetic_shifts(40, 8, n=100)
    fitted = [scores(random_directions(made.train, 8, seed=seed), made)["mcc_decoders"] for seed in range(30)]
    chance = expected_chance(40, 8, 8, draws=200)
    assert np.mean(fitted) == pytest.approx(chance, abs=4 * np.std(fitted) / 30**0.5)


def test_an_architecture_that_is_not():
    with pytest.raises(ValueError, match="Did you mean 'topk'"):
        sae(MADE.train, 5, architecture="topkk", active=2)


@pytest.mark.parametrize("architecture", ["standard", "topk", "abstopk"])
def test_the_callers_random_numbers_are_left_alone(architecture):
    rows = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    before = torch.manual_seed(123).get_state()
    fitted = sae(rows, 6, architecture=architecture, active=2, seed=4, steps=5, batch_size=8)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    again = sae(rows, 6, architecture=architecture, active=2, seed=4, steps=5, batch_size=8)
    assert np.array_equal(fitted.directions, again.directions)
    other = sae(rows, 6, architecture=architecture, active=2, seed=5, steps=5, batch_size=8)
    assert not np.array_equal(fitted.directions, other.directions)
