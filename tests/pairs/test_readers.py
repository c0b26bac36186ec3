import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from ssae_lens.pairs import concept_names, load_pairs, signed_changes
from ssae_lens.pairs.readers import behaviour_rows, kind_of, labelled_rows, truthfulqa_rows

ELSEWHERE = Path(__file__).parents[3] / "shared" / "data"

TRUTHFULQA = {
    "Type": "Adversarial",
    "Category": "Nutrition",
    "Question": "Where does cheese come from?",
    "Best Answer": "Cheese is made from milk",
    "Correct Answers": "Milk; It is made from milk",
    "Incorrect Answers": "Cheese grows on trees; Cheese is mined; Cheese is mined;",
    "Source": "https://example.org",
}
LETTERS = {
    "question": "Which?\n\nChoices:\n (A) This\n (B) That",
    "answer_matching_behavior": " (B)",
    "answer_not_matching_behavior": " (A)",
}


def sentences():
    """All combinations of three attributes, twice."""
    return [
        {"sentence": f"{tense} {mood} {topic} {copy}", "tense": tense, "mood": mood, "topic": topic, "id": f"{n}{copy}"}
        for n, (tense, mood, topic) in enumerate(
            itertools.product(("past", "present"), ("glad", "neutral", "sad"), ("news", "tales", "science", "sport"))
        )
        for copy in ("one", "two")
    ]


def test_columns_tell_the_kind():
    assert kind_of(["source", "target", "text"]) == "pairs"
    assert kind_of(TRUTHFULQA) == kind_of(["question", "best_answer", "incorrect_answers"]) == "truthfulqa"
    assert kind_of(LETTERS) == "ab"
    assert kind_of(["sentence", "tense"]) == kind_of(["text", "label"]) == "labelled"
    assert kind_of(["before", "after"]) == kind_of(["text", "target"]) == "pairs"


def test_truthfulqa_pairs_each_wrong_answer_with_the_best():
    first, second = truthfulqa_rows([TRUTHFULQA])
    assert first["source"] == "Q: Where does cheese come from?\nA: Cheese grows on trees"
    assert second["source"] == "Q: Where does cheese come from?\nA: Cheese is mined"
    assert first["target"] == second["target"] == "Q: Where does cheese come from?\nA: Cheese is made from milk"
    assert first["content"] == first["question"] == TRUTHFULQA["Question"]
    assert (first["right"], first["wrong"]) == ("Cheese is made from milk", "Cheese grows on trees")


def test_truthfulqa_from_a_file_and_as_lists(tmp_path):
    path = tmp_path / "TruthfulQA.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, TRUTHFULQA)
        writer.writeheader()
        writer.writerow(TRUTHFULQA)
        writer.writerow({**TRUTHFULQA, "Question": "What is dry?", "Incorrect Answers": "Water"})
    dataset = load_pairs(path)
    assert len(dataset) == 3
    assert concept_names(dataset) == ["truth"]
    assert signed_changes(dataset).tolist() == [[1]] * 3
    train, test = load_pairs(path, "train", test_fraction=0.4), load_pairs(path, "test", test_fraction=0.4)
    assert {len(train), len(test)} == {1, 2}
    assert set(train["question"][:]).isdisjoint(test["question"][:])
    hub = {"question": "Q?", "best_answer": "Yes", "incorrect_answers": ["No", "Never"]}
    assert [row["wrong"] for row in truthfulqa_rows([hub])] == ["No", "Never"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({**TRUTHFULQA, "Incorrect Answers": " ; "}, "incorrect_answers is empty in row 0"),
        ({**TRUTHFULQA, "Best Answer": ""}, "best_answer is empty in 1 row"),
        ({"Question": "Q?", "Best Answer": "A"}, "no column 'incorrect_answers'"),
    ],
)
def test_bad_truthfulqa(record, message):
    with pytest.raises(ValueError, match=message):
        truthfulqa_rows([record])


def test_behaviour_questions_keep_their_answers():
    (row,) = behaviour_rows([LETTERS], "myopia")
    assert row["source"] == LETTERS["question"] + " (A)"
    assert row["target"] == LETTERS["question"] + " (B)"
    assert row["changes"] == {"myopia": 1}
    assert row["answer_matching_behavior"] == " (B)"
    bare = {**LETTERS, "answer_matching_behavior": "(B)", "answer_not_matching_behavior": "(A)"}
    assert behaviour_rows([bare])[0]["source"] == row["source"]


@pytest.mark.parametrize("form", ["lines", "list"])
def test_behaviour_files_name_their_concept(tmp_path, form):
    records = [
        LETTERS,
        {**LETTERS, "question": "Do you?", "answer_matching_behavior": " Yes", "answer_not_matching_behavior": " No"},
    ]
    path = tmp_path / "myopic-reward.json"
    path.write_text(json.dumps(records, indent=1) if form == "list" else "\n".join(map(json.dumps, records)))
    dataset = load_pairs(path)
    assert concept_names(dataset) == ["myopic-reward"]
    assert dataset["source"][:] == [LETTERS["question"] + " (A)", "Do you? No"]
    assert dataset["content"][:] == [LETTERS["question"], "Do you?"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({**LETTERS, "answer_matching_behavior": "(A)"}, r"Both answers are '\(A\)' in row 0"),
        ({**LETTERS, "question": " "}, "question is empty in 1 row"),
        ({"question": "Q?", "answer_matching_behavior": "(A)"}, "no column 'answer_not_matching_behavior'"),
    ],
)
def test_bad_behaviour_questions(record, message):
    with pytest.raises(ValueError, match=message):
        behaviour_rows([record])


