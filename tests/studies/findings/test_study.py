import json
from dataclasses import replace

import pytest

from ssae_lens.models import tiny_model
from studies.findings import FindingsInputs, FindingsSettings, study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("findings")


@pytest.fixture(scope="module")
def result(inputs, folder):
    return study(inputs=inputs, out=folder, quiet=True)


def test_text_answers_every_question(result):
    text = result.text()
    for said in (
        "coherence rise",
        "later layers",
        "pseudo-inverse",
        "training scales",
        "rounding",
        "unsteered",
    ):
        assert said in text


def test_table_has_every_interval(result):
    table = result.table.set_index(["question", "what"])
    assert table.loc[("reach", "rows 2.0 r2"), "estimate"] == result.of("reach")["rows"][1]["r2"]["estimate"]
    assert ("inverse", "steered decoder row own_effect") in table.index
    assert (table["low"] <= table["high"]).all()


def test_is_kept_as_json_and_as_a_page(result, tmp_path):
    result.save(tmp_path)
    kept = json.loads((tmp_path / "findings.json").read_text())
    assert {"table", "cells", "versions", "settings"} <= kept.keys()
    assert "plotly" in (tmp_path / "findings.html").read_text(encoding="utf-8")
    assert len(result.figure().data[0].x) <= len(result.table)
    assert set(result.table["question"]) == {"coherence", "layers", "inverse", "reach"}


def test_nothing_is_measured_twice(result, inputs, folder, monkeypatch):
    def never(_material):
        raise AssertionError("measured again")

    from studies.findings.runner import QUESTIONS

    for name in QUESTIONS:
        monkeypatch.setitem(QUESTIONS, name, (never, QUESTIONS[name][1]))
    assert study(inputs=inputs, out=folder, quiet=True).cells == result.cells


def test_what_cannot_be_asked(inputs):
    with pytest.raises(ValueError, match="No effects of 'tiny-gpt2' ship"):
        study(model=tiny_model("gpt2"), quiet=True)
    with pytest.raises(ValueError, match="it must contain 1"):
        FindingsSettings(multiples=(0.5, 2.0))
    with pytest.raises(ValueError, match="they must agree"):
        FindingsInputs(inputs.model, inputs.sae, replace(inputs.effects, sae="another"), inputs.approximator)
