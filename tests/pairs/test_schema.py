import ast
import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from ssae_lens import pairs
from ssae_lens.pairs import concept_names, fingerprint_of, signed_changes, validate
from ssae_lens.pairs.schema import completed, from_rows

GOOD = {
    "source": ["a cat sat", "a dog sat", "a cow sat"],
    "target": ["a cat sits", "dogs sit", "a cow sat down"],
    "changes": [{"tense": 1, "number": 0}, {"tense": 1, "number": -1}, {"tense": 0, "number": 0}],
}


def made(**columns):
    return Dataset.from_dict({**GOOD, **columns})


def test_a_good_data_set_passes():
    validate(made())
    validate(made(changed=[["tense"], ["number", "tense"], []], content=["x", None, "y"], other=[1, 2, 3]))
    validate(made().remove_columns("changes"))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([{"source": "a", "target": "b"}], "pairs are list; a datasets.Dataset is expected"),
        (Dataset.from_dict({"source": ["a"], "targets": ["b"]}), "no column 'target' among source, targets.*'targets'"),
        (Dataset.from_dict({"source": [], "target": []}), "holds no pairs"),
        (made(source=["a", "", "  "]), r"source is empty in 2 rows \(1, 2\)"),
        (made(target=["a", None, "b"]), r"target is empty in 1 row \(1\)"),
        (made(target=[1, 2, 3]), r"target is not text in 3 rows \(0, 1, 2\)"),
        (made(content=[1, 2, 3]), r"content is not text in 3 rows"),
        (made(changed=["tense", "number", ""]), "changed is not a list of concept names in 3 rows"),
        (
            made(changes=[{"tense": 1}, {"tense": 2}, {"tense": 0}]),
            r"changes\['tense'\] is not -1, 0 or 1 in 1 row \(1\)",
        ),
        (made(changes=[{"tense": 0.5}, {"tense": 1.0}, {"tense": 0.0}]), r"changes\['tense'\] holds"),
        (made(changes=["tense", "", ""]), "must map concepts"),
        (made(changed=[["tense"], ["tense"], []]), r"changed is \['tense'\] in row 1.*\['number', 'tense'\]"),
    ],
)
def test_each_fault_has_one_line(dataset, message):
    with pytest.raises(ValueError, match=message) as caught:
        validate(dataset)
    assert "\n" not in str(caught.value)


def test_many_bad_rows_are_not_all_listed():
    texts = [""] * 8
    with pytest.raises(ValueError, match=r"8 rows \(0, 1, 2, 3, 4, …\)"):
        validate(Dataset.from_dict({"source": texts, "target": texts}))


def test_signed_changes_follow_the_order_of_the_concepts():
    dataset = made()
    assert concept_names(dataset) == ["tense", "number"]
    signs = signed_changes(dataset)
    assert signs.dtype == np.int8
    assert signs.tolist() == [[1, 0], [1, -1], [0, 0]]
    assert signed_changes(dataset.select([2, 1])).tolist() == [[0, 0], [1, -1]]


def test_a_concept_left_out_of_a_row_does_not_change():
    dataset = made(changes=[{"tense": 1, "number": None}, {"tense": None, "number": 1}, None])
    assert signed_changes(dataset).tolist() == [[1, 0], [0, 1], [0, 0]]


def test_names_without_signs():
    dataset = made(changed=[["tense"], ["number", "tense"], []]).remove_columns("changes")
    assert concept_names(dataset) == ["number", "tense"]
    assert concept_names(dataset.remove_columns("changed")) == []
    with pytest.raises(ValueError, match=r"has no signed changes .*source, target, changed"):
        signed_changes(dataset)


def test_completed_stores_int8_and_says_what_changed():
    dataset = completed(made())
    assert {kind.dtype for kind in dataset.features["changes"].values()} == {"int8"}
    assert dataset["changed"][:] == [["tense"], ["tense", "number"], []]
    assert completed(dataset).column_names == dataset.column_names


def test_fingerprint_depends_on_the_texts_and_their_order_alone():
    dataset = made()
    assert fingerprint_of(dataset) == fingerprint_of(dataset.remove_columns("changes"))
    assert fingerprint_of(dataset) != fingerprint_of(dataset.select([1, 0, 2]))
    assert fingerprint_of(dataset) != fingerprint_of(made(source=["a", "b", "c"]))


def test_rows_may_leave_out_what_does_not_change():
    rows = [{"source": "a", "target": "b", "changes": {"y": -1}}, {"source": "c", "target": "d", "changes": {}}]
    dataset = from_rows(rows, concepts=["x"])
    assert concept_names(dataset) == ["x", "y"]
    assert signed_changes(dataset).tolist() == [[0, -1], [0, 0]]
    assert dataset["changed"][:] == [["y"], []]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([{"source": "a"}], "no column 'target'"),
        ([{"source": "a", "target": "b"}, {"source": "a"}], r"target is empty in 1 row \(1\)"),
        ([{"source": "a", "target": 3}], r"target is not text in 1 row \(0\)"),
        ([{"source": "a", "target": "b", "changes": {"x": "up"}}], r"changes\['x'\] is 'up' in row 0"),
        ([{"source": "a", "target": "b", "changes": ["x"]}], "not a mapping"),
        ([{"source": "a", "target": "b", "changes": {}}], "name no concept"),
        (
            [{"source": "a", "target": "b", "changes": {"x": 1}}, {"source": "a", "target": "b"}],
            r"changes is not a mapping of concept to sign in 1 row \(1\)",
        ),
        (
            [{"source": "a", "target": "b", "z": 1}, {"source": "a", "target": "b", "z": "one"}],
            "Column 'z' mixes types",
        ),
    ],
)
def test_bad_rows(rows, message):
    with pytest.raises(ValueError, match=message):
        from_rows(rows)


def test_datasets_is_imported_only_when_needed():
    for path in Path(pairs.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "datasets" not in json.dumps([getattr(node, "module", ""), *[a.name for a in node.names]]), path
                assert "pyarrow" not in (getattr(node, "module", "") or ""), path


def test_a_plain_string_names_one_concept():
    rows = [{"source": "a", "target": "b", "changes": {"tense": 1}}]
    assert concept_names(from_rows(rows, "gender")) == ["gender", "tense"]
