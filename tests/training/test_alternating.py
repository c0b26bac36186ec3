import pytest
import torch
from cooper.optim import AlternatingDualPrimalOptimizer

from ssae_lens.training.alternating import DirectAlternating
from ssae_lens.training.config import ProblemConfig, SolverConfig
from ssae_lens.training.ensemble import Ensemble
from ssae_lens.training.objective import Loss
from ssae_lens.training.problem import ShiftProblem
from ssae_lens.training.solvers import make_optimizer


def trained(kind, shifts, solver, **config):
    """A hundred steps on batches, with a solver's own optimisers in the hands of a kind of Cooper's."""
    config = ProblemConfig(d_sae=5, **config)
    members = Ensemble(shifts.shape[1], config, [0, 1])
    problem = ShiftProblem(members, config, torch.tensor([0.05, 0.4]), Loss("fvu", 2.0), 0.2)
    made = make_optimizer(problem, SolverConfig(solver=solver))
    optimizer = kind(problem, primal_optimizers=made.primal_optimizers, dual_optimizers=made.dual_optimizers)
    if kind is AlternatingDualPrimalOptimizer:
        problem.gradients = None  # memory of their own, at each step
    for step in range(100):
        optimizer.roll(compute_cmp_state_kwargs={"shifts": shifts[step::7]})
        members.renormalise()
    return [*members.parameters(), problem.multipliers_now]


@pytest.mark.parametrize("solver", ["alternating", "nupi"])
@pytest.mark.parametrize(
    "config",
    [
        {"budget": 0.05},
        {"level": 0.05},
        {"level": 0.05, "level_unit": "absolute"},
        {"level": 0.05, "bias": True, "code_norm": "layer", "sample_norm": "layer"},
    ],
    ids=["budget", "level", "absolute level", "not linear"],
)
def test_the_same_as_coopers_over_100_steps(solver, config):
    shifts = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    ours, theirs = (
        trained(kind, shifts, solver, **config) for kind in (DirectAlternating, AlternatingDualPrimalOptimizer)
    )
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)


def test_is_what_alternates_by_default():
    config = ProblemConfig(d_sae=5)
    problem = ShiftProblem(Ensemble(6, config, [0]), config, torch.tensor([0.05]), Loss("fvu", 2.0), 0.2)
    assert type(make_optimizer(problem, SolverConfig())) is DirectAlternating
