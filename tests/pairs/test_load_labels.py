"""Label columns: used where they are named, and named where they are not used."""

import warnings

import pytest
from datasets import Dataset

from ssae_lens.pairs import concept_names, load_pairs, signed_changes

ROWS = "source,target,formality,tense,emoji\nhi,good day,1,0,no\nit is,it was,0,1,no\nit was,it is,,-1,yes\n"


def written(tmp_path, text, name="pairs.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_label_columns_become_signed_changes(tmp_path):
    with pytest.warns(UserWarning, match="the column emoji is not used"):
        loaded = load_pairs(written(tmp_path, ROWS), label_columns=["tense", "formality"])
    assert concept_names(loaded) == ["tense", "formality"]
    assert signed_changes(loaded).tolist() == [[0, 1], [1, 0], [-1, 0]]
    assert loaded["changed"][:] == [["formality"], ["tense"], ["tense"]]
    assert loaded.column_names == ["source", "target", "emoji", "changes", "changed"]


def test_columns_of_a_file_that_are_not_used_are_named_with_what_uses_them(tmp_path):
    path = written(tmp_path, ROWS)
    with pytest.warns(UserWarning, match="not used") as caught:
        load_pairs(path)
    expected = str(caught[0].message)
    assert f"{path}: the columns formality, tense, emoji are not used" in expected
    assert "label_columns=['formality', 'tense']" in expected
    assert caught[0].filename == __file__


def test_nothing_is_said_of_a_file_whose_columns_are_all_used(tmp_path):
    path = written(tmp_path, "source,target,changed,change_voice,content,tense\na,b,voice|tense,1,x,-1\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_pairs(path, label_columns="tense")
    assert loaded["changes"][:] == [{"voice": 1, "tense": -1}]


@pytest.mark.parametrize(("value", "change"), [("+1", 1), ("−1", -1), ("1.0", 1), ("true", 1), ("False", 0), (" ", 0)])
def test_ways_to_write_a_change(tmp_path, value, change):
    loaded = load_pairs(written(tmp_path, f"source,target,tense\na,b,{value}\n"), label_columns=["tense"])
    assert signed_changes(loaded).tolist() == [[change]]


def test_label_columns_of_a_dataset():
    dataset = Dataset.from_dict({"source": ["a", "b"], "target": ["c", "d"], "tense": [1, None], "number": [7, 8]})
    with pytest.warns(UserWarning, match="the column tense is not used"):  # 7 and 8 are no changes
        load_pairs(dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert signed_changes(load_pairs(dataset, label_columns=["tense"])).tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("source,target,tense\na,b,past\n", {"label_columns": ["tense"]}, "tense is 'past' in row 0; .* -1, 0 or 1"),
        ("source,target,tense\na,b,2\n", {"label_columns": ["tense"]}, "tense is '2' in row 0"),
        ("source,target,tense\na,b,1\n", {"label_columns": ["tens"]}, "label_columns is 'tens'.*Did you mean 'tense'"),
        ("source,target,x\na,b,1\n", {"label_columns": ["source"]}, "label_columns is 'source'"),
        (
            "source,target,change_tense,tense\na,b,1,1\n",
            {"label_columns": ["tense"]},
            "'tense', of which there are signed changes already",
        ),
        ("sentence,tense\na,past\nb,present\n", {"label_columns": ["tense"]}, "of kind 'labelled'"),
    ],
)
def test_label_columns_that_cannot_be_used(tmp_path, text, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_pairs(written(tmp_path, text), **options)
    assert "\n" not in str(caught.value)


def test_a_built_in_corpus_takes_no_label_columns():
    with pytest.raises(ValueError, match="takes no columns, label_columns"):
        load_pairs("gender", label_columns=["gender"])


def test_pairs_of_identical_texts_are_counted_in_a_warning(tmp_path):
    path = written(tmp_path, "source,target\n" + "a b,a b\n" * 2 + "c,d\n")
    with pytest.warns(UserWarning, match="not|same|repeat") as caught:
        load_pairs(path)
    expected = [str(each.message) for each in caught]
    assert any("in 2 of 3 pairs source and target are the same text" in each for each in expected)
    assert any("1 of 3 pairs repeat an earlier pair" in each for each in expected)
    assert {each.filename for each in caught} == {__file__}
