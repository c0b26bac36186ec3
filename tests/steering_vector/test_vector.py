from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sae_lens.saes.sae import SAEMetadata

from ssae_lens.base.provenance import Origin
from ssae_lens.sae import SSAE
from ssae_lens.steering_vector import SteeringVector

HOOK = "blocks.3.hook_resid_post"
ORIGIN = Origin(HOOK, 4, "gpt2", "HookedTransformer", {"fold_ln": True}, "last", "abc")


def vector(*numbers, hook=HOOK, **more):
    return SteeringVector(list(numbers) or [1.0, 2.0, 3.0, 4.0], hook, **more)


class TestByHand:
    def test_what_it_holds(self):
        made = SteeringVector(torch.arange(1, 5), HOOK, method="caa", concept="calm", norms={"mean_shift_norm": 2})
        assert (made.hook_name, made.d_model, made.method, made.concept) == (HOOK, 4, "caa", "calm")
        assert made.direction.dtype == torch.float32
        assert made.direction.tolist() == [1, 2, 3, 4]
        assert made.norms == {"mean_shift_norm": 2.0}
        assert made.origin == Origin(HOOK, 4)

    def test_it_is_a_copy(self):
        given = torch.ones(4)
        made = SteeringVector(given, HOOK)
        given.zero_()
        assert made.direction.tolist() == [1, 1, 1, 1]

    @pytest.mark.parametrize("kind", [np.float64, np.float32])
    def test_from_numpy(self, kind):
        assert vector(*np.ones(4, kind)).direction.tolist() == [1, 1, 1, 1]
        assert SteeringVector(np.ones(4, kind), HOOK).direction.tolist() == [1, 1, 1, 1]

    def test_gradients_stay_behind(self):
        assert not SteeringVector(torch.ones(4, requires_grad=True), HOOK).direction.requires_grad

    def test_hook_of_the_origin(self):
        assert SteeringVector(torch.ones(4), origin=ORIGIN).hook_name == HOOK
        elsewhere = SteeringVector(torch.ones(4), "blocks.1.hook_resid_pre", origin=ORIGIN)
        assert elsewhere.origin.hook_name == "blocks.1.hook_resid_pre"

    def test_several_hooks(self):
        made = SteeringVector(
            {"blocks.1.hook_resid_post": [1.0, 0.0], HOOK: [0.0, 2.0]}, norms={HOOK: {"mean_residual_norm": 7.0}}
        )
        assert made.hook_names == ("blocks.1.hook_resid_post", HOOK)
        with pytest.raises(ValueError, match=r"directions at 2 hooks .*take one with \.at"):
            _ = made.direction
        assert made.at(HOOK).direction.tolist() == [0, 2]
        assert made.at(HOOK).norms == {"mean_residual_norm": 7.0}
        assert made.at("blocks.1.hook_resid_post").norms == {}
        with pytest.raises(ValueError, match=r"hook_name is 'blocks.9"):
            made.at("blocks.9.hook_resid_post")

    @pytest.mark.parametrize(
        ("numbers", "words"),
        [
            ([float("nan"), 1.0], r"NaN or infinite values at 'blocks.3.*\(1 of 2\)"),
            ([float("inf"), 1.0], "NaN or infinite"),
            ([0.0, 0.0], "is zero at .*scale=0"),
            ([[1.0, 2.0]], r"shape \(1, 2\)"),
            ([], r"shape \(0,\)"),
        ],
    )
    def test_bad_directions(self, numbers, words):
        with pytest.raises(ValueError, match=words):
            SteeringVector(numbers, HOOK)

    def test_bad_places(self):
        with pytest.raises(ValueError, match="hook_name is empty"):
            SteeringVector([1.0])
        with pytest.raises(ValueError, match="3 numbers and its origin d_model=4"):
            SteeringVector([1.0, 2.0, 3.0], origin=ORIGIN)
        with pytest.raises(ValueError, match="several widths"):
            SteeringVector({"a": [1.0], "b": [1.0, 2.0]})
        with pytest.raises(ValueError, match="holds no hook"):
            SteeringVector({})
        with pytest.raises(ValueError, match=r"norms\['mean_shift_norm'\]"):
            vector(norms={"mean_shift_norm": float("nan")})


