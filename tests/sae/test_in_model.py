"""An SSAE spliced into a model with the error term: nothing changes until a code does, and then by its row alone."""

import warnings

import pytest
import torch
from sae_lens import HookedSAETransformer, SAETransformerBridge

from ssae_lens import SSAE, SSAEConfig
from ssae_lens.models.tiny import tiny_model

D_MODEL, D_SAE, LATENT, ALPHA = 32, 6, 3, 2.5
HOOK = "blocks.1.hook_resid_post"
SETTINGS = {
    "plain": {},
    "k": {"k": 4},
    "normed": {"input_norm": "layer", "code_norm": "layer"},
    "threshold": {"has_threshold": True},
}


def hooked():
    plain = tiny_model("gpt2", "hooked", d_model=D_MODEL)
    model = HookedSAETransformer(plain.cfg, tokenizer=plain.tokenizer)
    model.load_state_dict(plain.state_dict())
    return model


def bridge():
    # As SAETransformerBridge.boot_transformers itself turns a bridge into one that takes SAEs.
    model = tiny_model("gpt2", "bridge", d_model=D_MODEL)
    model.__class__ = SAETransformerBridge
    model._acts_to_saes = {}
    model._transcoder_output_hooks = {}
    return model


@pytest.fixture(params=[hooked, bridge], ids=["hooked", "bridge"])
def model(request):
    # A new one each time: a bridge does not run hooks at a place that an SAE was taken away from.
    return request.param()


@pytest.fixture
def tokens(model):
    return model.to_tokens(["The man said that he was happy.", "The woman was sad, and she left."])[:, :6]


def random_ssae(**settings):
    ssae = SSAE(SSAEConfig(d_in=D_MODEL, d_sae=D_SAE, **settings))
    with torch.no_grad():
        for weight in ssae.parameters():
            weight.normal_()
        ssae.fold_W_dec_norm() if ssae.cfg.k is None else ssae.W_dec.div_(ssae.W_dec.norm(dim=1, keepdim=True))
    ssae.cfg.metadata.hook_name = HOOK
    return ssae


def place_of(model):
    """The hook's own name: a bridge passes over the alias without a word."""
    return model._resolve_hook_name(HOOK) if isinstance(model, SAETransformerBridge) else HOOK


def adding(vector):
    return lambda value, hook: value + vector


def keeping(seen):
    return lambda value, hook: seen.append(value.detach().clone())


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_zero_edit_changes_nothing(model, tokens, settings):
    clean = model(tokens)
    ssae = random_ssae(**settings)
    model.add_sae(ssae, use_error_term=True)
    torch.testing.assert_close(model(tokens), clean, atol=2e-5, rtol=1e-5)
    edited = model.run_with_hooks(
        tokens, fwd_hooks=[(f"{place_of(model)}.hook_sae_acts_post", adding(torch.zeros(D_SAE)))]
    )
    torch.testing.assert_close(edited, clean, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_adding_to_a_code_adds_its_row(model, tokens, settings):
    ssae = random_ssae(**settings)
    seen = []
    place = place_of(model)
    model.run_with_hooks(tokens, fwd_hooks=[(place, keeping(seen))])
    steered = model.run_with_hooks(tokens, fwd_hooks=[(place, adding(ALPHA * ssae.W_dec[LATENT].detach()))])

    model.add_sae(ssae, use_error_term=True)
    edit = (f"{place}.hook_sae_acts_post", adding(ALPHA * torch.eye(D_SAE)[LATENT]))
    edited = model.run_with_hooks(tokens, fwd_hooks=[edit, (f"{place}.hook_sae_output", keeping(seen))])
    before, after = seen
    torch.testing.assert_close(after, before + ALPHA * ssae.W_dec[LATENT], atol=1e-5, rtol=0)
    torch.testing.assert_close(edited, steered, atol=5e-5, rtol=1e-5)
    assert (edited - model(tokens)).abs().max() > 0.01


def test_splicing_without_the_error_term_warns_once(model, tokens):
    ssae = random_ssae()
    model.add_sae(ssae)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model(tokens)
        model(tokens)
    said = [str(each.message) for each in caught if "encodes shifts" in str(each.message)]
    assert len(said) == 1
    assert "use_error_term=True" in said[0]


def test_splicing_with_the_error_term_does_not_warn(model, tokens):
    model.add_sae(random_ssae(), use_error_term=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model(tokens)
    assert not [each for each in caught if "encodes shifts" in str(each.message)]
