"""What the labels of captured pairs show."""

import numpy as np
import pytest
from planted import CONCEPTS, SIZES, D, directions, planted_store
from sklearn.linear_model import Ridge, RidgeCV

from ssae_lens.shifts import ShiftStore
from studies.language.data import LanguageData, labels_of, mean_shifts, random_signs


@pytest.fixture(scope="module")
def data():
    return LanguageData(planted_store(400), planted_store(150, seed=5))


def test_a_mean_shift_is_that_of_the_pairs_that_change_it(data):
    labels, shifts = data.train.labels, data.train.shifts
    for c in range(len(CONCEPTS)):
        turned = [labels[i, c] * shifts[i] for i in range(len(shifts)) if labels[i, c]]
        assert np.allclose(data.mean_shifts[c], np.mean(turned, axis=0), atol=1e-5)
    assert data.max_changed == 4


def test_a_concept_that_never_changes_has_no_mean_shift():
    assert not mean_shifts(np.ones((3, 4), np.float32), np.array([[1.0, 0], [1, 0], [-1, 0]]))[1].any()


def test_orienting_a_pair_swaps_its_sides_and_its_labels(data):
    source, target = data.sides
    back = data.orientation[:, 0] < 0
    assert 40 < back.sum() < 110
    assert np.array_equal(source[back], data.test.target[back])
    assert np.array_equal(target[~back], data.test.target[~back])
    assert np.array_equal(data.labels[back], -labels_of(data.test)[back])
    assert np.array_equal(random_signs(50, seed=3), random_signs(50, seed=3))


def test_the_ceiling_is_what_a_ridge_reads_held_out(data):
    shifts = data.train.shifts
    alphas = np.logspace(-4, 1, 11) * float((shifts**2).sum() / shifts.shape[1])
    alpha = RidgeCV(alphas=alphas, fit_intercept=False).fit(shifts, data.train.labels).alpha_
    fitted = Ridge(alpha=alpha, fit_intercept=False).fit(shifts, data.train.labels)
    source, target = data.sides
    predicted = fitted.predict(target - source)
    each = [abs(np.corrcoef(predicted[:, c], data.labels[:, c])[0, 1]) for c in range(len(CONCEPTS))]
    assert data.ceiling == pytest.approx(np.mean(each), abs=2e-3)
    assert min(each[:3]) > 0.99
    assert each[3] < 0.3


def test_unsteered_is_the_cosine_of_the_two_sides(data):
    each = [
        a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(data.test.source, data.test.target, strict=True)
    ]
    assert data.unsteered == pytest.approx(np.mean(each), abs=1e-5)


def test_mean_shifts_of_planted_concepts_lie_along_their_directions(data):
    sizes = np.linalg.norm(data.mean_shifts[:3], axis=1)
    cosines = (data.mean_shifts[:3] * directions()).sum(axis=1) / sizes
    assert cosines.min() > 0.9
    assert np.allclose(sizes, SIZES, rtol=0.2)


def test_pairs_without_labels_are_refused():
    bare = ShiftStore.from_arrays(np.zeros((2, D)), np.ones((2, D)), origin=planted_store(3).origin)
    with pytest.raises(ValueError, match="have no labels"):
        labels_of(bare)
