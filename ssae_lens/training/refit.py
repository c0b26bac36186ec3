"""The last step of training by budget: decoder rows fitted anew to the codes that stand out.

While codes shrink under a price, every shift keeps small codes of latents that have nothing to do with it, and rows bend to
make up for them. Least squares on the codes that stand out gives rows without that, in the whole space of shifts and not
only in the directions that the encoder reads.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Directions of the codes below this share of the strongest are rounding.
SMALLEST = 1e-6


@torch.no_grad()
def refitted(
    codes: Float[Tensor, "n h"], shifts: Float[Tensor, "n d"], rows: Float[Tensor, "h d"]
) -> Float[Tensor, "h d"]:
    """Return the rows that write shifts best from the codes that stand out; a latent without any keeps its row.

    It is solved on the CPU: not every device has double precision.
    """
    place, (codes, shifts, rows) = rows.device, (each.cpu() for each in (codes, shifts, rows))
    standing = torch.where(active_mask(codes.abs()), codes, torch.zeros_like(codes)).double()
    gram = standing.T @ standing
    found = torch.linalg.pinv(gram, rtol=SMALLEST, hermitian=True) @ (standing.T @ shifts.double())
    alive = found.norm(dim=1, keepdim=True) > 0
    return torch.where(alive, found.to(rows.dtype), rows).to(place)


def active_mask(sizes: Float[Tensor, "n h"]) -> Bool[Tensor, "n h"]:
    """Say which ``|codes|`` of each latent are of the larger of two kinds, parted to be most unlike (Otsu 1979)."""
    ordered = sizes.cpu().double().sort(dim=0).values
    total, n = ordered.cumsum(0), len(ordered)
    below = torch.arange(1, n, dtype=torch.float64)[:, None]
    apart = total[-1] - total[:-1]
    between = below * (n - below) * (apart / (n - below) - total[:-1] / below).square()
    last_below = between.argmax(0, keepdim=True)
    return sizes > ordered.gather(0, last_below).to(sizes)
