"""Reconstruction and sparsity of a batch, with a hand-written backward pass.

`evaluate` gives both, for every member at once, as tensors that any of Cooper's Lagrangians can combine, and the gradient
of the decoder comes out tangent to its unit rows. There are two ways to the same numbers:

- by residuals, at five products of batch × read × latents (encode, decode, and three for the gradients), which an
  autoencoder of any kind costs;
- by second moments, where the whole model is linear, as an SSAE's is. With E and D the encoder and decoder, C the second
  moments of the batch and M = ED − 1, the loss is tr(MᵀCM) and its gradients are 2CMDᵀ and 2EᵀCM: of the five products
  only two are left that the batch has a part in (encode, and the gradient of sparsity). `moments_pay` says where that is
  less to multiply.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.training.measures import Measure


@dataclass(frozen=True)
class Loss:
    """How a batch's residual becomes a loss."""

    kind: str
    energy: float

    def weights(self, shifts: Float[Tensor, "b r"]) -> Float[Tensor, "b 1"] | float:
        """Return what each shift's squared residual is multiplied by."""
        if self.kind == "fvu":
            return 1 / (len(shifts) * self.energy)
        if self.kind == "absolute":
            return 1 / shifts.numel()
        # A shift of nothing has no relative loss: it counts by the others' energy.
        own = shifts.square().sum(1, keepdim=True)
        return 1 / (len(shifts) * torch.where(own > 0, own, torch.full_like(own, self.energy)))


class Weights(NamedTuple):
    """The weights of m members: what `evaluate` differentiates by. Biases are given both or neither."""

    W_enc: Float[Tensor, "m r h"]
    W_dec: Float[Tensor, "m h r"]
    b_enc: Float[Tensor, "m h"] | None
    b_dec: Float[Tensor, "m r"] | None


