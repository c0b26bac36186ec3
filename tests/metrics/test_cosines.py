import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from ssae_lens.metrics import cosines, steered_cosines, steered_cosines_frobenius


@pytest.fixture
def three():
    rng = np.random.default_rng(0)
    z, eta = rng.normal(size=(2, 30, 6))
    return z, eta, z + eta + 0.3 * rng.normal(size=(30, 6))


def test_matrix_is_sklearns(three):
    z, eta, _ = three
    np.testing.assert_allclose(cosines(z, eta[:7]), cosine_similarity(z, eta[:7]), atol=1e-13)


def test_zero_tiny_and_huge_rows():
    rows = np.array([[0.0, 0.0], [1e-200, 0.0], [1e200, 1e200]])
    np.testing.assert_allclose(cosines(rows, np.array([[1.0, 0.0]])), [[0], [1], [np.sqrt(0.5)]])


def test_steered_is_torchs(three):
    z, eta, target = (torch.tensor(each) for each in three)
    np.testing.assert_allclose(
        steered_cosines(z, eta, target), torch.nn.functional.cosine_similarity(z + eta, target), atol=1e-12
    )
    np.testing.assert_allclose(steered_cosines(z, target - z, target), 1)
    one = eta[0]
    np.testing.assert_allclose(steered_cosines(z, one, target), steered_cosines(z, one.expand(30, 6), target))


def test_frobenius_step_by_step(three):
    """Their steps: divide each matrix by its norm, add, divide the sum, take the cosine of each row."""
    z, eta, target = (each / np.linalg.norm(each) for each in three)
    steered = z + eta
    steered = steered / np.linalg.norm(steered)
    expected = [cosine_similarity(target[i : i + 1], steered[i : i + 1])[0, 0] for i in range(30)]
    np.testing.assert_allclose(steered_cosines_frobenius(*three), expected, atol=1e-12)


def test_frobenius_forgets_the_scale_of_the_shift(three):
    z, eta, target = three
    np.testing.assert_allclose(
        steered_cosines_frobenius(z, 1e3 * eta, target), steered_cosines_frobenius(z, eta, target), atol=1e-12
    )
    assert abs(steered_cosines(z, 1e3 * eta, target) - steered_cosines(z, eta, target)).max() > 0.1


def test_one_vector_is_added_root_n_times_larger(three):
    z, eta, target = three
    rows = np.tile(eta[0], (30, 1))
    np.testing.assert_allclose(
        steered_cosines_frobenius(z, eta[0], target),
        steered_cosines(z / np.linalg.norm(z), np.sqrt(30) * rows / np.linalg.norm(rows), target),
    )


def test_unusable(three):
    z, eta, target = three
    with pytest.raises(ValueError, match="source has 30 rows and shift has 29"):
        steered_cosines(z, eta[1:], target)
    with pytest.raises(ValueError, match="source has 6 columns and shift has 5"):
        steered_cosines(z, eta[0, 1:], target)
    with pytest.raises(ValueError, match="shift is zero everywhere"):
        steered_cosines_frobenius(z, 0 * eta, target)
    with pytest.raises(ValueError, match="source is zero everywhere"):
        steered_cosines_frobenius(0 * z, eta, target)
