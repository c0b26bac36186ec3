"""The loss and the sparsity of a batch, with a hand-written backward pass.

`evaluate` returns both, for every member of an ensemble at once, as tensors that any of Cooper's Lagrangians can combine.
The gradient of the decoder is tangent to its unit rows. There are two routes to the same numbers:

- by residuals, with five products of batch × input × latents (encode, decode, and three for the gradients), which an
  autoencoder of any kind costs;
- by second moments, since an SSAE is linear. With E and D the encoder and decoder, C the second moments of the batch and
  M = ED − 1, the loss is tr(MᵀCM) and its gradients are 2CMDᵀ and 2EᵀCM: only two of the five products still involve the
  batch (encode, and the gradient of sparsity). `moments_pay` says where that needs fewer multiplications.

Codes have the shape (members, batch, latents). A sparsity measure is summed over latents and averaged over the batch.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """The weight of each shift's squared residual: of kind ``"fvu"`` or ``"relative"``.

    `energy` is the mean squared norm of the encoder's inputs.
    """

    kind: str
    energy: float

    def weights(self, shifts: Float[Tensor, "b r"]) -> Float[Tensor, "b 1"] | float:
        """Return the factor of each shift's squared residual."""
        if self.kind == "fvu":
            return 1 / (len(shifts) * self.energy)
        # The zero shift has no relative loss: it is weighted by the mean energy.
        own = shifts.square().sum(1, keepdim=True)
        return 1 / (len(shifts) * torch.where(own > 0, own, torch.full_like(own, self.energy)))


@dataclass
class Measure:
    """A sparsity measure at one step of training: of kind ``"l1"`` or ``"smooth"``.

    `width` is δ of the smooth count, for each member. `k` is the number of codes of a shift that are kept; None keeps all.
    """

    kind: str
    width: Float[Tensor, " m"] | None = None
    k: int | None = None

    def select(self, codes: Float[Tensor, "m b h"]) -> Float[Tensor, "m b h"]:
        """Return the codes with all but the k largest ``|codes|`` of each shift set to zero."""
        if self.k is None or self.k >= codes.shape[-1]:
            return codes
        largest = codes.abs().topk(self.k, dim=-1, sorted=False).indices
        return torch.zeros_like(codes).scatter_(-1, largest, codes.gather(-1, largest))

    def value(self, codes: Float[Tensor, "m b h"]) -> tuple[Float[Tensor, " m"], Tensor]:
        """Return the measure of a batch, and a tensor that `derivative` needs."""
        batch = codes.shape[1]
        if self.kind == "l1":
            # Σ |h| is h · sign(h): a product of vectors, and the sign is the derivative.
            signs = codes.sign()
            return (codes.reshape(len(codes), 1, -1) @ signs.reshape(len(codes), -1, 1))[:, 0, 0] / batch, signs
        assert self.width is not None
        width = self.width[:, None, None].to(codes.dtype)
        # |h| / (1 + |h|/δ) is δ·(1 − 1/(1 + |h|/δ)).
        shrunk = codes.abs().div_(width).add_(1).reciprocal_()
        return width[:, 0, 0] * (codes.shape[2] - shrunk.sum((1, 2)) / batch), shrunk

    def derivative(self, codes: Float[Tensor, "m b h"], saved: Tensor) -> Float[Tensor, "m b h"]:
        """Return the derivative of each shift's measure by its codes."""
        return saved if self.kind == "l1" else codes.sign().mul_(saved).mul_(saved)

    def __call__(self, codes: Float[Tensor, "m b h"]) -> Float[Tensor, " m"]:
        """Return the measure of a batch, differentiable by PyTorch with this measure's own derivative."""
        fixed = codes.detach()
        value, saved = self.value(fixed)
        linear = (codes * self.derivative(fixed, saved)).sum((1, 2)) / codes.shape[1]
        return value + linear - linear.detach()


class Weights(NamedTuple):
    """The weights of m members that `evaluate` differentiates by. There are both biases or neither."""

    W_enc: Float[Tensor, "m r h"]
    W_dec: Float[Tensor, "m h r"]
    b_enc: Float[Tensor, "m h"] | None
    b_dec: Float[Tensor, "m r"] | None


