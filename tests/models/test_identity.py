import pytest
import torch

from ssae_lens.base.provenance import Origin
from ssae_lens.models import describe, tiny_model
from ssae_lens.models.hooked import laid_out_for_generation
from ssae_lens.models.identity import processing, weights_fingerprint

RAW = {"fold_ln": False, "center_writing_weights": False, "center_unembed": False}
ALL = dict.fromkeys(RAW, True)


def test_describe_fills_an_origin():
    model = tiny_model("llama", n_layers=2, device="cpu")
    found = describe(model)
    origin = Origin.from_dict({"hook_name": "blocks.1.hook_resid_post", "position": "last", **found})
    assert (origin.model_name, origin.model_class, origin.d_model) == ("tiny-llama", "HookedTransformer", 32)
    assert found["n_layers"] == 2
    assert len(origin.fingerprint) == 16


@pytest.mark.parametrize("flag", RAW)
def test_each_flag_is_measured(flag):
    assert processing(tiny_model("gpt2", device="cpu")) == ALL
    assert processing(tiny_model("gpt2", device="cpu", **{flag: False})) == ALL | {flag: False}
    assert processing(tiny_model("gpt2", device="cpu", **(RAW | {flag: True}))) == RAW | {flag: True}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_an_architecture_does_not_allow_is_not_told(dtype):
    allowed = {
        "neox": ALL,
        "llama": ALL | {"center_writing_weights": False},
        "gemma2": ALL | {"center_writing_weights": False, "center_unembed": False},
    }
    for shape, expected in allowed.items():
        assert processing(tiny_model(shape, dtype=dtype, device="cpu")) == expected, shape


@pytest.mark.parametrize("shape", ["gpt2", "llama", "gemma"])
def test_bridge_is_raw_until_compatibility_mode(shape):
    model = tiny_model(shape, "bridge", device="cpu")
    raw = describe(model)
    assert raw["model_class"] == "TransformerBridge"
    assert raw["processing"] == RAW
    model.enable_compatibility_mode()
    assert processing(model) == processing(tiny_model(shape, device="cpu"))
    assert weights_fingerprint(model) != raw["fingerprint"]


def test_bridge_in_compatibility_mode_without_processing_is_raw():
    model = tiny_model("gpt2", "bridge", device="cpu")
    model.enable_compatibility_mode(no_processing=True)
    assert processing(model) == RAW


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
def test_fingerprint_tells_models_apart_and_loads_together(kind):
    first, again, other = (weights_fingerprint(tiny_model("gpt2", kind, seed=seed, device="cpu")) for seed in (1, 1, 2))
    assert first == again != other
    assert first != weights_fingerprint(tiny_model("gpt2", kind, seed=1, n_layers=2, device="cpu"))


def test_fingerprint_does_not_ask_how_weights_lie_in_memory():
    model = tiny_model("llama", device="cpu")
    before = weights_fingerprint(model)
    with laid_out_for_generation(model):
        assert not model.W_U.is_contiguous()
        assert weights_fingerprint(model) == before


def test_fingerprint_forgives_rounding_but_not_training():
    model = tiny_model("gpt2", device="cpu")
    before = weights_fingerprint(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 1e-7 * torch.randn_like(parameter))
    assert weights_fingerprint(model) == before
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 1e-2 * torch.randn_like(parameter))
    assert weights_fingerprint(model) != before


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
def test_fingerprint_passes_over_what_is_spliced_in(kind):
    from sae_lens import SAE, HookedSAETransformer, StandardSAE, StandardSAEConfig
    from sae_lens.analysis.sae_transformer_bridge import SAETransformerBridge

    model = tiny_model("gpt2", kind, device="cpu")
    before = describe(model)
    sae: SAE = StandardSAE(StandardSAEConfig(d_in=32, d_sae=8, device="cpu"))
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    model.__class__ = HookedSAETransformer if kind == "hooked" else SAETransformerBridge
    model._acts_to_saes = {}
    model.add_sae(sae)
    assert describe(model) == before


def test_name_without_organisation():
    model = tiny_model("gpt2", device="cpu")
    model.cfg.model_name = "EleutherAI/pythia-70m"
    assert describe(model)["model_name"] == "pythia-70m"


def test_not_a_model():
    with pytest.raises(ValueError, match="model is a Linear; it must be a HookedTransformer or"):
        describe(torch.nn.Linear(2, 2))
