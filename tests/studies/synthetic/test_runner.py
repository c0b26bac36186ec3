import json

import numpy as np
import pytest

from studies.synthetic import METHODS, ROWS, SyntheticRow, runner, study

EASY = SyntheticRow("easy", "here", "general", {"d": 12, "n_concepts": 5, "max_changed": 2}, ("SSAE", "PCA", "random"))
WIDE = SyntheticRow("wide", "here", "general", {"d": 12, "n_concepts": 5, "max_changed": 2}, ("PCA",), 8)
SMALL = {"seeds": 2, "n": 2000, "workers": 1, "quiet": True}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return study([EASY, WIDE], **SMALL, steps=600, out=tmp_path_factory.mktemp("study"))


def test_concepts_are_recovered_and_controls_give_chance(result):
    table = result.table.set_index(["row", "method"])
    ours, control = table.loc[("easy", "SSAE")], table.loc[("easy", "random")]
    assert ours["mcc_codes"] >= 0.99
    assert ours["mcc_decoders"] >= 0.99
    assert ours["mcc_shuffled"] < 0.15
    assert control["mcc_decoders"] < 0.7
    assert table.loc[("easy", "PCA")]["mcc_codes"] < 0.95


def test_table_is_mean_and_sd_of_cells(result):
    cells = [each["mcc_codes"] for each in result.cells if each["cell"]["method"] == "PCA" and each["latents"] == 5]
    row = result.table.set_index(["row", "method"]).loc[("easy", "PCA")]
    assert row["mcc_codes"] == pytest.approx(np.mean(cells))
    assert row["mcc_codes_sd"] == pytest.approx(np.std(cells, ddof=1))
    assert row["seeds"] == 2
    assert list(result.table["latents"]) == [5, 5, 5, 8]


def test_text_has_every_row_and_method(result):
    text = result.text()
    for word in ("easy", "wide", "SSAE", "PCA", "shuffled labels", METHODS["PCA"].about, "MCC of decoders"):
        assert word in text


def test_json_and_figure(result, tmp_path):
    result.save(tmp_path)
    kept = json.loads((tmp_path / "synthetic.json").read_text())
    assert kept["seeds"] == [0, 1]
    assert len(kept["cells"]) == 8
    assert kept["versions"]["torch"]
    assert kept["rows"][0]["settings"] == EASY.settings
    assert (tmp_path / "synthetic.html").stat().st_size > 1e6
    shown = [trace.name for trace in result.figure().data]
    assert shown == ["SSAE", "PCA", "random"]


def test_a_stopped_study_resumes(tmp_path, monkeypatch):
    rows = [SyntheticRow("world", "here", "general", {"d": 8, "n_concepts": 4}, ("PCA", "random", "FastICA"))]
    whole = study(rows, **SMALL, out=tmp_path)
    cells = sorted((tmp_path / "cells").iterdir())
    assert len(cells) == 6
    cells[0].unlink()
    cells[1].write_text("{")
    ran = []
    monkeypatch.setattr(
        runner, "_score", lambda world, cell, score=runner._score: ran.append(cell) or score(world, cell)
    )
    again = study(rows, **SMALL, out=tmp_path)
    assert len(ran) == 2
    scores = [[each[name] for name in ("mcc_codes", "mcc_decoders", "r2")] for each in whole.cells]
    assert scores == [[each[name] for name in ("mcc_codes", "mcc_decoders", "r2")] for each in again.cells]
    study(rows, **{**SMALL, "n": 1000}, out=tmp_path)
    assert len(ran) == 8


@pytest.mark.slow
def test_processes_give_the_same():
    rows = [SyntheticRow("world", "here", "general", {"d": 8, "n_concepts": 4}, ("PCA",))]
    alone = study(rows, **SMALL)
    together = study(rows, **{**SMALL, "workers": 2})
    assert [each["mcc_codes"] for each in alone.cells] == [each["mcc_codes"] for each in together.cells]


def test_where_baselines_win(result):
    assert result.where_baselines_win() == []
    worse = [
        {**each, "mcc_codes": {"SSAE": 0.5, "PCA": 0.7, "random": 0.6}[each["cell"]["method"]]} for each in result.cells
    ]
    assert type(result)(worse, result.about).where_baselines_win() == ["easy: PCA 0.700, SSAE 0.500"]


def test_what_cannot_be_run():
    with pytest.raises(ValueError, match="must be one of"):
        study([SyntheticRow("world", "here", "world", {}, ("SSAEs",))], quiet=True)
    with pytest.raises(ValueError, match="number of seeds is 1"):
        study([EASY], seeds=1, quiet=True)


def test_the_packages_table():
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {name for row in ROWS for name in row.methods} == set(METHODS)
    for row in ROWS:
        made = row.make(0, 50)
        assert made.name == row.name
