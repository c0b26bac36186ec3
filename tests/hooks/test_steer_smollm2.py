"""Steering a real model: the checks that random weights cannot make."""

import pytest
import torch

from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.generate import generate_sweep
from ssae_lens.hooks.hook_points import origin_of
from ssae_lens.hooks.token_positions import After
from ssae_lens.models import load_model
from ssae_lens.steering_vector import SteeringVector

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("smollm2")]

PROMPTS = ["The weather in Paris today is", "I think", "She opened the door and saw that the"]
LAYER = 12
HOOK = f"blocks.{LAYER}.hook_resid_post"


@pytest.fixture(scope="module", params=["hooked", "bridge"])
def model(request):
    return load_model("smollm2-135m", request.param)


@pytest.fixture(scope="module")
def vector(model):
    direction = torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(0))
    return SteeringVector(direction, origin=origin_of(model, HOOK))


def greedy(model, prompts, **options):
    return model.generate(prompts, max_new_tokens=8, do_sample=False, stop_at_eos=False, verbose=False, **options)


def plus_at_the_end_of_the_block(model, vector):
    """Steering done with PyTorch alone, on what the block gives out."""
    block = model.original_model.model.layers[LAYER] if hasattr(model, "original_model") else model.blocks[LAYER]

    def hook(module, args, output):
        if isinstance(output, tuple):
            return (output[0] + vector, *output[1:])
        return output + vector

    return block.register_forward_hook(hook)


def test_as_a_constant_after_the_block(model, vector):
    lengths = [model.to_tokens(each).shape[1] for each in PROMPTS]
    with steer(model, vector):
        steered, text = model(PROMPTS), greedy(model, PROMPTS[0])
    handle = plus_at_the_end_of_the_block(model, vector.direction)
    try:
        expected, due = model(PROMPTS), greedy(model, PROMPTS[0])
    finally:
        handle.remove()
    for row, length in enumerate(lengths):
        found = steered[row, :length].log_softmax(-1)
        torch.testing.assert_close(found, expected[row, :length].log_softmax(-1), atol=1e-4, rtol=1e-5)
    assert text == due != greedy(model, PROMPTS[0])


def test_batch_cache_and_sweep_agree(model, vector):
    with steer(model, vector, scale=0.5, positions=slice(1, None)):
        alone = [greedy(model, each) for each in PROMPTS]
        assert greedy(model, PROMPTS) == alone
        assert greedy(model, PROMPTS, use_past_kv_cache=False) == alone
    table = generate_sweep(
        model, PROMPTS, {"random": vector}, [0, 0.5], max_new_tokens=8, stop_tokens=[], positions=slice(1, None)
    )
    swept = table[table.scale == 0.5]
    assert [row.prompt + row.text for row in swept.itertuples()] == alone
    assert swept.text.tolist() != table[table.scale == 0].text.tolist()


def test_after_the_instruction_of_a_chat(model, vector):
    chat = [{"role": "user", "content": "Say something nice."}]
    prompt = model.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    with steer(model, vector, positions=After("<|im_start|>assistant\n")) as steering:
        greedy(model, prompt)
        steered = [amount > 0 for _, amount in steering.trace().rows[0]]
    n_prompt = model.to_tokens(prompt).shape[1]
    assert steered == [False] * n_prompt + [True] * 7
    with steer(model, vector, positions=After("Say something nice.")) as steering:
        model(prompt)
        tokens = [token for token, amount in steering.trace().rows[0] if amount]
    assert "".join(tokens) == prompt[prompt.index("nice.") + len("nice.") :]
