"""Steering a model: what it adds, where, and that it leaves nothing behind."""

import gc
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from sae_lens import HookedSAETransformer

from ssae_lens.base.provenance import Origin
from ssae_lens.hooks import hook_points
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.hook_points import origin_of
from ssae_lens.hooks.token_positions import After
from ssae_lens.models.tiny import tiny_model
from ssae_lens.sae import SSAE
from ssae_lens.steering_vector import SteeringVector

PROMPTS = ["The man", "The king and the queen were sad.", "I like"]
HOOK = "blocks.1.hook_resid_post"
D = 32


def random_vector(seed=0, hook=HOOK, **more):
    generator = torch.Generator().manual_seed(seed)
    return SteeringVector(torch.randn(D, generator=generator), hook, **more)


@pytest.fixture(scope="module")
def models():
    hooked = tiny_model("gpt2")
    sae_model = HookedSAETransformer(hooked.cfg, hooked.tokenizer)
    sae_model.load_state_dict(hooked.state_dict(), strict=False)
    bridge = tiny_model("gpt2", "bridge")
    # A TransformerBridge puts hooks and attributes of its own there when it first runs, and when a hook is first looked up.
    greedy(bridge, PROMPTS[0])
    _ = bridge.hook_dict
    return {"hooked": hooked, "bridge": bridge, "hooked_sae": sae_model.eval()}


@pytest.fixture(params=["hooked", "bridge", "hooked_sae"])
def model(request, models):
    return models[request.param]


@contextmanager
def biased(model, vector, layer=1):
    """The model with a vector in the bias of a block's last matrix: steering everywhere, done another way."""
    if hasattr(model, "original_model"):
        bias = model.original_model.transformer.h[layer].mlp.c_proj.bias
    else:
        bias = model.blocks[layer].mlp.b_out
    with torch.no_grad():
        before = bias.clone()
        bias.add_(vector)
        try:
            yield
        finally:
            bias.copy_(before)


def greedy(model, prompts, **options):
    settings = {"max_new_tokens": 6, "do_sample": False, "stop_at_eos": False, "verbose": False}
    return model.generate(prompts, **settings | options)


def recorded(model, prompts, hook=HOOK, **options):
    """The activations that each pass of a generation has at a hook, and its tokens."""
    found = []
    with model.hooks(fwd_hooks=[(hook, lambda x, hook: found.append(x.detach().clone()))]):
        tokens = greedy(model, prompts, return_type="tokens", **options)
    return found, tokens


def everything_of(model):
    """All that steering could leave on a model."""
    modules = {
        name: (
            list(module._forward_hooks),
            list(module._forward_pre_hooks),
            list(getattr(module, "fwd_hooks", [])),
            dict(module._forward_hooks_with_kwargs),
        )
        for name, module in model.named_modules()
    }
    return modules, {name: id(value) for name, value in vars(model).items()}


