"""Steering operators: the change of an activation x, given directions v₁ … v_k and a coefficient c of each.

An operator takes x of shape (batch, pos, d), directions of shape (rows, k, d) with rows either 1 or the batch, their
pseudo-inverse of shape (rows, d, k), and coefficients of shape (batch, pos, k), where batch and pos may be 1. In the
formulas, V is the matrix with the directions as rows, V⁺ its pseudo-inverse and c the row of coefficients. `Directions` are
those of one hook.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssae_lens.steering_vector import SteeringVector

X = Float[Tensor, "batch pos d"]
Rows = Float[Tensor, "rows k d"]
Inverse = Float[Tensor, "rows d k"]
Coefficients = Float[Tensor, "#batch #pos k"]

# For each unit, the norm of the vector's that a scale of 1 stands for.
UNITS = {"vector": None, "residual": "mean_residual_norm", "shift": "mean_shift_norm"}


def add(x: X, directions: Rows, _inverse: Inverse, coefficients: Coefficients) -> X:
    """Return x + cV."""
    return x + coefficients @ directions


def ablate(x: X, directions: Rows, inverse: Inverse, coefficients: Coefficients) -> X:
    """Return x − s·xV⁺V: the fraction s of the projection of x on the span is removed."""
    fraction = coefficients[..., :1]
    return x - fraction * (x @ inverse @ directions)


def ablate_add(x: X, directions: Rows, inverse: Inverse, coefficients: Coefficients) -> X:
    """Return x − xV⁺V + cV: the projection of x on the span is replaced by cV."""
    return x + (coefficients - x @ inverse) @ directions


def clamp(x: X, directions: Rows, inverse: Inverse, coefficients: Coefficients) -> X:
    """Return the nearest y to x with y·vᵢ = cᵢ‖vᵢ‖² for each i: each projection is that of cᵢvᵢ alone.

    For one direction, and for several orthogonal ones, that is `ablate_add`.
    """
    targets = coefficients * directions.square().sum(-1)[:, None, :]
    return x + (targets - x @ directions.mT) @ inverse.mT


def add_keep_norm(x: X, directions: Rows, _inverse: Inverse, coefficients: Coefficients) -> X:
    """Return x + cV, rescaled to the norm of x."""
    steered = x + coefficients @ directions
    tiny = torch.finfo(steered.dtype).tiny
    return steered * (x.norm(dim=-1, keepdim=True) / steered.norm(dim=-1, keepdim=True).clamp_min(tiny))


def rotate(x: X, directions: Rows, _inverse: Inverse, coefficients: Coefficients) -> X:
    """Return x rotated towards cV, at its norm, by an arc as long as cV, but not beyond cV."""
    change = coefficients @ directions
    tiny = torch.finfo(x.dtype).tiny
    norm, arc = x.norm(dim=-1, keepdim=True).clamp_min(tiny), change.norm(dim=-1, keepdim=True)
    along, goal = x / norm, change / arc.clamp_min(tiny)
    cosine = (along * goal).sum(-1, keepdim=True).clamp(-1, 1)
    across = goal - cosine * along
    sine = across.norm(dim=-1, keepdim=True)
    # The angle by the arc tangent, which is exact for small ones.
    angle = torch.minimum(arc / norm, torch.atan2(sine, cosine))
    rotated = norm * (angle.cos() * along + angle.sin() * across / sine.clamp_min(tiny))
    return torch.where((arc > 0) & (sine > 0), rotated, x)


OPERATORS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    operator.__name__: operator for operator in (add, ablate, ablate_add, clamp, add_keep_norm, rotate)
}


@dataclass(eq=False)
class Directions:
    """The directions of one hook, their pseudo-inverse, and the coefficient of each for a scale of 1.

    `relative` multiplies the coefficients by the norm of each activation; `active` marks the rows that have a vector here.
    """

    directions: Float[Tensor, "rows k d"]
    inverse: Float[Tensor, "rows d k"]
    steps: Float[Tensor, "rows k"]
    relative: bool
    active: Bool[Tensor, "rows"] | None

    @classmethod
    def of(cls, vectors: Sequence[SteeringVector | None], unit: str, *, per_row: bool) -> "Directions":
        """Return the directions of the vectors at one hook: all for every row, or one for each row."""
        present = [vector for vector in vectors if vector is not None]
        first, norm = present[0], UNITS[unit]
        with_norm = [vector for vector in present if norm in vector.norms]
        if unit == "shift" and len(with_norm) < len(present):
            raise ValueError(
                f"unit is 'shift', and the vector at {first.hook_name!r} does not have the norm of its shifts; give it "
                "norms={'mean_shift_norm': …}, or use another unit."
            )
        if with_norm and len(with_norm) < len(present):
            raise ValueError(
                f"unit is 'residual', and {len(with_norm)} of {len(present)} vectors at {first.hook_name!r} have a "
                "mean_residual_norm; give it to all or to none."
            )
        rows = vectors if per_row else present
        directions = torch.stack([vector.direction if vector else torch.zeros(first.d_model) for vector in rows])
        norms = directions.norm(dim=-1).clamp_min(torch.finfo(torch.float32).tiny)
        units = torch.tensor([vector.norms.get(str(norm), 1.0) if vector else 0.0 for vector in rows])
        steps = torch.ones_like(norms) if norm is None else units / norms
        axis = 1 if per_row else 0
        directions, steps = directions.unsqueeze(axis), steps.unsqueeze(axis)
        active = torch.tensor([vector is not None for vector in rows]) if len(present) < len(rows) else None
        return cls(directions, torch.linalg.pinv(directions), steps, unit == "residual" and not with_norm, active)

    @property
    def rows(self) -> int:
        """1, or the number of rows that each have their own vector."""
        return len(self.directions)

    @property
    def d_model(self) -> int:
        """The width of the directions."""
        return self.directions.shape[-1]

    def to(self, x: Tensor) -> None:
        """Move to the device of x, once."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        if (self.directions.device, self.directions.dtype) != (x.device, dtype):
            # A tensor made in inference mode could not be used in a later pass with gradients.
            with torch.inference_mode(mode=False):
                self.directions, self.inverse, self.steps = (
                    values.to(x.device, dtype) for values in (self.directions, self.inverse, self.steps)
                )
                self.active = self.active.to(x.device) if self.active is not None else None

    def unit_coefficients(self, x: X) -> Coefficients:
        """Return the coefficients for a scale of 1."""
        steps = self.steps[:, None, :]
        return steps * x.norm(dim=-1, keepdim=True) if self.relative else steps
