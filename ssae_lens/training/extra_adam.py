"""Optimisers that Cooper's solvers drive: a fused ExtraAdam, and multiplicative ascent for multipliers."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class FusedExtraAdam(torch.optim.Adam):
    """ExtraAdam with the arithmetic of Cooper's, in PyTorch's fused kernel, and parameters that keep their storage.

    Extrapolation moves to ``w − lr·û(w)`` and remembers w; the step moves from w by the gradient found there. Each of
    the two counts as a step of Adam, as in Cooper's.
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
        """Move to the extrapolated point, remembering where from."""
        self._before = self._before or [torch.empty_like(each) for each in self._weights()]
        torch._foreach_copy_(self._before, self._weights())
        self._extrapolated = True
        self._move()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move from the remembered point by the gradient of the extrapolated one."""
        if not self._extrapolated:
            raise RuntimeError("FusedExtraAdam.step was called before extrapolation, from which it goes on.")
        torch._foreach_copy_(self._weights(), self._before)
        self._extrapolated = False
        self._move()

    def _move(self) -> None:
        for group in self.param_groups:
            # Cooper adds ε before the second moment's correction, PyTorch after it.
            group["taken"] += 1
            group["eps"] = self.EPS / (1 - group["betas"][1] ** group["taken"]) ** 0.5
        super().step()

    def _weights(self) -> list[Tensor]:
        return [each for group in self.param_groups for each in group["params"]]


class MultiplicativeAscent(torch.optim.Optimizer):
    """Ascent on a positive multiplier by factors: λ ← λ · exp(lr · violation), up to the most it need be.

    A multiplier's right size is not known beforehand and spans orders of magnitude; factors find it in as many steps from
    above as from below, where additive steps overshoot.
    """

    LEAST = 1e-4

    def __init__(self, params: Iterable[Any], lr: float = 0.05, most: float = 1e6) -> None:
        super().__init__(params, {"lr": lr, "most": most, "maximize": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step from the gradients, which for multipliers are the violations."""
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    each.mul_(torch.exp(group["lr"] * each.grad)).clamp_(self.LEAST, group["most"])
