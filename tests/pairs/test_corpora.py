import csv
import itertools
from collections import Counter

import numpy as np
import pytest

from ssae_lens.base.yaml_files import read_package_yaml
from ssae_lens.pairs import concept_names, corpora, load_pairs, signed_changes, validate
from ssae_lens.pairs.built_in import CAT_PARTS, CORPORA

WORDS = read_package_yaml("ssae_lens.pairs", "data/nouns.yaml")
FINITE = {name: each.size for name, each in corpora().items() if not each.generated}
MIN_SIZES = {"lang": 200, "gender": 100, "binary": 600, "corr": 200, "truth": 300}


def texts(dataset):
    return list(zip(dataset["source"][:], dataset["target"][:], strict=True))


@pytest.mark.parametrize("name", FINITE)
def test_sizes_are_as_said_and_nothing_stands_twice(name):
    dataset = load_pairs(name)
    validate(dataset)
    assert len(dataset) == FINITE[name] >= MIN_SIZES[name]
    assert len(set(texts(dataset))) == len(dataset)
    for source, target in texts(dataset):
        assert source.casefold() != target.casefold()
        assert source == source.strip()
        assert target == target.strip()
        assert "  " not in source + target
        assert "|" not in source + target


# The made corpora are large: all of them takes seconds.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if each.generated else name for name, each in corpora().items()]
)
def test_splits_leak_nothing(name):
    train, test = load_pairs(name, "train"), load_pairs(name, "test")
    assert 0.07 < len(test) / (len(test) + len(train)) < 0.13
    seen = {each for pair in texts(train) for each in pair}
    assert all(each not in seen for pair in texts(test) for each in pair)
    if "content" in test.column_names:
        assert set(test["content"][:]).isdisjoint(train["content"][:])
        assert set(test["content"][:]).isdisjoint(seen)


@pytest.mark.parametrize("name", ["lang", "gender", "truth"])
def test_one_concept_changes_in_every_pair(name):
    assert (signed_changes(load_pairs(name)) == 1).all()


def test_words_are_alike_in_no_two_languages():
    for entry in WORDS:
        assert len(entry) in (2, 3)
        assert len({word.casefold() for word in entry}) == len(entry)
    for one, other in itertools.combinations(range(3), 2):
        first = Counter(entry[one] for entry in WORDS if len(entry) > one)
        second = Counter(entry[other] for entry in WORDS if len(entry) > other)
        assert max(first.values()) == max(second.values()) == 1
        assert not first.keys() & second.keys()
    # German nouns have capitals; the others have none.
    assert all(entry[2][0].isupper() for entry in WORDS if len(entry) == 3)
    assert all(word.islower() for entry in WORDS for word in entry[:2])


def test_gender_goes_from_masculine_to_feminine():
    pairs = texts(load_pairs("gender"))
    assert ("king", "queen") in pairs
    assert len({text for pair in pairs for text in pair}) == 2 * len(pairs)


def test_binary_has_every_ordered_pair_of_the_four_forms():
    dataset = load_pairs("binary")
    assert concept_names(dataset) == ["language", "gender"]
    found = {pair: tuple(signs) for pair, signs in zip(texts(dataset), signed_changes(dataset).tolist(), strict=True)}
    assert found["king", "queen"] == (0, 1)
    assert found["king", "roi"] == (1, 0)
    assert found["king", "reine"] == (1, 1)
    assert found["queen", "roi"] == (1, -1)
    assert found["roi", "queen"] == (-1, 1)
    assert found["reine", "king"] == (-1, -1)
    for (source, target), signs in found.items():
        assert found[target, source] == tuple(-sign for sign in signs)
    # Of the twelve pairs of a noun four change the language, four the gender and four both.
    nouns = len(found) // 12
    assert nouns >= 50
    assert Counter((abs(a), abs(b)) for a, b in found.values()) == dict.fromkeys([(1, 0), (0, 1), (1, 1)], 4 * nouns)
    forms = [form for row in CORPORA["binary"].rows() for form in (row["source"], row["target"])]
    assert set(Counter(forms).values()) == {6}


