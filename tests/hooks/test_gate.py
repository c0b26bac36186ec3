"""Gates: which tokens are steered, and that the others are left to the bit."""

import contextlib

import pytest
import torch
from sae_lens import StandardSAE, StandardSAEConfig

from ssae_lens.hooks import Gate, generate_sweep, steer
from ssae_lens.models.tiny import tiny_model
from ssae_lens.steering_vector import SteeringVector

HOOK, EARLIER = "blocks.1.hook_resid_post", "blocks.0.hook_resid_post"
TEXTS = ["He saw the dog and the king and then said that the man was old."]


@pytest.fixture(scope="module", params=["hooked", "bridge"])
def model(request):
    return tiny_model("gpt2", request.param)


def vector(seed, hook=HOOK):
    return SteeringVector(torch.randn(32, generator=torch.Generator().manual_seed(seed)), hook)


def activations(model, hook, steering=None):
    kept = []
    tokens = model.to_tokens(TEXTS)
    with steering or contextlib.nullcontext():
        model.run_with_hooks(tokens, fwd_hooks=[(hook, lambda x, hook: kept.append(x.detach().clone()))])
    return kept[0]


@pytest.mark.parametrize("measure", ["cosine", "projection"])
def test_a_gate_at_the_same_hook_reads_what_is_not_steered_yet(model, measure):
    gated, condition = vector(0), vector(1)
    before = activations(model, HOOK)
    values = before @ condition.direction / condition.direction.norm()
    values = values / before.norm(dim=-1) if measure == "cosine" else values
    middle = values.flatten().sort().values[values.numel() // 2 :][:2]
    threshold = middle.mean().item()  # no token is as near to it as rounding
    after = activations(model, HOOK, steer(model, gated, scale=3.0, gate=Gate(condition, threshold, measure)))
    passes = values > threshold
    assert 0 < passes.sum() < passes.numel()
    assert torch.equal(after[~passes], before[~passes])
    torch.testing.assert_close(
        after[passes] - before[passes], (3 * gated.direction).expand_as(after[passes]), atol=1e-4, rtol=0
    )


def test_a_gate_in_an_earlier_block(model):
    gate = Gate(vector(1, EARLIER), 0.0)
    passes = gate.is_open(activations(model, EARLIER))
    before = activations(model, HOOK)
    after = activations(model, HOOK, steer(model, vector(0), gate=gate))
    assert torch.equal((after != before).any(-1), passes)


def test_a_gate_on_the_code_of_an_sae(model):
    torch.manual_seed(0)
    sae = StandardSAE(StandardSAEConfig(d_in=32, d_sae=8))
    sae.cfg.metadata.hook_name = EARLIER
    codes = sae.encode(activations(model, EARLIER))[..., 3]
    after = activations(model, HOOK, steer(model, vector(0), gate=Gate(sae, 0.1, latent=3)))
    assert torch.equal((after != activations(model, HOOK)).any(-1), codes > 0.1)


def test_generated_tokens_pass_the_gate_one_by_one(model):
    """Nothing passes a threshold of 1, everything one of −1."""
    options = {"max_new_tokens": 6, "quiet": True, "check": False}
    plain = generate_sweep(model, TEXTS, vector(0), [0.0, 6.0], **options)
    closed = generate_sweep(model, TEXTS, vector(0), [6.0], gate=Gate(vector(1), 1.0), **options)
    opened = generate_sweep(model, TEXTS, vector(0), [6.0], gate=Gate(vector(1), -1.0), **options)
    assert closed["text"].tolist() == plain["text"][plain["scale"] == 0].tolist()
    assert opened["text"].tolist() == plain["text"][plain["scale"] == 6].tolist()


def test_the_model_is_left_as_it_was(model):
    before = activations(model, HOOK)
    with steer(model, vector(0), gate=Gate(vector(1, EARLIER), 0.0)):
        pass
    assert torch.equal(activations(model, HOOK), before)


def test_what_does_not_fit(model):
    with pytest.raises(ValueError, match="the gate must be at the same hook, or in an earlier block"):
        steer(model, vector(0, EARLIER), gate=Gate(vector(1, HOOK), 0.0))
    with pytest.raises(ValueError, match="on is int; give a SteeringVector, or an SAE"):
        Gate(3, 0.0)
    with pytest.raises(ValueError, match="measure is 'angle'"):
        Gate(vector(0), 0.0, "angle")
    with pytest.raises(ValueError, match="latent is 3; a gate on a vector has none"):
        Gate(vector(0), 0.0, latent=3)
    sae = StandardSAE(StandardSAEConfig(d_in=32, d_sae=8))
    with pytest.raises(ValueError, match="latent is 8; this SAE has latents 0 to 7"):
        Gate(sae, 0.0, latent=8)
    with pytest.raises(ValueError, match="has no hook_name in its metadata"):
        Gate(sae, 0.0, latent=2)
