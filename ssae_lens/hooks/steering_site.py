"""`Site`: the directions that steering adds at one hook, and how long a step along each is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssae_lens.steering_vector import SteeringVector

# What a scale of 1 is, and the norm of the vector's that says so.
UNITS = {"vector": None, "residual": "mean_residual_norm", "shift": "mean_shift_norm"}


@dataclass(eq=False)
class Site:
    """What is done at one hook: directions (rows, k, d), and how long a step along each is."""

    directions: Float[Tensor, "rows k d"]
    inverse: Float[Tensor, "rows d k"]
    steps: Float[Tensor, "rows k"]
    relative: bool
    there: Bool[Tensor, "rows"] | None

    @classmethod
    def of(cls, vectors: Sequence[SteeringVector | None], unit: str, *, per_row: bool) -> "Site":
        """Lay out the vectors of one hook: all for every row, or each for its own row."""
        held = [each for each in vectors if each is not None]
        some = held[0]
        norm = UNITS[unit]
        carry = [each for each in held if norm in each.norms]
        if unit == "shift" and len(carry) < len(held):
            raise ValueError(
                f"unit is 'shift', and the vector at {some.hook_name!r} does not say what its shifts measured; give it "
                "norms={'mean_shift_norm': …}, or use another unit."
            )
        if carry and len(carry) < len(held):
            raise ValueError(
                f"unit is 'residual', and {len(carry)} of {len(held)} vectors at {some.hook_name!r} have a "
                "mean_residual_norm; give it to all or to none."
            )
        rows = vectors if per_row else held
        directions = torch.stack([each.direction if each else torch.zeros(some.d_model) for each in rows])
        lengths = directions.norm(dim=-1).clamp_min(torch.finfo(torch.float32).tiny)
        wanted = torch.tensor([each.norms.get(str(norm), 1.0) if each else 0.0 for each in rows])
        steps = torch.ones_like(lengths) if norm is None else wanted / lengths
        axis = 1 if per_row else 0
        directions, steps = directions.unsqueeze(axis), steps.unsqueeze(axis)
        there = torch.tensor([each is not None for each in rows]) if len(held) < len(rows) else None
        return cls(directions, torch.linalg.pinv(directions), steps, unit == "residual" and not carry, there)

    @property
    def rows(self) -> int:
        """1, or the number of rows that have each their own."""
        return len(self.directions)

    @property
    def d_model(self) -> int:
        """The width of the directions."""
        return self.directions.shape[-1]

    def to(self, x: Tensor) -> None:
        """Move to where x is, once."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        if (self.directions.device, self.directions.dtype) != (x.device, dtype):
            # A tensor made in inference mode could not be used in a pass with gradients afterwards.
            with torch.inference_mode(mode=False):
                self.directions, self.inverse, self.steps = (
                    each.to(x.device, dtype) for each in (self.directions, self.inverse, self.steps)
                )
                self.there = self.there.to(x.device) if self.there is not None else None

    def lengths(self, x: Float[Tensor, "batch pos d"]) -> Float[Tensor, "#batch #pos k"]:
        """Return the coefficient that a scale of 1 stands for."""
        steps = self.steps[:, None, :]
        return steps * x.norm(dim=-1, keepdim=True) if self.relative else steps
