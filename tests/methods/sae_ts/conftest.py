"""A tiny model, a tiny SAE of it, and effects measured with both."""

import pytest
import torch
from sae_lens import JumpReLUSAE, JumpReLUSAEConfig

from ssae_lens.methods.sae_ts import Settings, measure_effects
from ssae_lens.models import tiny_model

D, D_SAE, HOOK = 32, 48, "blocks.1.hook_resid_post"


def make_sae(seed=0, hook_name=HOOK, d_in=D):
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=d_in, d_sae=D_SAE))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in (sae.W_enc, sae.W_dec):
            each.copy_(torch.randn(each.shape, generator=generator))
        sae.b_enc.copy_(torch.rand(D_SAE, generator=generator))
        sae.threshold.fill_(2.0)
    sae.cfg.metadata.hook_name = hook_name
    return sae


@pytest.fixture(scope="session", params=["hooked", "bridge"])
def either_model(request):
    return tiny_model("gpt2", request.param)


@pytest.fixture(scope="session")
def model():
    return tiny_model("gpt2")


@pytest.fixture(scope="session")
def sae():
    return make_sae()


@pytest.fixture(scope="session")
def another_sae():
    return make_sae


@pytest.fixture(scope="session")
def settings():
    return Settings(
        target=0.2,
        texts=("The man said that he was happy.", "I think that she"),
        prompts=("The man", "I like the big city. She"),
        n_samples=2,
        n_baseline=3,
        max_new_tokens=4,
        top_p=0.9,
    )


@pytest.fixture(scope="session")
def vectors():
    return torch.randn(6, D, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def effects(model, sae, vectors, settings):
    return measure_effects(model, sae, vectors, settings, max_rows=8)
