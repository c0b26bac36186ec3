"""The input map: a linear map of shifts before the encoder, fitted to the data and folded into the saved weights.

A map is a pair of matrices: ``encode`` (d × r) from shifts to the encoder's input, ``decode`` (r × d) from reconstructions
back to shifts. Shifts are not centred: the zero shift stays zero. Maps are fitted in a unit near the shifts' root mean
square, a power of four, which changes no bit of ordinary shifts and keeps squares of tiny and huge ones in float32's range.
"""

from dataclasses import dataclass, replace
from math import ceil, log

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ssae_lens.training.config import ProblemConfig

# The power of each direction's size that is divided out: 0 keeps the data's own scales, 1 makes them equal.
POWERS = {"subspace": 0.0, "balanced": 0.5, "whiten": 1.0}
# Directions smaller than this fraction of the largest are rounding errors.
NEGLIGIBLE = 1e-6
# A weak concept lies partly beyond the strongest directions, so there are more directions than latents.
DIRECTIONS_PER_LATENT = 1.5
# The root mean squares of shifts that can be trained on in their own units: squares must fit float32, and the ε of a
# standardisation, 1e-5, must be small beside the variance that it is added to.
OWN_UNITS, STANDARDISED = (1e-15, 1e15), (1e-3, 1e15)


@dataclass(frozen=True)
class InputMap:
    """The linear map before the encoder and its inverse after the decoder; None is the identity times `scale`.

    `fit_mean_abs` and `floor` describe the unconstrained fit: its mean ``|code|`` and its FVU, both in the encoder's space.
    Shifts times `unit` have a root mean square near one.
    """

    encode: Float[Tensor, "d r"] | None
    decode: Float[Tensor, "r d"] | None
    scale: float
    fit_mean_abs: float
    floor: float = 0.0
    unit: float = 1.0

    def apply(self, shifts: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
        """Return the encoder's input."""
        return shifts * self.scale if self.encode is None else shifts @ self.encode

    def width(self, d_in: int) -> int:
        """Return the width of the encoder's input."""
        return d_in if self.encode is None else self.encode.shape[1]

    def fold(self, W_enc: Float[Tensor, "r h"]) -> Float[Tensor, "d h"]:
        """Return the encoder as a matrix that is applied to shifts."""
        return W_enc * self.scale if self.encode is None else self.encode @ W_enc

    def restore(self, inputs: Float[Tensor, "*n r"]) -> Float[Tensor, "*n d"]:
        """Return reconstructions, or decoder rows, in residual units."""
        return inputs / self.scale if self.decode is None else inputs @ self.decode

    def lengths(self, rows: Float[Tensor, "h d"]) -> Float[Tensor, "h"]:
        """Return the norms of rows in residual units, whose squares may be beyond float32."""
        return torch.linalg.vector_norm(rows * self.unit, dim=1).clamp(min=1e-12) / self.unit


def fit_input(shifts: Float[Tensor, "n d"], problem: ProblemConfig) -> InputMap:
    """Fit a problem's input map to a sample of shifts; the encoder's inputs have mean norm one.

    Unmapped shifts keep their norm before a standardisation (whose ε is absolute) and with a level in their units.
    """
    unit = _unit(shifts, problem)
    encode, decode, scale = None, None, 1.0
    scaled = shifts if unit == 1 else shifts * unit
    if problem.input_map != "none":
        encode, decode = _matrices(_moments(scaled) / len(shifts), problem)
        length = (scaled @ encode.to(shifts)).norm(dim=1).mean().item()
        encode = (encode / length * unit).to(shifts).contiguous()
        decode = (decode * length / unit).to(shifts).contiguous()
    elif not problem.in_own_units:
        scale = unit / scaled.norm(dim=1).mean().item()
    input_map = InputMap(encode, decode, scale, 0.0, unit=unit)
    fit_mean_abs, floor = _unconstrained(input_map.apply(shifts), problem)
    return replace(input_map, fit_mean_abs=fit_mean_abs, floor=floor)


def row_space(shifts: Float[Tensor, "n d"]) -> Float[Tensor, "d r"]:
    """Return an orthonormal basis, as columns, of the space that shifts vary in."""
    sizes, vectors = torch.linalg.eigh(_moments(shifts / root_mean_square(shifts)))
    return vectors[:, sizes > NEGLIGIBLE * sizes[-1]].to(shifts)


def root_mean_square(rows: Float[Tensor, "n d"]) -> float:
    """Return the root mean square of all entries, whose squares may be beyond float32."""
    largest = rows.abs().amax().item()
    total = sum((block / largest).square().sum().item() for block in rows.split(4096))
    return largest * (total / rows.numel()) ** 0.5


def _unit(shifts: Float[Tensor, "n d"], problem: ProblemConfig) -> float:
    """Return the power of four that brings the shifts' root mean square near one, or 1 where their own units count."""
    size = root_mean_square(shifts)
    if not problem.in_own_units:
        return 4.0 ** -round(log(size, 4))
    standardised = problem.sample_norm != "none"
    low, high = STANDARDISED if standardised else OWN_UNITS
    if not low <= size <= high:
        reason = f"sample_norm={problem.sample_norm!r}" if standardised else "an absolute level with input='none'"
        raise ValueError(
            f"The shifts have a root mean square of {size:.3g}, and {reason} needs one from {low:g} to {high:g}; "
            "multiply them by a constant."
        )
    return 1.0


def _matrices(
    moments: Float[Tensor, "d d"], problem: ProblemConfig
) -> tuple[Float[Tensor, "d r"], Float[Tensor, "r d"]]:
    sizes, vectors = torch.linalg.eigh(moments)
    sizes, vectors = sizes.flip(0).clamp(min=0), vectors.flip(1)
    per_latent = 1 if problem.input_map == "whiten" else DIRECTIONS_PER_LATENT
    n_directions = min(ceil(per_latent * problem.d_sae), max(1, int((sizes > NEGLIGIBLE * sizes[0]).sum())))
    lengths = sizes[:n_directions].sqrt() ** POWERS[problem.input_map]
    leading = vectors[:, :n_directions]
    return leading / lengths, (leading * lengths).T


def _unconstrained(inputs: Float[Tensor, "n r"], problem: ProblemConfig) -> tuple[float, float]:
    """Return the mean |code| and the FVU of the leading principal directions, the least that linear codes can reach."""
    if problem.sample_norm != "none":
        inputs = F.layer_norm(inputs, inputs.shape[-1:])
    sizes, vectors = torch.linalg.eigh(_moments(inputs))
    sizes, vectors = sizes.clamp(min=0), vectors.to(inputs)
    floor = (sizes[: -problem.d_sae].sum() / sizes.sum()).item()
    codes = inputs @ vectors[:, -problem.d_sae :]
    if problem.code_norm == "batch":
        codes = F.batch_norm(codes, None, None, training=True)
    elif problem.code_norm == "layer":
        codes = F.layer_norm(codes, codes.shape[-1:])
    return codes.abs().sum(1).mean().item() / problem.d_sae, floor


def _moments(rows: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """Return the sum of second moments: multiplied on the rows' device, kept where there is double precision."""
    return (rows.T @ rows).cpu().double()