class TestAsABias:
    """A constant added at every position is what a block's output bias adds."""

    def test_logits(self, model):
        vector = random_vector()
        for text in (PROMPTS[1], PROMPTS):
            with steer(model, vector, scale=2.0):
                steered = model(text)
            with biased(model, 2 * vector.direction):
                expected = model(text)
            assert steered.shape == expected.shape
            # What is predicted from padding is nobody's: there the bias works and steering does not.
            lengths = [model.to_tokens(each).shape[1] for each in ([text] if isinstance(text, str) else text)]
            for row, length in enumerate(lengths):
                torch.testing.assert_close(steered[row, :length], expected[row, :length], atol=1e-5, rtol=1e-5)
            assert (steered - model(text)).abs().max() > 0.1

    @pytest.mark.parametrize("cache", [True, False])
    def test_greedy_text(self, model, cache):
        vector = random_vector()
        plain = greedy(model, PROMPTS, use_past_kv_cache=cache)
        with steer(model, vector, scale=3.0):
            steered = greedy(model, PROMPTS, use_past_kv_cache=cache)
            alone = [greedy(model, each, use_past_kv_cache=cache) for each in PROMPTS]
        with biased(model, 3 * vector.direction):
            expected = greedy(model, PROMPTS, use_past_kv_cache=cache)
        assert steered == alone == expected
        assert steered != plain
        assert greedy(model, PROMPTS, use_past_kv_cache=cache) == plain

    def test_run_with_cache_and_hooks(self, model):
        vector = random_vector()
        with biased(model, vector.direction):
            expected = model(PROMPTS[1])
        with steer(model, vector):
            logits, cache = model.run_with_cache(PROMPTS[1])
            hooked = model.run_with_hooks(PROMPTS[1], fwd_hooks=[("blocks.0.hook_resid_post", lambda x, hook: x)])
            again = model(PROMPTS[1])
        _, plain = model.run_with_cache(PROMPTS[1])
        for found in (logits, hooked, again):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            cache[HOOK] - plain[HOOK], vector.direction.expand_as(plain[HOOK]), atol=1e-5, rtol=1e-5
        )

    @pytest.mark.parametrize("shape", ["llama", "neox", "gemma2"])
    def test_other_architectures(self, shape):
        vector = random_vector()
        hooked, bridge = tiny_model(shape), tiny_model(shape, "bridge")
        with biased(hooked, vector.direction) if shape != "gemma2" else steer(hooked, vector):
            expected = hooked(PROMPTS[1]).log_softmax(-1)
        for model in (hooked, bridge):
            with steer(model, vector):
                found = model(PROMPTS[1]).log_softmax(-1)
            torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)

    def test_left_padding_in_a_call(self, model):
        vector = random_vector()
        side, model.tokenizer.padding_side = model.tokenizer.padding_side, "left"
        try:
            with steer(model, vector, positions=slice(1, 3)):
                together = model(PROMPTS)[:, -1]
                alone = torch.stack([model(each)[0, -1] for each in PROMPTS])
        finally:
            model.tokenizer.padding_side = side
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)

    def test_several_and_nested(self, model):
        a, b, low = random_vector(1), random_vector(2), random_vector(3, "blocks.0.hook_resid_post")
        with biased(model, 2 * a.direction - b.direction), biased(model, low.direction, layer=0):
            expected = model(PROMPTS[1])
        with steer(model, [2 * a, -b, low]):
            together = model(PROMPTS[1])
        with steer(model, 2 * a - b + low):
            added = model(PROMPTS[1])
        with steer(model, a, scale=2), steer(model, b, scale=-1), steer(model, low):
            nested = model(PROMPTS[1])
        for found in (together, added, nested):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cache", [True, False])
class TestWhere:
    """On recorded activations at the hook, of a greedy generation with and without a cache."""

    def added(self, model, cache, vector, **options):
        """What steering added to each token, which tokens are real, and how many columns the prompt has.

        The text that came out is read again without steering, each row alone. At the hook itself only what was added there
        differs: nothing below it was steered.
        """
        with steer(model, vector, **options):
            steered, tokens = recorded(model, PROMPTS, use_past_kv_cache=cache)
        whole = torch.cat(steered, dim=1) if cache else steered[-1]
        prompt, columns = steered[0].shape[1], whole.shape[1]
        padding = torch.tensor([prompt - model.to_tokens(each).shape[1] for each in PROMPTS])
        real = torch.arange(columns) >= padding[:, None]
        if not cache:
            # Each pass reads the whole text again: what a token got must not change from pass to pass.
            for each in steered:
                same = real[:, : each.shape[1]]
                torch.testing.assert_close(each[same], whole[:, : each.shape[1]][same], atol=1e-5, rtol=1e-5)
        plain = torch.zeros_like(whole)
        for row in range(len(PROMPTS)):
            plain[row, real[row]] = self.read(model, tokens[row, :columns][real[row]])
        return (whole - plain) * real[..., None], real, prompt

    @staticmethod
    def read(model, tokens):
        found = []
        with model.hooks(fwd_hooks=[(HOOK, lambda x, hook: found.append(x.detach().clone()))]):
            model(tokens[None])
        return found[0][0]

    @pytest.mark.parametrize("kind", ["hooked", "bridge"])
    @pytest.mark.parametrize(
        "positions", ["all", "prompt", "generated", 1, -1, [0, 4], slice(2, None), slice(-1, None), slice(1, 4)]
    )
    def test_added_where_it_should_be_and_nowhere_else(self, models, cache, kind, positions):
        vector = random_vector()
        model = models[kind]
        added, every, prompt = self.added(model, cache, vector, positions=positions)
        for row, real in enumerate(every):
            columns = torch.arange(added.shape[1])[real]
            length = int((columns < prompt).sum())
            numbers = np.arange(len(columns))
            if isinstance(positions, str):
                due = {"all": numbers >= 0, "prompt": numbers < length, "generated": numbers >= length}[positions]
            elif isinstance(positions, slice):
                # Negative numbers count from the end of the prompt.
                begin = positions.start + length if positions.start < 0 else positions.start
                due = (numbers >= begin) & (numbers < (positions.stop or 10**6))
            else:
                wanted = positions if isinstance(positions, list) else [positions]
                due = np.isin(numbers, [each + length if each < 0 else each for each in wanted])
            expected = torch.tensor(due).float()[:, None] * vector.direction
            torch.testing.assert_close(added[row, columns], expected, atol=2e-5, rtol=1e-4)

    def test_generated_leaves_the_prompt_exactly_as_it_was(self, model, cache):
        plain, _ = recorded(model, PROMPTS, use_past_kv_cache=cache)
        with steer(model, random_vector(), positions="generated", scale=5.0):
            steered, _ = recorded(model, PROMPTS, use_past_kv_cache=cache)
        assert torch.equal(plain[0], steered[0])
        assert not torch.equal(plain[1], steered[1])


