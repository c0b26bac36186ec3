"""``python -m studies``: every study prints its table and keeps its run."""

import importlib
import json

import pytest
from stand_ins import stand_ins
from typer.testing import CliRunner

from studies.commands import app


def run(*words):
    return CliRunner().invoke(app, [str(each) for each in words])


@pytest.mark.parametrize("name", ["synthetic", "language", "probes", "steering", "decomposition", "findings"])
def test_a_study_prints_its_table_and_keeps_its_run(tmp_path, monkeypatch, name):
    asked, out = [], tmp_path / "out"

    class Made:
        @staticmethod
        def text():
            return "the table"

        @staticmethod
        def to_json():
            return {"table": [1]}

    def study(*given, **more):
        asked.append((given, more))
        out.mkdir(exist_ok=True)
        return Made

    monkeypatch.setattr(importlib.import_module(f"studies.{name}"), "run", study)
    assert f"Example: python -m studies {name}" in " ".join(run(name, "--help").output.split())
    result = run(name, "--quick", "--out", out, "--json", tmp_path / "numbers.json")
    assert result.exit_code == 0, result.output
    assert "the table" in result.output
    assert json.loads((tmp_path / "numbers.json").read_text())["table"] == [1]
    again = run(name, "--config", out / "run.yaml")
    assert again.exit_code == 0, again.output
    assert asked[0] == asked[1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("study", "words"), [("language", ["--study", "levels"]), ("steering", ["--quick"])])
def test_studies(gemma3, tmp_path, study, words):
    with stand_ins(tmp_path / "stand-ins"):
        done = run(study, "--model", gemma3, *words, "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "run.yaml").is_file()
