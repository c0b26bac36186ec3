"""How sparse codes are: each measure's value over a batch, and its derivative by the codes.

All work on codes of shape (members, batch, latents) and give one value a member, summed over latents and averaged over
the batch, so that an L1 of 3 is three units of code a shift and a count of 3 is three active codes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# A code counts as active beyond this share of the unconstrained fit's mean |code|.
STEP_THRESHOLD = 0.1


@dataclass
class Measure:
    """A sparsity measure at a moment of training.

    Attributes
    ----------
    kind
        ``"l1"``, ``"smooth"`` or ``"step"``.
    width
        δ of the smooth count for each member; the threshold of the step.
    k
        With ``"topk"`` selection, how many codes of a shift are kept. None keeps all.
    """

    kind: str
    width: Float[Tensor, " m"] | None = None
    k: int | None = None

    def select(self, codes: Float[Tensor, "m b h"]) -> Float[Tensor, "m b h"]:
        """Keep the k largest ``|codes|`` of each shift, with their signs."""
        if self.k is None or self.k >= codes.shape[-1]:
            return codes
        largest = codes.abs().topk(self.k, dim=-1, sorted=False).indices
        return torch.zeros_like(codes).scatter_(-1, largest, codes.gather(-1, largest))

    def value(self, codes: Float[Tensor, "m b h"]) -> tuple[Float[Tensor, " m"], Tensor | None]:
        """Give the measure of a batch, and what `derivative` will want to know."""
        batch = codes.shape[1]
        if self.kind == "l1":
            return torch.linalg.vector_norm(codes, 1, dim=(1, 2)) / batch, None
        if self.kind == "smooth":
            # |h| / (1 + |h|/δ) is δ·(1 − 1/(1 + |h|/δ)).
            shrunk = codes.abs().div_(self._width(codes)).add_(1).reciprocal_()
            return self._width(codes)[:, 0, 0] * (codes.shape[2] - shrunk.sum((1, 2)) / batch), shrunk
        return (codes.abs() > self._width(codes)).float().sum((1, 2)) / batch, None

    def derivative(self, codes: Float[Tensor, "m b h"], known: Tensor | None) -> Float[Tensor, "m b h"]:
        """Give the derivative of each shift's measure by its codes (the step's is straight through a sigmoid-like slope)."""
        slope = codes.sign()
        if self.kind == "smooth":
            assert known is not None
            return slope.mul_(known).mul_(known)
        if self.kind == "step":
            width = self._width(codes)
            return slope.mul_(width / (codes.abs() + width).square_())
        return slope

    def _width(self, codes: Tensor) -> Tensor:
        assert self.width is not None
        return self.width[:, None, None].to(codes.dtype)
