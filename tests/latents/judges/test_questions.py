"""Reading an option out of what was said, and the judges that are no endpoint."""

import pytest
import torch

from ssae_lens.latents.judges import EndpointJudge, Judge, LexicalJudge, LocalJudge, Question
from ssae_lens.latents.judges.questions import option_in, prompt
from ssae_lens.models.tiny import tiny_model


@pytest.mark.parametrize(
    ("said", "options", "expected"),
    [
        ("Past.", ["past", "present"], "past"),
        ("**present**", ["past", "present"], "present"),
        ("The answer is past", ["past", "present"], "past"),
        ("past, not present", ["past", "present"], None),
        ("impolite", ["polite"], None),
        ("very polite", ["polite", "very polite"], "very polite"),
        ("It is very polite.", ["polite", "very polite"], "very polite"),
        ("", ["past"], None),
        ("7", ["7", "17"], "7"),
        ("A", ["a", "b"], "a"),
    ],
)
def test_options_are_read(said, options, expected):
    assert option_in(said, options) == expected


def test_a_local_judge_weighs_what_was_seen():
    """Against the same sums made of the model's logits, text by text."""
    model = tiny_model()
    questions = [
        Question("?", ("good", "bad"), "A {option} {day}:", "The man was happy"),
        Question("?", ("sad", "big", "warm"), "The {option} one:", "I like the city"),
    ]
    answers = LocalJudge(model, quiet=True).answer(questions)
    for question, answer in zip(questions, answers, strict=True):
        for option in question.options:
            before, both = (
                model.to_tokens(text)[0]
                for text in (
                    question.stem.replace("{option}", option),
                    f"{question.stem.replace('{option}', option)} {question.seen}",
                )
            )
            log_p = model(both[None])[0].log_softmax(-1)
            expected = sum(log_p[i - 1, both[i]].item() for i in range(len(before), len(both)))
            assert torch.equal(before, both[: len(before)])
            assert answer.scores[option] == pytest.approx(expected, abs=1e-3)
        assert answer.text == max(answer.scores, key=lambda each: answer.scores[each])


def test_a_local_judge_only_chooses():
    judge = LocalJudge("no model of this name is opened")
    answers = judge.answer([Question("What is it?"), Question("Which?", ("a", "b"))])
    assert [each.text for each in answers] == [None, None]
    assert "needs options" in answers[0].problem


def test_a_lexical_judge_counts_words():
    options = ("tense (present to past)", "season (summer to winter)", "age (young to old)")
    seen = ["winter, mornings → summers", "young → elderly", "king → queen", "young → winter"]
    answers = LexicalJudge().answer([Question("?", options, "", each) for each in seen])
    assert [each.text for each in answers] == [options[1], options[2], None, None]
    assert answers[2].problem


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("summer → winter", 0),
        ("winter, is → summers, was", 1),
        ("king → winter, summer → queen", 0),
        ("king → summer, winter → queen", 1),
        ("summer → nothing", 0),
        ("nothing → summer", 1),
        ("is → was", None),
        ("summer, winter → winter, summer", None),
        ("summer", 0),
    ],
)
def test_a_lexical_judge_tells_the_way_by_the_sides_of_words(seen, expected):
    options = ("summer to winter", "winter to summer")
    (answer,) = LexicalJudge().answer([Question("?", options, "", seen)])
    assert answer.text == (None if expected is None else options[expected])


def test_a_lexical_judge_does_not_go_by_sides_among_other_words():
    options = ("season (summer to winter)", "age (young to old)")
    (answer,) = LexicalJudge().answer([Question("?", options, "", "summer → young")])
    assert answer.text is None


def test_all_are_judges():
    local = EndpointJudge("m", base_url="http://127.0.0.1:9/v1")
    assert all(isinstance(each, Judge) for each in (local, LocalJudge(), LexicalJudge()))


def test_gaps_of_prompts_are_filled_once():
    filled = prompt("endpoint_options", options="- {braces}")
    assert filled.endswith("- {braces}")
    assert "{option}" in prompt("name_stem")
