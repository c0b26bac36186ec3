"""Cooper's solvers as training uses them, with their optimisers.

- `DirectAlternating`: Cooper's alternating dual–primal step with its gradients computed directly.
- `FusedExtraAdam`: ExtraAdam, for Cooper's extrapolation, in PyTorch's fused kernel.
- `MultiplicativeAscent`: ascent on a positive multiplier by factors.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from cooper import LagrangianStore
from cooper.optim import (
    AlternatingDualPrimalOptimizer,
    ExtrapolationConstrainedOptimizer,
    RollOut,
    UnconstrainedOptimizer,
)
from torch import Tensor

from ssae_lens.training.config import SolverConfig
from ssae_lens.training.problem import ShiftProblem


def make_optimizer(problem: ShiftProblem, solver: SolverConfig) -> Any:
    """Return the Cooper optimiser whose `roll` is one training step."""
    weights = list(problem.ensemble.parameters())
    if problem.k is not None:
        return UnconstrainedOptimizer(problem, torch.optim.Adam(weights, lr=solver.lr, fused=True))
    duals = list(problem.dual_parameters())
    if solver.solver == "extragradient":
        return ExtrapolationConstrainedOptimizer(
            problem,
            primal_optimizers=FusedExtraAdam(weights, lr=solver.lr),
            dual_optimizers=FusedExtraAdam(duals, lr=solver.dual_lr, maximize=True),
        )
    problem.reuse_gradients()
    if problem.absolute:
        ascent = torch.optim.SGD(duals, lr=solver.dual_lr, maximize=True)
    else:
        ascent = MultiplicativeAscent(duals, lr=solver.dual_lr, maximum=problem.max_multiplier)
    return DirectAlternating(
        problem, primal_optimizers=torch.optim.Adam(weights, lr=solver.lr, fused=True), dual_optimizers=ascent
    )


class DirectAlternating(AlternatingDualPrimalOptimizer):
    """Cooper's alternating step for one constraint with a plain Lagrangian: the same numbers with less overhead.

    The gradient by a multiplier λ is the violation itself, and that by the weights is the gradient of loss + λ · violation
    at the new λ. Cooper builds and differentiates a Lagrangian for each of the two, which in a fit of tens of latents takes
    longer than the matrix products.
    """

    def roll(self, compute_cmp_state_kwargs: dict[str, Any] | None = None) -> RollOut:
        """Take one step of the multiplier, and then one of the weights at its new value."""
        state = self.cmp.compute_cmp_state(**(compute_cmp_state_kwargs or {}))
        ((constraint, observed),) = state.observed_constraints.items()
        multiplier: Any = constraint.multiplier
        violation, strict_violation = observed.extract_violations()
        multiplier.weight.grad = strict_violation.detach()
        self.dual_step()
        primal: Any = self.primal_optimizers
        weights = [weight for optimizer in primal for group in optimizer.param_groups for weight in group["params"]]
        loss: Any = state.loss
        factors = (torch.ones_like(loss), multiplier.weight.detach())
        gradients = torch.autograd.grad((loss, violation), weights, factors, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        self.primal_step()
        return RollOut(loss, state, LagrangianStore(), LagrangianStore())


class FusedExtraAdam(torch.optim.Adam):
    """ExtraAdam with the arithmetic of Cooper's, in PyTorch's fused kernel; parameters keep their storage.

    Extrapolation moves to ``w − lr·û(w)`` and remembers w; the step moves from w by the gradient at the extrapolated point.
    Each of the two counts as a step of Adam, as in Cooper's.
    """

    EPS = 1e-8

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, maximize: bool = False) -> None:
        super().__init__(params, lr=lr, eps=self.EPS, maximize=maximize, fused=True)
        for group in self.param_groups:
            group["taken"] = 0
        self._before: list[Tensor] = []
        self._extrapolated = False

    @torch.no_grad()
    def extrapolation(self) -> None:
        """Move to the extrapolated point and remember the starting point."""
        self._before = self._before or [torch.empty_like(weight) for weight in self._weights()]
        torch._foreach_copy_(self._before, self._weights())
        self._extrapolated = True
        self._move()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move from the starting point by the gradient at the extrapolated one."""
        if not self._extrapolated:
            raise RuntimeError("FusedExtraAdam.step was called before extrapolation; call extrapolation() first.")
        torch._foreach_copy_(self._weights(), self._before)
        self._extrapolated = False
        self._move()

    def _move(self) -> None:
        for group in self.param_groups:
            # Cooper adds ε before the second moment's bias correction, PyTorch after it.
            group["taken"] += 1
            group["eps"] = self.EPS / (1 - group["betas"][1] ** group["taken"]) ** 0.5
        super().step()

    def _weights(self) -> list[Tensor]:
        return [weight for group in self.param_groups for weight in group["params"]]


class MultiplicativeAscent(torch.optim.Optimizer):
    """Ascent on a positive multiplier by factors: λ ← λ · exp(lr · violation), up to a maximum.

    The right multiplier is not known beforehand and spans orders of magnitude; factors reach it in as many steps from above
    as from below, where additive steps overshoot.
    """

    MINIMUM = 1e-4

    def __init__(self, params: Iterable[Any], lr: float = 0.05, maximum: float = 1e6) -> None:
        super().__init__(params, {"lr": lr, "maximum": maximum, "maximize": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step from the gradients, which for multipliers are the violations."""
        for group in self.param_groups:
            for multiplier in group["params"]:
                if multiplier.grad is not None:
                    multiplier.mul_(torch.exp(group["lr"] * multiplier.grad))
                    multiplier.clamp_(self.MINIMUM, group["maximum"])
