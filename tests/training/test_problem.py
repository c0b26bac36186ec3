import itertools

import cooper
import pytest
import torch

from ssae_lens.metrics import mcc_codes
from ssae_lens.training import train
from ssae_lens.training.config import SOLVERS, ProblemConfig, SolverConfig
from ssae_lens.training.ensemble import Ensemble
from ssae_lens.training.objective import Loss, Measure
from ssae_lens.training.problem import ShiftProblem
from ssae_lens.training.solvers import make_optimizer

from .conftest import make_synthetic

R, H = 7, 5
FIT = 0.2


def make_problem(bounds=(0.1, 0.3), warmup=0.0, **config):
    by_budget = "level" not in config
    config = ProblemConfig(d_sae=H, **config, **({"budget": bounds[0]} if by_budget else {}))
    members = Ensemble(R, config, range(len(bounds)))
    return ShiftProblem(members, config, torch.tensor(bounds), Loss("fvu", 2.0), FIT, warmup)


@pytest.fixture
def shifts():
    return torch.randn(12, R)


def state_of(problem, shifts):
    state = problem.compute_cmp_state(shifts)
    found = next(iter(state.observed_constraints.values()))
    return state.loss, found.violation, found.strict_violation


def plain(problem, shifts):
    codes = shifts @ problem.ensemble.W_enc
    lost = (codes @ problem.ensemble.W_dec - shifts).square().sum((1, 2)) / len(shifts) / 2
    return lost, codes.abs().sum((1, 2)) / len(shifts)


def test_relative_level(shifts):
    problem = make_problem(level=0.1)
    lost, sparsity = plain(problem, shifts)
    loss, violation, strict_violation = state_of(problem, shifts)
    levels = torch.tensor([0.1, 0.3]) * FIT
    torch.testing.assert_close(loss, lost.sum())
    torch.testing.assert_close(violation, sparsity / H / levels - 1)
    torch.testing.assert_close(strict_violation, violation.detach().clamp(-1, 1))
    assert problem.multipliers_now.tolist() == [1, 1]


def test_absolute_level_is_the_reference_codes(shifts):
    problem = make_problem(level=0.1, level_unit="absolute")
    _, violation, strict_violation = state_of(problem, shifts)
    codes = shifts @ problem.ensemble.W_enc
    wanted = codes.abs().mean((1, 2)) - torch.tensor([0.1, 0.3])
    torch.testing.assert_close(violation, wanted)
    torch.testing.assert_close(strict_violation, wanted)
    assert problem.multipliers_now.tolist() == [0, 0]


def test_budget(shifts):
    problem = make_problem()
    lost, sparsity = plain(problem, shifts)
    loss, violation, strict_violation = state_of(problem, shifts)
    budgets = torch.tensor([0.1, 0.3])
    torch.testing.assert_close(loss, sparsity.sum())
    torch.testing.assert_close(violation, lost - budgets)
    torch.testing.assert_close(strict_violation, (lost.detach() / budgets - 1).clamp(-1, 1))


def test_a_budget_is_beyond_what_must_be_lost():
    problem = make_problem()
    config = problem.problem
    more = ShiftProblem(problem.ensemble, config, torch.tensor([0.1, 0.3]), Loss("fvu", 2.0), FIT, floor=0.4)
    torch.testing.assert_close(more.bounds, torch.tensor([0.4 + 0.6 * 0.1, 0.4 + 0.6 * 0.3]))


def test_topk_has_no_constraint(shifts):
    problem = make_problem(bounds=(2.0,), level=2.0, sparsity="topk")
    problem.progress = 1.0
    state = problem.compute_cmp_state(shifts)
    assert not state.observed_constraints
    assert problem.multipliers_now.tolist() == [0]
    codes = Measure("l1", k=2).select(shifts @ problem.ensemble.W_enc)
    torch.testing.assert_close(state.loss, (codes @ problem.ensemble.W_dec - shifts).square().sum() / 12 / 2)


def test_a_level_tightens_after_the_warmup():
    problem = make_problem(level=0.1, warmup=0.2)
    dense, final = torch.full((2,), H * FIT), torch.tensor([0.1, 0.3]) * FIT * H
    for progress, share in ((0, 0), (0.2, 0), (0.4, 0.5), (0.6, 1), (1, 1)):
        problem.progress = progress
        torch.testing.assert_close(problem.bound, dense + share * (final - dense))


def test_k_and_delta_are_annealed():
    problem = make_problem(bounds=(2.0,), level=2.0, sparsity="topk")
    found = []
    for progress in (0.0, 0.2, 0.4, 1.0):
        problem.progress = progress
        found.append(problem.measure.k)
    assert found[0] == H
    assert found[2:] == [2, 2]
    assert sorted(found, reverse=True) == found
    problem = make_problem(warmup=0.3)
    assert problem.measure.kind == "l1"
    widths = []
    for progress in (0.31, 0.5, 0.7, 1.0):
        problem.progress = progress
        assert problem.measure.kind == "smooth"
        widths.append(problem.measure.width[0].item() / FIT)
    assert widths[0] == pytest.approx(10, rel=0.1)
    assert widths[2:] == pytest.approx([1, 1])


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_are_coopers(solver):
    problem = make_problem()
    assert isinstance(problem, cooper.ConstrainedMinimizationProblem)
    assert isinstance(make_optimizer(problem, SolverConfig(solver=solver)), cooper.optim.ConstrainedOptimizer)


@pytest.mark.parametrize(
    ("solver", "bound"),
    [
        pytest.param(solver, bound, marks=[] if solver == "alternating" else pytest.mark.slow)
        for solver, bound in itertools.product(SOLVERS, [{}, {"level": 0.4}])
    ],
)
def test_every_solver_finds_the_concepts(solver, bound):
    synthetic = make_synthetic(n=1500, most=1)
    given = {"d_sae": 5, "steps": 900 if bound else 600, "batch_size": 128, "restarts": 1, "quiet": True}
    ssae = train(synthetic.shifts, solver=solver, **bound, **given)
    assert ssae.outcome.status == "binding"
    assert mcc_codes(ssae.encode(synthetic.shifts).detach().numpy(), synthetic.factors.numpy()).score > 0.99


@pytest.mark.slow
def test_topk_finds_many_concepts():
    """As many concepts as could be mixed up: the number of active codes is met, and nearly nothing is lost."""
    synthetic = make_synthetic(n=4000, d=32, concepts=20, most=2)
    ssae = train(synthetic.shifts, sparsity="topk", level=2, d_sae=20, steps=1000, restarts=2, quiet=True)
    assert ssae.outcome.status != "infeasible"
    assert ssae.outcome.loss < 0.05
    assert mcc_codes(ssae.encode(synthetic.shifts).detach().numpy(), synthetic.factors.numpy()).score > 0.95
