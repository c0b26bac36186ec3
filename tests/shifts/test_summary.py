"""What `summarise` says, against the same computed from the whole arrays."""

import json

import numpy as np
import pytest

from ssae_lens.shifts import ShiftStore, spectrum_figure, summarise

N, D = 150, 16


@pytest.fixture
def store(sides, known):
    sides[1, [3, 4, 120]] = sides[0, [3, 4, 120]]
    sides[1, :, 5] = sides[0, :, 5] = 0
    return ShiftStore.from_arrays(*sides, **known)


def test_numbers(store):
    summary = summarise(store, leading=10)
    norms = np.sqrt((store.shifts.astype(np.float64) ** 2).sum(axis=1))
    assert summary["norms"]["shifts"]["mean"] == pytest.approx(norms.mean(), rel=1e-6)
    assert summary["norms"]["shifts"]["p95"] == pytest.approx(np.quantile(norms, 0.95), rel=1e-6)
    assert summary["norms"]["source"]["p100"] == pytest.approx(np.linalg.norm(store.source, axis=1).max(), rel=1e-6)
    singular = np.linalg.svd(store.shifts.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(summary["spectrum"]["singular_values"], singular[:10], rtol=1e-9)
    share = singular**2 / (store.shifts.astype(np.float64) ** 2).sum()
    np.testing.assert_allclose(summary["spectrum"]["share"], share[:10], rtol=1e-9)
    assert summary["zero_shifts"] == 3
    assert summary["constant_dimensions"] == 1
    assert (summary["rows"], summary["pairs"], summary["d_model"]) == (N, N // 2, D)
    assert summary["origin"] == store.origin.to_dict()


def test_labels(store, known):
    summary = summarise(store)
    labels = np.asarray(known["labels"])
    assert summary["labels"]["tense"] == {
        "-1": int((labels[:, 1] < 0).sum()),
        "0": int((labels[:, 1] == 0).sum()),
        "+1": int((labels[:, 1] > 0).sum()),
    }
    assert sum(summary["changes_per_row"]) == N
    assert summary["changes_per_row"][2] == int((np.abs(labels).sum(axis=1) == 2).sum())


def test_effective_rank():
    """Five equally strong orthogonal shifts count as five; one shift, however often, as one."""
    five = np.eye(8)[:5].repeat(10, axis=0)
    assert summarise(ShiftStore.from_arrays(0 * five, five))["effective_rank"] == pytest.approx(5)
    one = five[:10]
    assert summarise(ShiftStore.from_arrays(0 * one, one))["effective_rank"] == pytest.approx(1)
    assert summarise(ShiftStore.from_arrays(one, one))["effective_rank"] == 0


def test_is_json(store, tmp_path):
    with store.save(tmp_path / "shifts.h5") as file:
        assert json.loads(json.dumps(summarise(file)))["path"] == str(tmp_path / "shifts.h5")


def test_figure(store):
    figure = spectrum_figure(summarise(store, leading=4))
    bars, line = figure.data
    assert len(bars.y) == 4
    assert line.y[-1] == pytest.approx(sum(bars.y))
    assert "blocks.3.hook_resid_post" in figure.layout.title.text