def test_corr_changes_one_of_two_languages():
    dataset = load_pairs("corr")
    signs = signed_changes(dataset)
    assert concept_names(dataset) == ["french", "german"]
    assert (signs.sum(axis=1) == 1).all()
    assert (signs.sum(axis=0) == len(dataset) // 2).all()
    row = texts(dataset).index(("dog", "Hund"))
    assert signs[row].tolist() == [0, 1]


def test_cat_has_one_contrast_for_each_changed_part():
    dataset = load_pairs("cat", n=2000)
    assert len(concept_names(dataset)) == len(set(concept_names(dataset))) == 135
    contrasts = [(name.split(":")[0], *name.split(":")[1].split(">")) for name in concept_names(dataset)]
    for (source, target), signs in zip(texts(dataset), signed_changes(dataset), strict=True):
        found = {(contrasts[column], int(signs[column])) for column in np.flatnonzero(signs)}
        expected = set()
        for part, old, new in zip(CAT_PARTS, source.split(), target.split(), strict=True):
            if old != new:
                expected |= {
                    (contrast, sign)
                    for contrast, sign in (((part, old, new), 1), ((part, new, old), -1))
                    if contrast in contrasts
                }
        assert found == expected
        assert 1 <= len(found) <= 3


@pytest.mark.slow
def test_cat_changes_one_two_and_three_parts_equally_often():
    dataset = load_pairs("cat")
    assert len(set(texts(dataset))) == len(dataset) == 30_000
    counts = np.bincount(np.abs(signed_changes(dataset)).sum(axis=1), minlength=4)
    assert counts[0] == 0
    # The single changes run out (there are 27 000), so they are drawn a little more slowly towards the end.
    assert (np.abs(counts[1:] / len(dataset) - 1 / 3) < 0.1).all()


def test_cat_can_name_every_pair_there_is():
    objects = np.prod([len(values) for values in CAT_PARTS.values()])
    assert corpora()["cat"].max_pairs == objects * (objects - 1)


def test_truth_keeps_the_parts_of_its_texts():
    for row in load_pairs("truth"):
        assert row["source"] == f"Q: {row['question']}\nA: {row['wrong']}"
        assert row["target"] == f"Q: {row['question']}\nA: {row['right']}"
        assert row["question"].endswith("?")
        assert row["right"] != row["wrong"]
        assert row["right"][0] == row["right"][0].upper()
    topics = Counter(load_pairs("truth")["topic"][:])
    assert min(topics.values()) >= 40
    assert len(topics) == 7


def test_truth_cannot_be_told_by_length_or_by_yes_and_no():
    rows = load_pairs("truth")
    lengths = np.array([[len(row["right"]), len(row["wrong"])] for row in rows])
    longer = (lengths[:, 0] > lengths[:, 1]).mean() + (lengths[:, 0] == lengths[:, 1]).mean() / 2
    assert 0.4 < longer < 0.6
    starts = Counter(row["right"].split()[0].rstrip(",") for row in rows)
    assert abs(starts["Yes"] - starts["No"]) <= 5


@pytest.mark.parametrize("name", corpora())
def test_the_seed_decides_which_pairs(name):
    first = texts(load_pairs(name, n=40, seed=1))
    assert len(first) == 40
    assert first == texts(load_pairs(name, n=40, seed=1))
    assert first != texts(load_pairs(name, n=40, seed=2))


def test_corpora_are_listed_with_what_they_are():
    assert set(corpora()) == {"lang", "gender", "binary", "corr", "cat", "sentences", "truth"}
    assert all(each.about and each.size >= 100 for each in corpora().values())


def test_a_corpus_can_be_written_as_csv_and_read_back(tmp_path):
    dataset = load_pairs("binary", n=20)
    path = tmp_path / "binary.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["source", "target", "changed", *(f"change_{name}" for name in concept_names(dataset))])
        for pair, changed, signs in zip(texts(dataset), dataset["changed"][:], signed_changes(dataset), strict=True):
            writer.writerow([*pair, "|".join(changed), *signs])
    again = load_pairs(path)
    assert texts(again) == texts(dataset)
    assert (signed_changes(again) == signed_changes(dataset)).all()
