from dataclasses import replace

import pytest

from ssae_lens.evals import built_in
from ssae_lens.models import load_model
from studies.steering import METHODS, SteeringStudySettings, study

pytestmark = pytest.mark.slow


def test_labels_steer_sentiment_and_chance_does_not():
    task = built_in(["positive sentiment"], n_pairs=60)[0].with_prompts(2)
    task = replace(task, contrasts=task.contrasts.select(range(48)), elsewhere=())
    settings = SteeringStudySettings(
        scales=(0.35,),
        multipliers=(-1.0, 0.0, 1.0),
        max_new_tokens=12,
        n_contents=4,
        long_tasks=(),
        layer_tasks=(),
    )
    methods = {name: METHODS[name] for name in ("CAA", "random")}
    result = study([task], model=load_model("smollm2-135m"), methods=methods, settings=settings, quiet=True)
    by = result.table.set_index("method")
    assert set(by.index) == {"CAA", "random", "unsteered"}
    # What labels give moves held-out texts of another kind than it was learned from, and most of them the right way.
    assert by.loc["CAA", "steerability_low"] > 0
    assert by.loc["CAA", "anti_steerable"] < 0.25
    assert abs(by.loc["random", "steerability"]) < by.loc["CAA", "steerability"] / 3
    assert by.loc["CAA", "own_effect"] > abs(by.loc["random", "own_effect"])
    assert by.loc["unsteered", "kl"] == 0
    assert 0.4 < by.loc["unsteered", "coherence"] < 1
    assert all(judge["right"] > 0.8 for judge in result.judges())
