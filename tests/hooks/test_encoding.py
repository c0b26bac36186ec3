import numpy as np
import pytest

from ssae_lens.hooks.encoding import Texts
from ssae_lens.models import tiny_model
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
    texts = Texts.of(model, PAIRS)
    assert texts.texts == ["The king was sad.", "The queen was sad.", "The queen was not sad.", "He is."]
    assert texts.sides.tolist() == [[0, 1, 0], [1, 2, 3]]
    for number, text in enumerate(texts.texts):
        assert texts[number].tolist() == model.to_tokens(text)[0].tolist()
        assert texts.lengths[number] == len(texts[number])
    assert (texts.bos == prepends).all()


def test_padding_that_equals_the_end_of_sequence_does_no_harm():
    model = tiny_model("gpt2")
    expected = [Texts.of(model, PAIRS)[n].tolist() for n in range(4)]
    model.tokenizer.pad_token = model.tokenizer.eos_token
    model.tokenizer.padding_side = "left"
    assert [Texts.of(model, PAIRS)[n].tolist() for n in range(4)] == expected


def test_texts_longer_than_the_context_are_named_or_cut():
    model = tiny_model("gpt2")
    long = "king " * 300
    pairs = from_rows([{"source": "A king.", "target": "A boy."}, {"source": long, "target": "A girl."}])
    with pytest.raises(ValueError, match=r"more than the 256 that the model reads, in 1 row \(1\)"):
        Texts.of(model, pairs)
    texts = Texts.of(model, pairs, truncate=True)
    assert texts.lengths.max() == 256
    assert texts[2].tolist() == model.to_tokens(long)[0].tolist()
    np.testing.assert_array_equal(texts[3], model.to_tokens("A girl.")[0])


def test_a_model_without_a_tokenizer_is_told_so():
    model = tiny_model("gpt2")
    model.tokenizer = None
    with pytest.raises(ValueError, match=r"'tiny-gpt2' has no tokenizer"):
        Texts.of(model, PAIRS)
