"""Sweeps: each row of a batch is what it would be alone."""

import gc

import numpy as np
import pytest
import torch

from ssae_lens.hooks import decoding
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.decoding import TOP_TOKENS, Sampler
from ssae_lens.hooks.generate import generate_sweep
from ssae_lens.hooks.trace import Recorder
from ssae_lens.models.tiny import tiny_model
from ssae_lens.steering_vector import SteeringVector

PROMPTS = ["The man", "The king and the queen were sad.", "I like"]
D = 32


def random_vector(seed, hook="blocks.1.hook_resid_post", **more):
    return SteeringVector(torch.randn(D, generator=torch.Generator().manual_seed(seed)), hook, **more)


VECTORS = {"a": random_vector(1), "b": random_vector(2, "blocks.0.hook_resid_post")}


@pytest.fixture(scope="module", params=["hooked", "bridge"])
def model(request):
    return tiny_model("gpt2", request.param)


def sweep(model, *args, **options):
    return generate_sweep(model, *args, **{"max_new_tokens": 6, "stop_tokens": []} | options)


@pytest.mark.parametrize(("shape", "kind"), [("gpt2", "hooked"), ("llama", "bridge"), ("gemma2", "hooked")])
def test_every_row_is_what_generate_gives(shape, kind):
    model = tiny_model(shape, kind)
    table = sweep(model, PROMPTS, VECTORS, [-3.0, 0.0, 3.0], max_rows=7)
    assert len(table) == 3 * 2 * 3
    assert list(table.columns) == ["prompt", "vector", "scale", "sample", "text", "n_tokens", "stopped"]
    for row in table.itertuples():
        with steer(model, VECTORS[row.vector], scale=row.scale):
            alone = model.generate(
                row.prompt, max_new_tokens=6, do_sample=False, stop_at_eos=False, verbose=False, return_type="tokens"
            )
        made = alone[0, -6:]
        assert row.text == model.tokenizer.decode(made, skip_special_tokens=True)
        assert (row.n_tokens, row.stopped) == (6, False)
    assert table[table.scale != 0].text.nunique() > 6
    assert table[table.scale == 0].groupby("prompt").text.nunique().eq(1).all()


@pytest.mark.parametrize(
    ("positions", "operator"),
    [("prompt", "clamp"), ("generated", "add"), (slice(1, 4), "add_keep_norm"), (-1, "ablate_add")],
)
def test_positions_and_operators(model, positions, operator):
    options = {"positions": positions, "operator": operator}
    table = sweep(model, PROMPTS, VECTORS, 4.0, **options)
    for row in table.itertuples():
        with steer(model, VECTORS[row.vector], scale=4.0, **options):
            alone = model.generate(
                row.prompt, max_new_tokens=6, do_sample=False, stop_at_eos=False, verbose=False, return_type="tokens"
            )
        assert row.text == model.tokenizer.decode(alone[0, -6:], skip_special_tokens=True)


SAMPLED = {"temperature": 1.5, "top_k": 50, "top_p": 0.9, "n_samples": 3, "seed": 4}


