"""Rollouts: the texts that a sweep makes, and each read alone and unsteered."""

import torch

from ssae_lens.hooks.decoding import Sampler
from ssae_lens.hooks.generate import generate_sweep
from ssae_lens.methods.sae_ts.steered import feature_means, rollouts
from ssae_lens.steering_vector import SteeringVector

HOOK = "blocks.1.hook_resid_post"
PROMPTS = ("The man", "I like the big city. She", "He")
SAMPLING = {"temperature": 1.0, "top_k": 50, "top_p": 0.9}


def made(model, vectors, scales, **options):
    given = {"max_new_tokens": 5, "n_samples": 2, "seed": 3, "max_rows": 5}
    return rollouts(model, vectors, scales, PROMPTS, Sampler(**SAMPLING), **given, **options)


def test_they_are_the_texts_of_a_sweep(either_model, vectors):
    steered = [SteeringVector(each, HOOK) for each in vectors[:2]]
    texts = made(either_model, steered, [3.0, 0.0])
    for number, (vector, scale) in enumerate(zip(steered, [3.0, 0.0], strict=True)):
        table = generate_sweep(
            either_model, PROMPTS, vector, scale, max_new_tokens=5, n_samples=2, seed=3, stop_tokens=[], **SAMPLING
        )
        for row, (prompt, text) in enumerate(zip(table.prompt, table.text, strict=True)):
            ids, generated = texts.tokens[number, row], texts.generated[number, row]
            assert either_model.tokenizer.decode(ids[generated], skip_special_tokens=True) == text
            begin = either_model.to_tokens(prompt)[0].cpu()
            assert ids[: len(begin)].tolist() == begin.tolist()
            assert generated.nonzero().flatten().tolist() == list(range(len(begin), len(begin) + 5))
    assert texts.tokens.shape[:2] == (2, 6)
    assert not texts.tokens[0].equal(texts.tokens[1])


def test_features_are_those_of_each_text_alone(either_model, sae, vectors):
    steered = [SteeringVector(each, HOOK) for each in vectors[:2]]
    texts = made(either_model, steered, [3.0, 5.0])
    found = feature_means(either_model, sae, HOOK, texts, 1e9, max_rows=5)
    for number in range(2):
        seen = []
        for ids, generated in zip(texts.tokens[number], texts.generated[number], strict=True):
            end = int(generated.nonzero().max()) + 1
            values = either_model.run_with_cache(ids[None, :end])[1][HOOK][0]
            seen += [sae.encode(value) for value in values[generated[:end]]]
        expected = torch.stack(seen).mean(0)
        assert len(seen) == 3 * 2 * 5
        torch.testing.assert_close(found[number], expected.detach(), rtol=1e-4, atol=1e-5)
    assert (found > 0).any()
    assert not found.requires_grad


def test_enormous_activations_are_left_out(model, sae, vectors):
    texts = made(model, [SteeringVector(vectors[0], HOOK)], [3.0])
    ids, generated = texts.tokens.flatten(0, 1), texts.generated.flatten(0, 1)
    values = model.run_with_cache(ids)[1][HOOK][generated].detach()
    longest = values.norm(dim=1).median().item() + 1e-3
    expected = sae.encode(values[values.norm(dim=1) <= longest]).mean(0).detach()
    torch.testing.assert_close(feature_means(model, sae, HOOK, texts, longest)[0], expected, rtol=1e-4, atol=1e-5)
    assert not feature_means(model, sae, HOOK, texts, 0.0).any()
