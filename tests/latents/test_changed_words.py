"""Words that change with latents."""

import numpy as np
import pytest

from ssae_lens.latents.changed_words import ChangedWords, WordChange, foremost, label_of


def changes_of(pairs, codes):
    words = ChangedWords([source for source, _ in pairs], [target for _, target in pairs], 1)
    words.add(slice(0, len(pairs)), np.array(codes, dtype=float)[:, None])
    return words.of(0)


def test_a_change_counts_in_both_directions():
    pairs = [("He is here", "He was here")] * 6 + [("It was red", "It is red")] * 4
    assert changes_of(pairs, [1] * 6 + [-1] * 4) == [WordChange("is", "was", 10, 1.0)]
    assert changes_of(pairs, [-1] * 6 + [1] * 4) == [WordChange("was", "is", 10, 1.0)]


def test_the_correlation_is_the_cosine_with_the_codes():
    pairs = [("is", "was")] * 9 + [("a", "b")] * 7
    codes = np.array([2.0] * 8 + [-1.0] + [0.5] * 7)
    signs = np.array([1.0] * 9 + [0.0] * 7)
    (change, other) = changes_of(pairs, codes)
    assert (change.before, change.after, change.n_pairs) == ("is", "was", 9)
    assert change.correlation == pytest.approx(codes @ signs / np.linalg.norm(codes) / np.linalg.norm(signs))
    assert (other.before, other.after) == ("a", "b")


def test_words_that_change_in_either_direction_are_left_out():
    """Of 16 changes 13 in one direction are 2.5 standard deviations; 12 are not, nor are 6 of 6."""
    assert changes_of([("x", "")] * 16, [1] * 13 + [-1] * 3)[0].before == "x"
    assert changes_of([("x", "")] * 16, [1] * 12 + [-1] * 4) == []
    assert changes_of([("x", "")] * 6, [1] * 6) == []
    assert changes_of([("x", "")] * 7, [1] * 7)[0].n_pairs == 7


def test_a_long_difference_is_taken_apart():
    pairs = [("The dog that I saw bit the man", "The man was bitten by the dog I saw")] * 8
    found = {(each.before, each.after) for each in changes_of(pairs, [1] * 8)}
    assert all(not (before and after) or len(f"{before} {after}".split()) <= 6 for before, after in found)
    assert ("", "by") in found or ("", "bitten") in found


def test_of_changes_that_share_a_word_the_foremost_is_kept():
    pairs = [("summer", "winter")] * 10 + [("summer", "the winter")] * 8
    assert [each[:2] for each in changes_of(pairs, [1] * 18)] == [("summer", "winter")]


def test_the_label_has_the_foremost_changes_only():
    changes = [WordChange("is", "was", 9, 0.6), WordChange("", "by", 9, 0.3), WordChange("not", "", 9, 0.1)]
    assert label_of(changes) == "is → was, + by"
    assert foremost(changes) == changes[:2]
    assert str(changes[2]) == "− not"
    assert label_of([]) == ""


def test_blocks_add_up():
    rng = np.random.default_rng(0)
    pairs = [("is", "was") if flag else ("now", "then") for flag in rng.random(40) < 0.5]
    codes = rng.normal(size=(40, 3)) + 1
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    whole, parts = ChangedWords(*sides, 3), ChangedWords(*sides, 3)
    whole.add(slice(0, 40), codes)
    for start in (0, 16, 32):
        parts.add(slice(start, start + 16), codes[start : start + 16])
    for latent in range(3):
        assert [each[:3] for each in whole.of(latent)] == [each[:3] for each in parts.of(latent)]


def test_no_change_is_frequent_enough():
    assert changes_of([("a", "b"), ("c", "d")], [1, 1]) == []
