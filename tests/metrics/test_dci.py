import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.linear_model import Lasso
from sklearn.metrics import r2_score

from ssae_lens.metrics import control_shuffled, dci
from ssae_lens.metrics._dci import _lasso, concentration

HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2


@pytest.fixture
def factors():
    return np.random.default_rng(0).normal(size=(1000, 4))


def test_a_permutation_is_perfect(factors):
    found = dci(factors[:400, [2, 0, 3, 1]] * [1, -5, 0.1, 2], factors[:400])
    assert min(found.disentanglement, found.completeness, found.informativeness) > 0.999
    np.testing.assert_array_equal(found.importances.argmax(axis=0), [1, 3, 0, 2])


def test_a_full_mixture_is_informative_and_nothing_else(factors):
    found = dci(factors @ HADAMARD, factors)
    assert found.disentanglement < 0.02
    assert found.completeness < 0.02
    assert found.informativeness > 0.999


def test_split_and_merged_factors(factors):
    """A factor spread over two codes is not complete; a code of two factors is not disentangled."""
    noise = np.random.default_rng(1).normal(size=(1000, 2))
    split = np.stack([factors[:, 0] + noise[:, 0], factors[:, 0] - noise[:, 0], factors[:, 1]], axis=1)
    found = dci(split, factors[:, :2])
    assert found.per_factor[0] == pytest.approx(1 - np.log(2) / np.log(3), abs=0.01)
    assert found.per_factor[1] > 0.99
    assert found.disentanglement > 0.99
    merged = factors[:, :1] + factors[:, 1:2]
    assert dci(merged, factors[:, :2]).disentanglement < 0.01
    assert dci(merged, factors[:, :2]).completeness == 1


def test_noise_latents_get_nothing(factors):
    rng = np.random.default_rng(2)
    codes = np.concatenate([factors + 0.3 * rng.normal(size=(1000, 4)), rng.normal(size=(1000, 100))], axis=1)
    found = dci(codes, factors)
    assert found.disentanglement > 0.97
    assert found.importances[4:].sum() < 0.02 * found.importances.sum()
    assert found.informativeness == pytest.approx(1 / 1.09, abs=0.03)


def test_lasso_solves_its_own_equation(factors):
    """At the end the penalty is the universal one for the noise that is left, and scikit-learn's Lasso agrees."""
    rng = np.random.default_rng(3)
    codes = factors + rng.normal(size=factors.shape)
    codes, factor = (codes - codes.mean(0)) / codes.std(0), factors[:, :1] - factors[:, :1].mean()
    weights = _lasso(codes, factor)
    noise = np.sqrt(np.mean((factor - codes @ weights) ** 2))
    model = Lasso(alpha=noise * np.sqrt(2 * np.log(4) / 1000), fit_intercept=False).fit(codes, factor[:, 0])
    np.testing.assert_allclose(weights[:, 0], model.coef_, atol=1e-3)


def test_shuffled_labels(factors):
    control = control_shuffled(lambda *both: dci(*both).informativeness, factors, factors, repeats=5)
    assert control.mean < 0.02
    assert dci(factors, factors).informativeness > 0.999


def test_concentration_is_one_less_the_entropy():
    rows = np.random.default_rng(0).uniform(size=(5, 7))
    rows[0, 2:] = 0
    np.testing.assert_allclose(concentration(rows), 1 - entropy(rows.T, base=7))
    np.testing.assert_array_equal(concentration(np.array([[0, 0], [1, 0], [1, 1]])), [0, 1, 0])
    np.testing.assert_array_equal(concentration(np.array([[0.0], [2.0]])), [0, 1])


def test_r2_on_held_out_rows():
    """Recomputed from the split: least squares stands in for lasso, whose penalty is tiny without noise."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(500, 2))
    codes = np.tanh(factors @ rng.normal(size=(2, 2)))
    order = np.random.default_rng(7).permutation(500)
    test, train = order[:100], order[100:]
    design = np.c_[codes, np.ones(500)]
    weights = np.linalg.lstsq(design[train], factors[train], rcond=None)[0]
    expected = r2_score(factors[test], design[test] @ weights, multioutput="raw_values")
    np.testing.assert_allclose(dci(codes, factors, seed=7).r2, expected, atol=0.01)


def test_constant_columns_and_tensors(factors):
    codes, labels = torch.tensor(factors[:, :3]), torch.tensor(factors[:, :3] > 0)
    codes[:, 2], labels[:, 1] = 5, True
    found = dci(codes, labels)
    assert np.isfinite(found.importances).all()
    assert (found.importances[2] == 0).all()
    assert found.per_factor[1] == found.r2[1] == found.per_latent[2] == 0


def test_unusable(factors):
    with pytest.raises(ValueError, match="5 rows; at least 10"):
        dci(factors[:5], factors[:5])
    with pytest.raises(ValueError, match=r"held_out is 0\.999"):
        dci(factors, factors, held_out=0.999)
