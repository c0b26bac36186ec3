"""Cooper's solvers by name, each with its optimisers."""

from typing import Any

import cooper
import torch
from cooper.optim import (
    AlternatingDualPrimalOptimizer,
    ExtrapolationConstrainedOptimizer,
    SimultaneousOptimizer,
    UnconstrainedOptimizer,
    nuPI,
)

from ssae_lens.training.alternating import DirectAlternating
from ssae_lens.training.config import SolverConfig
from ssae_lens.training.extra_adam import FusedExtraAdam, MultiplicativeAscent
from ssae_lens.training.problem import ShiftProblem

# The others alternate with a plain Lagrangian.
KINDS = {"simultaneous": SimultaneousOptimizer, "augmented": AlternatingDualPrimalOptimizer}


def formulation_for(solver: SolverConfig) -> type[cooper.formulations.Formulation]:
    """Return the Lagrangian that a solver works on."""
    if solver.solver == "augmented":
        return cooper.formulations.AugmentedLagrangian
    return cooper.formulations.Lagrangian


def make_optimizer(problem: ShiftProblem, solver: SolverConfig) -> Any:
    """Return the Cooper optimiser whose `roll` is one step of training."""
    weights = list(problem.members.parameters())
    if problem.problem.kind == "topk":
        return UnconstrainedOptimizer(problem, _adam(weights, solver.lr))
    duals = list(problem.dual_parameters())
    if solver.solver == "extragradient":
        return ExtrapolationConstrainedOptimizer(
            problem,
            primal_optimizers=FusedExtraAdam(weights, lr=solver.lr),
            dual_optimizers=FusedExtraAdam(duals, lr=solver.dual_lr, maximize=True),
        )
    kind = KINDS.get(solver.solver, DirectAlternating)
    if kind is DirectAlternating and not solver.compile:
        problem.reuse_gradients()
    return kind(problem, primal_optimizers=_adam(weights, solver.lr), dual_optimizers=_ascent(problem, duals, solver))


def _adam(weights: list[torch.nn.Parameter], lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(weights, lr=lr, fused=True)


def _ascent(problem: ShiftProblem, duals: list[Any], solver: SolverConfig) -> torch.optim.Optimizer:
    if solver.solver == "nupi":
        return nuPI(duals, lr=solver.dual_lr, Kp=torch.tensor(1.0), Ki=torch.tensor(1.0), ema_nu=0.9, maximize=True)
    if solver.solver == "augmented" or problem.absolute:
        return torch.optim.SGD(duals, lr=solver.dual_lr, maximize=True)
    return MultiplicativeAscent(duals, lr=solver.dual_lr, most=problem.max_multiplier)
