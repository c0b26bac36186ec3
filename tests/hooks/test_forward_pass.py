"""What a watch sees: the tokens, the padding and the prompt of each pass, in every way of running a model."""

import pytest
import torch

from ssae_lens.hooks.forward_pass import UNKNOWN, _not_padding, unwatch, watch
from ssae_lens.models.tiny import tiny_model, tiny_tokenizer

PROMPTS = ["The man", "The king and the queen were sad.", "I like"]


@pytest.fixture(scope="module", params=["hooked", "bridge"])
def model(request):
    return tiny_model("gpt2", request.param)


@pytest.fixture
def seen(model):
    """A list that gets each pass, seen from a hook."""
    found, observer = [], watch(model, [1])

    def hook(x, hook):
        now = observer.pass_of(x)
        assert now.real_now.shape == x.shape[:2]
        found.append(now)

    with model.hooks(fwd_hooks=[("blocks.1.hook_resid_post", hook)]):
        yield found
    unwatch(model)


def own_tokens(model, text):
    return model.to_tokens(text)[0].tolist()


def texts(now):
    return [row[real].tolist() for row, real in zip(now.tokens, now.real, strict=True)]


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("prompts", [PROMPTS[0], PROMPTS])
def test_generate(model, seen, cache, prompts):
    out = model.generate(
        prompts, max_new_tokens=4, do_sample=False, use_past_kv_cache=cache, verbose=False,
        stop_at_eos=False, return_type="tokens",
    )  # fmt: skip
    lists = [prompts] if isinstance(prompts, str) else prompts
    alone = [own_tokens(model, each) for each in lists]
    longest = max(map(len, alone))
    assert len(seen) == 4
    for step, now in enumerate(seen):
        assert now.prompt == longest
        assert now.past == (longest + step - 1 if cache and step else 0)
        assert now.open_ended
        assert now.prompt_lengths.tolist() == list(map(len, alone))
        generated = out[:, longest : longest + step].tolist()
        assert texts(now) == [prompt + more for prompt, more in zip(alone, generated, strict=True)]
        assert now.index[:, -1].tolist() == [len(each) + step - 1 for each in alone]
        assert now.generated.sum() == (min(step, 1) if cache else step)


def test_a_call_is_all_prompt(model, seen):
    model("The man said")
    model("The man said that")
    for now in seen:
        assert now.prompt == now.real.shape[1]
        assert not now.generated.any()
        assert not now.open_ended
    assert texts(seen[1]) == [own_tokens(model, "The man said that")]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_in_a_call(model, seen, side):
    tokenizer_side, model.tokenizer.padding_side = model.tokenizer.padding_side, side
    try:
        model(PROMPTS)
        model(model.to_tokens(PROMPTS))
        model.run_with_cache(PROMPTS)
    finally:
        model.tokenizer.padding_side = tokenizer_side
    for now in seen:
        assert texts(now) == [own_tokens(model, each) for each in PROMPTS]
        assert now.real[0].tolist() == sorted(now.real[0].tolist(), reverse=side == "right")


def test_an_attention_mask_of_ones_own(model, seen):
    tokens = torch.tensor([[7, 8, 9], [5, 6, 7]])
    mask = torch.tensor([[0, 1, 1], [1, 1, 1]])
    model(tokens, attention_mask=mask)
    assert texts(seen[0]) == [[8, 9], [5, 6, 7]]


def test_a_loop_of_ones_own(model, seen):
    tokens = model.to_tokens("The man said that")
    if hasattr(model, "original_model"):
        _, cache = model(tokens[:, :3], return_type="logits_and_cache", use_cache=True)
        for at in range(3, tokens.shape[1]):
            model(tokens[:, at : at + 1], past_key_values=cache, use_cache=True)
    else:
        from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

        cache = TransformerLensKeyValueCache.init_cache(model.cfg, "cpu", 1)
        model(tokens[:, :3], past_kv_cache=cache)
        for at in range(3, tokens.shape[1]):
            model(tokens[:, at : at + 1], past_kv_cache=cache)
    assert [now.past for now in seen] == [0, *range(3, tokens.shape[1])]
    assert {now.prompt for now in seen} == {3}
    assert texts(seen[-1]) == [tokens[0].tolist()]
    assert all(now.open_ended for now in seen)


