"""How often names are right."""

import json

import pytest

from ssae_lens.latents.concepts import Concept, Concepts
from ssae_lens.metrics import wilson_interval
from studies.language.naming_accuracy import naming_accuracy

LABELLED = Concepts(
    [Concept("tense", 3), Concept("voice", 1, sign=-1.0), Concept("age", 0), Concept("hue", 2), Concept("noise", None)],
    "labels",
)
NAMED = Concepts(
    [Concept("tense", 3), Concept("voice", 1), Concept("tense (0)", 0), Concept("unnamed (2)", 2), Concept("size", 4)],
    "m",
)


def test_right_names_are_counted_by_kind():
    found = naming_accuracy(NAMED, LABELLED, n_candidates=20)
    assert [(each["concept"], each["name"], each["right"], each["way"]) for each in found.cells] == [
        ("tense", "tense", True, True),
        ("voice", "voice", True, False),
        ("age", "tense", False, None),
        ("hue", "unnamed", False, None),
    ]
    table = found.table()
    assert table["right"].to_dict() == {"grammar": 1.0, "one word for another": 0.0, "other": 0.0, "all": 0.5}
    assert table.loc["grammar", "right way"] == 0.5
    assert found.accuracy() == wilson_interval(2, 4)
    assert found.chance == 1 / 20
    assert "age called tense" in str(found)
    assert json.loads(json.dumps(found.to_json()))["by"] == "m"


def test_kinds_may_be_given():
    table = naming_accuracy(NAMED, LABELLED, kinds={"hue": "colour"}).table()
    assert table.index.tolist() == ["other", "colour", "all"]


def test_nothing_to_hold_against():
    with pytest.raises(ValueError, match="no concept with a latent"):
        naming_accuracy(NAMED, Concepts([Concept("noise", None)], "labels"))
    with pytest.raises(ValueError, match="kind is 'x'"):
        naming_accuracy(NAMED, LABELLED).accuracy("x")
