"""What judges are told of latents, and what is made of their answers."""

import numpy as np
import pytest

from ssae_lens.latents.changed_words import ChangedWords, differing_spans
from ssae_lens.latents.describe import LatentDescription, ShownPair, SteeredText
from ssae_lens.latents.judges import Answer, LexicalJudge
from ssae_lens.latents.name import name_latents
from ssae_lens.pairs.sentences import ATTRIBUTES, rows


def described(latent, positive, negative=(), **more):
    """A description of a latent whose code is 1 or −1 for these pairs."""
    texts = [*positive, *negative]
    words = ChangedWords([source for source, _ in texts], [target for _, target in texts], 1)
    words.add(slice(0, len(texts)), np.repeat([1.0, -1.0], [len(positive), len(negative)])[:, None])
    shown = [
        [
            ShownPair(row, 1.0, source, target, *differing_spans(source, target))
            for row, (source, target) in enumerate(side)
        ]
        for side in (positive, negative)
    ]
    return LatentDescription(latent, *shown, density=1.0, changes=words.of(0), **more)


TENSE = described(
    4,
    [(f"He is {what}", f"She was {what}") for what in ("old", "ill", "red", "here", "sad")]
    + [("It is new", "It was old")],
    [(f"She was {what}", f"He is {what}") for what in ("well", "there", "in", "out")],
    promoted=[(" was", 3.0)],
    suppressed=[(" is", -3.0)],
    steered=[SteeredText("Now", 0.5, "it was"), SteeredText("Now", 0.0, "it is")],
)
WORDS = described(2, [("king", "queen"), ("man", "woman")], [("sister", "brother")])


class Scripted:
    """A judge that weighs the options by numbers it is given for each latent, then for each way."""

    name = "scripted"

    def __init__(self, *rounds):
        self.rounds, self.asked = list(rounds), []

    def answer(self, questions):
        self.asked.append(list(questions))
        return [
            Answer(max(scores, key=lambda each: scores[each]), scores)
            for question, row in zip(questions, self.rounds.pop(0), strict=True)
            for scores in [dict(zip(question.options, row, strict=True))]
        ]


def test_what_is_seen_are_common_words_or_else_the_pairs():
    judge = Scripted([[0, 0], [0, 0]])
    name_latents([TENSE, WORDS], judge, ["a", "b"])
    assert [each.seen for each in judge.asked[0]] == [
        "is, he → was, she",
        "king → queen, man → woman, brother → sister",
    ]


def test_a_reader_is_shown_everything():
    judge = Scripted([[1.0, 0.0]], [[1.0, 0.0]])
    name_latents([TENSE], judge, {"time_of_day": ("morning", "evening"), "tense": ("present", "past")})
    question = judge.asked[0][0]
    assert question.options == ("time of day (morning to evening)", "tense (present to past)")
    for part in ("It is new\n  becomes It was old", "She was out", "' was'", "' is'", "+0.5: Now … it was", "+0: Now"):
        assert part in question.prompt
    assert "{" not in question.prompt


def test_leanings_are_taken_off():
    """The judge likes the first option whatever it sees; beyond that, latent i speaks for option i."""
    scores = np.eye(5) + np.array([10, 0, 0, 0, -3])
    latents = [described(i, [("a", "b")]) for i in range(5)]
    names = name_latents(latents, Scripted(scores.tolist()), list("abcde"))
    assert [each.name for each in names] == list("abcde")
    assert names[0].confidence == pytest.approx(np.exp(1) / (np.exp(1) + 4))
    # Of one latent alone nothing is known of leanings.
    assert name_latents(latents[2:3], Scripted(scores[2:3].tolist()), list("abcde"))[0].name == "a"


def test_the_way_is_asked_for():
    judge = Scripted([[3, 0], [0, 3], [3, 0]], [[0, 1], [1, 0]])
    candidates = {"tense": ("present", "past"), "colour": ("", "")}
    names = name_latents([TENSE, WORDS, TENSE], judge, candidates)
    assert [(each.name, each.sign) for each in names] == [("tense", -1), ("colour", 1), ("tense", 1)]
    assert [each.options for each in judge.asked[1]] == [("present to past", "past to present")] * 2


@pytest.mark.parametrize("goes", [1, -1])
def test_a_lexical_judge_tells_the_way_where_texts_say_the_words(goes):
    """Of the built-in sentences: other attributes change along with each, and a latent may go either way."""
    made = rows(400, seed=0)

    def texts(name, change):
        return [(each["source"], each["target"]) for each in made if each["changes"][name] == change][:12]

    names = ["age", "weather", "season", "time_of_day", "setting", "tense"]
    latents = [described(i, texts(name, goes), texts(name, -goes)) for i, name in enumerate(names)]
    found = name_latents(latents, LexicalJudge(), ATTRIBUTES)
    assert [(each.name, each.sign) for each in found[:5]] == [(name, goes) for name in names[:5]]
    # No text says "present" or "past".
    assert (found[5].name, found[5].sign) == (None, 1)


def test_own_words_and_no_words():
    class Free:
        name = "free"

        def answer(self, questions):
            return [Answer("verb tense"), Answer(None, problem="down")]

    names = name_latents([TENSE, WORDS], Free(), [])
    assert [(each.latent, each.name, each.confidence) for each in names] == [(4, "verb tense", None), (2, None, None)]
    assert names[1].answer.problem == "down"
