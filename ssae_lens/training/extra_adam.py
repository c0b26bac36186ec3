"""Optimisers that Cooper's solvers drive: a multi-tensor ExtraAdam, and multiplicative ascent for multipliers."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from cooper.optim.torch_optimizers import ExtragradientOptimizer
from torch import Tensor


class ForeachExtraAdam(ExtragradientOptimizer):
    """ExtraAdam with the arithmetic of Cooper's, all tensors at once, and parameters that keep their storage.

    Extrapolation moves to ``w − lr·û(w)`` and remembers w; the step moves from w by the gradient found there. Each of
    the two counts as a step of Adam, as in Cooper's.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def extrapolation(self) -> None:
        """Move to the extrapolated point, remembering where from."""
        groups = [self._with_gradients(group) for group in self.param_groups]
        if not self.params_copy:
            self.params_copy = [weights.detach().clone() for params in groups for weights in params]  # type: ignore[misc]
        for group, params in zip(self.param_groups, groups, strict=True):
            self._move([each.data for each in params], params, group)

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move from the remembered point by the gradient of the extrapolated one."""
        if not self.params_copy:
            raise RuntimeError("Need to call extrapolation before calling step.")
        groups = [self._with_gradients(group) for group in self.param_groups]
        torch._foreach_copy_([each.data for params in groups for each in params], list(self.params_copy))
        for group, params in zip(self.param_groups, groups, strict=True):
            self._move([each.data for each in params], params, group)
        self.params_copy = []

    @staticmethod
    def _with_gradients(group: dict[str, Any]) -> list[Tensor]:
        return [each for each in group["params"] if each.grad is not None]

    def _move(self, weights: list[Tensor], params: list[Tensor], group: dict[str, Any]) -> None:
        if not params:
            return
        for each in params:
            if not self.state[each]:
                zeros = torch.zeros_like(each, memory_format=torch.preserve_format)
                self.state[each].update(step=0, exp_avg=zeros, exp_avg_sq=zeros.clone())
        states = [self.state[each] for each in params]
        for state in states:
            state["step"] += 1
        beta1, beta2 = group["betas"]
        gradients = [each.grad for each in params if each.grad is not None]
        if group["maximize"]:
            gradients = torch._foreach_neg(gradients)
        means = [state["exp_avg"] for state in states]
        squares = [state["exp_avg_sq"] for state in states]
        torch._foreach_mul_(means, beta1)
        torch._foreach_add_(means, gradients, alpha=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        lengths = torch._foreach_sqrt(squares)
        torch._foreach_add_(lengths, group["eps"])
        count = states[0]["step"]
        rate = group["lr"] * math.sqrt(1 - beta2**count) / (1 - beta1**count)
        torch._foreach_addcdiv_(weights, means, lengths, -rate)


class MultiplicativeAscent(torch.optim.Optimizer):
    """Ascent on a positive multiplier by factors: λ ← λ · exp(lr · violation), the violation held within ±1.

    A multiplier's right size is not known beforehand and spans orders of magnitude; factors find it in as many steps from
    above as from below, where additive steps overshoot.
    """

    LEAST, MOST = 1e-4, 1e6

    def __init__(self, params: Iterable[Any], lr: float = 0.05) -> None:
        super().__init__(params, {"lr": lr, "maximize": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step from the gradients, which for multipliers are the violations."""
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    each.mul_(torch.exp(group["lr"] * each.grad.clamp(-1, 1))).clamp_(self.LEAST, self.MOST)
