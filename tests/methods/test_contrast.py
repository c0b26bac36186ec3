import numpy as np
import pytest
import torch

from ssae_lens.methods._mean_shift import mean_shift
from ssae_lens.methods.contrast import Contrast
from ssae_lens.shifts import ShiftStore


@pytest.mark.parametrize("size", [1, 7, 2048])
def test_pairs_go_from_without_to_with_whatever_the_block(store, sides, labels, size):
    contrast = Contrast.of(store, "sentiment")
    without, with_it = (np.concatenate(each) for each in zip(*contrast.blocks(size), strict=True))
    signs = labels[:, 1]
    expected = [np.where(signs[:, None] > 0, *pair)[signs != 0] for pair in (sides, sides[::-1])]
    np.testing.assert_array_equal(without, expected[0])
    np.testing.assert_array_equal(with_it, expected[1])
    assert len(contrast) == len(without) == np.count_nonzero(signs)


def test_norms_are_those_of_its_pairs(store, sides, labels, signed):
    norms = Contrast.of(store, "sentiment").norms
    changed = labels[:, 1] != 0
    lengths = np.linalg.norm(np.concatenate([side[changed] for side in sides]).astype(np.float64), axis=1)
    assert norms["mean_residual_norm"] == pytest.approx(lengths.mean())
    assert norms["mean_shift_norm"] == pytest.approx(np.linalg.norm(signed, axis=1).mean())


def test_a_sample_is_some_of_the_pairs(store):
    contrast = Contrast.of(store, "tense")
    some = contrast.sample(20, seed=0)
    assert len(some) == 20
    kept = some.signs != 0
    np.testing.assert_array_equal(some.signs[kept], contrast.signs[kept])
    assert (some.signs != contrast.sample(20, seed=1).signs).any()
    assert contrast.sample(len(contrast), seed=0) is contrast


def test_without_labels_every_pair_goes_from_source_to_target(unlabelled, sides):
    (without, with_it), *more = Contrast.of(unlabelled).blocks()
    np.testing.assert_array_equal(without, sides[0])
    np.testing.assert_array_equal(with_it, sides[1])
    assert not more


def test_the_only_concept_need_not_be_named(sides, labels, store):
    one = ShiftStore.from_arrays(*sides, origin=store.origin, labels=labels[:, :1], concepts=["tense"])
    assert Contrast.of(one).concept == "tense"
    assert torch.equal(mean_shift(one).direction, mean_shift(store, "tense").direction)


def test_what_cannot_be_used_is_said(store, unlabelled, sides, labels):
    with pytest.raises(ValueError, match=r"'sentimnt'; it must be one of .* Did you mean 'sentiment'"):
        Contrast.of(store, "sentimnt")
    with pytest.raises(ValueError, match="several concepts; give concept as one of tense, sentiment, gender"):
        Contrast.of(store)
    with pytest.raises(ValueError, match="concept is 'tense', and the pairs have no labels"):
        Contrast.of(unlabelled, "tense")
    with pytest.raises(ValueError, match="shifts is a ndarray; give a ShiftStore"):
        Contrast.of(sides[0])
    with pytest.raises(ValueError, match="do not say at which hook"):
        Contrast.of(ShiftStore.from_arrays(*sides))
    still = ShiftStore.from_arrays(*sides, origin=store.origin, labels=np.zeros_like(labels), concepts=store.concepts)
    with pytest.raises(ValueError, match="'tense' changes in 0 of 300 pairs; at least 1 are needed"):
        Contrast.of(still, "tense")
