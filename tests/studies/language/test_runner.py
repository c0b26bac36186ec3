"""The study on tiny random models: the whole path, every kind of row, and resuming."""

import json
from functools import cache

import numpy as np
import pytest

from ssae_lens.models import tiny_model
from ssae_lens.shifts import ShiftStore
from studies.language import METHODS, STUDIES, LanguageRow, corpora, grid, measure, runner, study, study_rows
from studies.language.data import LanguageData
from studies.language.grid import CORPORA, FRESH, corpus_title
from studies.language.naming import JUDGES

ROWS = [
    LanguageRow("methods", "gender", "gender"),
    LanguageRow("methods", "gender", "gender", method="mean difference"),
    LanguageRow("widths", "gender", "gender", "sweep", settings={"d_sae": [1, 2]}),
    LanguageRow("transfer", "binary → lang, PCA", "binary", "transfer", "PCA", other="lang", width=4),
    LanguageRow("context-dependence", "binary", "binary", "context dependence"),
    LanguageRow("categories", "cat, attributes", "cat", "subspaces"),
    LanguageRow(
        "naming", "binary, lexical", "binary", "naming", width=3, settings={"judge": "lexical", "names": "own"}
    ),
    LanguageRow("positions", "binary, mean", "binary", method="FastICA", position="mean", fewer=True, width=3),
    LanguageRow("pairs", "50 pairs", "gender", method="random", n=50, width=3),
]
SMALL = {"seeds": 2, "quick": True, "workers": 1, "quiet": True}


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "QUICK_STEPS", 40)
        patch.setattr(runner, "QUICK", (60, 40))
        patch.setattr(corpora, "load_split", cache(corpora.load_split))
        patch.setattr(grid, "WIDTHS", {**grid.WIDTHS, "gender": (1, 2), "binary": (2,)})
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def result(folder):
    return study(rows=ROWS, model=tiny_model(), out=folder, **SMALL)


def cell(result, number):
    line = result.about["lines"][number]
    assert line["label"] == ROWS[number].label
    return result.cells[line["cell"]]


def test_every_kind_of_line_is_measured(result):
    ours, told, sweep, moved, bent, values, named, mean, few = (cell(result, number) for number in range(len(ROWS)))
    assert len(ours["fits"]) == 2
    assert len(told["fits"]) == 1
    assert told["fits"][0]["rows"] == pytest.approx(1)
    assert ours["cell"]["width"] == sweep["chosen"] in (1, 2)
    assert [each["width"] for each in sweep["settings"]] == [1, 2]
    assert all(0 <= each["steered"] <= 1 for each in moved["fits"])
    assert set(bent["concepts"]) == {"language", "gender"}
    assert {each["values"] for each in values["concepts"].values()} == {10}
    assert named["naming"][-1]["concepts"] == 2
    assert mean["cell"]["captures"][0].startswith("binary-mean-")
    assert (few["n_train"], few["n_test"]) == (50, 27)
    for each in result.cells:
        assert each["n_train"] > each["n_test"] > 0
        json.dumps(each)


def test_where_a_line_reads(result):
    for each in (cell(result, 0), cell(result, 4)):
        assert each["cell"]["captures"][0].startswith(("gender-last-", "binary-last-"))
        assert each["cell"]["captures"][0].endswith("/blocks.2.hook_resid_post")
    assert result.about["model"]["model_name"] == "tiny-gpt2"


def test_a_stopped_study_resumes(result, folder, monkeypatch):
    """Only what is missing is captured or measured again."""
    cells = sorted((folder / "cells").iterdir())
    assert len(cells) == len(result.cells) == len(ROWS)
    lost = next(path for path in cells if json.loads(path.read_text())["cell"]["kind"] == "context dependence")
    lost.unlink()
    ran = []
    monkeypatch.setattr(
        runner, "measured", lambda data, cell, real=runner.measured: ran.append(cell) or real(data, cell)
    )
    monkeypatch.setattr("studies.language.corpora.capture_shifts", lambda *_, **__: pytest.fail("read again"))
    again = study(rows=ROWS, model=tiny_model(), out=folder, **SMALL)
    assert [each["kind"] for each in ran] == ["context dependence"]
    seconds = {"cpu_seconds": 0}
    assert [{**each, **seconds} for each in again.cells] == [{**each, **seconds} for each in result.cells]
    assert lost.is_file()


@pytest.mark.parametrize("shape", ["neox", "gemma2"])
def test_other_architectures_run_the_whole_path(shape):
    """GPT-2's shape is that of all other tests here."""
    rows = [ROWS[0], ROWS[3], ROWS[4]]
    result = study(rows=rows, model=tiny_model(shape), **SMALL)
    assert result.about["model"]["model_name"] == f"tiny-{shape}"
    assert all(np.isfinite(each["mcc"]) for each in result.cells[0]["fits"])
    assert f"tiny-{shape}" in result.text()


def test_a_cell_of_two_studies_is_measured_once():
    rows = [ROWS[4], LanguageRow("again", "binary once more", "binary", "context dependence")]
    result = study(rows=rows, model=tiny_model(), **SMALL)
    assert len(result.cells) == 1
    assert [line["cell"] for line in result.about["lines"]] == [0, 0]


def test_what_cannot_be_run():
    with pytest.raises(ValueError, match="a study is 'metods'"):
        study(["metods"], quiet=True)
    with pytest.raises(ValueError, match="the method of 'x' is"):
        study(rows=[LanguageRow("methods", "x", "gender", method="SSAEs")], quiet=True)
    with pytest.raises(ValueError, match="seeds is 1"):
        study(seeds=1, quiet=True)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jsonl"):
        runner.run(sentences="nowhere.jsonl", quiet=True)
    with pytest.raises(ValueError, match="no concept 'language'"):
        study(
            rows=[LanguageRow("transfer", "x", "gender", "transfer", "PCA", other="lang", width=2)],
            model=tiny_model(),
            **SMALL,
        )


@pytest.mark.parametrize("quick", [False, True])
def test_the_packages_grid(quick):
    rows = study_rows(CORPORA, quick=quick)
    lines = [(row.study, row.label, row.corpus, row.method) for row in rows]
    assert len(set(lines)) == len(lines)
    assert {row.method for row in rows} <= set(METHODS)
    if not quick:
        assert {row.study for row in rows} == set(STUDIES)
        assert {row.method for row in rows} == set(METHODS)
        assert {row.corpus for row in rows} == {*CORPORA, FRESH}
        assert {row.tokens for row in rows if row.corpus == "sentences"} == {"last", "-4:", "mean"}
        assert {row.settings["judge"] for row in rows if row.kind == "naming"} == set(JUDGES)
    assert corpus_title("some/where/labelled.jsonl") == "labelled.jsonl"
    assert corpus_title(FRESH) == FRESH


def test_a_sweep_is_given_the_store_which_knows_the_words_that_pairs_share(monkeypatch):
    """Halves of its shifts alone would share them."""
    given = []

    def spy(shifts, **settings):
        given.append(shifts)
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "sweep", spy)
    values = np.ones((4, 3), dtype=np.float32)
    store = ShiftStore.from_arrays(values, values, texts=(list("abcd"), list("efgh")))
    with pytest.raises(KeyboardInterrupt):
        measure.measured(
            LanguageData(store, store), {"kind": "sweep", "seeds": [0], "steps": 5, "settings": {"d_sae": [1]}}
        )
    assert given == [store]
