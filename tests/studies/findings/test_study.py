import json
from dataclasses import replace

import pytest

from ssae_lens.models import tiny_model
from studies.findings import Material, Settings, study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("findings")


@pytest.fixture(scope="module")
def result(material, folder):
    return study(material=material, out=folder, quiet=True)


def test_text_answers_every_question(result):
    text = result.text()
    for said in (
        "coherence rise",
        "later layers",
        "pseudo-inverse",
        "training scales",
        "rounding",
        "Unsteered coherence",
    ):
        assert said in text


def test_table_has_every_interval(result):
    table = result.table.set_index(["question", "what"])
    assert table.loc[("reach", "rows 2.0 r2"), "estimate"] == result.of("reach")["rows"][1]["r2"]["estimate"]
    assert ("inverse", "measured rows decoder row own") in table.index
    assert (table["low"] <= table["high"]).all()


def test_is_kept_as_json_and_as_a_page(result, tmp_path):
    result.save(tmp_path)
    kept = json.loads((tmp_path / "findings.json").read_text())
    assert {"table", "cells", "versions", "settings"} <= kept.keys()
    assert "plotly" in (tmp_path / "findings.html").read_text(encoding="utf-8")
    assert set(result.figures()) == {"coherence", "layers", "inverse", "reach"}


def test_nothing_is_measured_twice(result, material, folder, monkeypatch):
    def never(_material):
        raise AssertionError("measured again")

    from studies.findings.study import QUESTIONS

    for name in QUESTIONS:
        monkeypatch.setitem(QUESTIONS, name, never)
    assert study(material=material, out=folder, quiet=True).cells == result.cells


def test_what_cannot_be_asked(material):
    with pytest.raises(ValueError, match="No effects of 'tiny-gpt2' ship"):
        study(model=tiny_model("gpt2"), quiet=True)
    with pytest.raises(ValueError, match="1 must be among them"):
        Settings(multiples=(0.5, 2.0))
    with pytest.raises(ValueError, match="give both of one"):
        Material(material.model, material.sae, replace(material.effects, sae="another"), material.approximator)
