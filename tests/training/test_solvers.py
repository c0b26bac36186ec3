import cooper
import pytest
import torch
from cooper.optim import AlternatingDualPrimalOptimizer, ExtraAdam, ExtrapolationConstrainedOptimizer
from torch import nn

from ssae_lens.training.config import ProblemConfig, SolverConfig
from ssae_lens.training.ensemble import Ensemble
from ssae_lens.training.objective import Loss
from ssae_lens.training.problem import ShiftProblem
from ssae_lens.training.solvers import DirectAlternating, FusedExtraAdam, MultiplicativeAscent, make_optimizer


def trained(kind, shifts, **config):
    """Weights after a hundred steps of an alternating solver of Cooper's kind."""
    config = ProblemConfig(d_sae=5, **config)
    members = Ensemble(shifts.shape[1], config, [0, 1])
    problem = ShiftProblem(members, config, torch.tensor([0.05, 0.4]), Loss("fvu", 2.0), 0.2)
    made = make_optimizer(problem, SolverConfig())
    optimizer = kind(problem, primal_optimizers=made.primal_optimizers, dual_optimizers=made.dual_optimizers)
    if kind is AlternatingDualPrimalOptimizer:
        problem.gradients = None  # memory of their own, at each step
    for step in range(100):
        optimizer.roll(compute_cmp_state_kwargs={"shifts": shifts[step::7]})
        members.renormalise()
    return [*members.parameters(), problem.multipliers_now]


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
def test_alternating_is_coopers_over_100_steps(config):
    shifts = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    ours, theirs = (trained(kind, shifts, **config) for kind in (DirectAlternating, AlternatingDualPrimalOptimizer))
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)


def test_is_what_alternates_by_default():
    config = ProblemConfig(d_sae=5)
    problem = ShiftProblem(Ensemble(6, config, [0]), config, torch.tensor([0.05]), Loss("fvu", 2.0), 0.2)
    assert type(make_optimizer(problem, SolverConfig())) is DirectAlternating


class Sparse(cooper.ConstrainedMinimizationProblem):
    """An autoencoder whose codes are bounded in size."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.encoder = nn.Parameter(torch.randn(6, 4, generator=generator))
        self.decoder = nn.Parameter(torch.randn(4, 6, generator=generator))
        self.bias = nn.Parameter(torch.zeros(4))
        self.data = torch.randn(100, 32, 6, generator=generator)
        self.bound = cooper.Constraint(
            cooper.ConstraintType.INEQUALITY, multiplier=cooper.multipliers.DenseMultiplier(num_constraints=1)
        )

    def compute_cmp_state(self, step):
        codes = self.data[step] @ self.encoder + self.bias
        violation = codes.abs().mean() - 0.3
        loss = (codes @ self.decoder - self.data[step]).square().mean()
        return cooper.CMPState(loss, {self.bound: cooper.ConstraintState(violation)})

    @property
    def weights(self):
        return [self.encoder, self.decoder, self.bias]


def solver(kind):
    problem = Sparse()
    duals = kind(list(problem.dual_parameters()), lr=5e-3, maximize=True)
    return problem, ExtrapolationConstrainedOptimizer(problem, kind(problem.weights, lr=1e-2), duals)


def test_extra_adam_is_coopers_over_100_steps():
    (ours, our_solver), (theirs, their_solver) = solver(FusedExtraAdam), solver(ExtraAdam)
    for step in range(100):
        our_solver.roll({"step": step})
        their_solver.roll({"step": step})
    assert next(iter(theirs.dual_parameters())).item() > 0.1
    both = ([*each.weights, *each.dual_parameters()] for each in (ours, theirs))
    for mine, yours in zip(*both, strict=True):
        torch.testing.assert_close(mine, yours, rtol=0, atol=1e-6)


def test_parameters_keep_their_storage():
    problem, optimiser = solver(FusedExtraAdam)
    before = [each.data_ptr() for each in problem.weights]
    for step in range(3):
        optimiser.roll({"step": step})
    assert [each.data_ptr() for each in problem.weights] == before


def test_state_round_trip():
    """Half the steps, a copy of the state, the other half: to the last bit what all steps in one give."""
    (whole, whole_solver), (first, first_solver), (second, second_solver) = (solver(FusedExtraAdam) for _ in range(3))
    for step in range(20):
        whole_solver.roll({"step": step})
    for step in range(10):
        first_solver.roll({"step": step})
    with torch.no_grad():
        for mine, yours in zip(second.weights, first.weights, strict=True):
            mine.copy_(yours)
    second.load_state_dict(first.state_dict())
    second_solver.load_state_dict(first_solver.state_dict())
    for step in range(10, 20):
        second_solver.roll({"step": step})
    assert all(torch.equal(a, b) for a, b in zip(whole.weights, second.weights, strict=True))
    assert torch.equal(*(next(iter(each.dual_parameters())) for each in (whole, second)))


def test_a_step_needs_its_extrapolation():
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    optimiser = FusedExtraAdam([weight])
    with pytest.raises(RuntimeError, match="before extrapolation"):
        optimiser.step()
    optimiser.extrapolation()
    optimiser.step()
    with pytest.raises(RuntimeError, match="before extrapolation"):
        optimiser.step()


def test_multiplicative_ascent():
    multiplier = nn.Parameter(torch.tensor([1.0, 1.0, 9.99, 1e-4]))
    multiplier.grad = torch.tensor([0.5, -1.0, 1.0, -1.0])
    MultiplicativeAscent([multiplier], lr=0.1, maximum=10.0).step()
    wanted = [torch.tensor(0.05).exp().item(), torch.tensor(-0.1).exp().item(), 10.0, MultiplicativeAscent.MINIMUM]
    torch.testing.assert_close(multiplier.detach(), torch.tensor(wanted))
