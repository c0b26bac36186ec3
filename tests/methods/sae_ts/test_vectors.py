"""Vectors made from an approximator: each formula in double precision by NumPy, and what each is for."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssae_lens.base.provenance import Origin
from ssae_lens.hooks._steer import steer
from ssae_lens.methods.sae_ts import Approximator, pseudo_inverse, rotated, targeted
from ssae_lens.methods.sae_ts.vectors import rotation_of
from ssae_lens.models.identity import weights_fingerprint

D, D_SAE, HOOK = 12, 30, "blocks.1.hook_resid_post"
ORIGIN = Origin(HOOK, D, "some model")


def sae_of(rows):
    parameter = torch.nn.Parameter(torch.tensor(rows, dtype=torch.float32))
    return SimpleNamespace(W_dec=parameter, named_parameters=lambda: [("W_dec", parameter)])


def made(M, b, sae=None):
    M, b = (torch.tensor(each, dtype=torch.float32) for each in (M, b))
    return Approximator(M, b, ORIGIN, weights_fingerprint(sae) if sae else "", 7.0, 0.5, 0.0, {})


def unit(x):
    return x / np.linalg.norm(x)


@pytest.fixture(scope="module")
def parts():
    random = np.random.default_rng(0)
    return random.normal(size=(D, D_SAE)), random.normal(size=D_SAE), random.normal(size=(D_SAE, D))


TARGETS = [(3, {3: 1.0}), ([3, 9], {3: 1.0, 9: 1.0}), ({3: 2.0, 9: -0.5}, {3: 2.0, 9: -0.5})]


def as_array(weights):
    t = np.zeros(D_SAE)
    for feature, weight in weights.items():
        t[feature] = weight
    return t


@pytest.mark.parametrize(("features", "weights"), TARGETS)
class TestFormulas:
    @pytest.mark.parametrize("bias", [1.0, 0.0, 0.3])
    def test_targeted(self, parts, features, weights, bias):
        M, b, _ = parts
        expected = unit(unit(M @ as_array(weights)) - bias * unit(M @ b))
        np.testing.assert_allclose(targeted(made(M, b), features, bias=bias).direction, expected, atol=1e-6)

    @pytest.mark.parametrize("size", [1.0, 20.0])
    def test_pseudo_inverse(self, parts, features, weights, size):
        M, b, _ = parts
        expected = unit((size * unit(as_array(weights)) - b) @ np.linalg.pinv(M))
        np.testing.assert_allclose(pseudo_inverse(made(M, b), features, size=size).direction, expected, atol=1e-5)

    def test_rotation(self, parts, features, weights):
        M, b, W = parts
        rows = W / np.linalg.norm(W, axis=1, keepdims=True)
        u, _, vt = np.linalg.svd((M / np.linalg.norm(M, axis=0)) @ rows)
        expected = unit(unit(u @ vt @ (rows.T @ as_array(weights))) - unit(M @ b))
        found = rotated(made(M, b, sae_of(W)), sae_of(W), features)
        np.testing.assert_allclose(found.direction, expected, atol=1e-5)


def test_the_pseudo_inverse_meets_a_target_that_can_be_met():
    random = np.random.default_rng(1)
    M, b = random.normal(size=(D, 5)), random.normal(size=5)
    found = made(M, b)
    direction = pseudo_inverse(found, 2).direction
    # Its length was taken off: with it, the effects are the target.
    length = np.linalg.norm((np.eye(5)[2] - b) @ np.linalg.pinv(M))
    np.testing.assert_allclose(length * direction @ found.M + found.b, np.eye(5)[2], atol=1e-4)


def test_the_rotation_is_that_which_was_made(parts):
    """Where effects are the decoder rows turned, each with a length of its own, the turn is found and not its inverse."""
    _, b, W = parts
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(D, D))).Q
    M = (turn @ W.T) * np.random.default_rng(3).uniform(0.5, 2, size=D_SAE)
    sae = sae_of(W)
    found, _ = rotation_of(made(M, b, sae), sae)
    np.testing.assert_allclose(found, turn, atol=1e-5)
    np.testing.assert_allclose(rotated(made(M, b, sae), sae, 4, bias=0).direction, unit(turn @ W[4]), atol=1e-5)


def test_the_targeted_vector_raises_its_feature_and_not_the_rest(parts):
    M, b, _ = parts
    found = made(M, b)
    vector = targeted(found, 3)
    plain = targeted(found, 3, bias=0)
    assert plain.direction @ found.M[:, 3] == pytest.approx(np.linalg.norm(M[:, 3]), rel=1e-5)
    assert vector.direction @ found.M @ found.b < plain.direction @ found.M @ found.b


def test_what_a_vector_says(parts):
    M, b, W = parts
    sae = sae_of(W)
    found = made(M, b, sae)
    every = [targeted(found, 3), pseudo_inverse(found, 3), rotated(found, sae, 3)]
    assert [each.method for each in every] == ["sae_ts targeted", "sae_ts pseudo-inverse", "sae_ts rotation"]
    for each in every:
        assert (each.origin, each.concept, each.norms) == (ORIGIN, "feature 3", {"mean_residual_norm": 7.0})
        assert each.direction.norm().item() == pytest.approx(1, abs=1e-6)
    assert targeted(found, [3, 9]).concept == "feature 3 + 9"
    assert targeted(found, [3, 9], concept="weddings").concept == "weddings"


def test_without_a_bias(parts):
    M, _, _ = parts
    np.testing.assert_allclose(targeted(made(M, np.zeros(D_SAE)), 3).direction, unit(M[:, 3]), atol=1e-6)


def test_a_feature_that_never_fired_has_no_say(parts):
    M, b, W = (np.copy(each) for each in parts)
    M[:, 5] = 0
    sae = sae_of(W)
    rest = np.arange(D_SAE) != 5
    rows = W / np.linalg.norm(W, axis=1, keepdims=True)
    u, _, vt = np.linalg.svd((M[:, rest] / np.linalg.norm(M[:, rest], axis=0)) @ rows[rest])
    np.testing.assert_allclose(rotation_of(made(M, b, sae), sae)[0], u @ vt, atol=1e-5)
    with pytest.raises(ValueError, match="Feature 5 never fired"):
        targeted(made(M, b), [3, 5])


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (30, "features has 30; this SAE has features 0 to 29"),
        (-1, "features has -1"),
        ([1, 2.5], "features has 2.5"),
        (True, "features has True"),
        ([], r"features is \[\]"),
        ({1: 0.0}, r"features is \{1: 0.0\}"),
        ({1: float("nan")}, "features is"),
    ],
)
def test_bad_targets(parts, features, words):
    M, b, _ = parts
    with pytest.raises(ValueError, match=words):
        targeted(made(M, b), features)


def test_another_sae(parts):
    M, b, W = parts
    with pytest.raises(ValueError, match=r"made with another SAE \([0-9a-f]+ against [0-9a-f]+\) at 'blocks\.1"):
        rotated(made(M, b, sae_of(W)), sae_of(W + 1), 3)


def test_a_vector_of_another_model(model, parts):
    M, b, _ = parts
    with pytest.raises(ValueError, match=r"d_model=12 .* d_model=32"):
        steer(model, targeted(made(M, b), 3))
