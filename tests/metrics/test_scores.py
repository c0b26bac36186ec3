import numpy as np
import pytest
import torch
from scipy import stats

from ssae_lens.metrics import harmonic_mean, p_match, propensity


def test_p_match_is_the_share_of_two_probabilities():
    logits = torch.randn(20, 50)
    probabilities = logits.softmax(dim=1)
    expected = probabilities[:, 3] / (probabilities[:, 3] + probabilities[:, 7])
    np.testing.assert_allclose(p_match(logits[:, 3], logits[:, 7]), expected, rtol=1e-5)
    log_probabilities = logits.log_softmax(dim=1)
    np.testing.assert_allclose(
        propensity(log_probabilities[:, 3], log_probabilities[:, 7]),
        propensity(logits[:, 3], logits[:, 7]),
        atol=1e-5,
    )


def test_extremes_and_sign():
    np.testing.assert_array_equal(p_match(np.array([1e4, -1e4, 2.0]), np.array([0.0, 0.0, 2.0])), [1, 0, 0.5])
    np.testing.assert_array_equal(propensity(np.array([3.0]), np.array([1.0])), [2])


def test_harmonic_mean_is_scipys():
    scores = np.random.default_rng(0).uniform(size=(6, 3))
    np.testing.assert_allclose(harmonic_mean(torch.tensor(scores)), stats.hmean(scores, axis=1))
    np.testing.assert_allclose(harmonic_mean(scores, axis=0), stats.hmean(scores, axis=0))
    np.testing.assert_allclose(harmonic_mean([[1.0, 1.0, 0.0], [0.5, 0.5, 0.5]]), [0, 0.5])
    assert harmonic_mean([0.2, 0.8]) == pytest.approx(0.32)


def test_unusable():
    with pytest.raises(ValueError, match="logit_pos has 2 rows and logit_neg has 3"):
        propensity(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"scores holds -0\.1"):
        harmonic_mean([0.5, -0.1])
    with pytest.raises(ValueError, match="axis is 1"):
        harmonic_mean([0.5, 0.1], axis=1)
    with pytest.raises(ValueError, match="scores has shape"):
        harmonic_mean([])
