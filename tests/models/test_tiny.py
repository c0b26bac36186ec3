import pytest
import torch
from transformers import AutoConfig

from ssae_lens.models import tiny_model
from ssae_lens.models.hooked import to_hooked
from ssae_lens.models.tiny import KINDS, SHAPES, tiny_hugging_face, tiny_tokenizer

TEXTS = ["The woman said that", "Ünïcödé 😀 1984\n\ttabs", ""]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_predicts_as_hugging_face_does(shape, kind):
    hf_model = tiny_hugging_face(shape, seed=3)
    model = tiny_model(shape, kind, seed=3, device="cpu")
    tokens = torch.randint(0, model.cfg.d_vocab, (2, 40))
    theirs = hf_model(tokens).logits
    ours = model(tokens).detach()
    torch.testing.assert_close(ours.log_softmax(-1), theirs.log_softmax(-1), atol=1e-4, rtol=0)
    if kind == "bridge":
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    # Were everything predicted alike, the lines above would hold for any model.
    assert theirs.softmax(-1).amax(-1).mean() > 2 / model.cfg.d_vocab


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_generates_text(shape, kind):
    model = tiny_model(shape, kind, device="cpu")
    cached = model.generate("The man said", max_new_tokens=5, do_sample=False, verbose=False)
    whole = model.generate("The man said", max_new_tokens=5, do_sample=False, verbose=False, use_past_kv_cache=False)
    assert cached.startswith("The man said")
    assert len(cached) > len("The man said")
    assert cached == whole


def test_the_kinds_read_text_alike():
    for shape in ("gpt2", "neox"):  # one puts a start token first, the other does not
        hooked, bridge = (tiny_model(shape, kind, device="cpu") for kind in KINDS)
        for text in TEXTS[:2]:
            assert hooked.to_tokens(text).tolist() == bridge.to_tokens(text).tolist()


def test_tokenizer_reads_any_text():
    tokenizer = tiny_tokenizer()
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}) == 3
    assert len(tokenizer(" woman")["input_ids"]) == 2, "a word of its few sentences is one token"
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    assert batch["attention_mask"].sum(1).tolist() == [len(tokenizer(each)["input_ids"]) for each in TEXTS]


def test_tokenizers_are_not_shared():
    tiny_tokenizer().pad_token = "<eos>"
    assert tiny_tokenizer().pad_token == "<pad>"


def test_seed_gives_the_weights_and_leaves_the_global_state():
    before = torch.random.get_rng_state()
    first, again, other = (tiny_hugging_face("gpt2", seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["transformer.wte.weight"], other["transformer.wte.weight"])
    assert first["transformer.ln_f.weight"].std() > 0.01, "norms that do nothing would hide that they are lost"


def test_size_and_dtype():
    model = tiny_model("llama", "bridge", n_layers=2, d_model=64, dtype=torch.bfloat16, device="cpu")
    assert (model.cfg.n_layers, model.cfg.d_model) == (2, 64)
    assert next(model.parameters()).dtype == torch.bfloat16
    hooked = tiny_model("llama", n_layers=1, d_model=16, dtype=torch.bfloat16, device="cpu")
    assert hooked.W_E.dtype == torch.bfloat16


@pytest.mark.parametrize("shape", SHAPES)
def test_hooked_weights_are_those_of_transformer_lens(shape):
    """One load of the processed weights gives what TransformerLens's own tensor by tensor gives."""
    from transformer_lens import HookedTransformer
    from transformer_lens import loading_from_pretrained as loading

    from ssae_lens.models.hooked import hooked_config

    hf_model = tiny_hugging_face(shape)
    cfg = hooked_config(hf_model, "x", "cpu")
    theirs = HookedTransformer(cfg, tiny_tokenizer())
    theirs.load_and_process_state_dict(
        loading.get_pretrained_state_dict(".", cfg, hf_model), center_unembed=cfg.output_logits_soft_cap <= 0
    )
    expected, found = theirs.state_dict(), tiny_model(shape, device="cpu").state_dict()
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key


def test_a_conversion_that_predicts_otherwise_is_refused():
    """Llama with biases, which TransformerLens's converter passes over without a word."""
    from transformers import LlamaForCausalLM

    config = AutoConfig.for_model(
        "llama",
        vocab_size=len(tiny_tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        attention_bias=True,
        initializer_range=0.2,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    for layer in model.model.layers:
        torch.nn.init.normal_(layer.self_attn.v_proj.bias)
    with pytest.raises(ValueError, match=r"'biased' \(LlamaForCausalLM\) does not predict .* kind=\"bridge\""):
        to_hooked(model, tiny_tokenizer(), "biased", device="cpu")


def test_a_shape_that_transformer_lens_does_not_expect_is_refused():
    from transformers import AutoModelForCausalLM

    config = tiny_hugging_face("gpt2").config
    config.n_inner = 48  # TransformerLens takes it to be four times the width
    with pytest.raises(ValueError, match=r"HookedTransformer of 'narrow'.*RuntimeError.* kind=\"bridge\""):
        to_hooked(AutoModelForCausalLM.from_config(config), tiny_tokenizer(), "narrow", device="cpu")


def test_rope_base_is_read_from_the_config():
    from transformers import GPTNeoXForCausalLM

    config = tiny_hugging_face("neox").config
    config.rope_parameters = {"rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 0.5}
    hf_model = GPTNeoXForCausalLM._from_config(config, attn_implementation="eager").eval()
    model = to_hooked(hf_model, tiny_tokenizer(), "x", device="cpu")
    tokens = torch.arange(40)[None]
    torch.testing.assert_close(
        model(tokens).log_softmax(-1), hf_model(tokens).logits.log_softmax(-1), atol=1e-4, rtol=0
    )


def test_an_architecture_without_a_converter_is_refused():
    from transformers import AutoModelForCausalLM

    config = AutoConfig.for_model(
        "cohere", vocab_size=392, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4
    )
    with pytest.raises(ValueError, match=r"HookedTransformer of 'x' \(CohereForCausalLM\).* kind=\"bridge\""):
        to_hooked(AutoModelForCausalLM.from_config(config), tiny_tokenizer(), "x", device="cpu")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"shape": "lama"}, "shape is 'lama'.*'llama'"),
        ({"kind": "hook"}, "kind is 'hook'.*'hooked'"),
        ({"d_model": 30}, "d_model is 30.*multiple of 8"),
        ({"n_layers": 0}, "n_layers is 0"),
    ],
)
def test_bad_input(arguments, words):
    with pytest.raises(ValueError, match=words):
        tiny_model(**arguments)
