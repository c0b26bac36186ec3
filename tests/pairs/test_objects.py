"""Pairs from objects in memory: DataFrames, dictionaries of columns, lists; and labels as categories of both sides."""

import numpy as np
import pandas as pd
import pytest

from ssae_lens.pairs import load_pairs, signed_changes

ROWS = [("He is here.", "He was here."), ("She was there.", "She is there.")]
SIDES = {"source": [row[0] for row in ROWS], "target": [row[1] for row in ROWS]}
RECORDS = [{"source": source, "target": target} for source, target in ROWS]


@pytest.mark.parametrize("given", [ROWS, [list(row) for row in ROWS], tuple(ROWS), RECORDS, SIDES, pd.DataFrame(SIDES)])
def test_every_kind_of_object_gives_the_same_pairs(given):
    pairs = load_pairs(given)
    assert list(zip(pairs["source"][:], pairs["target"][:], strict=True)) == ROWS
    assert pairs.column_names == ["source", "target"]


def test_a_dataframe_with_columns_of_its_own_names_and_labels():
    frame = pd.DataFrame({"before": SIDES["source"], "after": SIDES["target"], "tense": [1, np.nan], "id": [7, 8]})
    with pytest.warns(UserWarning, match=r"The data set: the column id is not used"):
        pairs = load_pairs(frame, columns={"source": "before", "target": "after"}, label_columns="tense")
    assert signed_changes(pairs).tolist() == [[1], [0]]


def test_two_categories_on_either_side_are_one_concept():
    frame = {**SIDES, "a": ["present", "past"], "b": ["past", "past"], "mood": ["x", "x"], "mood_after": ["y", "x"]}
    pairs = load_pairs(frame, label_columns={"tense": ("a", "b"), "mood": ("mood", "mood_after")})
    assert pairs.features["changes"].keys() == {"tense", "mood"}
    # Of "past" and "present", present is the second in alphabetical order.
    assert signed_changes(pairs).tolist() == [[-1, 1], [0, 0]]
    assert pairs["changed"][0] == ["tense", "mood"]


def test_of_more_categories_each_is_a_concept():
    frame = {"source": ["a b", "c d", "e f"], "target": ["a x", "c y", "e z"]}
    frame |= {"from": ["red", "blue", "green"], "to": ["blue", "blue", "red"]}
    pairs = load_pairs(frame, label_columns={"colour": ["from", "to"]})
    names = list(pairs.features["changes"])
    assert names == ["colour=blue", "colour=green", "colour=red"]
    assert signed_changes(pairs).tolist() == [[1, 0, -1], [0, 0, 0], [0, -1, 1]]


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (5, {}, "pairs are int; give a name, a path, a DataFrame"),
        ([], {}, "holds no rows"),
        (["a", "b"], {}, r"Row 0 is 'a'; give a dictionary with source and target, or a pair"),
        ([("a", "b", "c")], {}, "Row 0 is"),
        ({"source": ["a"], "target": []}, {}, "The columns have different lengths"),
        ([{"source": "a"}], {}, "There is no column 'target'"),
        (pd.DataFrame({"source": ["a"], "target": [None]}), {}, "target is empty in 1 row"),
        ({**SIDES, "a": ["x", ""]}, {"label_columns": {"t": ["a", "a"]}}, "a or a is missing in row 1"),
        (
            {**SIDES, "a": ["x", "y"]},
            {"label_columns": {"t": "a"}},
            r"label_columns\['t'\] is 'a'; it must be two columns",
        ),
        ({**SIDES, "a": ["x", "x"]}, {"label_columns": {"t": ["a", "a"]}}, "a and a hold 1 categories"),
        ({**SIDES, "a": ["x", "y"]}, {"label_columns": {"t": ["a", "c"]}}, "label_columns is 'c'"),
        (
            {**SIDES, "a": ["past", "y"]},
            {"label_columns": ["a"]},
            r"a is 'past' in row 0.*label_columns=\{'a': \['BEFORE'",
        ),
    ],
)
def test_one_line_says_what_is_wrong(given, options, words):
    with pytest.raises(ValueError, match=words):
        load_pairs(given, **options)


def test_pairs_that_share_few_words_are_noted():
    content = [
        (f"The dog number {i} ate my lunch today", f"Some rivers in Spain are {i} metres long") for i in range(8)
    ]
    with pytest.warns(UserWarning, match=r"in most pairs fewer than half of the words are the same on both sides"):
        load_pairs(content)
    load_pairs([("dog", "chien"), ("cat", "chat")])  # words, in which everything differs
    load_pairs([(f"The dog {i} is in the garden", f"The dog {i} was in the garden") for i in range(8)])