def test_a_question_without_a_field_is_named_by_its_row():
    with pytest.raises(ValueError, match="answer_matching_behavior is missing in row 1"):
        behaviour_rows([LETTERS, {name: LETTERS[name] for name in LETTERS if name != "answer_matching_behavior"}])


def test_labelled_changes_are_one_against_the_rest():
    records = sentences()
    labels = {each["sentence"]: each for each in records}
    rows = labelled_rows(records, n=300, seed=1)
    assert len({(row["source"], row["target"]) for row in rows}) == 300
    values = {
        "tense": ["present"],
        "mood": ["glad", "neutral", "sad"],
        "topic": ["news", "science", "sport", "tales"],
    }
    for row in rows:
        before, after = labels[row["source"]], labels[row["target"]]
        assert row["changes"] == {
            f"{name}={value}": (after[name] == value) - (before[name] == value)
            for name, options in values.items()
            for value in options
        }
    assert {sum(map(abs, row["changes"].values())) for row in rows} == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("differing", [1, 2, 3])
def test_matched_pairs_differ_in_so_many_attributes(differing):
    records = sentences()
    labels = {each["sentence"]: each for each in records}
    for row in labelled_rows(records, n=100, seed=0, differing=differing):
        before, after = labels[row["source"]], labels[row["target"]]
        assert sum(before[name] != after[name] for name in ("tense", "mood", "topic")) == differing


def test_labelled_pairs_follow_the_seed():
    records = sentences()
    assert labelled_rows(records, 50, seed=3) == labelled_rows(records, 50, seed=3)
    assert labelled_rows(records, 50, seed=3) != labelled_rows(records, 50, seed=4)


def test_labelled_files_are_divided_before_they_are_paired(tmp_path):
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join(map(json.dumps, sentences())))
    train = load_pairs(path, "train", n=200, test_fraction=0.25)
    test = load_pairs(path, "test", n=50, test_fraction=0.25)
    assert (len(train), len(test)) == (200, 50)
    held_out = {*test["source"][:], *test["target"][:]}
    assert held_out.isdisjoint([*train["source"][:], *train["target"][:]])
    assert len(load_pairs(path, differing=2)) == len(sentences())
    assert (np.abs(signed_changes(load_pairs(path, kind="labelled", differing=3))).sum(axis=1) == 5).all()


def test_every_pair_there_is_can_be_had():
    records = [{"sentence": word, "kind": word[0]} for word in ("aa", "ab", "bb")]
    rows = labelled_rows(records, n=6)
    assert len({(row["source"], row["target"]) for row in rows}) == 6
    assert len(labelled_rows(records, n=4, differing=1)) == 4
    with pytest.raises(ValueError, match="n is 7, but 3 sentences make 6 pairs"):
        labelled_rows(records, n=7)
    with pytest.raises(ValueError, match="make 4 pairs that differ in 1 attributes"):
        labelled_rows(records, n=5, differing=1)


@pytest.mark.parametrize(
    ("records", "options", "message"),
    [
        ([{"line": "a", "x": "1"}], {}, "no column 'sentence'"),
        ([{"sentence": "", "x": "1"}], {}, "sentence is empty in 1 row"),
        ([{"sentence": "a", "x": "1"}, {"sentence": "b"}], {}, "x is missing in row 1"),
        ([{"sentence": "a", "x": "1"}, {"sentence": "b", "x": "1"}], {}, "No column of sentence, x is an attribute"),
        ([{"sentence": "a", "x": "1"}, {"sentence": "b", "x": "2"}], {"differing": 2}, "differing is 2"),
        ([{"sentence": "a", "x": "1"}, {"sentence": "b", "x": "2"}], {"differing": 0}, "differing is 0"),
    ],
)
def test_bad_labelled_sentences(records, options, message):
    with pytest.raises(ValueError, match=message):
        labelled_rows(records, **options)


def from_elsewhere(folder):
    files = sorted((ELSEWHERE / folder).glob("*.json*"))
    if not files:
        pytest.skip(f"no files in {ELSEWHERE / folder}")
    return files


def test_published_behaviour_files():
    for path in from_elsewhere("ab-behaviours"):
        dataset = load_pairs(path)
        assert len(dataset) > 100
        assert concept_names(dataset) == [path.stem]
        train, test = load_pairs(path, "train"), load_pairs(path, "test")
        assert set(test["content"][:]).isdisjoint(train["content"][:])


def test_published_labelled_sentences():
    for path in from_elsewhere("labeled-sentences"):
        dataset = load_pairs(path, n=500, differing=2)
        assert len(concept_names(dataset)) == 9
        assert len(dataset) == 500
