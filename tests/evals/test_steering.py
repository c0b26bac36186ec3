"""`steering` on a task with a known vector."""

import json

import numpy as np
import pytest

from ssae_lens.dashboards.build import comparison_of
from ssae_lens.evals import Intervention, steering
from ssae_lens.evals.experiment import SteeringExperiment, best_scale, neutral_norm, unit_vector
from ssae_lens.models import tiny_model


@pytest.fixture(scope="module")
def result(model, task, settings, planted, aimless):
    vectors = {"planted": planted.vector * 7, "aimless": aimless[0], "asking": Intervention(prefix=task.prefix)}
    return steering(model, vectors, task, settings=settings, quiet=True)


def test_has_a_row_for_each_vector_and_for_the_unsteered_model(result):
    assert result.table["method"].tolist() == ["planted", "aimless", "asking", "unsteered"]
    by = result.table.set_index("method")
    assert by.loc["planted", "behaviour"] == 1
    assert by.loc["planted", "steerability"] > 0
    assert by.loc["planted", "anti_steerable"] == 0
    assert by.loc["aimless", "behaviour"] < 0.5
    assert by.loc["unsteered", "scale"] == 0
    assert np.isnan(by.loc["unsteered", "steerability"])


def test_the_scale_is_chosen_on_the_other_half_of_the_prompts(result, model, task, settings, planted):
    experiment = SteeringExperiment(model, task, settings)
    one = Intervention(unit_vector(planted.vector, neutral_norm(model, planted.vector.hook_name)))
    sweep = experiment.scale_sweep(one)
    row = result.table.set_index("method").loc["planted"]
    assert row["scale"] == best_scale(sweep)
    report = experiment.report(one, best_scale(sweep))
    assert row["behaviour"] == np.mean(report["behaviour"])
    assert row["coherence"] == pytest.approx(np.mean(report["coherence"]))
    assert set(report["texts"]) & set(task.choosing) == set()


def test_one_vector_without_a_name(model, task, settings, planted):
    alone = steering(model, planted.vector, task, settings=settings, quiet=True)
    assert alone.table["method"].tolist() == ["0", "unsteered"]


def test_it_is_a_text_a_figure_and_files(result, tmp_path):
    text = result.text()
    assert repr(result) == text
    assert all(word in text for word in ("happiness", "planted", "your function", "behaviour × coherence"))
    assert {"planted", "aimless", "asking", "unsteered", "Pareto front"} <= {
        trace.name for trace in result.figure().data
    }
    result.save(tmp_path)
    saved = json.loads((tmp_path / "steering.json").read_text())
    assert len(saved["table"]) == 4
    shown = comparison_of(saved)
    assert {row["method"] for row in shown["scores"]} == {"planted", "aimless", "asking", "unsteered"}


def test_bad_input(model, task, planted, settings):
    with pytest.raises(ValueError, match="Did you mean 'politeness'"):
        steering(model, planted.vector, "politness")
    with pytest.raises(ValueError, match="vectors is empty"):
        steering(model, {}, task, settings=settings)
    with pytest.raises(ValueError, match="give SteeringVectors or Interventions"):
        steering(model, {"x": 3}, task, settings=settings)
    with pytest.raises(ValueError, match="d_model"):
        steering(tiny_model("gpt2", d_model=16), planted.vector, task, settings=settings)
