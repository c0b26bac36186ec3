import json

import numpy as np
import pytest

from ssae_lens.training.config import PRESETS, ProblemConfig, SolverConfig, as_dict, settings


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"d_sae": 0}, "d_sae is 0; it must be an integer"),
        ({"level": -0.1}, "level is -0.1; it must be greater than 0"),
        ({"level": float("nan")}, "level is nan"),
        ({"level": float("inf"), "level_unit": "absolute"}, "level is inf; it must be finite"),
        ({"level": 1.0}, "cannot bind; give less than 1"),
        ({"level": 9, "sparsity": "topk"}, "d_sae is only 8: it cannot bind"),
        ({"level": 2.5, "sparsity": "topk"}, "level is 2.5 with sparsity='topk'; it must be an integer"),
        ({"sparsity": "topk"}, "needs a level"),
        ({"sparsity": "step"}, "sparsity is 'step'"),
        ({"level": 0.1, "sparsity": "smooth"}, "which has none"),
        ({"budget": 1.0}, "fraction of variance"),
        ({"budget": 0}, "fraction of variance"),
        ({"sparsity": "L1"}, "Did you mean 'l1'"),
        ({"input": "whitened"}, "Did you mean 'whiten'"),
        ({"input": "whiten", "level": 2, "sparsity": "topk"}, "use 'subspace' or 'none'"),
        ({"input": "whiten", "sample_norm": "layer"}, "leave one out"),
        ({"code_norm": "rms"}, "code_norm is 'rms'"),
        ({"code_norm": "group"}, "code_norm is 'group'; it must be one of 'none', 'layer', 'batch'"),
        ({"level": 0.1, "budget": 0.05}, "level is 0.1 and budget is 0.05; give only one of them"),
        ({"budget": "little"}, "budget is 'little'"),
        ({"d_sae": True}, "d_sae is True"),
        ({"d_sae": np.float64(4)}, "d_sae is 4.0; it must be an integer"),
    ],
)
def test_unusable_problems(given, says):
    with pytest.raises(ValueError, match=says) as caught:
        ProblemConfig(**{"d_sae": 8, **given})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"solver": "extra"}, "Did you mean 'extragradient'"),
        ({"steps": 0}, "steps is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"lr": 0}, "lr is 0"),
        ({"dual_lr": -1}, "dual_lr is -1"),
        ({"warmup": 1.2}, "fraction of the steps"),
        ({"warmup": "half"}, "warmup is 'half'"),
        ({"lr": True}, "lr is True"),
        ({"restarts": 0}, "restarts is 0"),
    ],
)
def test_unusable_solvers(given, says):
    with pytest.raises(ValueError, match=says):
        SolverConfig(**given)


def test_what_is_meant():
    assert ProblemConfig(8).kind == "smooth"
    assert ProblemConfig(8, level=0.1).kind == "l1"
    assert ProblemConfig(8).input_map == "balanced"
    assert ProblemConfig(8, level=2, sparsity="topk").input_map == "subspace"
    assert ProblemConfig(8, sample_norm="layer").input_map == "none"
    assert ProblemConfig(8, input="whiten").input_map == "whiten"
    assert SolverConfig().restarts_for(8) > 1
    assert SolverConfig().restarts_for(1000) == 1
    assert SolverConfig(restarts=3).restarts_for(1000) == 3


def test_numpys_numbers_are_pythons():
    given = {"d_sae": np.int64(4), "level": np.float32(0.25), "bias": np.bool_(True)}
    problem, solver = settings(**given, steps=np.int32(7), lr=np.float32(0.5), warmup=np.float16(0.5))
    found = as_dict(problem, solver)
    assert {name: found[name] for name in given} == {"d_sae": 4, "level": 0.25, "bias": True}
    assert json.loads(json.dumps(found)) == found


def test_budget_or_level():
    assert (ProblemConfig(8).budget, ProblemConfig(8).bound) == (0.02, 0.02)
    assert ProblemConfig(8, budget=0.3).bound == 0.3
    assert (ProblemConfig(8, level=0.3).budget, ProblemConfig(8, level=0.3).bound) == (None, 0.3)
    with pytest.raises(ValueError, match=r"budget is 0.1 but preset='v2' has level=0.1; leave one"):
        settings("v2", d_sae=4, budget=0.1)
    assert settings("v2", d_sae=4, level=None, budget=0.1)[0].bound == 0.1
    assert settings("v1", d_sae=4, budget=0.1)[0].bound == 0.1


def test_settings_are_sorted():
    problem, solver = settings(d_sae=4, level=0.2, steps=7)
    assert (problem.level, solver.steps) == (0.2, 7)
    assert settings(**as_dict(problem, solver)) == (problem, solver)
    with pytest.raises(ValueError, match=r"'batchsize' is an unknown training option. Did you mean 'batch_size'"):
        settings(d_sae=4, batchsize=7)
    with pytest.raises(ValueError, match="preset is 'v3'"):
        settings("v3", d_sae=4)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_complete_and_can_be_changed(preset):
    problem, solver = settings(preset, d_sae=4, level=3.0, steps=5)
    assert (problem.level, problem.input_map, solver.solver, solver.steps) == (3.0, "none", "extragradient", 5)
    assert solver.dual_lr == solver.lr / 2