class TestSampling:
    def test_the_batch_does_not_matter(self, model):
        whole = sweep(model, PROMPTS, VECTORS, [0, 2], **SAMPLED)
        assert whole.equals(sweep(model, PROMPTS, VECTORS, [0, 2], max_rows=5, **SAMPLED))
        part = sweep(model, PROMPTS[1], VECTORS["b"], 2, **SAMPLED)
        same = whole[(whole.prompt == PROMPTS[1]) & (whole.vector == "b") & (whole.scale == 2)]
        assert part.text.tolist() == same.text.tolist()
        longer = sweep(model, PROMPTS, VECTORS, [0, 2], **SAMPLED, max_new_tokens=9)
        assert all(more.startswith(text) for more, text in zip(longer.text, whole.text, strict=True))

    def test_the_seed_does(self, model):
        one = sweep(model, PROMPTS, VECTORS["a"], 0, **SAMPLED)
        assert one.text.nunique() == len(one)
        assert not one.text.equals(sweep(model, PROMPTS, VECTORS["a"], 0, **SAMPLED | {"seed": 5}).text)
        state = torch.random.get_rng_state()
        assert one.equals(sweep(model, PROMPTS, VECTORS["a"], 0, **SAMPLED))
        assert torch.equal(state, torch.random.get_rng_state())

    def test_frequencies(self):
        """Over evenly spaced numbers each token comes up as often as its probability says."""
        logits = torch.randn(8, generator=torch.Generator().manual_seed(0))
        numbers = (np.arange(20000) + 0.5) / 20000
        many = logits.expand(len(numbers), -1)

        def shares(sampler):
            return np.bincount(sampler(many, numbers).numpy(), minlength=8) / len(numbers)

        p = np.exp(logits.double().numpy() / 0.7)
        p /= p.sum()
        np.testing.assert_allclose(shares(Sampler(0.7)), p, atol=1e-4)
        order = np.argsort(-p)
        top = np.zeros(8)
        top[order[:3]] = p[order[:3]]
        np.testing.assert_allclose(shares(Sampler(0.7, top_k=3)), top / top.sum(), atol=1e-4)
        # The fewest tokens that together have at least half.
        count = int(np.searchsorted(np.cumsum(p[order]), 0.5)) + 1
        nucleus = np.zeros(8)
        nucleus[order[:count]] = p[order[:count]]
        np.testing.assert_allclose(shares(Sampler(0.7, top_p=0.5)), nucleus / nucleus.sum(), atol=1e-4)
        assert shares(Sampler(0.7, top_p=1e-6)).max() == 1
        assert Sampler(0)(many[:2], numbers[:2]).tolist() == [int(logits.argmax())] * 2

    @pytest.mark.parametrize("spread", [3.0, 0.01], ids=["a few hold the share", "most are needed"])
    def test_the_nucleus_of_a_large_vocabulary(self, spread):
        """As a sort of all tokens has it, also where more are needed than are looked for at first."""
        rng = np.random.default_rng(0)
        logits = torch.from_numpy(spread * rng.normal(size=(4, 3 * TOP_TOKENS))).float()
        numbers = rng.random(4)
        chances, order = torch.sort((logits.double() / 0.7).softmax(-1), descending=True)
        for row, picked in enumerate(Sampler(0.7, top_p=0.9)(logits, numbers).tolist()):
            kept = np.cumsum(chances[row].numpy())
            kept = kept[: int(np.searchsorted(kept, 0.9)) + 1]
            assert picked == order[row, int(np.searchsorted(kept, numbers[row] * kept[-1], side="right"))]

    def test_the_nucleus_in_half_precision(self):
        """Half a model's precision does not move the edge: the likeliest are as likely as a sort in double has them."""
        rng = np.random.default_rng(1)
        logits = torch.from_numpy(3 * rng.normal(size=(64, 3 * TOP_TOKENS))).bfloat16()
        # At the very end of the nucleus, where a wrong sum shows.
        numbers = np.full(64, 1 - 1e-9)
        chances, order = torch.sort((logits.double() / 0.7).softmax(-1), descending=True)
        for row, picked in enumerate(Sampler(0.7, top_p=0.9)(logits, numbers).tolist()):
            last = int(np.searchsorted(np.cumsum(chances[row].numpy()), 0.9))
            # Many tokens have the same logit.
            assert logits[row, picked] == logits[row, order[row, last]]

    @pytest.mark.parametrize("number", [0.0, 1.0 - 2**-53])
    def test_the_ends_of_the_range(self, number):
        logits = torch.tensor([[0.0, 1.0, -1.0, -50.0]])
        picked = Sampler(1.0, top_k=2)(logits, np.array([number]))
        assert picked.tolist() == [1 if number == 0 else 0]


