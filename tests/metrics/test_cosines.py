from itertools import combinations

import numpy as np
import pytest
import torch
from sae_lens.synthetic import mean_correlation_coefficient
from sklearn.metrics.pairwise import cosine_similarity

from ssae_lens.metrics import cosines, latent_stability, mcc_codes, steered_cosines, steered_cosines_frobenius, udr


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


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    codes = [rng.normal(size=(200, 6)) for _ in range(3)]
    codes[1] = codes[0] + 0.5 * codes[1]
    decoders = [rng.normal(size=(6, 20)) for _ in range(3)]
    return codes, decoders


def test_mean_over_every_pair(runs):
    codes, decoders = runs
    pairs = list(combinations(range(3), 2))
    agreement = udr(codes, decoders)
    of_codes = [mcc_codes(codes[i], codes[j]).score for i, j in pairs]
    of_decoders = [mean_correlation_coefficient(torch.tensor(decoders[i]), torch.tensor(decoders[j])) for i, j in pairs]
    assert agreement.codes == pytest.approx(np.mean(of_codes))
    assert agreement.decoders == pytest.approx(np.mean(of_decoders))
    assert udr(codes[:2], decoders[:2]).codes > udr(codes[1:], decoders[1:]).codes + 0.4


def test_the_same_run_reordered_is_one(runs):
    (codes, *_), (decoder, *_) = runs
    order, signs = [5, 3, 1, 0, 2, 4], np.array([1, -1, 1, 1, -1, -1])
    found = udr([codes, codes[:, order] * signs], [decoder, decoder[order] * signs[:, None]], kind="spearman")
    assert found.codes == pytest.approx(1)
    assert found.decoders == pytest.approx(1)


def test_dead_latents_lower_it(runs):
    (codes, *_), (decoder, *_) = runs
    dead = codes.copy()
    dead[:, :3] = 0
    assert udr([codes, dead], [decoder, decoder]).codes == pytest.approx(0.5)


def test_runs_of_two_widths(runs):
    (codes, *_), (decoder, *_) = runs
    for pair in ([0, 1], [1, 0]):
        both = [(codes, decoder), (codes[:, :4], decoder[:4])]
        found = udr([both[i][0] for i in pair], [both[i][1] for i in pair])
        assert found.codes == pytest.approx(1)
        assert found.decoders == pytest.approx(1)


def test_stability_of_each_latent():
    base, noise = np.eye(4, 10), np.eye(4, 10, k=5)
    wobbly = base + np.array([0, 0, 0, 1])[:, None] * noise  # the last at 45°
    found = latent_stability([base, wobbly[::-1], -base], run=0)
    np.testing.assert_allclose(found, [1, 1, 1, (np.sqrt(0.5) + 1) / 2])
    np.testing.assert_allclose(latent_stability([base[:2], base], run=1), [1, 1, 0, 0])


def test_unusable_runs(runs):
    codes, decoders = runs
    with pytest.raises(ValueError, match="codes holds 1 runs; at least 2"):
        udr(codes[:1], decoders[:1])
    with pytest.raises(ValueError, match="3 codes and 2 decoders"):
        udr(codes, decoders[:2])
    with pytest.raises(ValueError, match=r"codes\[0\] has 200 rows and codes\[2\] has 199"):
        udr([codes[0], codes[1], codes[2][1:]], decoders)
    with pytest.raises(ValueError, match=r"decoders\[0\] has 20 columns and decoders\[1\] has 19"):
        udr(codes, [decoders[0], decoders[1][:, 1:], decoders[2]])
    with pytest.raises(ValueError, match="run is 3"):
        latent_stability(decoders, run=3)
