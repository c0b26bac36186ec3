import warnings

import numpy as np
import pytest
from datasets import Dataset

from ssae_lens.pairs.splits import DROPPED, TEST, TRAIN, keys_of, sides_of, split_by_content


def grid(size=30):
    """Every object paired with every other: all pairs hang together."""
    names = [f"object {i}" for i in range(size)]
    return Dataset.from_list([{"source": a, "target": b} for a in names for b in names if a != b])


def singles(count=200):
    return Dataset.from_list([{"source": f"before {i}", "target": f"after {i}"} for i in range(count)])


def assert_apart(train, test):
    for column in ("source", "target", "content"):
        if column in test.column_names:
            held_out = {each for each in test[column][:] if each is not None}
            seen = {each for name in train.column_names for each in train[name][:]}
            assert not held_out & seen


def test_rows_with_nothing_in_common_meet_the_share():
    dataset = singles()
    train, test = split_by_content(dataset, "train"), split_by_content(dataset, "test")
    assert (len(train), len(test)) == (180, 20)
    assert_apart(train, test)


def test_rows_that_share_a_text_or_content_stay_together():
    rows = [
        {"source": f"word {i}", "target": f"{language} {i}", "content": f"group {i // 3}"}
        for i in range(60)
        for language in ("french", "german")
    ]
    dataset = Dataset.from_list(rows)
    train, test = split_by_content(dataset, "train"), split_by_content(dataset, "test")
    assert len(train) + len(test) == len(rows)
    assert len(test) == 12
    assert_apart(train, test)


def test_sides_hang_on_the_items_not_on_their_order():
    keys = keys_of(singles())
    sides = dict(zip(keys, sides_of(keys).tolist(), strict=True))
    order = np.random.default_rng(0).permutation(len(keys))
    shuffled = [keys[i] for i in order]
    assert dict(zip(shuffled, sides_of(shuffled).tolist(), strict=True)) == sides


def test_a_lasting_side_stays_when_rows_are_added():
    keys = [(f"content {i // 2}", f"a {i}", f"b {i}") for i in range(4000)]
    some, every = sides_of(keys[:1000], lasting=True), sides_of(keys, lasting=True)
    assert (every[:1000] == some).all()
    assert 0.08 < (every == TEST).mean() < 0.12
    assert (every[::2] == every[1::2]).all()


def test_where_all_hangs_together_the_texts_are_divided():
    dataset = grid()
    with pytest.warns(UserWarning, match=r"\d+ of 870 pairs were dropped") as caught:
        train = split_by_content(dataset, "train", 0.3)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="dropped"):
        test = split_by_content(dataset, "test", 0.3)
    assert_apart(train, test)
    kept = len(train) + len(test)
    assert str(len(dataset) - kept) in str(caught[0].message)
    assert 0.1 < len(test) / kept < 0.5


def test_the_share_of_kept_rows_is_met_where_texts_are_divided():
    names = [f"object {i}" for i in range(2000)]
    rng = np.random.default_rng(0)
    keys = [(names[i], names[j]) for i, j in rng.integers(2000, size=(40_000, 2)) if i != j]
    sides = sides_of(keys, 0.1)
    train, test = (sides == TRAIN).mean(), (sides == TEST).mean()
    assert test / (train + test) == pytest.approx(0.1, abs=0.02)
    # A quarter of the texts is tested, so a pair straddles with probability 2 · ¼ · ¾.
    assert (sides == DROPPED).mean() == pytest.approx(0.375, abs=0.04)


def test_no_warning_where_nothing_is_dropped():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split_by_content(singles(), "test")


def test_the_smallest_data_sets():
    assert len(split_by_content(singles(3), "test")) == 1
    with pytest.raises(ValueError, match="No pair is left for split 'train'"):
        split_by_content(singles(1), "train")


def test_bad_settings():
    with pytest.raises(ValueError, match="split is 'validation'"):
        split_by_content(singles(), "validation")
    for fraction in (0, 1, -0.1, 7, float("nan")):
        with pytest.raises(ValueError, match=r"test_fraction is .*between 0 and 1"):
            split_by_content(singles(), "test", fraction)
