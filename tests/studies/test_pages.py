"""The script that lays out the tables of pages: what it writes, finds changed and refuses; and the marks of the pages."""

import json
import re
from pathlib import Path

import pytest

from studies import page_tables, pages
from studies.page_tables import TABLES, synthetic
from studies.page_tables.markdown import MissingError
from studies.synthetic.result import SCORES

ROOT = Path(__file__).parents[2]
PAGE = """# A page

<!-- check: help - it takes minutes -->
```bash
python -m studies synthetic --out synthetic
```

Before.

<!-- table: synthetic data -->

<!-- table: probes accuracy -->
| as it | was |
|---|---|

After.
"""


def synthetic_result(left_out=()):
    scores = {"SSAE": 0.75, "FastICA": 0.7496, "dictionary": 0.5, "AbsTopK": 0.25, "affine": 0.125, "PCA": 1.0}
    cells = [
        {"cell": {"group": row.group, "row": row.name, "method": name}, "data": "d", "latents": 3, "cpu_seconds": 1.0}
        | dict.fromkeys(SCORES, scores[name] + far)
        for row in synthetic.ROWS
        for name in scores
        if name in row.methods and (row.name, name) not in left_out
        for far in (-0.01, 0.01)
    ]
    return synthetic.Result(cells, {"seeds": [0, 1]})


def test_the_table_of_synthetic():
    lines = synthetic.data(synthetic_result()).splitlines()
    assert lines[:3] == [
        "| synthetic data | SSAE | FastICA | dictionary learning | AbsTopK SAE on shifts | no constraint |",
        "|---|---|---|---|---|---|",
        "| the reference's DGP1 | **.750 ± .014** | **.750 ± .014** | .500 ± .014 | .250 ± .014 | .125 ± .014 |",
    ]
    assert lines[-1] == "| 20 concepts in 16 dimensions | **.750 ± .014** | **.750 ± .014** |  |  | .125 ± .014 |"
    assert len(lines) == 12


def test_a_row_that_synthetic_lacks():
    with pytest.raises(MissingError, match="no method 'AbsTopK' in the row 'DGP2'"):
        synthetic.data(synthetic_result([("DGP2", "AbsTopK")]))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A README, a page, and a folder of a study."""
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("Nothing is laid out here.\n", encoding="utf-8")
    (tmp_path / "docs" / "page.md").write_text(PAGE, encoding="utf-8")
    write(tmp_path / "out", synthetic_result())
    return tmp_path / "out"


def write(folder, result):
    folder.mkdir(exist_ok=True)
    (folder / "synthetic.json").write_text(json.dumps(result.to_json()), encoding="utf-8")


def page_of(folder):
    return (folder.parent / "docs" / "page.md").read_text(encoding="utf-8")


def test_a_table_is_written_where_its_mark_stands_and_nothing_else_changes(folder, capsys):
    assert pages.main([str(folder)]) == 0
    table = synthetic.data(synthetic_result())
    assert page_of(folder) == PAGE.replace("data -->\n", f"data -->\n{table}")
    assert capsys.readouterr().out == "docs/page.md: synthetic data\n1 tables written\n"
    assert pages.main([str(folder)]) == 0
    assert capsys.readouterr().out == "0 tables written\n"


def test_check_finds_a_changed_figure(folder, capsys):
    pages.main([str(folder)])
    assert pages.main([str(folder), "--check"]) == 0
    path = folder.parent / "docs" / "page.md"
    changed = path.read_text(encoding="utf-8").replace(".125 ± .014", ".126 ± .014", 1)
    path.write_text(changed, encoding="utf-8")
    capsys.readouterr()
    assert pages.main([str(folder), "--check"]) == 1
    assert capsys.readouterr().out == "docs/page.md: synthetic data\n1 tables differ\n"
    assert page_of(folder) == changed


def failed(capsys, *words):
    assert pages.main([*map(str, words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_is_refused_is_said_in_one_line(folder, capsys, tmp_path):
    assert "holds none of language.json, synthetic.json" in failed(capsys, tmp_path)
    assert "are of one study; give one of the two folders" in failed(capsys, folder, folder)
    write(folder, synthetic_result([("DGP1", "SSAE")]))
    said = failed(capsys, folder)
    assert said == (
        "docs/page.md: synthetic.json has no method 'SSAE' in the row 'DGP1', which the table 'synthetic data' shows; "
        "run all of `python -m studies synthetic`."
    )
    for text in ("{", "[]", "{}"):
        (folder / "synthetic.json").write_text(text, encoding="utf-8")
        assert "synthetic.json is not the file of a study; run `python -m studies synthetic" in failed(capsys, folder)
    (folder / "synthetic.json").write_text('{"cells": [], "quick": true}', encoding="utf-8")
    assert "is of a quick run" in failed(capsys, folder)
    assert page_of(folder) == PAGE


@pytest.mark.parametrize(
    ("was", "became", "said"),
    [
        ("probes accuracy", "probes acuracy", "A table's mark is 'probes acuracy'; it must be one of"),
        ("data -->\n", "data -->\nAfter.\n", "The table 'synthetic data' does not end at a blank line"),
        ("|---|---|\n", "|---|---|\nAfter.\n", "The table 'probes accuracy' does not end at a blank line"),
    ],
)
def test_a_mark_that_is_wrong(folder, capsys, was, became, said):
    wrong = PAGE.replace(was, became)
    (folder.parent / "docs" / "page.md").write_text(wrong, encoding="utf-8")
    assert f"docs/page.md: {said}" in failed(capsys, folder)
    assert page_of(folder) == wrong


def test_every_mark_of_a_page_names_a_function_and_stands_before_a_table():
    marks = []
    for page in pages.pages():
        text = page.read_text(encoding="utf-8")
        found = list(pages.MARK.finditer(text))
        assert len(found) == text.count("<!-- table:"), page
        marks += [match["name"] for match in found]
        assert all(match["table"] and not match["after"] for match in found), page
    assert set(marks) <= set(TABLES)
    assert len(set(marks)) == len(marks)
    assert {name for name in TABLES if name.startswith(("language", "synthetic"))} <= set(marks)
    assert set(page_tables.RESULTS) >= {name.split()[0] for name in marks}


def test_no_table_of_language_is_without_a_mark():
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    assert "|" in text
    assert not re.findall(r"^\|", pages.MARK.sub("", text), re.MULTILINE)
