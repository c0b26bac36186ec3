"""Chat messages: rendered by a template, with positions in the last turn."""

import json

import numpy as np
import pytest

from ssae_lens.hooks import capture_shifts
from ssae_lens.hooks.spans import Spans
from ssae_lens.hooks.tokens import TokenizedTexts
from ssae_lens.models.tiny import tiny_model
from ssae_lens.pairs import load_pairs
from ssae_lens.pairs.schema import from_rows, validate

HOOK = "blocks.1.hook_resid_post"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }} [end]\n{% endfor %}"
)


def asked(reply, system="Be brief."):
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": "How are you?"},
        {"role": "assistant", "content": reply},
    ]


ROWS = [
    {"source": asked("I am fine, you?"), "target": asked("We are fine, sir.")},
    {"source": asked("Good."), "target": asked("Very good.")},
]


@pytest.fixture(scope="module")
def model():
    model = tiny_model("gpt2")
    model.tokenizer.chat_template = TEMPLATE
    return model


@pytest.fixture(scope="module")
def pairs(model):
    return load_pairs(ROWS, tokenizer=model.tokenizer)


def test_messages_become_texts_with_the_range_of_the_last_turn(pairs):
    assert pairs["source"][0] == (
        "[system] Be brief. [end]\n[user] How are you? [end]\n[assistant] I am fine, you? [end]\n"
    )
    for side in ("source", "target"):
        turns = [text[start:stop] for text, (start, stop) in zip(pairs[side][:], pairs[f"{side}_turn"][:], strict=True)]
        assert turns == [row[side][-1]["content"] for row in ROWS]


def test_a_text_is_the_reply_to_the_messages_of_the_other_side(model):
    given = load_pairs([{"source": ROWS[0]["source"], "target": "We are fine, sir."}], tokenizer=model.tokenizer)
    assert given["target"][0] == load_pairs(ROWS, tokenizer=model.tokenizer)["target"][0]


def test_a_file_and_a_dataset_of_messages(model, pairs, tmp_path):
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert load_pairs(path, tokenizer=model.tokenizer)["source"][:] == pairs["source"][:]
    from datasets import Dataset

    assert load_pairs(Dataset.from_list(ROWS), tokenizer=model.tokenizer)["target"][:] == pairs["target"][:]


@pytest.mark.parametrize(
    ("position", "wanted"),
    [
        ("mean", slice(None)),
        ("last", slice(-1, None)),
        ("0", slice(0, 1)),
        ("-2:", slice(-2, None)),
        ("1:3", slice(1, 3)),
    ],
)
def test_positions_count_within_the_last_turn(model, pairs, position, wanted):
    """The tokens of the content alone are found in those of the whole text."""
    columns = validate(pairs)
    turns = dict(zip(columns.source + columns.target, columns.turns[0] + columns.turns[1], strict=True))
    texts = TokenizedTexts.of(model, {"source": columns.source, "target": columns.target})
    spans = Spans.of(texts, position, turns)
    for number, text, start, stop in zip(range(len(spans)), spans.text, spans.start, spans.stop, strict=True):
        begin, end = turns[texts.texts[text]]
        offsets = texts.offsets(text)
        inside = [i for i, (low, high) in enumerate(offsets) if low < end and high > begin]
        assert list(range(start - texts.bos[text], stop - texts.bos[text])) == inside[wanted], number


def test_the_rows_are_those_of_the_turn(model, pairs):
    store = capture_shifts(model, pairs, HOOK, quiet=True)
    texts = TokenizedTexts.of(model, {"source": pairs["source"][:], "target": pairs["target"][:]})
    start, stop = pairs["source_turn"][0]
    inside = [i + int(texts.bos[0]) for i, (low, high) in enumerate(texts.offsets(0)) if low < stop and high > start]
    cache = model.run_with_cache(model.to_tokens(pairs["source"][0]))[1]
    expected = cache[HOOK][0, inside].mean(0).detach().numpy()
    np.testing.assert_allclose(store.source[0], expected, rtol=1e-4, atol=1e-5)
    plain = capture_shifts(model, pairs.remove_columns(["source_turn", "target_turn"]), HOOK, quiet=True)
    assert abs(plain.source - store.source).max() > 0.01
    assert "turns" in store.pairs
    assert "turns" not in plain.pairs


