"""The logit lens against the Hugging Face model's own weights."""

import pytest
import torch

from ssae_lens.latents._logit_lens import extremes, logit_lens
from ssae_lens.models.tiny import tiny_hugging_face, tiny_model

D = 32


def expected(shape, directions):
    """What the final norm's definition and the unembedding give in float64: centre, gain, unembed, centre."""
    model = tiny_hugging_face(shape)
    unembedding = model.get_output_embeddings().weight.double()
    base = model.base_model
    norm = base.ln_f if shape == "gpt2" else base.final_layer_norm if shape == "neox" else base.norm
    gain = norm.weight.double() + (1 if shape == "gemma2" else 0)
    values = directions.double()
    if shape in ("gpt2", "neox"):
        values = values - values.mean(1, keepdim=True)
        values = values / values.std(1, correction=0, keepdim=True)
    else:
        values = values / values.square().mean(1, keepdim=True).sqrt()
    logits = (values * gain) @ unembedding.T
    return logits - logits.mean(1, keepdim=True)


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
@pytest.mark.parametrize("shape", ["gpt2", "llama", "gemma2", "neox"])
def test_it_is_norm_gain_and_unembedding(shape, kind):
    directions = torch.randn(3, D)
    torch.testing.assert_close(
        logit_lens(tiny_model(shape, kind), directions).double(), expected(shape, directions), atol=2e-3, rtol=1e-3
    )


def test_length_does_not_matter_and_turning_round_does():
    model, directions = tiny_model(), torch.randn(2, D)
    lens = logit_lens(model, directions)
    torch.testing.assert_close(logit_lens(model, 1e-3 * directions), lens, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logit_lens(model, -directions), -lens, atol=1e-4, rtol=1e-4)


def test_extremes_are_the_ends():
    model = tiny_model()
    logits = logit_lens(model, torch.randn(1, D))[0]
    promoted, suppressed = extremes(model, logits, 5)
    assert [value for _, value in promoted] == sorted(logits.tolist(), reverse=True)[:5]
    assert [value for _, value in suppressed] == sorted(logits.tolist())[:5]
    assert promoted[0][0] == model.tokenizer.decode([int(logits.argmax())])
