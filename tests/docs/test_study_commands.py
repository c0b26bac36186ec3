"""Every command of a study, and the demonstration, as the pages have them, run whole: to the table, the JSON and the figure.

The words are the pages', and so is the way from them to the files. What stands in for a language model and for hours of work
is in `stand_ins.py`: the numbers mean nothing here, and what the pages say of them was measured by the same commands.
"""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from snippets import PROGRAMS, ROOT, commands_to_run
from stand_ins import stand_ins
from typer.testing import CliRunner

from ssae_lens.dashboards.studies import comparison_of
from studies.language import STUDIES

COMMANDS = {
    page: [words for words in some if words[0] == "studies" or words[1] == "demo"]
    for page, some in commands_to_run().items()
}
COMMANDS = {page: some for page, some in COMMANDS.items() if some}
# The columns of a study's JSON whose values must all stand in what it prints.
NAMES = {
    "synthetic": ("row", "method"),
    "language": ("method",),
    "probes": ("features",),
    "steering": ("task", "method"),
    "decomposition": ("vector",),
    "findings": (),
}

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # so few pairs and steps are warned of


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with stand_ins(tmp_path_factory.mktemp("stand-ins")):
        yield


def test_every_study_stands_on_a_page():
    named = {words[1] for some in COMMANDS.values() for words in some if words[0] == "studies"}
    assert named == set(NAMES)
    assert any(words[1] == "demo" for some in COMMANDS.values() for words in some)


@pytest.mark.parametrize("page", COMMANDS, ids=lambda each: each.name)
def test_runs_whole(page, small, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for words in COMMANDS[page]:
        captured = set(Path().glob("*/captures/**/*.h5"))
        done = CliRunner().invoke(PROGRAMS[words[0]], words[1:])
        assert done.exit_code == 0, f"{page.name}: {' '.join(words)}\n{done.output}\n{done.exception!r}"
        check = _check_demo if words[1] == "demo" else _check_study
        check(words, done.stdout)
        if words[1] == "probes":  # "into the same folder it reads the same captures"
            assert set(Path().glob("*/captures/**/*.h5")) == captured


def _check_demo(_words: list[str], printed: str) -> None:
    report = Path("ssae-demo/report.html")
    assert printed.rstrip().endswith(f"open {report}")
    assert "split_half_score" in printed
    assert "plotly" in report.read_text(encoding="utf-8")
    assert {each.name for each in Path("ssae-demo").iterdir()} == {"report.html", "shifts.h5", "ssae"}


def _check_study(words: list[str], printed: str) -> None:
    name, given = words[1], dict(pairwise(words))
    _check_printed(name, printed)
    if "--out" in given:
        out = Path(given["--out"])
        _check_numbers(name, json.loads((out / f"{name}.json").read_text(encoding="utf-8")), printed)
        assert "plotly" in (out / f"{name}.html").read_text(encoding="utf-8")
        assert f"command: {name}\n" in (out / "run.yaml").read_text(encoding="utf-8")
    if "--json" in given:
        numbers = json.loads(Path(given["--json"]).read_text(encoding="utf-8"))
        assert numbers["about"]["command"] == name
        _check_numbers(name, numbers, printed)
        if name == "steering":  # a report takes it
            assert {each["method"] for each in comparison_of(numbers)["table"]} >= {"SSAE", "unsteered"}


def _check_printed(name: str, printed: str) -> None:
    """Hold what is printed against what its page has of it."""
    if name == "language":
        assert {study.upper() for study in STUDIES} <= set(printed.splitlines())
    elif name in ("decomposition", "findings"):
        page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        # The head of the table that the page shows; the questions that it has for headings.
        shown = re.findall(r"^## (.+\?)$", page, re.MULTILINE) or [page.partition("```text\n")[2].partition("\n")[0]]
        assert all(each in printed.splitlines() for each in shown)
    else:
        assert "SSAE" in printed


def _check_numbers(name: str, numbers: dict, printed: str) -> None:
    """Hold a study's JSON against what it printed."""
    assert numbers["cells"]
    assert numbers["versions"]["torch"]
    assert numbers["table"]
    for row in numbers["table"]:
        assert all(str(row[column]) in printed for column in NAMES[name]), row
