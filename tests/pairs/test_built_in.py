import pytest

from ssae_lens.pairs import load_pairs
from ssae_lens.pairs.built_in import load_built_in


def texts(dataset):
    return {*dataset["source"][:], *dataset["target"][:]}


def test_n_counts_the_pairs_of_the_split():
    assert len(load_pairs("cat", "test", n=300)) == 300
    assert len(load_pairs("sentences", "test", n=700)) == 700
    assert len(load_pairs("lang", "test", n=10)) == 10


@pytest.mark.parametrize("name", ["cat", "sentences", "lang", "binary"])
def test_other_numbers_and_seeds_do_not_leak(name):
    train = load_pairs(name, "train", n=200, seed=0)
    test = load_pairs(name, "test", n=20, seed=5)
    assert texts(train).isdisjoint(texts(test))


@pytest.mark.slow
def test_a_side_does_not_depend_on_how_many_are_made():
    train = load_pairs("cat", "train", n=25_000)
    test = load_pairs("cat", "test", n=50)
    assert texts(train).isdisjoint(texts(test))


def test_more_than_there_are():
    with pytest.raises(ValueError, match="'lang' has 263 pairs here; n is 300"):
        load_pairs("lang", n=300)
    with pytest.raises(ValueError, match="'lang' has 26 pairs here; n is 27"):
        load_pairs("lang", "test", n=27)
    with pytest.raises(ValueError, match="'cat' can make 999000 pairs; n is 1000000"):
        load_pairs("cat", n=1_000_000)


@pytest.mark.slow
def test_a_split_of_a_made_corpus_can_run_out(monkeypatch):
    from dataclasses import replace

    from ssae_lens.pairs import built_in

    monkeypatch.setitem(built_in.CORPORA, "cat", replace(built_in.CORPORA["cat"], max_pairs=40_000))
    with pytest.raises(ValueError, match=r"'cat' has \d+ pairs in split 'test'; n is 39000"):
        load_built_in("cat", "test", 39_000, 0, 0.1)
