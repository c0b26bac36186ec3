"""Which tokens are chosen, on passes made by hand."""

import pytest
import torch

from ssae_lens.hooks.forward_pass import UNKNOWN, Pass
from ssae_lens.hooks.token_positions import After, check_positions, position_mask
from ssae_lens.models.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def a_pass(real, *, past=0, prompt=None, open_ended=True, tokens=None):
    real = torch.tensor(real).bool()
    tokens = torch.tensor(tokens) if tokens is not None else torch.zeros_like(real).long()
    return Pass(tokens, real, past, real.shape[1] if prompt is None else prompt, open_ended)


def picked(positions, now):
    return position_mask(positions, now, TOKENIZER).int().tolist()


LEFT = [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
RIGHT = [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("positions", "left", "right"),
    [
        ("all", [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]),
        (1, [[0, 0, 0, 1, 0], [0, 1, 0, 0, 0]], [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0]]),
        (-1, [[0, 0, 0, 0, 1], [0, 0, 0, 0, 1]], [[0, 0, 1, 0, 0], [0, 0, 0, 0, 1]]),
        ([0, -2], [[0, 0, 1, 1, 0], [1, 0, 0, 1, 0]], [[1, 1, 0, 0, 0], [1, 0, 0, 1, 0]]),
        (slice(1, None), [[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]], [[0, 1, 1, 0, 0], [0, 1, 1, 1, 1]]),
        (slice(1, 2), [[0, 0, 0, 1, 0], [0, 1, 0, 0, 0]], [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0]]),
        (slice(None, -1), [[0, 0, 1, 1, 0], [1, 1, 1, 1, 0]], [[1, 1, 0, 0, 0], [1, 1, 1, 1, 0]]),
        (slice(-9, None), LEFT, RIGHT),
    ],
)
def test_numbers_count_each_rows_own_tokens(positions, left, right):
    assert picked(positions, a_pass(LEFT)) == left
    assert picked(positions, a_pass(RIGHT)) == right


def test_the_whole_text_and_one_token_at_a_time_agree():
    """Three tokens of prompt (the first row has two), then two generated."""
    real = [[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]]
    for positions in ("all", "prompt", "generated", 3, [0, 2, 4], -1, slice(3, None), slice(-1, None), slice(1, 4)):
        at_once = picked(positions, a_pass(real, prompt=3))
        steps = [a_pass([row[:3] for row in real])]
        steps += [a_pass([row[:end] for row in real], past=end - 1, prompt=3) for end in (4, 5)]
        in_steps = torch.cat([position_mask(positions, step, TOKENIZER) for step in steps], dim=1).int().tolist()
        assert at_once == in_steps, positions
    assert picked("generated", a_pass(real, prompt=3)) == [[0, 0, 0, 1, 1]] * 2
    assert picked("prompt", a_pass(real, prompt=3)) == [[0, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    # The fourth token of the first row's own text is its second generated one.
    assert picked(3, a_pass(real, prompt=3)) == [[0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]


def text(*texts):
    padded = TOKENIZER(list(texts), return_tensors="pt", padding=True, padding_side="left")
    return a_pass(padded["attention_mask"].tolist(), tokens=padded["input_ids"].tolist())


class TestAfter:
    def test_a_text_marker(self):
        now = text("[INST] Say no. [/INST] The man", "[INST] Go. [/INST] I went to the house, he said that")
        where = position_mask(After("[/INST]"), now, TOKENIZER)
        assert [TOKENIZER.decode(now.tokens[row][where[row]]) for row in range(2)] == [
            " The man",
            " I went to the house, he said that",
        ]

    def test_edges_that_no_token_has(self):
        """The marker ends inside a token: that token still belongs to it."""
        now = text("I think that the movie is great")
        for marker in ("I thi", "I think th"):
            where = position_mask(After(marker), now, TOKENIZER)
            after = TOKENIZER.decode(now.tokens[0][where[0]])
            before = TOKENIZER.decode(now.tokens[0][~where[0]])
            assert marker in before
            assert marker not in TOKENIZER.decode(now.tokens[0][: len(now.tokens[0][~where[0]]) - 1])
            assert before + after == "<bos>I think that the movie is great"

    def test_the_last_place_counts(self):
        now = text("Q: one A: two Q: three A: four")
        where = position_mask(After("A:"), now, TOKENIZER)
        assert TOKENIZER.decode(now.tokens[0][where[0]]) == " four"

    def test_a_marker_of_tokens(self):
        now = a_pass([[0, 1, 1, 1, 1, 1]], tokens=[[5, 5, 6, 5, 6, 7]])
        assert picked(After([5, 6]), now) == [[0, 0, 0, 0, 0, 1]]
        assert picked(After([6]), now) == [[0, 0, 0, 0, 0, 1]]

    def test_all_that_is_generated_is_after(self):
        now = a_pass([[1, 1, 1, 1]], past=3, prompt=3, tokens=[[5, 6, 7, 5]])
        assert picked(After([6]), now) == [[1]]

    def test_not_there(self):
        with pytest.raises(ValueError, match=r"row 1 does not contain the marker '\[/INST\]'"):
            picked(After("[/INST]"), text("a [/INST] b", "The man"))
        with pytest.raises(ValueError, match="does not contain"):
            picked(After([9, 9]), text("The man"))

    def test_without_tokens(self):
        with pytest.raises(ValueError, match="in place of tokens"):
            picked(After([5]), a_pass([[1, 1]], tokens=[[UNKNOWN, 5]]))
        with pytest.raises(ValueError, match="no tokenizer"):
            position_mask(After("x"), text("The man"), None)


def test_beyond_the_text():
    with pytest.raises(ValueError, match=r"positions has 3, and the text of row 0 has 3 tokens; .* -3 to 2"):
        picked([0, 3], a_pass(RIGHT, open_ended=False))
    with pytest.raises(ValueError, match="positions has -4"):
        picked(-4, a_pass(RIGHT))
    assert picked(4, a_pass(RIGHT)) == [[0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]


@pytest.mark.parametrize(
    "positions", ["last", 1.5, True, None, [], [0, "1"], slice(0, 4, 2), After(""), After([]), {"a": 1}]
)
def test_no_such_choice(positions):
    with pytest.raises(ValueError, match=r"positions is|marker of After is empty"):
        check_positions(positions)
