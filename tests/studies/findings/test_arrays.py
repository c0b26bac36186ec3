import numpy as np
import pytest
from scipy.stats import spearmanr

from studies.findings.arrays import alike, estimate, rank_correlation, same_geometry


def test_estimate_is_the_statistic_in_its_interval():
    values = np.random.default_rng(0).normal(size=50)
    found = estimate(values)
    assert found["estimate"] == pytest.approx(values.mean())
    error = values.std() / np.sqrt(50)
    assert found["low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.4 * error)
    assert found["high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.4 * error)


def test_rank_correlation_is_scipys_with_ties():
    pairs = np.random.default_rng(0).integers(0, 6, (40, 2)).astype(float)
    pairs[:, 1] += pairs[:, 0]
    assert rank_correlation(pairs) == pytest.approx(spearmanr(*pairs.T).statistic)
    assert rank_correlation(np.ones((5, 2))) == 0


def test_a_turned_space_has_the_same_geometry_and_another_has_not():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 8))
    turn = np.linalg.qr(rng.normal(size=(12, 8)))[0]
    assert same_geometry(rows, 3 * rows @ turn.T + 5)["estimate"] == pytest.approx(1)
    other = same_geometry(rows, rng.normal(size=(30, 8)))
    assert other["low"] < 0 < other["high"]
    a, b = np.triu_indices(30, 1)
    due = np.corrcoef(alike(rows)[a, b], alike(rows[:, :4])[a, b])[0, 1]
    assert same_geometry(rows, rows[:, :4])["estimate"] == pytest.approx(due)