def evaluate(
    shifts: Float[Tensor, "b r"],
    weights: Weights,
    loss: Loss,
    measure: Measure,
    dtype: torch.dtype = torch.float32,
    into: Weights | None = None,
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Return the loss and the sparsity of each member on a batch, in the way that costs less.

    Gradients by the encoder and the decoder are written `into` memory where it is given, over what is there: for a caller
    that is done with one step's gradients before the next's. Fresh memory for them adds a quarter to the time of the product
    that fills it.
    """
    # Rounded to bfloat16, moments would drown what is left of a loss.
    linear = weights.b_dec is None and measure.k is None and dtype != torch.bfloat16
    members, read, latents = weights.W_enc.shape
    if linear and moments_pay(members, len(shifts), read, latents):
        return by_moments(shifts, weights, loss, measure, into)
    return by_residuals(shifts, weights, loss, measure, dtype, into)


def moments_pay(members: int, batch: int, read: int, latents: int) -> bool:
    """Say whether second moments, whose products grow with what is read and not with the batch, are less to multiply."""
    # Of either way's products, those that the other does not have; members share the batch's moments.
    by_moments = batch * read**2 + members * read**2 * (read + 3 * latents)
    return by_moments < 3 * members * batch * read * latents


def by_residuals(
    shifts: Float[Tensor, "b r"],
    weights: Weights,
    loss: Loss,
    measure: Measure,
    dtype: torch.dtype = torch.float32,
    into: Weights | None = None,
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Evaluate by what each shift's reconstruction leaves of it."""
    return _ByResiduals.apply(shifts, *weights, loss, measure, dtype, into)  # pyright: ignore[reportReturnType]


def by_moments(
    shifts: Float[Tensor, "b r"], weights: Weights, loss: Loss, measure: Measure, into: Weights | None = None
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Evaluate by the second moments of the batch; the model has no offsets and keeps all codes."""
    return _ByMoments.apply(shifts, weights.W_enc, weights.W_dec, loss, measure, into)  # pyright: ignore[reportReturnType]


class _ByMoments(torch.autograd.Function):
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
        several = len(W_enc)
        codes = torch.bmm(shifts.expand(several, -1, -1), W_enc)
        scale = loss.weights(shifts)
        moments = (shifts.T @ shifts).mul_(scale) if isinstance(scale, float) else shifts.T @ (shifts * scale)
        lost = torch.bmm(W_enc, W_dec)
        lost.diagonal(dim1=1, dim2=2).sub_(1)
        weighed = torch.bmm(moments.expand(several, -1, -1), lost)
        # Of what rounding leaves of nothing the sign is as good as random.
        value = (lost * weighed).sum((1, 2)).clamp_(min=0)
        sparsity, known = measure.value(codes)
        ctx.save_for_backward(shifts, W_enc, W_dec, codes, weighed)
        ctx.known, ctx.measure, ctx.into = known, measure, into
        return value, sparsity

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor, by_sparsity: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        shifts, W_enc, W_dec, codes, weighed = ctx.saved_tensors
        by_both = weighed.mul_(2 * by_loss[:, None, None])
        by_W_dec = torch.bmm(W_enc.mT, by_both, out=ctx.into and ctx.into.W_dec)
        by_W_enc = torch.bmm(by_both, W_dec.mT, out=ctx.into and ctx.into.W_enc)
        # The diagonal of Eᵀ(2CMDᵀ) is what of by_W_dec points along each row.
        by_W_dec.addcmul_(W_dec, (W_enc * by_W_enc).sum(1)[:, :, None], value=-1)
        slope = torch.bmm(shifts.T.expand(len(W_enc), -1, -1), ctx.measure.derivative(codes, ctx.known))
        by_W_enc.addcmul_(slope, (by_sparsity / codes.shape[1])[:, None, None].expand_as(slope))
        return None, by_W_enc, by_W_dec, None, None, None


class _ByResiduals(torch.autograd.Function):
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
        dtype: torch.dtype,
        into: Weights | None,
    ) -> tuple[Tensor, Tensor]:
        product = partial(_product, dtype=dtype)
        dense = product(shifts.expand(len(W_enc), -1, -1), W_enc)
        if b_enc is not None and b_dec is not None:
            # The encoder reads shifts less b_dec, which is a constant of its output: no pass over shifts for it.
            dense += b_enc[:, None] - b_dec[:, None] @ W_enc
        codes = measure.select(dense)
        residual = product(codes, W_dec)
        if b_dec is not None:
            residual += b_dec[:, None]
        residual -= shifts
        scale = loss.weights(shifts)
        if isinstance(scale, float):
            value = torch.linalg.vector_norm(residual, dim=(1, 2)).square() * scale
        else:
            value = (torch.linalg.vector_norm(residual, dim=2, keepdim=True).square() * scale).sum((1, 2))
        sparsity, known = measure.value(codes)
        ctx.save_for_backward(shifts, W_enc, W_dec, b_dec, codes, residual)
        ctx.known, ctx.scale, ctx.measure, ctx.product, ctx.into = known, scale, measure, product, into
        return value, sparsity

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor, by_sparsity: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        shifts, W_enc, W_dec, b_dec, codes, residual = ctx.saved_tensors
        product = ctx.product
        by_residual = residual.mul_(2 * ctx.scale * by_loss[:, None, None])
        by_W_dec = product(codes.mT, by_residual, out=ctx.into and ctx.into.W_dec)
        by_codes = product(by_residual, W_dec.mT)
        # What of by_W_dec points along each row, from products already at hand: no more passes over matrices of weights.
        along = (codes * by_codes).sum(1)
        by_W_dec.addcmul_(W_dec, along[:, :, None], value=-1)
        slope = ctx.measure.derivative(codes, ctx.known)
        by_codes.addcmul_(slope, (by_sparsity / codes.shape[1])[:, None, None].expand_as(slope))
        if ctx.measure.k is not None:
            by_codes.mul_(codes != 0)
        by_W_enc = product(shifts.T.expand(len(W_enc), -1, -1), by_codes, out=ctx.into and ctx.into.W_enc)
        by_b_enc = by_b_dec = None
        if b_dec is not None:
            by_b_enc = by_codes.sum(1)
            by_b_dec = by_residual.sum(1) - (W_enc @ by_b_enc[:, :, None])[:, :, 0]
            by_W_enc.sub_(b_dec[:, :, None] * by_b_enc[:, None])
        return None, by_W_enc, by_W_dec, by_b_enc, by_b_dec, None, None, None, None


def _product(left: Tensor, right: Tensor, dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
    """Multiply members' matrices in one call: mostly quicker than one call each (benchmarks/train.py measures it)."""
    if dtype == right.dtype:
        return torch.bmm(left.to(dtype), right, out=out)
    return torch.bmm(left.to(dtype), right.to(dtype)).to(right.dtype)