def test_an_answer_is_found_before_the_marks_of_the_template(model):
    rows = [{"source": asked("The answer is (A)"), "target": asked("The answer is (B)")}]
    pairs = load_pairs(rows, tokenizer=model.tokenizer)
    columns = validate(pairs)
    turns = dict(zip(columns.source + columns.target, columns.turns[0] + columns.turns[1], strict=True))
    texts = TokenizedTexts.of(model, {"source": columns.source, "target": columns.target})
    spans = Spans.of(texts, "answer", turns)
    found = [
        texts.texts[text][slice(*texts.offsets(text)[start - texts.bos[text]])]
        for text, start in zip(spans.text, spans.start, strict=True)
    ]
    assert [each.strip("( ") for each in found] == ["A", "B"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"source": asked("a"), "target": []}], "target holds no chat messages in row 0"),
        (
            [{"source": [{"role": "user"}], "target": asked("a")}],
            r"source holds \{'role': 'user'\} in row 0; a message is",
        ),
        ([{"source": asked("a"), "target": asked(" ")}], "target ends with an empty message in row 0"),
        ([*ROWS, {"source": "x", "target": "y"}], "source holds no chat messages in row 2"),
    ],
)
def test_unusable_messages(model, rows, words):
    with pytest.raises(ValueError, match=words):
        load_pairs(rows, tokenizer=model.tokenizer)


def test_what_is_missing_is_named(model):
    with pytest.raises(ValueError, match=r"The data set holds chat messages, and tokenizer is None; give"):
        load_pairs(ROWS)
    bare = tiny_model("gpt2")
    bare.tokenizer.chat_template = None
    with pytest.raises(ValueError, match="has no chat template"):
        load_pairs(ROWS, tokenizer=bare.tokenizer)
    bare.tokenizer.chat_template = "{{ messages[-1]['content'] | upper }}"
    with pytest.raises(ValueError, match="The chat template changes the last message of source in row 0"):
        load_pairs(ROWS, tokenizer=bare.tokenizer)


def test_ranges_are_checked():
    row = {"source": "abc", "target": "abd", "source_turn": [0, 2], "target_turn": [1, 9]}
    with pytest.raises(ValueError, match="target_turn is not a range of characters"):
        validate(from_rows([row]))
    del row["target_turn"]
    with pytest.raises(ValueError, match="There is no column 'target_turn'"):
        validate(from_rows([row]))


@pytest.mark.slow
def test_smollm2_reads_the_tokens_of_the_reply():
    """Counted by hand: after <|im_start|>assistant and a line break, "Hello there, sir." is five tokens."""
    from ssae_lens.models import load_model

    model = load_model("smollm2-135m", device="cpu")
    user = {"role": "user", "content": "Greet me."}
    rows = [
        {
            "source": [user, {"role": "assistant", "content": "Hey there, sir."}],
            "target": [user, {"role": "assistant", "content": "Hello there, sir."}],
        }
    ]
    pairs = load_pairs(rows, tokenizer=model.tokenizer)
    assert pairs["target"][0].count("<|im_start|>") == 3  # the template's own system message comes first
    texts = TokenizedTexts.of(model, {"source": pairs["source"][:], "target": pairs["target"][:]})
    turns = {pairs[side][0]: pairs[f"{side}_turn"][0] for side in ("source", "target")}
    spans = Spans.of(texts, "mean", turns)
    decoded = [
        [model.tokenizer.decode([token]) for token in texts[text][start:stop]]
        for text, start, stop in zip(spans.text, spans.start, spans.stop, strict=True)
    ]
    assert decoded == [["Hey", " there", ",", " sir", "."], ["Hello", " there", ",", " sir", "."]]
