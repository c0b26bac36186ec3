"""Splits share nothing: held-out texts are searched for in the training pairs."""

import json
from functools import cache
from itertools import combinations

import pytest

from ssae_lens.models import tiny_model
from ssae_lens.pairs.schema import from_rows
from ssae_lens.shifts import ShiftStore
from studies.language.corpora import Captures, CorpusSplit, disjoint_rows, load_split, shared_keys
from studies.language.grid import CORPORA, FRESH

SIZES = (60, 30)


def file_of_sentences(folder):
    rows = [
        {"text": f"The {thing} {verb} here {i}.", "tense": tense, "hue": hue}
        for i in range(30)
        for thing, hue in (("sky", "blue"), ("grass", "green"))
        for verb, tense in (("was", "past"), ("is", "present"))
    ]
    path = folder / "sentences.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@cache
def split_of(corpus):
    return load_split(corpus, SIZES)


def texts_of(pairs):
    columns = [name for name in ("source", "target", "content") if name in pairs.column_names]
    return {text for name in columns for text in pairs[name]}


@pytest.mark.parametrize("corpus", [*CORPORA, FRESH, "file"])
def test_no_held_out_text_is_in_a_training_pair(corpus, tmp_path):
    parts = split_of(file_of_sentences(tmp_path) if corpus == "file" else corpus)
    assert len(parts.train) >= 2 * len(parts.test) > 0
    assert texts_of(parts.train).isdisjoint(texts_of(parts.test))
    if corpus in ("sentences", "cat", FRESH):
        assert (len(parts.train), len(parts.test)) == SIZES


def test_no_held_out_text_is_in_the_captured_training_pairs(tmp_path):
    """The same of the stores that methods are given, and of the part that another corpus is tried on."""
    captures = Captures(tiny_model(), tmp_path, sizes=SIZES, quiet=True)
    hook = captures.hook(0.5)
    for corpus in ("lang", "binary"):
        captures.read(corpus, [hook], "last")
    for corpus in ("lang", "binary"):
        file = captures.file(corpus, hook, "last")
        parts = captures.split(corpus)
        data = file.open()
        train, test = ({*each.texts[0], *each.texts[1]} for each in (data.train, data.test))
        assert train <= texts_of(parts.train)
        assert test <= texts_of(parts.test)
        assert train.isdisjoint(test)
    trained = captures.split("binary")
    rows = disjoint_rows(trained.both, captures.split("lang").test)
    assert 0 < len(rows) < len(trained.train) + len(trained.test)
    used = captures.file("binary", hook, "last").open(rows=rows).train
    assert {*used.texts[0], *used.texts[1]}.isdisjoint(texts_of(captures.split("lang").test))


def test_every_corpus_is_captured_with_a_beginning_of_sequence(tmp_path):
    """Whether or not its texts need one, and whatever the model's default."""
    captures = Captures(tiny_model(default_prepend_bos=False), tmp_path, sizes=(3, 3), quiet=True)
    assert captures.about["bos"] == "<bos>"
    for corpus, position in (("sentences", "mean"), ("gender", "last")):
        captures.read(corpus, [captures.hook(0.5)], position)
        with ShiftStore.open(captures.file(corpus, captures.hook(0.5), position).path) as store:
            assert store.pairs["prepend_bos"] is True


def test_seeds_make_other_pairs_and_the_same_side():
    one, other = split_of("sentences"), split_of(FRESH)
    assert texts_of(one.train) != texts_of(other.train)
    for a, b in combinations((one, other), 2):
        assert texts_of(a.train).isdisjoint(texts_of(b.test))


def test_a_leak_is_found():
    train = from_rows([{"source": "a", "target": "b"}, {"source": "c", "target": "d"}])
    test = from_rows([{"source": "e", "target": "c"}])
    assert shared_keys(train, test) == ["c"]
    assert disjoint_rows(train, test) == [0]
    assert CorpusSplit(train, test).both["source"] == ["a", "c", "e"]
