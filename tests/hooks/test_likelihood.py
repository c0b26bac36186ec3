import numpy as np
import pytest
import torch

from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.likelihood import Likelihood, log_probabilities
from ssae_lens.models import tiny_model
from ssae_lens.steering_vector import SteeringVector

TEXTS = [
    "The man was happy.",
    "He saw",
    "The weather in Paris is warm today, and we like the big city.",
    "I think that",
]
VECTOR = SteeringVector(torch.linspace(-1, 1, 32), "blocks.1.hook_resid_post")


def alone(model, text, prompt=""):
    """The log-probabilities of a text's tokens, run alone, in the plainest way."""
    tokens = model.to_tokens(prompt + text)
    with torch.no_grad():
        scores = model(tokens, return_type="logits")[0, :-1].double().log_softmax(-1)
    begin = max(model.to_tokens(prompt).shape[1] if prompt else 1, 1)
    return scores.gather(1, tokens[0, 1:, None])[begin - 1 :, 0].numpy()


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_each_text_is_as_likely_as_alone(shape, kind):
    model = tiny_model(shape, kind)
    each = [alone(model, text) for text in TEXTS]
    for batch_tokens in (1, 40):
        found = log_probabilities(model, TEXTS, batch_tokens=batch_tokens, quiet=True)
        np.testing.assert_allclose(found, [row.mean() for row in each], atol=1e-5)
    np.testing.assert_allclose(log_probabilities(model, TEXTS, reduce="sum"), [row.sum() for row in each], atol=1e-4)


def test_as_transformer_lens_takes_a_loss():
    model = tiny_model("gpt2")
    loss = model(TEXTS[0], return_type="loss").item()
    assert log_probabilities(model, TEXTS[:1]).item() == pytest.approx(-loss, abs=1e-5)


def test_a_prompt_is_read_and_not_counted():
    model, texts = tiny_model("gpt2"), [f" {text}" for text in TEXTS]
    found = log_probabilities(model, texts, prompts="She said.", reduce="sum")
    np.testing.assert_allclose(found, [alone(model, text, "She said.").sum() for text in texts], atol=1e-4)
    prompts = ["She said.", "", "I think that the dog.", "He"]
    each = [alone(model, text, prompt).mean() for text, prompt in zip(texts, prompts, strict=True)]
    np.testing.assert_allclose(log_probabilities(model, texts, prompts=prompts), each, atol=1e-5)


def test_a_token_across_the_border_is_the_texts():
    model = tiny_model("gpt2")
    whole, prompt = "The man was happy", "The man was hap"
    ids, before = (model.to_tokens(text)[0].tolist() for text in (whole, prompt))
    shared = next(i for i, (mine, other) in enumerate(zip(ids, before, strict=False)) if mine != other)
    assert shared < len(before)
    scores = alone(model, whole)
    found = log_probabilities(model, ["py"], prompts=prompt, reduce="sum").item()
    assert found == pytest.approx(scores[shared - 1 :].sum(), abs=1e-4)


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
@pytest.mark.parametrize("positions", ["all", -2])
def test_of_a_steered_model(kind, positions):
    model = tiny_model("gpt2", kind)
    with steer(model, VECTOR, scale=5.0, positions=positions):
        found = log_probabilities(model, TEXTS)
        expected = [alone(model, text).mean() for text in TEXTS]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert abs(found - log_probabilities(model, TEXTS)).min() > 1e-4


def test_without_a_beginning_of_sequence_the_first_token_is_given():
    model = tiny_model("llama", default_prepend_bos=False)
    assert model.to_tokens(TEXTS[1])[0, 0] != model.tokenizer.bos_token_id
    np.testing.assert_allclose(
        log_probabilities(model, TEXTS), [alone(model, text).mean() for text in TEXTS], atol=1e-5
    )
    with pytest.raises(ValueError, match=r"The text '\.' \(number 1\) has no token that follows another"):
        log_probabilities(model, ["He saw", "."])
    assert log_probabilities(model, ["."], prompts="He saw").shape == (1,)


def test_what_cannot_be_used_is_said():
    model = tiny_model("gpt2")
    for bad in ("The man", []):
        with pytest.raises(ValueError, match="give a list of at least one text"):
            log_probabilities(model, bad)
    with pytest.raises(ValueError, match="texts is 5; it must be a text or a list of texts"):
        log_probabilities(model, 5)
    with pytest.raises(ValueError, match="prompts is 5; it must be a text or a list of texts"):
        log_probabilities(model, TEXTS, prompts=5)
    with pytest.raises(ValueError, match="model is a NoneType"):
        log_probabilities(None, TEXTS)
    with pytest.raises(ValueError, match="prompts has 1 texts for 4 texts"):
        log_probabilities(model, TEXTS, prompts=["He"])
    with pytest.raises(ValueError, match="The text '' "):
        log_probabilities(model, ["He saw", ""])
    with pytest.raises(ValueError, match="more than the 256"):
        log_probabilities(model, ["he was " * 200])
    with pytest.raises(ValueError, match="reduce is 'max'"):
        log_probabilities(model, TEXTS, reduce="max")
    model.tokenizer = None
    with pytest.raises(ValueError, match="no tokenizer"):
        log_probabilities(model, TEXTS)


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_what_comes_before_the_steered_block_may_be_kept(shape, kind):
    model = tiny_model(shape, kind)
    kept = Likelihood(model, TEXTS, "She said. ", from_layer=1, batch_tokens=40)
    for scale in (0.0, 2.0, -2.0):
        with steer(model, VECTOR, scale=scale, positions=slice(1, None)):
            whole = log_probabilities(model, TEXTS, prompts="She said. ")
            np.testing.assert_allclose(kept.log_probabilities(), whole, atol=1e-6)
    assert abs(kept.log_probabilities() - whole).min() > 1e-4
    np.testing.assert_allclose(
        kept.log_probabilities("sum"), log_probabilities(model, TEXTS, prompts="She said. ", reduce="sum"), rtol=1e-5
    )
