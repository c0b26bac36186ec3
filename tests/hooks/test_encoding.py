import numpy as np
import pytest

from ssae_lens.hooks.spans import Spans
from ssae_lens.hooks.tokens import TokenizedTexts, text_start
from ssae_lens.models import tiny_model
from ssae_lens.models.tiny import tiny_tokenizer
from ssae_lens.pairs.schema import from_rows

PAIRS = from_rows(
    [
        {"source": "The king was sad.", "target": "The queen was sad."},
        {"source": "The queen was sad.", "target": "The queen was not sad."},
        {"source": "The king was sad.", "target": "He is."},
    ]
)


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
@pytest.mark.parametrize("prepends", [True, False])
@pytest.mark.parametrize("by_itself", [True, False], ids=["its tokenizer prepends", "its tokenizer does not"])
def test_tokens_are_those_of_to_tokens(kind, prepends, by_itself):
    model = tiny_model("gpt2", kind)
    if not by_itself:
        # A tokenizer that puts nothing before a text, as GPT-2's own.
        model.tokenizer.backend_tokenizer.post_processor = __import__("tokenizers").processors.ByteLevel()
        model.cfg.tokenizer_prepends_bos = False
    model.cfg.default_prepend_bos = prepends
    texts = TokenizedTexts.of(model, PAIRS)
    assert texts.texts == ["The king was sad.", "The queen was sad.", "The queen was not sad.", "He is."]
    assert texts.sides.tolist() == [[0, 1, 0], [1, 2, 3]]
    for number, text in enumerate(texts.texts):
        assert texts[number].tolist() == model.to_tokens(text)[0].tolist()
        assert texts.lengths[number] == len(texts[number])
    assert (texts.bos == prepends).all()


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
@pytest.mark.parametrize("by_default", [True, False])
@pytest.mark.parametrize("asked", [True, False, None])
def test_a_beginning_of_sequence_on_request(kind, by_default, asked):
    model = tiny_model("gpt2", kind)
    model.cfg.default_prepend_bos = by_default
    texts = TokenizedTexts.of(model, PAIRS, prepend_bos=asked)
    wanted = by_default if asked is None else asked
    for number, text in enumerate(texts.texts):
        assert texts[number].tolist() == model.to_tokens(text, prepend_bos=wanted)[0].tolist()
    assert (texts.bos == wanted).all()
    assert texts.added_bos == ("<bos>" if wanted and not by_default else "")


def test_a_text_that_begins_with_the_bos_itself():
    """It is the text's own token: counted by the tokenizer's offsets, and not once more."""
    model = tiny_model("gpt2")
    model.cfg.default_prepend_bos = False
    texts = TokenizedTexts.of(model, from_rows([{"source": "<bos>Is it? (A)", "target": "<bos>Is it? (B)"}]))
    assert model.tokenizer.bos_token_id == texts[0][0]
    assert not texts.bos.any()
    spans = Spans.of(texts, "answer")
    read = [texts[spans.text[each]][spans.start[each]] for each in spans.sides[:, 0]]
    assert [model.tokenizer.decode([each]) for each in read] == ["A", "B"]


class TestTextStart:
    @pytest.mark.parametrize(
        ("template", "special", "expected"),
        [
            (None, [], "<bos>"),
            ("{{ bos_token }}{{ messages[0] }}", ["<|endoftext|>"], "<bos>"),
            ("{{ '<bos>user' }}", ["<|endoftext|>"], "<eos>"),
            ("{{ '<bos>user<eos>' }}", ["<|endoftext|>"], "<|endoftext|>"),
            ("{{ '<bos>user<eos>' }}", [], "<bos>"),
        ],
    )
    def test_a_token_that_the_chat_template_spells_out_comes_last(self, template, special, expected):
        tokenizer = tiny_tokenizer()
        tokenizer.add_special_tokens({"additional_special_tokens": special})
        tokenizer.chat_template = template
        assert text_start(tokenizer) == expected

    def test_without_a_bos(self):
        tokenizer = tiny_tokenizer()
        tokenizer.bos_token = None
        assert text_start(tokenizer) == "<eos>"
        tokenizer.eos_token = None
        assert text_start(tokenizer) == ""
        model = tiny_model("gpt2")
        model.tokenizer, model.cfg.default_prepend_bos = tokenizer, False
        with pytest.raises(ValueError, match="prepend_bos is True, and the tokenizer has neither a BOS nor an EOS"):
            TokenizedTexts.of(model, PAIRS, prepend_bos=True)


def test_padding_that_equals_the_end_of_sequence_does_no_harm():
    model = tiny_model("gpt2")
    expected = [TokenizedTexts.of(model, PAIRS)[n].tolist() for n in range(4)]
    model.tokenizer.pad_token = model.tokenizer.eos_token
    model.tokenizer.padding_side = "left"
    assert [TokenizedTexts.of(model, PAIRS)[n].tolist() for n in range(4)] == expected


def test_texts_longer_than_the_context_are_named_or_cut():
    model = tiny_model("gpt2")
    long = "king " * 300
    pairs = from_rows([{"source": "A king.", "target": "A boy."}, {"source": long, "target": "A girl."}])
    with pytest.raises(ValueError, match=r"more than the 256 that the model reads, in 1 row \(1\)"):
        TokenizedTexts.of(model, pairs)
    texts = TokenizedTexts.of(model, pairs, truncate=True)
    assert texts.lengths.max() == 256
    assert texts[2].tolist() == model.to_tokens(long)[0].tolist()
    np.testing.assert_array_equal(texts[3], model.to_tokens("A girl.")[0])


def test_a_model_without_a_tokenizer_is_told_so():
    model = tiny_model("gpt2")
    model.tokenizer = None
    with pytest.raises(ValueError, match=r"'tiny-gpt2' has no tokenizer"):
        TokenizedTexts.of(model, PAIRS)
