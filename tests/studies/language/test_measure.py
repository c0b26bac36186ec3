"""Scores of fitted dictionaries, against independent computations, and chance against a simulation."""

import numpy as np
import pytest
from planted import CONCEPTS, SIZES, D, directions, planted_store
from scipy.optimize import linear_sum_assignment

from ssae_lens.metrics import mcc_codes
from ssae_lens.metrics.matching import hungarian
from studies.baselines import FittedDictionary
from studies.language.data import LanguageData
from studies.language.measure import codes_of, expected_scores, matched_latents, scores, stability, steering_shift

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def data():
    return LanguageData(planted_store(400), planted_store(200, seed=5))


@pytest.fixture(scope="module")
def fitted():
    """The concepts' directions in another order, one turned, and two that are no concept's."""
    rows = np.concatenate([directions()[[2, 0, 1]] * [[-1], [1], [1]], RNG.normal(size=(2, D))]).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return FittedDictionary.linear(rows, np.linalg.pinv(rows))


def assigned(table):
    columns = linear_sum_assignment(-table.T)[1]
    return table[columns, np.arange(table.shape[1])]


def test_each_score_by_hand(data, fitted):
    got = scores(fitted, data)
    source, target = data.sides
    codes = (target - source) @ np.linalg.pinv(fitted.directions)
    both = abs(np.corrcoef(codes.T, data.labels.T)[: codes.shape[1], codes.shape[1] :])
    unit = data.mean_shifts / np.linalg.norm(data.mean_shifts, axis=1, keepdims=True)
    rows = assigned(abs(fitted.directions @ unit.T))
    assert got["mcc"] == pytest.approx(assigned(both).mean(), abs=1e-5)
    assert got["rows"] == pytest.approx(rows.mean(), abs=1e-5)
    assert got["rows_near"] == np.mean(rows >= 0.9) == 0.75
    assert got["same_latent"] >= 0.75
    assert got["per_concept"]["number"] == pytest.approx([assigned(both)[2], rows[2]], abs=1e-5)
    assert got["mcc_shuffled"] < 0.25
    lost = data.test.shifts @ (np.eye(D) - np.linalg.pinv(fitted.directions) @ fitted.directions)
    assert got["r2"] == pytest.approx(1 - (lost**2).sum() / (data.test.shifts**2).sum(), abs=1e-4)


def test_steering_adds_each_changed_concepts_row(data, fitted):
    latents, scales = matched_latents(fitted, data)
    assert latents[:3].tolist() == [1, 2, 0]
    assert np.allclose(abs(scales[:3]), SIZES, rtol=0.15)
    shift = steering_shift(fitted, data)
    by_hand = [
        sum(sign * scales[c] * fitted.directions[latents[c]] for c, sign in enumerate(labels) if sign)
        for labels in data.labels
    ]
    assert np.allclose(shift, [np.zeros(D) if isinstance(each, int) else each for each in by_hand], atol=1e-4)
    source, target = data.sides
    steered = source + shift
    cosines = (steered * target).sum(1) / np.linalg.norm(steered, axis=1) / np.linalg.norm(target, axis=1)
    got = scores(fitted, data)
    assert got["steered"] == pytest.approx(cosines.mean(), abs=1e-5)
    assert got["steered"] > 0.95 > data.unsteered
    norm = np.linalg.norm
    parts = source / norm(source) + shift / norm(shift), target / norm(target)
    authors = (parts[0] * parts[1]).sum(1) / norm(parts[0], axis=1) / norm(parts[1], axis=1)
    assert got["steered_authors"] == pytest.approx(authors.mean(), abs=1e-5)


def test_codes_of_activations_are_differences_of_both_sides(data):
    offset = FittedDictionary.linear(np.eye(D, dtype=np.float32), np.eye(D, dtype=np.float32), np.float32(3))
    twice = type(offset)(offset.directions, lambda rows: offset.encode(rows) ** 2, offset.decode, of_activations=True)
    source, target = data.sides
    assert np.allclose(codes_of(twice, source, target), (target - 3) ** 2 - (source - 3) ** 2)
    assert np.allclose(codes_of(offset, source, target), target - source - 3)


def test_seeds_that_agree_up_to_order_and_sign(data, fitted):
    turned = FittedDictionary.linear(-fitted.directions[::-1], -np.linalg.pinv(fitted.directions)[:, ::-1])
    got = stability([fitted, turned])
    assert got == pytest.approx({"stability": 1}, abs=1e-5)
    assert stability([fitted]) == {}
    other = RNG.normal(size=(5, D)).astype(np.float32)
    expected = hungarian(abs(fitted.directions @ (other / np.linalg.norm(other, axis=1, keepdims=True)).T)).score
    got = stability([fitted, FittedDictionary.linear(other, np.linalg.pinv(other))])["stability"]
    assert got == pytest.approx(expected, abs=1e-5)


def test_chance_is_what_a_simulation_gives(data):
    """Codes and rows drawn at random, labels as they are."""
    n, width = len(data.test), 6
    drawn = [RNG.normal(size=(n, width)) for _ in range(60)]
    rows = [RNG.normal(size=(width, D)) for _ in range(60)]
    targets = RNG.normal(size=(60, len(CONCEPTS), D))
    unit = [each / np.linalg.norm(each, axis=-1, keepdims=True) for each in (rows, targets)]
    simulated = {
        "mcc_chance": [mcc_codes(each, data.labels).score for each in drawn],
        "rows_chance": [assigned(abs(a @ b.T)).mean() for a, b in zip(*unit, strict=True)],
    }
    for name, expected in expected_scores(data, width).items():
        several = np.array(simulated[name])
        assert abs(several.mean() - expected) < 4 * several.std() / np.sqrt(60), name


def test_random_directions_and_shuffled_labels_are_at_chance(data):
    expected, many = expected_scores(data, 6), []
    for _ in range(12):
        rows = RNG.normal(size=(6, D)).astype(np.float32)
        many.append(scores(FittedDictionary.linear(rows, np.linalg.pinv(rows)), data))
    mean = {name: np.mean([each[name] for each in many]) for name in ("rows", "mcc_shuffled")}
    assert mean["rows"] == pytest.approx(expected["rows_chance"], abs=0.04)
    # Six codes of shifts that are three directions go together: chance has fewer tries than with six of their own.
    assert expected["mcc_chance"] - 0.04 < mean["mcc_shuffled"] < expected["mcc_chance"] + 0.01