def test_stop_tokens(model):
    free = sweep(model, PROMPTS[0], VECTORS["a"], 0, max_new_tokens=8)
    with torch.no_grad():
        ids = model.generate(PROMPTS[0], max_new_tokens=8, do_sample=False, stop_at_eos=False, verbose=False,
                             return_type="tokens")[0, -8:].tolist()  # fmt: skip
    stop = ids[3]
    first = ids.index(stop)
    table = sweep(model, PROMPTS[0], VECTORS["a"], 0, max_new_tokens=8, stop_tokens=[stop])
    assert table.stopped.tolist() == [True]
    assert table.n_tokens.tolist() == [first]
    assert table.text.item() == model.tokenizer.decode(ids[:first], skip_special_tokens=True)
    assert free.text.item().startswith(table.text.item())


def test_it_leaves_the_model_as_it_was(model):
    before = {name: each.clone() for name, each in model.state_dict().items()}
    attributes = dict(vars(model))
    sweep(model, PROMPTS, VECTORS, [0, 1])
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert dict(vars(model)) == attributes
    assert not model.hook_dict["blocks.1.hook_resid_post"].fwd_hooks
    with torch.enable_grad():
        model.requires_grad_(True)
        model(PROMPTS[0]).sum().backward()
        model.zero_grad()
        model.requires_grad_(False)


@pytest.mark.parametrize(
    ("args", "options", "words"),
    [
        (([], VECTORS, 1), {}, "prompts is empty"),
        ((5, VECTORS, 1), {}, "prompts is 5; it must be a text or a list of texts"),
        ((None, VECTORS, 1), {}, "prompts is None"),
        ((["The man", 5], VECTORS, 1), {}, "prompts is .*5.*; it must be a text"),
        ((PROMPTS, None, 1), {}, "vectors is None; give SteeringVector objects"),
        ((PROMPTS, {"a": torch.ones(D)}, 1), {}, "give SteeringVector objects, in a list or by name"),
        ((PROMPTS, {}, 1), {}, "vectors is empty"),
        ((PROMPTS, VECTORS, []), {}, r"scales is \[\]"),
        ((PROMPTS, VECTORS, [float("nan")]), {}, r"scales is \[nan\]"),
        ((PROMPTS, VECTORS, 1), {"max_new_tokens": 0}, "max_new_tokens is 0"),
        ((PROMPTS, VECTORS, 1), {"max_new_tokens": 300}, r"has \d tokens; with max_new_tokens=300 .* 256"),
        ((PROMPTS, VECTORS, 1), {"temperature": -1}, "temperature is -1"),
        ((PROMPTS, VECTORS, 1), {"top_k": 0}, "top_k is 0"),
        ((PROMPTS, VECTORS, 1), {"top_p": 0}, "top_p is 0"),
        ((PROMPTS, VECTORS, 1), {"top_p": 2}, "top_p is 2"),
        ((PROMPTS, VECTORS, 1), {"max_rows": 0}, "max_rows is 0"),
        (("", VECTORS, 1), {"prepend_bos": False}, "'' has no tokens"),
        ((PROMPTS, VECTORS, 1), {"operator": "plus"}, "operator is 'plus'"),
    ],
)
def test_bad_input(model, args, options, words):
    with pytest.raises(ValueError, match=words):
        sweep(model, *args, **options)


def test_what_is_no_model():
    with pytest.raises(ValueError, match="model is a NoneType"):
        sweep(None, PROMPTS, VECTORS, 1)


def test_a_sweep_records_no_trace(model, monkeypatch):
    """Neither passes nor changes: later there are no more tensors of the sweep's than before."""
    monkeypatch.setattr(Recorder, "add", lambda *_: pytest.fail("a change was recorded"))
    steps, alive, made = iter(range(20)), [], decoding.Sampler.__call__

    def counting(sampler, logits, uniforms):
        if next(steps) in (5, 19):
            gc.collect()
            # With a row for each text.
            alive.append(sum(isinstance(each, torch.Tensor) and each.shape[:1] == (7,) for each in gc.get_objects()))
        return made(sampler, logits, uniforms)

    monkeypatch.setattr(decoding.Sampler, "__call__", counting)
    sweep(model, "The man", VECTORS["a"], range(7), max_new_tokens=20)
    assert len(alive) == 2
    assert alive[0] == alive[1]
