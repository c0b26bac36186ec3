"""What happens to shifts before the encoder: a linear map, fitted to the data and folded into the saved weights.

A map is a pair of matrices: ``encode`` (d × r) takes shifts to what the encoder reads, ``decode`` (r × d) takes
reconstructions back. Shifts are not centred: the zero shift stays zero. Maps are fitted in a unit near the shifts' root mean
square, a power of four, which changes no bit of ordinary shifts and keeps squares of tiny and huge ones in float32.
"""

from dataclasses import dataclass, replace
from math import ceil, log

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ssae_lens.training.config import ProblemConfig

# How far each input goes from the data's own scales (0) to equal ones (1).
POWERS = {"subspace": 0.0, "balanced": 0.5, "whiten": 1.0, "zca": 1.0}
# Directions smaller than this share of the largest are rounding, not data.
SMALLEST = 1e-6
# Directions for each latent, where nothing is said.
MORE = 1.5
# The root mean squares of shifts that can be trained on in their own units: squares must fit float32, and the ε of a
# standardisation, 1e-5, must not drown the variance that it is added to.
OWN_UNITS, STANDARDISED = (1e-15, 1e15), (1e-3, 1e15)


@dataclass(frozen=True)
class InputMap:
    """The linear map before the encoder and the one after the decoder; None is the identity, but for `scale`.

    `fit_mean_abs` and `floor` are of the unconstrained fit: its mean ``|code|``, and the share of the energy that it loses.
    Shifts times `unit` are of ordinary size.
    """

    encode: Float[Tensor, "d r"] | None
    decode: Float[Tensor, "r d"] | None
    scale: float
    fit_mean_abs: float
    floor: float = 0.0
    unit: float = 1.0

    def apply(self, shifts: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
        """Return what the encoder reads."""
        return shifts * self.scale if self.encode is None else shifts @ self.encode

    def width(self, d_in: int) -> int:
        """Return the width of what the encoder reads."""
        return d_in if self.encode is None else self.encode.shape[1]

    def fold(self, W_enc: Float[Tensor, "r h"]) -> Float[Tensor, "d h"]:
        """Return the encoder that reads shifts themselves."""
        return W_enc * self.scale if self.encode is None else self.encode @ W_enc

    def restore(self, read: Float[Tensor, "*n r"]) -> Float[Tensor, "*n d"]:
        """Take what the encoder reads back to shifts. Rows of a decoder are then of any length."""
        return read / self.scale if self.decode is None else read @ self.decode

    def lengths(self, rows: Float[Tensor, "h d"]) -> Float[Tensor, "h"]:
        """Return the lengths of rows in residual units, whose squares may be beyond float32."""
        return torch.linalg.vector_norm(rows * self.unit, dim=1).clamp(min=1e-12) / self.unit


def fit_input(shifts: Float[Tensor, "n d"], problem: ProblemConfig) -> InputMap:
    """Fit the map that a problem asks for to a sample of shifts; what the encoder reads has mean length one.

    Unmapped shifts keep their length where that means something: before a standardisation, whose ε it would meet, and
    with a level in units of theirs.
    """
    unit = _unit(shifts, problem)
    encode, decode, scale = None, None, 1.0
    scaled = shifts if unit == 1 else shifts * unit
    if problem.reading != "none":
        encode, decode = _matrices(_moments(scaled) / len(shifts), problem)
        length = (scaled @ encode.to(shifts)).norm(dim=1).mean().item()
        encode, decode = encode / length * unit, decode * length / unit
    elif not problem.in_own_units:
        scale = unit / scaled.norm(dim=1).mean().item()
    encode, decode = (None if each is None else each.to(shifts).contiguous() for each in (encode, decode))
    read = InputMap(encode, decode, scale, 0.0, unit=unit)
    fit_mean_abs, floor = _unconstrained(read.apply(shifts), problem)
    return replace(read, fit_mean_abs=fit_mean_abs, floor=floor)


def _unit(shifts: Float[Tensor, "n d"], problem: ProblemConfig) -> float:
    """Return the power of four that brings the shifts' root mean square near one; 1 where their own units are meant."""
    size = root_mean_square(shifts)
    if not problem.in_own_units:
        return 4.0 ** -round(log(size, 4))
    standardised = problem.sample_norm != "none"
    least, most = STANDARDISED if standardised else OWN_UNITS
    if not least <= size <= most:
        why = f"sample_norm={problem.sample_norm!r}" if standardised else "an absolute level and input='none'"
        raise ValueError(
            f"The shifts have a root mean square of {size:.3g}, and {why} takes them in their own units, from {least:g} to "
            f"{most:g}; multiply them by a constant."
        )
    return 1.0


def _matrices(
    moments: Float[Tensor, "d d"], problem: ProblemConfig
) -> tuple[Float[Tensor, "d r"], Float[Tensor, "r d"]]:
    if problem.reading == "standardise":
        spread = moments.diagonal().sqrt()
        spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        return torch.diag(1 / spread), torch.diag(spread)
    sizes, vectors = torch.linalg.eigh(moments)
    sizes, vectors = sizes.flip(0).clamp(min=0), vectors.flip(1)
    kept = min(_wanted(problem, len(sizes)), max(1, int((sizes > SMALLEST * sizes[0]).sum())))
    lengths = sizes[:kept].sqrt() ** POWERS[problem.reading]
    leading = vectors[:, :kept]
    encode, decode = leading / lengths, (leading * lengths).T
    # ZCA turns back to the axes of the data. With every direction kept the rotation is invertible.
    return (encode @ leading.T, leading @ decode) if problem.reading == "zca" else (encode, decode)


def _wanted(problem: ProblemConfig, d_in: int) -> int:
    """Return the number of directions to keep, if the data has so many."""
    if problem.reading == "zca":
        return d_in
    return problem.directions or (problem.d_sae if problem.reading == "whiten" else ceil(MORE * problem.d_sae))


def _unconstrained(read: Float[Tensor, "n r"], problem: ProblemConfig) -> tuple[float, float]:
    """Return the mean |code| and the lost share of the leading principal directions, which no linear code betters."""
    if problem.sample_norm != "none":
        read = F.layer_norm(read, read.shape[-1:])
    sizes, vectors = torch.linalg.eigh(_moments(read))
    sizes, vectors = sizes.clamp(min=0), vectors.to(read)
    floor = (sizes[: -problem.d_sae].sum() / sizes.sum()).item()
    codes = read @ vectors[:, -problem.d_sae :]
    if problem.code_norm != "none":
        by_batch = problem.code_norm == "batch"
        codes = F.batch_norm(codes, None, None, training=True) if by_batch else F.layer_norm(codes, codes.shape[-1:])
    return codes.abs().sum(1).mean().item() / problem.d_sae, floor


def _moments(rows: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """Sum the second moments: multiplied where the rows are, kept where there is double precision."""
    return (rows.T @ rows).cpu().double()


def row_space(shifts: Float[Tensor, "n d"]) -> Float[Tensor, "d r"]:
    """Return orthonormal columns that span what shifts vary in, but for rounding."""
    sizes, vectors = torch.linalg.eigh(_moments(shifts / root_mean_square(shifts)))
    return vectors[:, sizes > SMALLEST * sizes[-1]].to(shifts)


def root_mean_square(rows: Float[Tensor, "n d"]) -> float:
    """Return the root mean square of all entries, whose squares may be beyond float32."""
    largest = rows.abs().amax().item()
    total = sum((block / largest).square().sum().item() for block in rows.split(4096))
    return largest * (total / rows.numel()) ** 0.5