class TestRowsAndUnits:
    def changes(self, model, vectors, texts=PROMPTS, **options):
        """What is added to the first token of each row."""
        hook = vectors[0].hook_name if isinstance(vectors, list) else vectors.hook_name
        _, plain = model.run_with_cache(texts)
        with steer(model, vectors, **options):
            _, steered = model.run_with_cache(texts)
        return (steered[hook] - plain[hook])[:, 0], plain[hook][:, 0]

    def test_a_scale_for_each_row(self, model):
        vector = random_vector()
        for scale in ([1.0, -2.0, 0.0], torch.tensor([1.0, -2.0, 0.0])):
            added, _ = self.changes(model, vector, scale=scale)
            expected = torch.tensor([1.0, -2.0, 0.0])[:, None] * vector.direction
            torch.testing.assert_close(added, expected, atol=1e-5, rtol=1e-5)

    def test_rows_of_other_scales_do_not_touch(self, model):
        vector = random_vector()
        with steer(model, vector, scale=[4.0, 0.0, -4.0]):
            together = greedy(model, PROMPTS)
        for text, prompt, scale in zip(together, PROMPTS, (4.0, 0.0, -4.0), strict=True):
            with steer(model, vector, scale=scale):
                assert greedy(model, prompt) == text

    def test_a_vector_for_each_row(self, model):
        vectors = [random_vector(seed) for seed in range(3)]
        added, _ = self.changes(model, vectors, scale=[1.0, 2.0, 3.0], per_row=True)
        expected = torch.stack([each.direction * n for n, each in enumerate(vectors, start=1)])
        torch.testing.assert_close(added, expected, atol=1e-5, rtol=1e-5)

    def test_a_vector_for_each_row_at_other_hooks(self, model):
        vectors = [random_vector(0), random_vector(1, "blocks.0.hook_resid_post"), random_vector(2)]
        for operator in ("add", "clamp", "ablate", "add_keep_norm"):
            with steer(model, vectors, per_row=True, operator=operator):
                together = model(PROMPTS)
            for row, (vector, prompt) in enumerate(zip(vectors, PROMPTS, strict=True)):
                with steer(model, vector, operator=operator):
                    alone = model(prompt)[0]
                torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-5, rtol=1e-5)

    def test_units(self, model):
        measured = random_vector(norms={"mean_residual_norm": 10.0, "mean_shift_norm": 3.0})
        unit = measured.direction / measured.direction.norm()
        added, _ = self.changes(model, measured, unit="residual", scale=0.5)
        torch.testing.assert_close(added, (5 * unit).expand(3, -1), atol=1e-5, rtol=1e-5)
        added, _ = self.changes(model, measured, unit="shift", scale=2)
        torch.testing.assert_close(added, (6 * unit).expand(3, -1), atol=1e-5, rtol=1e-5)
        # Not measured: each activation's own length.
        added, plain = self.changes(model, random_vector(), unit="residual", scale=0.5)
        torch.testing.assert_close(added, 0.5 * plain.norm(dim=-1, keepdim=True) * unit, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("operator", ["ablate", "ablate_add", "clamp", "add_keep_norm"])
    def test_operators(self, model, operator):
        vector = random_vector()
        added, plain = self.changes(model, vector, scale=0.7, operator=operator)
        x, v = plain.double().numpy(), vector.direction.double().numpy()
        along = (x @ v / (v @ v))[:, None] * v
        moved = x + 0.7 * v
        expected = {
            "ablate": -0.7 * along,
            "ablate_add": -along + 0.7 * v,
            "clamp": -along + 0.7 * v,
            "add_keep_norm": moved * (np.linalg.norm(x, axis=1) / np.linalg.norm(moved, axis=1))[:, None] - x,
        }[operator]
        np.testing.assert_allclose(added.numpy(), expected, atol=1e-5)


class TestWhenItSteers:
    """From the beginning of the block to its end, or from `attach` to `remove`, and at no other time."""

    def test_a_call_without_a_block_changes_nothing(self, model):
        before, plain, text = everything_of(model), model(PROMPTS), greedy(model, PROMPTS[0])
        steering = steer(model, random_vector(), scale=5.0)
        assert not steering.active
        assert everything_of(model) == before
        assert torch.equal(model(PROMPTS), plain)
        assert greedy(model, PROMPTS[0]) == text
        steering.remove()
        assert everything_of(model) == before

    def test_one_object_in_one_block_after_another(self, model):
        before, plain = everything_of(model), model(PROMPTS[1])
        steering = steer(model, random_vector(), scale=2.0)
        with biased(model, 2 * random_vector().direction):
            expected = model(PROMPTS[1])
        for _ in range(2):
            with steering as entered:
                assert entered is steering
                assert steering.active
                assert steering.trace().rows == []
                torch.testing.assert_close(model(PROMPTS[1]), expected, atol=1e-5, rtol=1e-5)
            assert not steering.active
            assert everything_of(model) == before
            assert torch.equal(model(PROMPTS[1]), plain)
            assert len(steering.trace().rows) == 1

    def test_entered_again_after_an_exception(self, model):
        before, steering = everything_of(model), steer(model, random_vector())
        with biased(model, random_vector().direction):
            expected = model(PROMPTS[1])
        with pytest.raises(RuntimeError, match="mine"), steering:
            raise RuntimeError("mine")
        assert everything_of(model) == before
        with steering:
            torch.testing.assert_close(model(PROMPTS[1]), expected, atol=1e-5, rtol=1e-5)
        assert everything_of(model) == before

    def test_entered_twice_is_an_error_and_the_open_block_goes_on(self, model):
        before, steering = everything_of(model), steer(model, random_vector())
        with steering:
            steered = model(PROMPTS[1])
            with pytest.raises(ValueError, match="already active in an open block"):
                steering.__enter__()
            with pytest.raises(ValueError, match="already active; call remove first"):
                steering.attach()
            assert torch.equal(model(PROMPTS[1]), steered)
        assert everything_of(model) == before

    def test_two_of_one_vector_add_up_and_end_one_by_one(self, model):
        before, vector = everything_of(model), random_vector()
        with biased(model, vector.direction):
            once = model(PROMPTS[1])
        with biased(model, 2 * vector.direction):
            twice = model(PROMPTS[1])
        with steer(model, vector):
            with steer(model, vector):
                torch.testing.assert_close(model(PROMPTS[1]), twice, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(model(PROMPTS[1]), once, atol=1e-5, rtol=1e-5)
        assert everything_of(model) == before

    def test_attached_until_removed(self, model):
        before, plain = everything_of(model), model(PROMPTS[1])
        handle = steer(model, random_vector()).attach()
        try:
            steered = model(PROMPTS[1])
            assert handle.active
            assert not torch.equal(steered, plain)
            with pytest.raises(ValueError, match="already active"):
                handle.attach()
            assert torch.equal(model(PROMPTS[1]), steered)
        finally:
            handle.remove()
        assert everything_of(model) == before
        assert torch.equal(model(PROMPTS[1]), plain)
        handle.attach().remove()
        assert everything_of(model) == before

    def test_a_block_ends_what_was_attached(self, model):
        before = everything_of(model)
        with steer(model, random_vector()).attach() as steering:
            assert steering.active
        assert not steering.active
        assert everything_of(model) == before

    def test_removed_within_its_block(self, model):
        before, plain = everything_of(model), model(PROMPTS[1])
        with steer(model, random_vector()) as steering:
            steering.remove()
            assert torch.equal(model(PROMPTS[1]), plain)
        assert everything_of(model) == before

    def test_entering_does_not_check_the_model_again(self, model, monkeypatch):
        steering = steer(model, SteeringVector(torch.ones(D), origin=origin_of(model, HOOK)))
        monkeypatch.setattr(hook_points, "describe", lambda _: pytest.fail("the fingerprint was computed again"))
        with steering:
            model(PROMPTS[0])

    def test_entering_fails_without_a_trace_where_an_sae_now_stands(self, models):
        model = models["hooked_sae"]
        steering = steer(model, random_vector() + random_vector(1, "blocks.0.hook_resid_post"))
        ssae = SSAE.from_weights(torch.eye(D), torch.eye(D))
        ssae.cfg.metadata.hook_name = HOOK
        model.add_sae(ssae, use_error_term=True)
        try:
            spliced = everything_of(model)
            with pytest.raises(ValueError, match="An SAE stands at"):
                steering.__enter__()
            assert everything_of(model) == spliced
        finally:
            model.reset_saes()
        with steering:
            assert steering.active


class TestLeavingNothingBehind:
    def test_after_the_block(self, model):
        before, logits = everything_of(model), model(PROMPTS)
        with steer(model, random_vector()) as outer, steer(model, random_vector(1), positions="generated"):
            assert outer.active
            assert everything_of(model) != before
            greedy(model, PROMPTS)
        assert not outer.active
        assert everything_of(model) == before
        assert torch.equal(model(PROMPTS), logits)

    def test_a_handle_removed_in_any_order(self, model):
        before = everything_of(model)
        with biased(model, random_vector(2).direction):
            expected = model(PROMPTS[1])
        first, second = (steer(model, random_vector(seed)).attach() for seed in (1, 2))
        first.remove()
        torch.testing.assert_close(model(PROMPTS[1]), expected, atol=1e-5, rtol=1e-5)
        second.remove()
        second.remove()
        assert everything_of(model) == before

    def test_after_an_exception(self, model):
        before = everything_of(model)
        with pytest.raises(ZeroDivisionError), steer(model, random_vector()):
            _ = len(greedy(model, PROMPTS)) / 0
        with pytest.raises(ValueError, match="scale holds 2"), steer(model, random_vector(), scale=[1, 2]):
            greedy(model, PROMPTS)
        assert everything_of(model) == before
        # A generation that was broken off is over.
        plain = model(PROMPTS[1])
        with steer(model, random_vector(), positions="generated"):
            with pytest.raises(RuntimeError, match="mine"), model.hooks(fwd_hooks=[(HOOK, broken)]):
                greedy(model, PROMPTS)
            assert torch.equal(model(PROMPTS[1]), plain)

    def test_other_peoples_hooks_stay(self, model):
        calls = []
        model.add_hook(HOOK, lambda x, hook: calls.append(1))
        try:
            with steer(model, random_vector()):
                model(PROMPTS[0])
            model(PROMPTS[0])
            assert len(calls) == 2
        finally:
            model.reset_hooks()

    def test_a_reset_in_between(self, model):
        plain = model(PROMPTS[0])
        with steer(model, random_vector()):
            model.reset_hooks()
            assert torch.equal(model(PROMPTS[0]), plain)
        assert torch.equal(model(PROMPTS[0]), plain)

    def test_gradients(self, model):
        """An inference pass before does not stand in the way of gradients after it."""
        with steer(model, random_vector(), operator="ablate"):
            greedy(model, PROMPTS)
            found = []

            def leaf(x, hook):
                found.append(x.detach().clone().requires_grad_())
                return found[0]

            with torch.enable_grad():
                model.run_with_hooks(PROMPTS[1], fwd_hooks=[("blocks.0.hook_resid_post", leaf)]).sum().backward()
        assert found[0].grad.abs().sum() > 0


def broken(x, hook):
    raise RuntimeError("mine")


class TestTrace:
    def test_of_a_call(self, model):
        vector = random_vector()
        with steer(model, vector, scale=[2.0, 0.0, 1.0], positions=slice(1, None)) as steering:
            model(PROMPTS)
        rows = steering.trace().rows
        length = vector.direction.norm().item()
        for text, row, scale in zip(PROMPTS, rows, (2, 0, 1), strict=True):
            ids = model.to_tokens(text)[0]
            assert [token for token, _ in row] == [model.tokenizer.decode([each]) for each in ids]
            assert [amount for _, amount in row] == pytest.approx([0] + [scale * length] * (len(ids) - 1), abs=1e-4)
        assert str(steering.trace()).splitlines()[1] == f"row 1: <bos>{PROMPTS[1]}"

    @pytest.mark.parametrize("cache", [True, False])
    def test_of_a_generation(self, model, cache):
        with steer(model, random_vector(), positions="generated") as steering:
            tokens = greedy(model, PROMPTS[0], use_past_kv_cache=cache, return_type="tokens")
            trace = steering.trace()
        prompt = model.to_tokens(PROMPTS[0]).shape[1]
        # The last token was given out and not read.
        assert [token for token, _ in trace.rows[0]] == [model.tokenizer.decode([each]) for each in tokens[0, :-1]]
        assert [amount > 0 for _, amount in trace.rows[0]] == [False] * prompt + [True] * 5

    def test_of_the_last_text_only(self, model):
        with steer(model, random_vector() + random_vector(1, "blocks.0.hook_resid_post")) as steering:
            assert steering.trace().rows == []
            greedy(model, PROMPTS)
            model("I like")
            once = steering.trace()
        assert len(once.rows) == 1
        both = random_vector().direction.norm() + random_vector(1).direction.norm()
        assert once.rows[0][0] == ("<bos>", pytest.approx(both.item(), rel=1e-4))

    def test_none_is_kept_on_request(self, model):
        vector = random_vector()
        with steer(model, vector) as steering:
            expected = model(PROMPTS)
        with steer(model, vector, trace=False) as quick:
            assert torch.equal(model(PROMPTS), expected)
        assert tensors_of(quick) == tensors_of(steer(model, vector)) < tensors_of(steering)
        with pytest.raises(ValueError, match="trace is False; call steer with trace=True"):
            quick.trace()
        assert len(steering.trace().rows) == len(PROMPTS)

    @pytest.mark.parametrize("cache", [True, False])
    def test_what_is_held_grows_with_the_text_and_not_with_its_square(self, model, cache):
        """Each new token adds the same: its number in each row, and the length of its change at each hook."""
        vector = random_vector() + random_vector(1, "blocks.0.hook_resid_post")
        with steer(model, vector) as steering:
            held = []
            for count in (4, 8, 16):
                greedy(model, PROMPTS, max_new_tokens=count, use_past_kv_cache=cache)
                held.append(tensors_of(steering))
        assert held[2] - held[1] == 2 * (held[1] - held[0])
        assert 0 < held[1] - held[0] <= 4 * len(PROMPTS) * 40


def tensors_of(steering):
    """The bytes of all tensors that a Steering leads to, its model apart."""
    found, seen, todo = 0, {id(steering.model)}, [vars(steering)]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, type | type(gc) | torch.nn.Module) or callable(each):
            continue
        seen.add(id(each))
        found += each.untyped_storage().nbytes() if isinstance(each, torch.Tensor) else 0
        todo += gc.get_referents(each)
    return found


class TestWhatDoesNotFit:
    def test_another_model(self, model):
        there = origin_of(model, HOOK)
        changed = {
            "model_name": "'pythia-70m' against 'tiny-gpt2'",
            "model_class": "'Other' against",
            "processing": "'fold_ln'",
        }
        others = {"model_name": "pythia-70m", "model_class": "Other", "processing": {"fold_ln": None}}
        for key, words in changed.items():
            vector = SteeringVector(torch.ones(D), origin=Origin.from_dict(there.to_dict() | {key: others[key]}))
            with pytest.raises(ValueError, match=f"not of this model .*{key}: .*{words}.* check=False"):
                steer(model, vector)
            with steer(model, vector, check=False):
                model(PROMPTS[0])
        with steer(model, SteeringVector(torch.ones(D), origin=there)):
            model(PROMPTS[0])

    def test_hooked_and_bridge_are_not_alike(self, models):
        vector = SteeringVector(torch.ones(D), origin=origin_of(models["hooked"], HOOK))
        with pytest.raises(ValueError, match="model_class: 'HookedTransformer' against 'TransformerBridge'"):
            steer(models["bridge"], vector)
        with steer(models["hooked_sae"], vector):
            pass

    @pytest.mark.parametrize(
        ("vector", "options", "words"),
        [
            (SteeringVector(torch.ones(8), HOOK), {}, "d_model=8 .*'tiny-gpt2' has d_model=32"),
            (SteeringVector(torch.ones(D), "blocks.7.hook_resid_post"), {}, "has no hook 'blocks.7.hook_resid_post'"),
            (SteeringVector(torch.ones(D), "hook_embed"), {}, "outside of the blocks"),
            (random_vector(), {"operator": "ad"}, "operator is 'ad'.*Did you mean 'add'"),
            (random_vector(), {"unit": "shift"}, "does not have the norm of its shifts"),
            (random_vector(), {"unit": "norm"}, "unit is 'norm'"),
            (random_vector(), {"unit": "residual", "operator": "ablate"}, "scale of operator='ablate' is a fraction"),
            (random_vector(), {"positions": "last"}, "positions is 'last'"),
            (random_vector(), {"scale": "2"}, "scale is '2'"),
            (random_vector(), {"scale": float("nan")}, "scale is nan"),
            (random_vector(), {"scale": []}, r"scale is \[\]"),
            (random_vector(), {"scale": [[1.0]]}, r"scale is \[\[1.0\]\]"),
            ([random_vector()] * 2, {"scale": [1, 2, 3], "per_row": True}, "scale holds 3 numbers for 2 rows"),
            ([random_vector(), random_vector(norms={"mean_residual_norm": 1})], {"unit": "residual"}, "1 of 2 vectors"),
            ([], {}, r"vectors is \[\]"),
            (torch.ones(D), {}, "give one or several SteeringVector"),
            (None, {}, "vectors is None; give one or several SteeringVector"),
            (5, {}, "vectors is 5; give one or several SteeringVector"),
        ],
    )
    def test_before_anything_runs(self, model, vector, options, words):
        before = everything_of(model)
        with pytest.raises(ValueError, match=words):
            steer(model, vector, **options)
        assert everything_of(model) == before

    @pytest.mark.parametrize("check", [True, False])
    def test_what_is_no_model(self, check):
        with pytest.raises(
            ValueError, match="model is a NoneType; it must be a HookedTransformer or a TransformerBridge"
        ):
            steer(None, random_vector(), check=check)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"scale": [1.0, 2.0]}, "scale holds 2 for a batch of 3 rows"),
            ({"positions": 40}, "positions has 40, and the text of row 0 has"),
            ({"positions": After("[/INST]")}, r"row 0 does not contain the marker '\[/INST\]'"),
        ],
    )
    def test_when_it_meets_the_text(self, model, options, words):
        with pytest.raises(ValueError, match=words), steer(model, random_vector(), **options):
            model(PROMPTS)

    def test_a_hook_of_another_width(self, model):
        vector = SteeringVector(torch.ones(D), "blocks.1.attn.hook_q")
        with pytest.raises(ValueError, match=r"carries activations of shape .* has 32 numbers"), steer(model, vector):
            model(PROMPTS)

    def test_a_spliced_sae(self, models):
        model = models["hooked_sae"]
        ssae = SSAE.from_weights(torch.eye(D), torch.eye(D))
        ssae.cfg.metadata.hook_name = HOOK
        model.add_sae(ssae, use_error_term=True)
        try:
            with pytest.raises(ValueError, match=r"An SAE stands at 'blocks.1.hook_resid_post'"):
                steer(model, random_vector())
            with steer(model, random_vector(hook=f"{HOOK}.hook_sae_output")):
                behind = model(PROMPTS[1])
        finally:
            model.reset_saes()
        # This one gives its input back, with the error term: steering what comes out is steering the hook.
        with steer(model, random_vector()):
            torch.testing.assert_close(model(PROMPTS[1]), behind, atol=1e-4, rtol=1e-4)
