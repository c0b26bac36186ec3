"""The tutorials: text and notebook are one, nothing that ran is kept, and each runs from top to bottom."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed: pip install -e .[dev]")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install -e .[dev]")

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.py"))
IDS = [each.stem for each in TUTORIALS]


@pytest.fixture(scope="module")
def running():
    """The script that runs them, for the documentation too."""
    spec = importlib.util.spec_from_file_location("tutorials_script", ROOT / "scripts" / "tutorials.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells_of(notebook):
    return [(each.cell_type, each.source) for each in notebook.cells]


def test_there_are_seven():
    assert [each.stem[0] for each in TUTORIALS] == list("1234567")
    assert sorted(each.stem for each in (ROOT / "tutorials").glob("*.ipynb")) == IDS


@pytest.mark.parametrize("source", TUTORIALS, ids=IDS)
def test_text_and_notebook_are_one(source):
    text, notebook = jupytext.read(source), nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert cells_of(text) == cells_of(notebook), "scripts/tutorials.py --sync writes the notebooks from their texts"
    nbformat.validate(notebook)


@pytest.mark.parametrize("source", TUTORIALS, ids=IDS)
def test_nothing_that_ran_is_kept(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert set(notebook.metadata) == {"jupytext", "kernelspec"}
    for cell in notebook.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("source", TUTORIALS, ids=IDS)
def test_it_is_a_tutorial(source):
    """A title with its number, a heading for wrong turns, a figure, and links that lead somewhere."""
    text = source.read_text(encoding="utf-8")
    first = jupytext.read(source).cells[0]
    assert first.source.startswith(f"# {source.stem[0]}. ")
    assert "## Wrong turns" in text
    assert re.search(r"px\.\w+\(|go\.Figure\(|spectrum_figure\(|sl\.dashboard\(|Markdown\(", text)
    for link in re.findall(r"\((\d_\w+\.ipynb)\)", text):
        assert (ROOT / "tutorials" / link).is_file(), link


def notebook_that_says(code):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])


@pytest.mark.slow
def test_a_kernel_is_of_this_python_and_goes_with_its_notebook(running):
    pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e .[dev]")
    done = running.executed(notebook_that_says("import os, sys\nprint(os.getpid(), sys.executable, os.listdir())"))
    number, python, listed = done.cells[0].outputs[0].text.split(maxsplit=2)
    assert python == sys.executable
    assert listed.strip() == "[]"
    with pytest.raises(ProcessLookupError):
        os.kill(int(number), 0)


@pytest.mark.slow
def test_an_error_in_a_cell_is_raised(running):
    client = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e .[dev]")
    with pytest.raises(client.exceptions.CellExecutionError, match="division by zero"):
        running.executed(notebook_that_says("1 / 0"))


@pytest.mark.slow
@pytest.mark.parametrize("source", TUTORIALS, ids=IDS)
def test_it_runs(source, running, monkeypatch):
    pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e .[dev]")
    if "PYTEST_XDIST_WORKER" in os.environ:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = running.executed(running.notebook_of(source))
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [each for each in outputs if each.output_type == "error"]
    complaints = [each.text for each in outputs if each.output_type == "stream" and each.name == "stderr"]
    assert complaints == []
    made = running.page(done)
    assert made.count("plotly-graph-div") == sum("application/vnd.plotly.v1+json" in o.get("data", {}) for o in outputs)
    # A page of the documentation links to pages.
    assert ".ipynb)" not in made
