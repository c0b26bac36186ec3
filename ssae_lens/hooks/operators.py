"""What steering does to an activation x, given directions v₁ … v_k and a coefficient c of each.

Each operator takes x of shape (batch, pos, d), directions of shape (rows, k, d) with rows either 1 or the batch, their
pseudo-inverse of shape (rows, d, k), and coefficients of shape (batch, pos, k), or one that stands for all of an axis.
Write V for the matrix with the directions as rows, V⁺ for its pseudo-inverse and c for the row of coefficients.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

X = Float[Tensor, "batch pos d"]
Rows = Float[Tensor, "rows k d"]
Inverse = Float[Tensor, "rows d k"]
Coefficients = Float[Tensor, "#batch #pos k"]


def add(x: X, directions: Rows, _inverse: Inverse, coefficients: Coefficients) -> X:
    """Return x + cV."""
    return x + coefficients @ directions


def ablate(x: X, directions: Rows, inverse: Inverse, coefficients: Coefficients) -> X:
    """Return x − s·xV⁺V: the share s of what x has in the directions' span is taken out."""
    share = coefficients[..., :1]
    return x - share * (x @ inverse @ directions)


def ablate_add(x: X, directions: Rows, inverse: Inverse, coefficients: Coefficients) -> X:
    """Return x − xV⁺V + cV: in place of what x has in the span comes cV."""
    return x + (coefficients - x @ inverse) @ directions


def clamp(x: X, directions: Rows, inverse: Inverse, coefficients: Coefficients) -> X:
    """Return the nearest y to x that has y·vᵢ = cᵢ‖vᵢ‖² for each i: each projection is what cᵢvᵢ alone would have.

    For one direction, and for several at right angles, that is `ablate_add`.
    """
    wanted = coefficients * directions.square().sum(-1)[:, None, :]
    return x + (wanted - x @ directions.mT) @ inverse.mT


def add_keep_norm(x: X, directions: Rows, _inverse: Inverse, coefficients: Coefficients) -> X:
    """Return x + cV, made as long as x."""
    moved = x + coefficients @ directions
    tiny = torch.finfo(moved.dtype).tiny
    return moved * (x.norm(dim=-1, keepdim=True) / moved.norm(dim=-1, keepdim=True).clamp_min(tiny))


OPERATORS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    each.__name__: each for each in (add, ablate, ablate_add, clamp, add_keep_norm)
}