class TestFromSSAE:
    @pytest.fixture
    def ssae(self):
        rows = torch.eye(4)[:2] * 0.6 + torch.eye(4)[2:] * 0.8
        return SSAE.from_weights(rows.T.clone(), rows, metadata=SAEMetadata(origin=ORIGIN.to_dict()))

    def test_a_row(self, ssae):
        made = SteeringVector.from_ssae(ssae, 1)
        assert torch.equal(made.direction, ssae.W_dec[1].detach())
        assert (made.origin, made.method) == (ORIGIN, "ssae")

    def test_of_a_concept(self, ssae):
        concept = SimpleNamespace(latents=(0,), weights=(-2.5,), concept="gender")
        made = SteeringVector.from_ssae(ssae, concept, norms={"mean_shift_norm": 3.0})
        assert torch.allclose(made.direction, -2.5 * ssae.W_dec[0])
        assert (made.concept, made.norms) == ("gender", {"mean_shift_norm": 3.0})

    def test_of_several_latents(self, ssae):
        expected = 2.0 * ssae.W_dec[0] - 3.0 * ssae.W_dec[1]
        both = SimpleNamespace(latents=(0, 1), weights=(2.0, -3.0), concept="formality")
        torch.testing.assert_close(SteeringVector.from_ssae(ssae, both).direction, expected.detach())
        ssae.cfg.metadata.latents = [
            {"name": "formality", "sign": 1, "scale": 2},
            {"name": "formality", "sign": -1, "scale": 3},
        ]
        named = SteeringVector.from_ssae(ssae, "formality")
        torch.testing.assert_close(named.direction, expected.detach())
        assert named.concept == "formality"
        ssae.cfg.metadata.typical = [5.0, 7.0]
        listed = SteeringVector.from_ssae(ssae, [0, 1], concept="both")
        torch.testing.assert_close(listed.direction, 5 * ssae.W_dec[0].detach() + 7 * ssae.W_dec[1].detach())
        with pytest.raises(ValueError, match="latent is an empty list"):
            SteeringVector.from_ssae(ssae, [])

    def test_a_number_is_as_long_as_a_typical_change_in_the_units_of_the_data(self, ssae):
        ssae.cfg.metadata.typical = [3.0, 0.0]
        ssae.cfg.metadata.norms = {"mean_shift_norm": 9.0, "mean_residual_norm": 40.0}
        made = SteeringVector.from_ssae(ssae, 0)
        torch.testing.assert_close(made.direction, 3 * ssae.W_dec[0].detach())
        assert made.norms == {"mean_shift_norm": 9.0, "mean_residual_norm": 40.0}
        torch.testing.assert_close(SteeringVector.from_ssae(ssae, 1).direction, ssae.W_dec[1].detach())

    @pytest.mark.parametrize("latent", [torch.tensor(1), np.int64(1), np.array(1), torch.tensor([1])[0], np.uint8(1)])
    def test_a_number_of_another_library(self, ssae, latent):
        made = SteeringVector.from_ssae(ssae, latent)
        assert torch.equal(made.direction, ssae.W_dec[1].detach())
        assert made.concept == ""

    @pytest.mark.parametrize(
        "latent",
        [2, -3, "gender", True, 0.5, None, np.bool_(True), torch.tensor(True), torch.tensor(0.5), torch.tensor([0, 1])],
    )
    def test_no_such_latent(self, ssae, latent):
        with pytest.raises(ValueError, match="latents 0 to 1"):
            SteeringVector.from_ssae(ssae, latent)

    @pytest.mark.parametrize("latents", [{"name": "gender"}, "gender", [None, {"name": ""}], 3, [["gender"]]])
    def test_names_that_are_none(self, ssae, latents):
        ssae.cfg.metadata.latents = latents
        with pytest.raises(ValueError, match="latents 0 to 1, and none has a name"):
            SteeringVector.from_ssae(ssae, "gender")

    def test_a_concept_that_no_latent_was_matched_to(self, ssae):
        nearest = SimpleNamespace(latents=(), concept="tense", runner_up=1, runner_up_fit=0.1234)
        words = r"No latent was matched to the concept 'tense' \(the nearest, latent 1, has a fit of 0.12\); give a latent's"
        with pytest.raises(ValueError, match=words):
            SteeringVector.from_ssae(ssae, nearest)
        with pytest.raises(ValueError, match="No latent was matched to the concept 'tense'; give a latent's number"):
            SteeringVector.from_ssae(ssae, SimpleNamespace(latents=(), concept="tense"))

    def test_an_ssae_without_a_hook(self):
        ssae = SSAE.from_weights(torch.eye(4), torch.eye(4))
        with pytest.raises(ValueError, match="give hook_name"):
            SteeringVector.from_ssae(ssae, 0)
        assert SteeringVector.from_ssae(ssae, 0, hook_name=HOOK).hook_name == HOOK


