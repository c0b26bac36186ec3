"""The tiny model, task and vectors of the tests of `ssae_lens.evals`, with the settings of the study."""

from dataclasses import asdict
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from studies.steering import SteeringStudySettings

_spec = spec_from_file_location("evals_conftest", Path(__file__).parents[2] / "evals" / "conftest.py")
_evals = module_from_spec(_spec)
_spec.loader.exec_module(_evals)
model, token, task, norms = _evals.model, _evals.token, _evals.task, _evals.norms
planted, aimless, of_evals = _evals.planted, _evals.aimless, _evals.settings


@pytest.fixture(scope="session")
def settings():
    small = {"n_seeds": 2, "n_contents": 1, "long_tasks": (), "long_prompts": 2, "long_tokens": 8, "window": 4}
    return SteeringStudySettings(**asdict(_evals.settings.__wrapped__()), **small, layer_tasks=())
