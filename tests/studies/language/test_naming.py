"""How often names are right, counted by what concepts are made of."""

import pytest
from planted import planted_ssae, planted_store

from ssae_lens.latents.concepts import Concept, Concepts
from ssae_lens.latents.judges import LexicalJudge, LocalJudge
from ssae_lens.metrics import wilson_interval
from ssae_lens.pairs.sentences import ATTRIBUTES
from studies.language import naming
from studies.language.data import LanguageData
from studies.language.naming import as_contrasts, candidates_of, judge_of, kind_of, measure_naming, naming_accuracy

LABELLED = Concepts(
    [
        Concept("tense", [0], [1.0]),
        Concept("voice", [1], [-1.0]),
        Concept("hue:red>blue", [2], [1.0]),
        Concept("hue:red>grey", [3], [1.0]),
        Concept("number"),
    ],
    "labels",
)


def test_counts_by_kind_with_chance():
    named = Concepts(
        [
            Concept("tense", [0], [1.0]),
            Concept("voice", [1], [1.0]),
            Concept("age", [2], [1.0]),
            Concept("tense (3)", (3,), (1.0,)),
        ],
        "judge",
    )
    rows = {each.pop("kind"): each for each in naming_accuracy(named, LABELLED, n_candidates=20)}
    assert list(rows) == ["grammar", "two values of hue", "all"]
    low, high = wilson_interval(2, 4).low, wilson_interval(2, 4).high
    assert rows["all"] == {
        "concepts": 5,
        "matched": 4,
        "right_chance": 1 / 20,
        "right": 0.5,
        "right_low": low,
        "right_high": high,
        "right_sign": 0.5,
        "wrong": {"hue:red>blue": "age", "hue:red>grey": "tense"},
    }
    assert (rows["grammar"]["concepts"], rows["grammar"]["matched"], rows["grammar"]["right"]) == (3, 2, 1.0)
    assert "right_sign" not in rows["two values of hue"]


def test_nothing_matched_is_no_accuracy():
    assert naming_accuracy(LABELLED, Concepts([Concept("tense")], "labels"), n_candidates=4) == [
        {"kind": kind, "concepts": 1, "matched": 0, "right_chance": 0.25} for kind in ("grammar", "all")
    ]


def test_an_attribute_named_rightly_is_its_contrast():
    named = Concepts(
        [Concept("shape", [1], [1.0]), Concept("hue", [2], [1.0]), Concept("hue (3)", (3,), (1.0,))], "judge"
    )
    assert [each.concept for each in as_contrasts(named, LABELLED).values()] == [
        "shape",
        "hue:red>blue",
        "hue:red>grey",
    ]


def test_names_to_choose_among():
    contrasts = ["hue:red>blue", "hue:red>grey", "size:big>small"]
    assert candidates_of(contrasts, "attributes") == {"hue": ("", ""), "size": ("", "")}
    assert candidates_of(["tense", "colour"], "own") == {"tense": ATTRIBUTES["tense"], "colour": ("", "")}
    assert len(candidates_of(contrasts, "common")) > 40
    assert kind_of("hue:red>blue") == "two values of hue"


def test_judges_by_name():
    assert isinstance(judge_of("lexical"), LexicalJudge)
    assert judge_of("smollm2-135m").name == "smollm2-135m"
    assert isinstance(judge_of("smollm2-135m"), LocalJudge)


def test_planted_latents_are_matched_and_named(monkeypatch):
    """With a judge that knows what the planted words are of."""
    words = {"was": "tense", "is": "tense", "queen": "gender", "king": "gender", "many": "number", "one": "number"}

    class Knowing(LexicalJudge):
        name = "knowing"

        def answer(self, questions):
            known = [
                type(each)(each.prompt, each.options, each.stem, " ".join(words.get(w, w) for w in each.seen.split()))
                for each in questions
            ]
            return super().answer(known)

    monkeypatch.setattr(naming, "judge_of", lambda name: Knowing())
    monkeypatch.setattr(naming, "train_ssaes", lambda *told: [planted_ssae(spare=0)])
    data = LanguageData(planted_store(300), planted_store(150, seed=5))
    cell = {"width": 3, "seeds": [0, 1], "steps": 300, "settings": {"judge": "knowing", "names": "own"}}
    numbers = measure_naming(data, cell)
    assert numbers["latents"] == 3
    everything = numbers["naming"][-1]
    assert (everything["concepts"], everything["matched"], everything["right_chance"]) == (4, 3, 0.25)
    assert everything["right"] == pytest.approx(1)


def test_names_of_several_latents_and_of_kinds_that_are_given():
    labelled = Concepts(
        [
            Concept("tense", [3], [1.0]),
            Concept("voice", [1], [-1.0]),
            Concept("age", [0], [1.0]),
            Concept("hue", [2], [1.0]),
            Concept("noise"),
        ],
        "labels",
    )
    named = Concepts(
        [
            Concept("tense", [3], [1.0]),
            Concept("voice", [1], [1.0]),
            Concept("tense (0)", (0,), (1.0,)),
            Concept("unnamed (2)", (2,), (1.0,)),
            Concept("size", [4], [1.0]),
        ],
        "m",
    )
    rows = {row["kind"]: row for row in naming_accuracy(named, labelled, n_candidates=20)}
    assert {kind: row.get("right") for kind, row in rows.items()} == {
        "grammar": 1.0,
        "one word for another": 0.0,
        "other": 0.0,
        "all": 0.5,
    }
    assert rows["grammar"]["right_sign"] == 0.5
    assert rows["all"]["wrong"] == {"age": "tense", "hue": "unnamed"}
    interval = wilson_interval(2, 4)
    assert (rows["all"]["right_low"], rows["all"]["right_high"]) == (interval.low, interval.high)
    kinds = [row["kind"] for row in naming_accuracy(named, labelled, n_candidates=20, kinds={"hue": "colour"})]
    assert kinds == ["other", "colour", "all"]
