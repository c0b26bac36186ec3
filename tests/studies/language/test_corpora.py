"""No split leaks: what is held out is searched for in what is learned from."""

import json
from functools import cache
from itertools import combinations

import pytest

from ssae_lens.models import tiny_model
from ssae_lens.pairs.schema import from_rows
from ssae_lens.shifts import ShiftStore
from studies.language.captures import Captures
from studies.language.corpora import Halves, apart, concatenate, halves, shared
from studies.language.grid import CORPORA, FRESH

MOST = (60, 30)


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
def made(corpus):
    return halves(corpus, MOST)


def said(pairs):
    columns = [name for name in ("source", "target", "content") if name in pairs.column_names]
    return {text for name in columns for text in pairs[name]}


@pytest.mark.parametrize("corpus", [*CORPORA, FRESH, "file"])
def test_nothing_held_out_is_in_what_is_learned_from(corpus, tmp_path):
    parts = made(file_of_sentences(tmp_path) if corpus == "file" else corpus)
    assert len(parts.train) >= 2 * len(parts.test) > 0
    assert said(parts.train).isdisjoint(said(parts.test))
    if corpus in ("sentences", "cat", FRESH):
        assert (len(parts.train), len(parts.test)) == MOST


def test_nothing_held_out_is_in_what_was_captured_to_learn_from(tmp_path):
    """The same of the stores that methods are given, and of the part that another corpus is tried on."""
    captures = Captures(tiny_model(), tmp_path, most=MOST, quiet=True)
    hook = captures.hook(0.5)
    for corpus in ("lang", "binary"):
        captures.read(corpus, [hook], "last")
    for corpus in ("lang", "binary"):
        place = captures.place(corpus, hook, "last")
        parts = captures.halves(corpus)
        data = place.open()
        train, test = ({*each.texts[0], *each.texts[1]} for each in (data.train, data.test))
        assert train <= said(parts.train)
        assert test <= said(parts.test)
        assert train.isdisjoint(test)
    learned = captures.halves("binary")
    rows = apart(concatenate(learned), captures.halves("lang").test)
    assert 0 < len(rows) < len(learned.train) + len(learned.test)
    used = captures.place("binary", hook, "last").open(rows=rows).train
    assert {*used.texts[0], *used.texts[1]}.isdisjoint(said(captures.halves("lang").test))


def test_every_corpus_is_captured_with_a_beginning_of_sequence(tmp_path):
    """Whether or not its texts need one, and whatever the model's default."""
    captures = Captures(tiny_model(default_prepend_bos=False), tmp_path, most=(3, 3), quiet=True)
    assert captures.about["bos"] == "<bos>"
    for corpus, position in (("sentences", "mean"), ("gender", "last")):
        captures.read(corpus, [captures.hook(0.5)], position)
        with ShiftStore.open(captures.place(corpus, captures.hook(0.5), position).path) as store:
            assert store.pairs["prepend_bos"] is True


def test_seeds_make_other_pairs_and_the_same_side():
    one, other = made("sentences"), made(FRESH)
    assert said(one.train) != said(other.train)
    for a, b in combinations((one, other), 2):
        assert said(a.train).isdisjoint(said(b.test))


def test_a_leak_is_found():
    train = from_rows([{"source": "a", "target": "b"}, {"source": "c", "target": "d"}])
    test = from_rows([{"source": "e", "target": "c"}])
    assert shared(train, test) == ["c"]
    assert apart(train, test) == [0]
    assert concatenate(Halves("x", train, test))["source"] == ["a", "c", "e"]
