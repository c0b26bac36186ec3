"""How sparse codes are: each measure's value over a batch, and its derivative by the codes.

All work on codes of shape (members, batch, latents) and give one value a member, summed over latents and averaged over
the batch, so that an L1 of 3 is three units of code a shift and a count of 3 is three active codes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass
class Measure:
    """A sparsity measure at a moment of training.

    Attributes
    ----------
    kind
        ``"l1"``, ``"smooth"`` or ``"step"``.
    width
        δ of the smooth count for each member, and of the slope that stands in for the step's.
    threshold
        What a code must exceed to count for the step.
    k
        With ``"topk"`` selection, how many codes of a shift are kept. None keeps all.
    """

    kind: str
    width: Float[Tensor, " m"] | None = None
    threshold: float = 0.0
    k: int | None = None

    def select(self, codes: Float[Tensor, "m b h"]) -> Float[Tensor, "m b h"]:
        """Keep the k largest ``|codes|`` of each shift, with their signs."""
        if self.k is None or self.k >= codes.shape[-1]:
            return codes
        largest = codes.abs().topk(self.k, dim=-1, sorted=False).indices
        return torch.zeros_like(codes).scatter_(-1, largest, codes.gather(-1, largest))

    def value(self, codes: Float[Tensor, "m b h"]) -> tuple[Float[Tensor, " m"], Tensor | None]:
        """Return the measure of a batch, and what `derivative` will want to know."""
        batch = codes.shape[1]
        if self.kind == "l1":
            # Σ |h| is h · sign(h): a product of vectors, and the sign is the derivative.
            signs = codes.sign()
            return (codes.reshape(len(codes), 1, -1) @ signs.reshape(len(codes), -1, 1))[:, 0, 0] / batch, signs
        if self.kind == "smooth":
            # |h| / (1 + |h|/δ) is δ·(1 − 1/(1 + |h|/δ)).
            shrunk = codes.abs().div_(self._width(codes)).add_(1).reciprocal_()
            return self._width(codes)[:, 0, 0] * (codes.shape[2] - shrunk.sum((1, 2)) / batch), shrunk
        return (codes.abs() > self.threshold).sum((1, 2)).to(codes.dtype) / batch, None

    def __call__(self, codes: Float[Tensor, "m b h"]) -> Float[Tensor, " m"]:
        """Return the measure of a batch, differentiable by PyTorch with this measure's own derivative."""
        fixed = codes.detach()
        value, known = self.value(fixed)
        along = (codes * self.derivative(fixed, known)).sum((1, 2)) / codes.shape[1]
        return value + along - along.detach()

    def derivative(self, codes: Float[Tensor, "m b h"], known: Tensor | None) -> Float[Tensor, "m b h"]:
        """Return the derivative of each shift's measure by its codes. The step passes on that of |h| / (|h| + δ)."""
        if self.kind == "step":
            width = self._width(codes)
            return codes.sign().mul_(width / codes.abs().add_(width).square_())
        assert known is not None
        return known if self.kind == "l1" else codes.sign().mul_(known).mul_(known)

    def _width(self, codes: Tensor) -> Tensor:
        assert self.width is not None
        return self.width[:, None, None].to(codes.dtype)