def evaluate(
    shifts: Float[Tensor, "b r"], weights: Weights, loss: Loss, measure: Measure, into: Weights | None = None
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Return the loss and the sparsity of each member on a batch, by the cheaper route.

    Gradients of the encoder and the decoder overwrite the memory of `into`, for a caller that no longer needs the last
    step's. Fresh memory for them adds a quarter to the time of the product that fills it.
    """
    members, width, latents = weights.W_enc.shape
    linear = weights.b_dec is None and measure.k is None
    if linear and moments_pay(members, len(shifts), width, latents):
        return _ByMoments.apply(shifts, *weights[:2], loss, measure, into)  # pyright: ignore[reportReturnType]
    return _ByResiduals.apply(shifts, *weights, loss, measure, into)  # pyright: ignore[reportReturnType]


def moments_pay(members: int, batch: int, width: int, latents: int) -> bool:
    """Return whether second moments, whose products grow with the input width and not the batch, cost less."""
    # Only the products that the other route does not have; members share the batch's moments.
    cost = batch * width**2 + members * width**2 * (width + 3 * latents)
    return cost < 3 * members * batch * width * latents


class _ByMoments(torch.autograd.Function):
    """The loss and the sparsity by the second moments of the batch, for a model without biases that keeps all codes."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        shifts: Tensor,
        W_enc: Tensor,
        W_dec: Tensor,
        loss: Loss,
        measure: Measure,
        into: Weights | None,
    ) -> tuple[Tensor, Tensor]:
        members = len(W_enc)
        codes = torch.bmm(shifts.expand(members, -1, -1), W_enc)
        scale = loss.weights(shifts)
        moments = (shifts.T @ shifts).mul_(scale) if isinstance(scale, float) else shifts.T @ (shifts * scale)
        error = torch.bmm(W_enc, W_dec)
        error.diagonal(dim1=1, dim2=2).sub_(1)
        weighted = torch.bmm(moments.expand(members, -1, -1), error)
        # Rounding can make a loss of nearly zero negative.
        value = (error * weighted).sum((1, 2)).clamp_(min=0)
        sparsity, saved = measure.value(codes)
        ctx.save_for_backward(shifts, W_enc, W_dec, codes, weighted)
        ctx.saved, ctx.measure, ctx.into = saved, measure, into
        return value, sparsity

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor, by_sparsity: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        shifts, W_enc, W_dec, codes, weighted = ctx.saved_tensors
        by_product = weighted.mul_(2 * by_loss[:, None, None])
        by_W_dec = torch.bmm(W_enc.mT, by_product, out=ctx.into and ctx.into.W_dec)
        by_W_enc = torch.bmm(by_product, W_dec.mT, out=ctx.into and ctx.into.W_enc)
        # The diagonal of Eᵀ(2CMDᵀ) is the component of by_W_dec along each row.
        by_W_dec.addcmul_(W_dec, (W_enc * by_W_enc).sum(1)[:, :, None], value=-1)
        slope = torch.bmm(shifts.T.expand(len(W_enc), -1, -1), ctx.measure.derivative(codes, ctx.saved))
        by_W_enc.addcmul_(slope, (by_sparsity / codes.shape[1])[:, None, None].expand_as(slope))
        return None, by_W_enc, by_W_dec, None, None, None


class _ByResiduals(torch.autograd.Function):
    """The loss and the sparsity by each shift's residual."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        shifts: Tensor,
        W_enc: Tensor,
        W_dec: Tensor,
        b_enc: Tensor | None,
        b_dec: Tensor | None,
        loss: Loss,
        measure: Measure,
        into: Weights | None,
    ) -> tuple[Tensor, Tensor]:
        dense = torch.bmm(shifts.expand(len(W_enc), -1, -1), W_enc)
        if b_enc is not None and b_dec is not None:
            # The encoder subtracts b_dec from its input, which is a constant of its output: no pass over the shifts.
            dense += b_enc[:, None] - b_dec[:, None] @ W_enc
        codes = measure.select(dense)
        residual = torch.bmm(codes, W_dec)
        if b_dec is not None:
            residual += b_dec[:, None]
        residual -= shifts
        scale = loss.weights(shifts)
        if isinstance(scale, float):
            value = torch.linalg.vector_norm(residual, dim=(1, 2)).square() * scale
        else:
            value = (torch.linalg.vector_norm(residual, dim=2, keepdim=True).square() * scale).sum((1, 2))
        sparsity, saved = measure.value(codes)
        ctx.save_for_backward(shifts, W_enc, W_dec, b_dec, codes, residual)
        ctx.saved, ctx.scale, ctx.measure, ctx.into = saved, scale, measure, into
        return value, sparsity

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor, by_sparsity: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        shifts, W_enc, W_dec, b_dec, codes, residual = ctx.saved_tensors
        by_residual = residual.mul_(2 * ctx.scale * by_loss[:, None, None])
        by_W_dec = torch.bmm(codes.mT, by_residual, out=ctx.into and ctx.into.W_dec)
        by_codes = torch.bmm(by_residual, W_dec.mT)
        # The component of by_W_dec along each row, from products already computed: no further pass over the weights.
        along = (codes * by_codes).sum(1)
        by_W_dec.addcmul_(W_dec, along[:, :, None], value=-1)
        slope = ctx.measure.derivative(codes, ctx.saved)
        by_codes.addcmul_(slope, (by_sparsity / codes.shape[1])[:, None, None].expand_as(slope))
        if ctx.measure.k is not None:
            by_codes.mul_(codes != 0)
        by_W_enc = torch.bmm(shifts.T.expand(len(W_enc), -1, -1), by_codes, out=ctx.into and ctx.into.W_enc)
        by_b_enc = by_b_dec = None
        if b_dec is not None:
            by_b_enc = by_codes.sum(1)
            by_b_dec = by_residual.sum(1) - (W_enc @ by_b_enc[:, :, None])[:, :, 0]
            by_W_enc.sub_(b_dec[:, :, None] * by_b_enc[:, None])
        return None, by_W_enc, by_W_dec, by_b_enc, by_b_dec, None, None, None
