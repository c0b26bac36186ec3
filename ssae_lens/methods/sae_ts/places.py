"""Where an SAE reads in a model, and directions to add there."""

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.origin import Origin
from ssae_lens.hooks.sites import layer_of, origin_of, require_residual
from ssae_lens.models.identity import weights_fingerprint

if TYPE_CHECKING:
    from ssae_lens.hooks.sites import Model


def place_of(model: "Model", sae: Any) -> Origin:
    """Say where in a model an SAELens SAE reads, or that it is not an SAE of this model's residual stream."""
    hook_name = sae.cfg.metadata.hook_name
    if not hook_name:
        raise ValueError(
            "The SAE does not say which hook it reads; set sae.cfg.metadata.hook_name, as to 'blocks.3.hook_resid_post'."
        )
    origin = origin_of(model, hook_name)
    if sae.cfg.d_in != origin.d_model:
        raise ValueError(
            f"The SAE reads d_in={sae.cfg.d_in} numbers at {hook_name!r} and the model {origin.model_name!r} has "
            f"d_model={origin.d_model}; give an SAE of this model's residual stream."
        )
    if layer_of(origin.hook_name) is None:
        raise ValueError(
            f"The SAE reads {origin.hook_name!r}, which is outside of the blocks, where generation cannot be steered; give "
            "one at a hook of a block, as 'blocks.3.hook_resid_post'."
        )
    require_residual(model, origin.hook_name)
    return origin


def fingerprint_of(sae: Any) -> str:
    """Return a short hash of an SAE's weights."""
    return weights_fingerprint(sae)


def unit_rows(vectors: Float[Tensor, "n d"], d_model: int) -> Float[Tensor, "n d"]:
    """Return rows of length 1, float32 on the CPU, or say what is wrong with the vectors."""
    rows = torch.as_tensor(vectors).detach().to("cpu", torch.float32)
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != d_model:
        raise ValueError(f"vectors has shape {tuple(rows.shape)}; give at least one row of d_model={d_model} numbers.")
    checks.finite_rows("vectors", rows)
    lengths = rows.norm(dim=1, keepdim=True)
    if (zero := (lengths == 0).flatten()).any():
        raise ValueError(
            f"vectors holds only zeros in row {int(zero.nonzero()[0])}, which points nowhere; leave it out."
        )
    return rows / lengths
