"""Halves that share neither a pair nor a text."""

import numpy as np
import pytest
import torch

from ssae_lens.pairs import load_pairs
from ssae_lens.shifts import ShiftStore
from ssae_lens.training import data, sweep
from ssae_lens.training.data import MIN_HALF, Rows, connected_rows, open_data, split_groups

D = 6
QUICK = {"d_sae": 4, "steps": 40, "batch_size": 64, "quiet": True, "seeds": 2}


def store_of(values, **about):
    values = np.asarray(values, dtype=np.float32)
    return ShiftStore.from_arrays(np.zeros_like(values), values, **about)


def numbered(n):
    """Shifts whose first entry is their row's number."""
    values = np.random.default_rng(0).normal(size=(n, D))
    values[:, 0] = np.arange(n)
    return values


def rows_of(half):
    return half.sample()[:, 0].long().numpy()


def test_rows_of_one_pair_are_in_one_half():
    """As of a capture with position="changed": rows 0, 1, 2 of pair 0, row 3 of pair 1, and so on."""
    ids = np.repeat(np.arange(40), np.arange(40) % 3 + 1)
    first, second = open_data(store_of(numbered(len(ids)), row_ids=ids), 8).halves()
    assert not set(ids[rows_of(first)]) & set(ids[rows_of(second)])
    assert sorted([*rows_of(first), *rows_of(second)]) == list(range(len(ids)))
    assert abs(first.n - second.n) <= 1


@pytest.mark.parametrize("texts", [False, True])
def test_single_rows_alternate_as_those_of_an_array(texts):
    values = numbered(21)
    names = [f"text {i}" for i in range(42)]
    store = store_of(values, texts=(names[:21], names[21:]) if texts else None)
    for halves in (open_data(store, 8).halves(), Rows(values).halves()):
        assert [rows_of(each).tolist() for each in halves] == [list(range(0, 21, 2)), list(range(1, 21, 2))]


@pytest.mark.parametrize("name", ["binary", "corr", "lang"])
def test_pairs_of_words_that_share_one_are_in_one_half(name):
    pairs = load_pairs(name)
    texts = pairs["source"][:], pairs["target"][:]
    halves = open_data(store_of(numbered(len(pairs)), texts=texts), 8).halves()
    words = [{column[row] for row in rows_of(half) for column in texts} for half in halves]
    contents = [{pairs["content"][int(row)] for row in rows_of(half)} for half in halves]
    assert words[0]
    assert not words[0] & words[1]
    assert not contents[0] & contents[1]
    assert abs(halves[0].n - halves[1].n) <= 12


def test_a_chain_of_shared_texts_is_one_group():
    texts = ["a", "b", "c", "x", "y"], ["b", "c", "d", "y", "z"]
    groups = connected_rows(np.array([0, 1, 2, 3, 4]), texts)
    assert groups[0] == groups[1] == groups[2] != groups[3] == groups[4]
    # The pair joins what no text does.
    groups = connected_rows(np.array([7, 1, 2, 3, 7]), texts)
    assert len(set(groups)) == 1


def test_where_all_pairs_are_connected_halves_are_by_pair_with_a_warning():
    ids = np.repeat(np.arange(30), 2)
    texts = ["the same prompt"] * 60, [f"answer {i}" for i in ids]
    shifts = open_data(store_of(numbered(60), row_ids=ids, texts=texts), 8)
    with pytest.warns(UserWarning, match="Nearly all of the 30 pairs are connected by shared texts.* split by pair"):
        first, second = shifts.halves()
    assert (first.n, second.n) == (30, 30)
    assert not set(ids[rows_of(first)]) & set(ids[rows_of(second)])


def test_balanced_halves_of_any_groups():
    rng = np.random.default_rng(0)
    for most in (1, 3, 10, 50):
        groups = rng.integers(0, most, size=60)
        found = split_groups(groups)
        largest = np.bincount(groups).max()
        if found is None:
            assert largest > (1 - MIN_HALF) * 60 - 1
            continue
        first, second = (np.arange(60)[each] for each in found)
        assert not set(groups[first]) & set(groups[second])
        assert sorted([*first, *second]) == list(range(60))


@pytest.mark.filterwarnings("ignore:There are")
def test_a_single_pair_has_no_halves():
    assert open_data(store_of(numbered(20), row_ids=np.zeros(20, dtype=int)), 8).halves() == []
    swept = sweep(store_of(numbered(23), row_ids=[0] * 16 + list(range(1, 8))), **QUICK)
    assert swept.settings[0].split_half_cosines is None


def test_halves_of_a_file_are_the_same(tmp_path, monkeypatch):
    ids = np.repeat(np.arange(20), 3)
    with store_of(numbered(60), row_ids=ids).save(tmp_path / "shifts.h5") as store:
        memory = open_data(store, 8).halves()
        monkeypatch.setattr(data, "HOLD_BYTES", 0)
        disk = open_data(store, 8).halves()
        for one, other in zip(memory, disk, strict=True):
            assert torch.equal(one.sample(), other.sample())
            assert torch.equal(one.batch(3, 8, 0), other.batch(3, 8, 0))


@pytest.mark.filterwarnings("ignore")
def test_noise_whose_pairs_have_several_rows_is_not_reproduced():
    """Rows of one pair in either half gave noise a perfect score."""
    noise = torch.randn(60, 32, generator=torch.Generator().manual_seed(0)).numpy()
    doubled = store_of(noise.repeat(2, axis=0), row_ids=np.repeat(np.arange(60), 2))
    given = {**QUICK, "steps": 300, "device": "cpu"}
    once, twice = (sweep(each, **given).settings[0].split_half_score for each in (store_of(noise), doubled))
    assert once < 0
    assert twice == pytest.approx(once, abs=1)
