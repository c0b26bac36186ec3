import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.linear_model import orthogonal_mp

from ssae_lens.evals._decomposition import pursuit


@pytest.fixture(scope="module")
def dictionary():
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(60, 20))
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True), rng.normal(size=20)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_is_scikit_learns_orthogonal_matching_pursuit(dictionary, k):
    atoms, vector = dictionary
    due = orthogonal_mp(atoms.T, vector, n_nonzero_coefs=k)
    step = pursuit(atoms, vector, k)[-1]
    np.testing.assert_allclose(step.codes(len(atoms)), due, atol=1e-9)
    missed = vector - due @ atoms
    assert step.explained == pytest.approx(1 - missed @ missed / (vector @ vector))


def test_lengths_of_atoms_have_no_say(dictionary):
    atoms, vector = dictionary
    longer = atoms * np.linspace(0.1, 9, len(atoms))[:, None]
    one, other = pursuit(atoms, vector, 5)[-1], pursuit(longer, vector, 5)[-1]
    assert one.atoms == other.atoms
    np.testing.assert_allclose(one.coefficients @ atoms[one.atoms], other.coefficients @ longer[other.atoms])


def test_planted_signs_come_back():
    atoms = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0]
    steps = pursuit(atoms, 3 * atoms[4] - 2 * atoms[7], 5)
    assert [step.atoms for step in steps] == [[4], [4, 7]]  # and then nothing is left
    np.testing.assert_allclose(steps[-1].coefficients, [3, -2])
    assert steps[0].explained == pytest.approx(9 / 13)
    assert steps[1].explained == pytest.approx(1)


def test_without_signs_none_is_negative(dictionary):
    atoms, vector = dictionary
    steps = pursuit(atoms, vector, 8, signed=False)
    signed = pursuit(atoms, vector, 8)
    for step in steps:
        assert (step.coefficients >= 0).all()
        due = nnls(atoms[step.atoms].T, vector)[0]
        np.testing.assert_allclose(step.coefficients, due)
    shares = [step.explained for step in steps]
    assert shares == sorted(shares)
    assert steps[0].explained <= signed[0].explained
    # Away from the only atom there is nothing to take.
    assert pursuit(np.eye(3)[:1], -np.eye(3)[0], 3, signed=False) == []


def test_nothing_to_write_and_what_does_not_fit():
    assert pursuit(np.eye(3), np.zeros(3), 2) == []
    assert len(pursuit(np.eye(3), np.ones(3), 9)) == 3
    with pytest.raises(ValueError, match="as wide as the vector"):
        pursuit(np.eye(3), np.ones(4), 2)
    with pytest.raises(ValueError, match="max_atoms is 0"):
        pursuit(np.eye(3), np.ones(3), 0)
