"""`DirectAlternating`: Cooper's alternating dual–primal step, with its gradients taken directly."""

from typing import Any

import torch
from cooper import LagrangianStore
from cooper.optim import AlternatingDualPrimalOptimizer, RollOut


class DirectAlternating(AlternatingDualPrimalOptimizer):
    """Cooper's alternating step for one constraint with a plain Lagrangian: the same numbers, with less around them.

    The gradient by a multiplier λ is the violation itself, and that by the weights is the one of loss + λ · violation at
    the new λ. Cooper builds a Lagrangian for each and differentiates it; in a fit of tens of latents that takes longer
    than the products.
    """

    def roll(self, compute_cmp_state_kwargs: dict[str, Any] | None = None) -> RollOut:
        """Take one step: the multiplier, and then the weights at what it has become."""
        state = self.cmp.compute_cmp_state(**(compute_cmp_state_kwargs or {}))
        ((constraint, observed),) = state.observed_constraints.items()
        multiplier: Any = constraint.multiplier
        violation, heard = observed.extract_violations()
        multiplier.weight.grad = heard.detach()
        self.dual_step()
        primal: Any = self.primal_optimizers
        weights = [each for one in primal for group in one.param_groups for each in group["params"]]
        loss: Any = state.loss
        prices = (torch.ones_like(loss), multiplier.weight.detach())
        gradients = torch.autograd.grad((loss, violation), weights, prices, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        self.primal_step()
        return RollOut(loss, state, LagrangianStore(), LagrangianStore())
