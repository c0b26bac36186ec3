"""The tutorials: text and notebook agree, notebooks have no outputs, and all run from top to bottom."""

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
IDS = [path.stem for path in TUTORIALS]


@pytest.fixture(scope="module")
def script():
    """The script that runs tutorials for the documentation."""
    spec = importlib.util.spec_from_file_location("tutorials_script", ROOT / "scripts" / "tutorials.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells_of(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_there_are_seven():
    assert [path.stem[0] for path in TUTORIALS] == list("1234567")
    assert sorted(path.stem for path in (ROOT / "tutorials").glob("*.ipynb")) == IDS


@pytest.mark.parametrize("source", TUTORIALS, ids=IDS)
def test_text_and_notebook_agree(source):
    text, notebook = jupytext.read(source), nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert cells_of(text) == cells_of(notebook), "run scripts/tutorials.py --sync"
    nbformat.validate(notebook)


@pytest.mark.parametrize("source", TUTORIALS, ids=IDS)
def test_notebooks_have_no_outputs(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert set(notebook.metadata) == {"jupytext", "kernelspec"}
    for cell in notebook.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("source", TUTORIALS, ids=IDS)
def test_structure(source):
    """A title with its number, a section on common mistakes, a figure, and links to existing notebooks."""
    text = source.read_text(encoding="utf-8")
    first = jupytext.read(source).cells[0]
    assert first.source.startswith(f"# {source.stem[0]}. ")
    assert "## Common mistakes" in text
    assert re.search(r"px\.\w+\(|go\.Figure\(|spectrum_figure\(|sl\.dashboard\(|Markdown\(", text)
    for link in re.findall(r"\((\d_\w+\.ipynb)\)", text):
        assert (ROOT / "tutorials" / link).is_file(), link


def notebook_with(code):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])


@pytest.mark.slow
def test_the_kernel_is_this_python_and_ends_with_the_notebook(script):
    pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e .[dev]")
    executed = script.executed(notebook_with("import os, sys\nprint(os.getpid(), sys.executable, os.listdir())"))
    number, python, listed = executed.cells[0].outputs[0].text.split(maxsplit=2)
    assert python == sys.executable
    assert listed.strip() == "[]"
    with pytest.raises(ProcessLookupError):
        os.kill(int(number), 0)


@pytest.mark.slow
def test_an_error_in_a_cell_is_raised(script):
    client = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e .[dev]")
    with pytest.raises(client.exceptions.CellExecutionError, match="division by zero"):
        script.executed(notebook_with("1 / 0"))


@pytest.mark.slow
@pytest.mark.parametrize("source", TUTORIALS, ids=IDS)
def test_it_runs(source, script, monkeypatch):
    pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e .[dev]")
    if "PYTEST_XDIST_WORKER" in os.environ:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
    executed = script.executed(script.notebook_of(source))
    outputs = [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    warnings = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert warnings == []
    page = script.page(executed)
    figures = ["application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs]
    assert page.count("plotly-graph-div") == sum(figures)
    # A page of the documentation links to pages.
    assert ".ipynb)" not in page