class TestArithmetic:
    def test_sum(self):
        a, b = vector(1, 2, 3, 4), vector(4, 3, 2, 2)
        assert torch.equal(sum([a, b]).direction, (a + b).direction)
        assert sum([a]) is a
        assert torch.equal((sum([a, b]) / 2).direction, (a + b).direction / 2)
        with pytest.raises(TypeError):
            1 + a
        with pytest.raises(TypeError):
            sum([a, 1])

    def test_on_one_hook(self):
        a, b = vector(1, 2, 3, 4), vector(4, 3, 2, 2)
        assert (a + b).direction.tolist() == [5, 5, 5, 6]
        assert (a - b).direction.tolist() == [-3, -1, 1, 2]
        assert (-a).direction.tolist() == [-1, -2, -3, -4]
        assert (2 * a).direction.tolist() == (a * 2).direction.tolist() == [2, 4, 6, 8]
        assert (a / 2).direction.tolist() == [0.5, 1, 1.5, 2]
        assert (np.float64(2) * a).direction.tolist() == (a * np.float32(2)).direction.tolist() == [2, 4, 6, 8]
        assert a.direction.tolist() == [1, 2, 3, 4]

    def test_on_other_hooks(self):
        low = vector(1, 0, 0, 0, hook="blocks.1.hook_resid_post")
        both = vector(1, 1, 1, 1) + low + low
        assert both.hook_names == (HOOK, "blocks.1.hook_resid_post")
        assert both.at("blocks.1.hook_resid_post").direction.tolist() == [2, 0, 0, 0]
        assert (both * 3).at(HOOK).direction.tolist() == [3, 3, 3, 3]

    def test_what_it_says_of_itself(self):
        a = vector(concept="calm", method="caa", norms={"mean_residual_norm": 9.0, "mean_shift_norm": 2.0})
        b = vector(concept="kind", method="caa", norms={"mean_residual_norm": 9.0, "mean_shift_norm": 3.0})
        total = a + b
        assert (total.concept, total.method, total.norms) == ("calm + kind", "caa", {"mean_residual_norm": 9.0})
        assert (a - b / 2).concept == "calm - kind"
        assert (a * 2).norms == a.norms

    def test_other_models_do_not_mix(self):
        a = SteeringVector(torch.ones(4), origin=ORIGIN)
        other = SteeringVector(torch.ones(4), origin=Origin(HOOK, 4, "pythia", "TransformerBridge"))
        with pytest.raises(ValueError, match=r"model_name: 'gpt2' against 'pythia'; model_class: 'Hooked.*'Transf"):
            _ = a + other
        with pytest.raises(ValueError, match="d_model: 4 against 2"):
            _ = a - vector(1, 2)
        assert (a + vector()).origin.model_name == "gpt2"

    def test_zero_is_no_vector(self):
        with pytest.raises(ValueError, match="scale=0"):
            _ = vector() * 0
        with pytest.raises(ValueError, match="is zero"):
            _ = vector() - vector()

    @pytest.mark.parametrize("other", ["2", None, torch.ones(2)])
    def test_what_is_no_number(self, other):
        with pytest.raises(TypeError):
            _ = vector() * other
        with pytest.raises(TypeError):
            _ = vector() + other

    def test_normalize(self):
        both = (vector(3, 4) + vector(0, 5, hook="blocks.1.hook_resid_post")).normalize()
        assert both.at(HOOK).direction.tolist() == pytest.approx([0.6, 0.8])
        assert both.at("blocks.1.hook_resid_post").direction.tolist() == [0, 1]


def test_repr():
    assert repr(vector(3, 4, concept="calm", method="caa")) == (
        "SteeringVector(caa 'calm': length 5 at blocks.3.hook_resid_post, d_model 2)"
    )
