import contextlib

import pytest
import torch
from sae_lens import HookedSAETransformer, SAETransformerBridge

from ssae_lens import SSAE, SSAEConfig
from ssae_lens.hooks.hook_points import (
    hook_point,
    layer_of,
    origin_of,
    record_activations,
    require_residual,
    resolve_hook,
)
from ssae_lens.models import describe, tiny_model

POST = "blocks.1.hook_resid_post"


@pytest.fixture(scope="module", params=["hooked", "bridge"])
def model(request):
    return tiny_model("gpt2", request.param)


def with_sae(kind):
    model = tiny_model("gpt2", kind)
    if kind == "hooked":
        plain, model = model, HookedSAETransformer(model.cfg, tokenizer=model.tokenizer)
        model.load_state_dict(plain.state_dict())
    else:
        # As SAETransformerBridge.boot_transformers itself does.
        model.__class__ = SAETransformerBridge
        model._acts_to_saes, model._transcoder_output_hooks = {}, {}
    ssae = SSAE(SSAEConfig(d_in=model.cfg.d_model, d_sae=4))
    ssae.cfg.metadata.hook_name = POST
    model.add_sae(ssae, use_error_term=True)
    return model


@pytest.mark.parametrize("end", ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"])
def test_both_classes_know_the_hooks_of_the_residual_stream(model, end):
    name = f"blocks.1.hook_{end}"
    assert resolve_hook(model, name) == name
    require_residual(model, name)


def test_a_bridges_own_names_become_the_shared_ones():
    bridge = tiny_model("gpt2", "bridge")
    found = {name: resolve_hook(bridge, name) for name in ("blocks.2.hook_out", "blocks.2.hook_in", "embed.hook_out")}
    assert found == {
        "blocks.2.hook_out": "blocks.2.hook_resid_post",
        "blocks.2.hook_in": "blocks.2.hook_resid_pre",
        "embed.hook_out": "hook_embed",
    }
    # In a model with norms after its sublayers, what an MLP gives is not what it adds to the residual stream.
    gemma = tiny_model("gemma2", "bridge")
    assert resolve_hook(gemma, "blocks.1.mlp.hook_out") == "blocks.1.mlp.hook_out"
    assert resolve_hook(gemma, "blocks.1.ln2_post.hook_out") == "blocks.1.hook_mlp_out"


def test_a_hook_that_is_not_there_gets_the_nearest_names(model):
    with pytest.raises(
        ValueError, match=r"no hook 'blocks.1.hook_resid_pots'. Did you mean 'blocks.1.hook_resid_post'"
    ):
        resolve_hook(model, "blocks.1.hook_resid_pots")
    with pytest.raises(ValueError, match=r"blocks.0 to blocks.2"):
        resolve_hook(model, "blocks.7.hook_resid_post")
    # NeoX's attention and MLP run side by side: there is nothing between them, and it is not suggested.
    with pytest.raises(ValueError, match=r"no hook 'blocks.0.hook_resid_mid'") as error:
        resolve_hook(tiny_model("neox"), "blocks.0.hook_resid_mid")
    assert str(error.value).count("hook_resid_mid") == 1


@pytest.mark.parametrize(
    ("hook", "shape"), [("attn.hook_q", r"\(2, 3, 4, 8\)"), ("attn.hook_pattern", r"\(2, 4, 3, 3\)")]
)
def test_what_is_not_as_wide_as_the_residual_stream_is_refused(model, hook, shape):
    with pytest.raises(ValueError, match=rf"'blocks.0.{hook}' carries activations of shape {shape}"):
        require_residual(model, f"blocks.0.{hook}")


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
def test_a_spliced_sae_is_explained(kind):
    model = with_sae(kind)
    own = "blocks.1.hook_out" if kind == "bridge" else POST
    with pytest.raises(ValueError, match=f"An SAE stands at '{own}'.*'{own}.hook_sae_input'"):
        resolve_hook(model, POST)
    require_residual(model, f"{own}.hook_sae_input")
    require_residual(model, f"{own}.hook_sae_output")


def test_a_hook_where_nothing_passes_is_an_error():
    # A bridge does not run the hooks at a place that an SAE was taken away from.
    model = with_sae("bridge")
    model.reset_saes()
    with pytest.raises(ValueError, match=f"Nothing passed at the hook '{POST}'"):
        require_residual(model, POST)


def test_origin_says_what_the_model_is(model):
    origin = origin_of(model, POST, "last")
    what = describe(model)
    assert (origin.hook_name, origin.position) == (POST, "last")
    assert all(getattr(origin, name) == value for name, value in what.items() if name != "n_layers")


def test_layers():
    assert layer_of("blocks.12.hook_resid_post") == 12
    assert layer_of("hook_embed") is None


def test_reading_gives_what_passes_and_goes_no_further(model):
    hooks = ["blocks.0.hook_mlp_out", POST]
    tokens = model.to_tokens("The king was happy.")
    ran = []
    handles = [each.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, each in enumerate(model.blocks)]
    with record_activations(model, hooks) as read:
        found = read(tokens)
    for handle in handles:
        handle.remove()
    # Block 1 is left from within by the hook at its end, and block 2 never begun.
    assert ran in ([0], [0, 1])
    _, cache = model.run_with_cache(tokens)
    for hook in hooks:
        torch.testing.assert_close(found[hook], cache[hook])
        assert not found[hook].requires_grad


def test_the_model_is_left_as_it_was(model):
    tokens = model.to_tokens("The king was happy.")
    before = model(tokens)
    model.train()
    model.blocks[1].eval()
    modes = [each.training for each in model.modules()]
    seen = []
    with model.hooks(fwd_hooks=[(str(hook_point(model, "hook_embed").name), lambda value, hook: seen.append(1))]):
        with contextlib.suppress(KeyError), record_activations(model, [POST]) as read:
            assert not model.training
            read(tokens)
            raise KeyError
        # A hook of the caller's own ran, and runs still.
        assert seen == [1]
        model(tokens)
        assert seen == [1, 1]
    assert [each.training for each in model.modules()] == modes
    assert not hook_point(model, POST).fwd_hooks
    model.eval()
    torch.testing.assert_close(model(tokens), before)
