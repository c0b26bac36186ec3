"""The commands of studies, and the demonstration, as the pages have them: each runs and writes its table, JSON and figure.

Small stand-ins replace the language model and long computations (`stand_ins.py`), so the numbers have no meaning here.
"""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from snippets import PROGRAMS, ROOT, commands_to_run
from stand_ins import stand_ins
from typer.testing import CliRunner

from ssae_lens.dashboards.build import comparison_of
from studies.language import STUDIES

COMMANDS = {
    page: [words for words in listed if words[0] == "studies" or words[1] == "demo"]
    for page, listed in commands_to_run().items()
}
COMMANDS = {page: listed for page, listed in COMMANDS.items() if listed}
# The columns of a study's JSON table whose values must occur in its output.
NAMES = {
    "synthetic": ("row", "method"),
    "language": ("method",),
    "probes": ("features",),
    "steering": ("task", "method"),
    "decomposition": ("vector",),
    "findings": (),
}

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # few pairs and steps cause warnings


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with stand_ins(tmp_path_factory.mktemp("stand-ins")):
        yield


def test_every_study_is_on_a_page():
    studies = {words[1] for listed in COMMANDS.values() for words in listed if words[0] == "studies"}
    assert studies == set(NAMES)
    assert any(words[1] == "demo" for listed in COMMANDS.values() for words in listed)


@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: page.name)
def test_commands_run(page, small, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for words in COMMANDS[page]:
        captures = set(Path().glob("*/captures/**/*.h5"))
        result = CliRunner().invoke(PROGRAMS[words[0]], words[1:])
        assert result.exit_code == 0, f"{page.name}: {' '.join(words)}\n{result.output}\n{result.exception!r}"
        check = _check_demo if words[1] == "demo" else _check_study
        check(words, result.stdout)
        if words[1] == "probes":  # it reuses the captures of the language study
            assert set(Path().glob("*/captures/**/*.h5")) == captures


def _check_demo(_words: list[str], printed: str) -> None:
    report = Path("ssae-demo/report.html")
    assert printed.rstrip().endswith(f"open {report}")
    assert "split_half_score" in printed
    assert "plotly" in report.read_text(encoding="utf-8")
    assert {path.name for path in Path("ssae-demo").iterdir()} == {"report.html", "shifts.h5", "ssae"}


def _check_study(words: list[str], printed: str) -> None:
    name, options = words[1], dict(pairwise(words))
    _check_printed(name, printed)
    if "--out" in options:
        out = Path(options["--out"])
        _check_numbers(name, json.loads((out / f"{name}.json").read_text(encoding="utf-8")), printed)
        assert "plotly" in (out / f"{name}.html").read_text(encoding="utf-8")
        assert f"command: {name}\n" in (out / "run.yaml").read_text(encoding="utf-8")
    if "--json" in options:
        numbers = json.loads(Path(options["--json"]).read_text(encoding="utf-8"))
        assert numbers["about"]["command"] == name
        _check_numbers(name, numbers, printed)
        if name == "steering":  # the dashboard's --comparison
            assert {row["method"] for row in comparison_of(numbers)["table"]} >= {"SSAE", "unsteered"}


def _check_printed(name: str, printed: str) -> None:
    """Compare a study's output with what its page shows of it."""
    if name == "language":
        assert {study.upper() for study in STUDIES} <= set(printed.splitlines())
    elif name in ("decomposition", "findings"):
        page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        # The questions that are headings, or else the header of the page's first table.
        lines = re.findall(r"^## (.+\?)$", page, re.MULTILINE) or [page.partition("```text\n")[2].partition("\n")[0]]
        assert all(line in printed.splitlines() for line in lines)
    else:
        assert "SSAE" in printed


def _check_numbers(name: str, numbers: dict, printed: str) -> None:
    """Compare a study's JSON with its output."""
    assert numbers["cells"]
    assert numbers["versions"]["torch"]
    assert numbers["table"]
    for row in numbers["table"]:
        assert all(str(row[column]) in printed for column in NAMES[name]), row
