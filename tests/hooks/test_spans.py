import pytest

from ssae_lens.hooks.spans import Spans, position_name
from ssae_lens.hooks.tokens import TokenizedTexts
from ssae_lens.models import tiny_model
from ssae_lens.pairs.schema import from_rows


def spans_of(position, *pairs, shape="gpt2"):
    """Each row's pair, and the tokens of either side's span as text."""
    model = tiny_model(shape)
    texts = TokenizedTexts.of(model, from_rows([{"source": a, "target": b} for a, b in pairs]))
    spans = Spans.of(texts, position_name(position))
    found = []
    for pair, *sides in zip(spans.pair.tolist(), *spans.sides, strict=True):
        tokens = [texts[spans.text[each]][spans.start[each] : spans.stop[each]] for each in sides]
        found.append((pair, *(model.tokenizer.decode(each) for each in tokens)))
    return found


PAIR = ("The man was sad.", "The woman was sad.")


@pytest.mark.parametrize(
    ("position", "source", "target"),
    [
        ("last", ".", "."),
        ("mean", *PAIR),
        (0, "<bos>", "<bos>"),
        (1, "The", "The"),
        ("-1", ".", "."),
        ("1:2", "The", "The"),
        (":2", "<bos>The", "<bos>The"),
    ],
)
def test_spans_of_every_text(position, source, target):
    assert spans_of(position, PAIR) == [(0, source, target)]


def test_the_mean_leaves_the_first_token_out_with_or_without_a_beginning_of_sequence():
    first, *_ = spans_of(0, PAIR, shape="neox")
    assert spans_of("mean", PAIR, shape="neox") == [(0, *(text.removeprefix(first[1]) for text in PAIR))]
    assert spans_of("mean", ("a", "b"), shape="neox") == [(0, "a", "b")]
    assert spans_of(0, PAIR, shape="neox") == [(0, "The", "The")]


def test_equal_spans_are_one():
    texts = TokenizedTexts.of(
        tiny_model(), from_rows([{"source": "A king.", "target": t} for t in ("A queen.", "A boy.")])
    )
    spans = Spans.of(texts, "last")
    assert len(spans) == 3
    assert spans.sides.tolist() == [[0, 0], [1, 2]]
    assert spans.example_pair.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Is it? (A)", "A"),
        ("Is it?\n\nAnswer: (B).", "B"),
        ("Is it? (A", "A"),
        ("Choices: (A) one (B) two. Answer: B", "B"),
        ("Is it good? Yes", "Yes"),
        ("Is it good? No.", "No"),
    ],
)
def test_the_answer_is_the_token_that_ends_its_letter_or_word(text, answer):
    (row,) = spans_of("answer", (text, text))
    # The tiny tokenizer may part a word; it is the last piece that is taken.
    assert answer.endswith(row[1].strip(" ()"))
    assert row[1].strip(" ()")
    assert row[1] == row[2]


def test_a_text_without_an_answer_is_named():
    with pytest.raises(ValueError, match=r"does not end with an answer.*in 1 row \(1\)"):
        spans_of("answer", ("Is it? (A)", "Is it? (B)"), ("Is it? (A)", "It is a boat."))


@pytest.mark.parametrize(
    ("source", "target", "rows"),
    [
        ("123", "193", [("2", "9")]),
        ("1234", "1894", [("2", "8"), ("3", "9")]),
        ("1234", "1839", [("2", "8"), ("3", "3"), ("4", "9")]),  # from the first that differs to the last
        ("124", "1894", [("2", "89")]),  # none stands opposite another: one row of means
        ("14", "194", [("4", "94")]),  # an insertion, with what follows it
        ("194", "14", [("94", "4")]),
        ("23", "123", [("2", "12")]),
        ("12", "129", [("2", "29")]),  # at the end, with what stands before it
        ("11", "111", [("1", "11")]),
    ],
)
def test_what_differs(source, target, rows):
    # Every digit is a token of the tiny tokenizer's.
    assert spans_of("changed", (source, target)) == [(0, *row) for row in rows]


def test_a_pair_has_as_many_rows_as_tokens_differ():
    rows = spans_of("changed", ("123", "193"), ("1234", "1894"), ("14", "194"))
    assert [pair for pair, *_ in rows] == [0, 1, 1, 2]


def test_a_pair_in_which_nothing_differs_is_named():
    with pytest.raises(ValueError, match=r"No token differs between source and target in 1 row \(1\)"):
        spans_of("changed", ("12", "13"), ("19", "19"))


@pytest.mark.parametrize("position", [40, -40, "40:", "-40:", "3:3", "4:2", ":-40"])
def test_a_position_outside_of_a_text_is_named(position):
    with pytest.raises(ValueError, match=rf"The position {position} lies outside of the text.*in 2 rows \(0, 1\)"):
        spans_of(position, PAIR, ("A b c d e f g h i.", "A king."))


@pytest.mark.parametrize("position", ["first", ":", "1:2:3", 1.5, True, "", None])
def test_a_position_that_is_none_is_refused(position):
    with pytest.raises(ValueError, match=r"position is .*'last', 'mean', 'answer', 'changed', a token's number"):
        position_name(position)
