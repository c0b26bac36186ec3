import numpy as np
import pytest
from scipy.stats import spearmanr

from studies.findings.inputs import estimate, rank_correlation
from studies.findings.layers import centred_cosines, same_geometry


def test_estimate_is_the_statistic_in_its_interval():
    values = np.random.default_rng(0).normal(size=50)
    result = estimate(values)
    assert result["estimate"] == pytest.approx(values.mean())
    error = values.std() / np.sqrt(50)
    assert result["low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.4 * error)
    assert result["high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.4 * error)


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
    expected = np.corrcoef(centred_cosines(rows)[a, b], centred_cosines(rows[:, :4])[a, b])[0, 1]
    assert same_geometry(rows, rows[:, :4])["estimate"] == pytest.approx(expected)
