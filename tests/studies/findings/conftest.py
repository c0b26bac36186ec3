"""A tiny model with an SAE, effects measured of some vectors, and the map of them."""

import pytest
import torch
from sae_lens import JumpReLUSAE, JumpReLUSAEConfig

from ssae_lens.methods.sae_ts import Settings as HowMeasured
from ssae_lens.methods.sae_ts import fit_approximator, measure_effects
from ssae_lens.models import tiny_model
from studies.findings import FindingsInputs, FindingsSettings

D, D_SAE, HOOK = 32, 48, "blocks.1.hook_resid_post"


@pytest.fixture(scope="session")
def settings():
    return FindingsSettings(
        rows=3,
        scales=(0.5,),
        temperatures=(0.3, 1.5),
        layers=(1.0,),
        carried=5,
        features=3,
        held_out=4,
        multiples=(1.0, 2.0),
    )


@pytest.fixture(scope="session")
def inputs(settings):
    model = tiny_model("gpt2")
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=D, d_sae=D_SAE))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        rows = torch.randn(D_SAE, D, generator=generator)
        sae.W_dec.copy_(rows / rows.norm(dim=1, keepdim=True))
        sae.W_enc.copy_(sae.W_dec.T)
        sae.threshold.fill_(0.1)
    sae.cfg.metadata.hook_name = HOOK
    how = HowMeasured(
        target=0.05,
        texts=("The man said that he was happy.", "I think that she is"),
        prompts=("The man", "She said"),
        n_baseline=2,
        max_new_tokens=4,
        top_p=0.9,
    )
    effects = measure_effects(model, sae, sae.W_dec.detach()[:20], how, quiet=True)
    return FindingsInputs(model, sae, effects, fit_approximator(effects, held_out=0.2), settings)