def test_one_generation_after_another(model, seen):
    for prompt in ("The man", "The king and"):
        model.generate(prompt, max_new_tokens=2, do_sample=False, use_past_kv_cache=False, verbose=False)
    model("The man")
    prompts = [len(own_tokens(model, each)) for each in ("The man", "The king and")]
    assert [now.prompt for now in seen] == [prompts[0], prompts[0], prompts[1], prompts[1], prompts[0]]


def test_a_prompt_of_one_token(model, seen):
    tokens = model.to_tokens("The man")[:, :1]
    for cache in (True, False):
        model.generate(tokens, max_new_tokens=3, do_sample=False, use_past_kv_cache=cache, verbose=False)
    assert {now.prompt for now in seen} == {1}
    assert [now.real.shape[1] for now in seen] == [1, 2, 3] * 2


def test_streaming(model, seen):
    for _ in model.generate_stream(
        model.to_tokens("The man"), max_new_tokens=3, do_sample=False, verbose=False, max_tokens_per_yield=1
    ):
        pass
    assert {now.prompt for now in seen} == {len(own_tokens(model, "The man"))}
    assert [int(now.generated.sum()) for now in seen][:3] == [0, 1, 1]


def test_hugging_faces_generate(seen, model):
    if not hasattr(model, "hf_generate"):
        pytest.skip("a TransformerBridge's own")
    lengths = [len(each) for each in model.tokenizer(PROMPTS)["input_ids"]]
    for cache in (True, False):
        seen.clear()
        model.hf_generate(PROMPTS, max_new_tokens=3, do_sample=False, use_past_kv_cache=cache, stop_at_eos=False)
        assert {now.prompt for now in seen} == {max(lengths)}
        assert all(now.prompt_lengths.tolist() == lengths for now in seen)
        assert [int(now.index[1, -1]) for now in seen] == [max(lengths) - 1 + step for step in range(3)]


def test_activations_in_place_of_tokens():
    model = tiny_model("gpt2")
    _, cache = model.run_with_cache("The man said")
    observer = watch(model, [1])
    try:
        model(cache["blocks.1.hook_resid_pre"], start_at_layer=1)
        assert (observer.current.tokens == UNKNOWN).all()
        assert observer.current.real.all()
    finally:
        unwatch(model)


def test_leaving(model):
    attributes = dict(vars(model))
    hooks = {name: len(module._forward_pre_hooks) for name, module in model.named_modules()}
    assert watch(model, [0]) is watch(model, [1])
    assert "generate" in vars(model)
    unwatch(model)
    assert "generate" in vars(model)
    unwatch(model)
    assert dict(vars(model)) == attributes
    assert hooks == {name: len(module._forward_pre_hooks) for name, module in model.named_modules()}
    assert "generate" not in vars(model)


class TestPaddingWithoutAMask:
    """The token that pads is here also the one that texts begin and end with."""

    @pytest.mark.parametrize(
        ("side", "tokens", "real"),
        [
            ("right", [[0, 5, 6, 7], [0, 5, 0, 0]], [[1, 1, 1, 1], [1, 1, 0, 0]]),
            ("right", [[0, 5, 6, 0], [0, 5, 0, 0]], [[1, 1, 1, 1], [1, 1, 1, 0]]),
            ("right", [[0, 5, 6, 7], [0, 0, 0, 0]], [[1, 1, 1, 1], [1, 0, 0, 0]]),
            ("left", [[0, 5, 6, 7], [0, 0, 0, 5]], [[1, 1, 1, 1], [0, 0, 1, 1]]),
            ("left", [[5, 6, 7, 0], [0, 0, 5, 6]], [[1, 1, 1, 1], [0, 0, 1, 1]]),
            ("right", [[0, 5, 0, 0]], [[1, 1, 1, 1]]),
            ("left", [[0, 0, 5]], [[1, 1, 1]]),
        ],
    )
    def test_the_longest_row_has_none(self, side, tokens, real):
        tokenizer = tiny_tokenizer()
        tokenizer.pad_token, tokenizer.padding_side = tokenizer.convert_ids_to_tokens(0), side
        assert _not_padding(tokenizer, torch.tensor(tokens)).int().tolist() == real

    def test_without_a_tokenizer(self):
        assert _not_padding(None, torch.zeros(2, 3)).all()
