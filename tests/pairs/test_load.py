import json

import datasets
import pytest
from datasets import Dataset, DatasetDict

from ssae_lens.pairs import concept_names, load_pairs, signed_changes


def table(count=20, **extra):
    return Dataset.from_list([{"source": f"before {i}", "target": f"after {i}", **extra} for i in range(count)])


def test_a_data_set_passes_through():
    dataset = table(note="kept")
    loaded = load_pairs(dataset)
    assert loaded.to_list() == dataset.to_list()
    assert len(load_pairs(dataset, n=7)) == 7
    assert len(load_pairs(dataset, "train")) == 18
    assert load_pairs(dataset, "test", n=1)["source"][:] != []


def test_n_pairs_keep_their_order_and_follow_the_seed():
    numbers = [int(text.split()[1]) for text in load_pairs(table(500), n=50, seed=3)["source"][:]]
    assert numbers == sorted(numbers)
    assert numbers != [int(text.split()[1]) for text in load_pairs(table(500), n=50, seed=4)["source"][:]]


def test_columns_are_mapped(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("before,after,source\ncold,hot,a web page\n")
    loaded = load_pairs(path, columns={"source": "before", "target": "after"})
    assert loaded.to_list() == [{"source": "cold", "target": "hot"}]
    again = load_pairs(str(path), columns={"source": "before", "target": "after"})
    assert again.to_list() == loaded.to_list()
    dataset = Dataset.from_dict({"x": ["cold"], "y": ["hot"]})
    assert load_pairs(dataset, columns={"source": "x", "target": "y"}).column_names == ["source", "target"]


def test_json_lines_with_signed_changes(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"source": "it is hot", "target": "it was hot", "changes": {"tense": -1}},
        {"source": "it is hot", "target": "they were cold", "changes": {"tense": -1, "number": 1}},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    loaded = load_pairs(path)
    assert concept_names(loaded) == ["tense", "number"]
    assert signed_changes(loaded).tolist() == [[-1, 0], [-1, 1]]
    assert loaded["changed"][:] == [["tense"], ["tense", "number"]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"source": "a", "target": "b"}, {"source": "c"}], r"target is empty in 1 row \(1\)"),
        ([{"source": "a", "target": "b", "changes": {"x": 3}}], r"changes\['x'\] is 3 in row 0"),
        ([{"source": "a", "target": "b", "changes": {"x": 1}, "changed": []}], r"changed is \[\] in row 0"),
        ([{"before": "a", "after": "b"}], "no column 'source' among before, after"),
    ],
)
def test_bad_rows_of_a_file(tmp_path, rows, message):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match=message):
        load_pairs(path)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("gendre",), {}, r"no pairs called 'gendre'\. Did you mean 'gender'.*lang, gender, binary.*owner/name"),
        ((42,), {}, "pairs are int"),
        (("lang", "validation"), {}, "split is 'validation'"),
        (("lang",), {"n": 0}, "n is 0"),
        (("lang",), {"n": 2.5}, "n is 2.5"),
        (("lang",), {"seed": -1}, "seed is -1"),
        (("lang",), {"kind": "abc"}, "kind is 'abc'"),
        (("lang", "test"), {"test_fraction": 1.5}, "test_fraction is 1.5"),
        (("lang",), {"columns": {"source": "x"}}, "'lang' is a built-in corpus; it takes no columns"),
        ((table(),), {"columns": {"source": "sauce"}}, r"columns\['source'\] is 'sauce'.*Did you mean 'source'"),
        ((table(),), {"n": 21}, "The data set has 20 pairs here; n is 21"),
        ((table(),), {"differing": 1}, "only 'labelled' takes it"),
        ((table(),), {"kind": "ab"}, "no column 'question'"),
    ],
)
def test_bad_arguments(arguments, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_pairs(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "pairs.csv", str(tmp_path / "pairs.csv"), tmp_path / "pairs", str(tmp_path / "pairs")):
        with pytest.raises(FileNotFoundError, match="There is no file"):
            load_pairs(path)
    with pytest.raises(FileNotFoundError, match="is a folder"):
        load_pairs(tmp_path)


def test_a_hub_data_set_is_asked_for_by_its_name(monkeypatch):
    asked = []

    def load_dataset(name):
        asked.append(name)
        return DatasetDict({"validation": table()})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len(load_pairs("someone/pairs")) == 20
    assert len(load_pairs("someone/pairs", "test")) == 2
    assert asked == ["someone/pairs"] * 2


def test_an_unreachable_hub_gives_one_error(monkeypatch):
    def load_dataset(name):
        raise ConnectionError("Couldn't reach the Hub\nwith a long trace")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(
        FileNotFoundError, match=r"no built-in corpus 'a/b' \(lang, .*no file a/b.*Couldn't reach"
    ) as caught:
        load_pairs("a/b")
    assert "\n" not in str(caught.value)


def test_own_splits_are_kept_less_what_leaks():
    whole = table(20)
    parts = DatasetDict({"train": whole.select(range(15)), "test": whole.select(range(13, 20))})
    assert len(load_pairs(parts)) == 22
    assert len(load_pairs(parts, "test")) == 7
    with pytest.warns(UserWarning, match="2 of 15 training pairs were dropped") as caught:
        train = load_pairs(parts, "train")
    assert caught[0].filename == __file__
    assert train["source"][:] == [f"before {i}" for i in range(13)]
    with pytest.raises(ValueError, match="none is left"):
        load_pairs(DatasetDict({"train": whole, "test": whole}), "train")


def test_the_line_of_the_caller_is_blamed_for_dropped_pairs():
    names = [f"object {i}" for i in range(30)]
    grid = Dataset.from_list([{"source": a, "target": b} for a in names for b in names if a != b])
    with pytest.warns(UserWarning, match="pairs were dropped") as caught:
        load_pairs(grid, "train")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"source": "a", "target": "b", "extra": 1 << 70}], "'extra' mixes types"),
        (
            [{"source": "a", "target": "b", "extra": {"x": 1}}, {"source": "c", "target": "d", "extra": [1]}],
            "mixes types",
        ),
        ([{"source": "a", "target": "b", "changes": {"x": [1]}}], r"changes\['x'\] is \[1\]"),
        ([{"source": "a", "target": "b", "changed": [1]}], "not a list of concept names"),
        ([{"question": "q", "best_answer": "a", "incorrect_answers": [1, 2]}], "does not hold what it should"),
        ([{"question": "q", "best_answer": "a", "incorrect_answers": 3}], "does not hold what it should"),
        ([{"sentence": "a", "x": []}, {"sentence": "b", "x": 1}, {"text": 1}], "not text|missing|empty"),
        ([{f"column {i}": 1 for i in range(5000)}], r"no column 'source' among .*, … \(5000\)"),
        ([{"source": "a", "target": 3}], "target is not text"),
    ],
)
def test_rows_of_another_shape_are_refused_with_the_file_s_name(tmp_path, rows, expected):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match=expected) as error:
        load_pairs(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 3000
