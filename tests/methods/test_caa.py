import numpy as np
import pytest
import torch

from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.methods import caa, equalise_norms, mean_shift
from ssae_lens.models import tiny_model
from ssae_lens.pairs.readers import behaviour_rows
from ssae_lens.pairs.schema import from_rows
from ssae_lens.steering_vector import SteeringVector

HOOKS = ["blocks.0.hook_resid_post", "blocks.2.hook_resid_pre"]
QUESTIONS = [
    {
        "question": f"Do you like {thing}?\n\nChoices:\n (A) Yes{pad}\n (B) No\n\nAnswer:",
        "answer_matching_behavior": f" ({letter})",
        "answer_not_matching_behavior": f" ({other})",
    }
    for thing, pad, letter, other in [
        ("tea", "", "A", "B"),
        ("the sea", ", very much", "B", "A"),
        ("rain", "!", "A", "B"),
    ]
]


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


@pytest.fixture(scope="module")
def pairs():
    return from_rows(behaviour_rows(QUESTIONS, "liking"))


@pytest.fixture(scope="module")
def original(model):
    """The original's way, a text at a time: at the letter, which is the last token but one; and over the tokens."""
    at_letter, over_tokens = {hook: [] for hook in HOOKS}, {hook: [] for hook in HOOKS}
    for each in QUESTIONS:
        texts = [each["question"] + each[f"answer_{kind}_behavior"] for kind in ("matching", "not_matching")]
        tokens = [model.to_tokens(text) for text in texts]
        assert [model.tokenizer.decode([ids[0, -2]]) in "AB" for ids in tokens] == [True, True]
        caches = [model.run_with_cache(ids)[1] for ids in tokens]
        for hook in HOOKS:
            positive, negative = (cache[hook][0].detach() for cache in caches)
            at_letter[hook].append(positive[-2] - negative[-2])
            over_tokens[hook].append(positive[1:].mean(0) - negative[1:].mean(0))
    return {
        kind: {hook: torch.stack(rows).mean(0) for hook, rows in found.items()}
        for kind, found in (("answer", at_letter), ("tokens", over_tokens))
    }


@pytest.mark.parametrize("kind", ["answer", "tokens"])
def test_as_the_original_does_it(model, pairs, original, kind):
    vector = caa(model, pairs, HOOKS, kind=kind, quiet=True)
    assert vector.hook_names == tuple(HOOKS)
    for hook in HOOKS:
        torch.testing.assert_close(vector.directions[hook], original[kind][hook], atol=1e-5, rtol=1e-4)
        assert vector.at(hook).norms.keys() == {"mean_residual_norm", "mean_shift_norm"}
    assert (vector.method, vector.concept, vector.origin.model_name) == (f"caa_{kind}", "liking", "tiny-llama")


def test_one_hook_and_any_position(model, pairs):
    vector = caa(model, pairs, HOOKS[1], kind="tokens", quiet=True)
    shifts = capture_shifts(model, pairs, HOOKS[1], position="mean", quiet=True)
    torch.testing.assert_close(vector.direction, mean_shift(shifts, "liking").direction)


def test_what_cannot_be_used_is_said_before_the_model_runs(pairs, model):
    with pytest.raises(ValueError, match="'likng'; it must be one of 'liking'"):
        caa(None, pairs, HOOKS, concept="likng")
    with pytest.raises(ValueError, match="kind is 'letters'; it must be one of 'answer', 'tokens'"):
        caa(model, pairs, HOOKS, kind="letters")
    with pytest.raises(ValueError, match="does not end with an answer"):
        caa(model, from_rows([{"source": "He was sad", "target": "He was happy"}]), HOOKS, quiet=True)


def test_norms_are_made_equal_hook_by_hook(model, pairs):
    first = caa(model, pairs, HOOKS, kind="answer", quiet=True)
    second = caa(model, pairs, HOOKS, kind="tokens", quiet=True)
    equal = equalise_norms({"letter": first, "all": second})
    for hook in HOOKS:
        lengths = [np.linalg.norm(each.directions[hook].double().numpy()) for each in (first, second)]
        for name, each, length in zip(("letter", "all"), (first, second), lengths, strict=True):
            expected = each.directions[hook].double().numpy() * np.mean(lengths) / length
            np.testing.assert_allclose(equal[name].directions[hook].numpy(), expected, rtol=1e-5)
    assert equal["letter"].at(HOOKS[0]).norms == first.at(HOOKS[0]).norms
    assert equal["all"].method == "caa_tokens"


def test_vectors_of_different_places_cannot_be_made_equal():
    here, there = (SteeringVector([1.0, 2], hook) for hook in HOOKS)
    with pytest.raises(ValueError, match=r"at blocks.0.hook_resid_post and at blocks.2.hook_resid_pre"):
        equalise_norms({"here": here, "there": there})
    with pytest.raises(ValueError, match="d_model: 2 against 3"):
        equalise_norms({"here": here, "wide": SteeringVector([1.0, 2, 3], HOOKS[0])})
