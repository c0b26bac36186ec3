"""An SAE of captured activations: the checks that it belongs to them, its decoder rows and its codes, in residual units.

Steering adds to raw activations, so SAELens's normalisation of them has to be undone: what it does at run time multiplies
each code by a number that depends on the activation, and what it does to training data alone has to be folded first.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.origin import Origin
from ssae_lens.hooks.hook_points import layer_of, origin_of, require_residual
from ssae_lens.methods.contrast import require_store
from ssae_lens.shifts import ShiftStore

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

FOLDS = {
    "expected_average_only_in": "sae.fold_activation_norm_scaling_factor(sae.cfg.d_in**0.5 / mean_norm)",
    "covariance_whitening": "sae.fold_activation_whitening(mean, whitening, unwhitening)",
}


def origin_of_sae(sae: Any) -> Origin:
    """Return where an SAELens SAE belongs, as far as its configuration states it."""
    if isinstance(stated := getattr(sae, "origin", None), Origin):
        return stated
    metadata = sae.cfg.metadata
    return Origin(metadata.hook_name or "", sae.cfg.d_in, model_name=_official(metadata.model_name or ""))


def place_of(model: "Model", sae: Any) -> Origin:
    """Return where in a model an SAELens SAE reads, or raise if it is not an SAE of this model's residual stream."""
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


def require_usable(sae: Any) -> None:
    """Raise unless an SAE's codes and decoder rows can be given in units of the residual stream."""
    if getattr(sae.cfg, "reshape_activations", "none") != "none" or hasattr(sae.cfg, "d_out"):
        raise ValueError(
            f"The SAE ({sae.cfg.architecture()}) at {sae.cfg.metadata.hook_name!r} does not read and write one place on the "
            "residual stream, where a row could be added; give one that does."
        )
    if fold := FOLDS.get(sae.cfg.normalize_activations):
        raise ValueError(
            f"The SAE expects activations normalised by {sae.cfg.normalize_activations!r}; fold that into its weights "
            f"first: {fold}."
        )


def require_fit(sae: Any, shifts: ShiftStore) -> None:
    """Raise, naming both sides, unless an SAE is of the model, hook and width that shifts were captured at."""
    require_usable(sae)
    origin_of_sae(sae).require_same(
        require_store(shifts).origin,
        "The SAE is not of the place that the shifts were captured at",
        ignoring=("position",),
        hint="Capture at the SAE's hook of its model, or give another SAE.",
    )


def latent_number(sae: Any, latent: Any) -> int:
    """Return the number of one of an SAE's latents, or raise if there is none."""
    d_sae, number = len(sae.W_dec), checks.as_int(latent)
    if number is None or not 0 <= number < d_sae:
        raise ValueError(f"latent is {latent!r}; there are latents 0 to {d_sae - 1}.")
    return number


@torch.no_grad()
def rows_of(sae: Any, latents: slice | list[int] = slice(None)) -> Float[Tensor, "n d_in"]:
    """Return what one unit of each latent's code adds to the reconstruction, run-time normalisation apart."""
    rows = sae.W_dec[latents].detach().cpu().float()
    if getattr(sae.cfg, "rescale_acts_by_decoder_norm", False):
        rows = rows / rows.norm(dim=1, keepdim=True)
    return rows


@torch.no_grad()
def codes_of(sae: Any, activations: Float[np.ndarray, "b d_in"]) -> Float[np.ndarray, "b d_sae"]:
    """Return an SAE's codes, float64, in units of the rows that `rows_of` returns."""
    values = torch.from_numpy(activations).to(sae.device, sae.dtype)
    codes = sae.encode(values).double().cpu().numpy()
    return codes * _scales(sae, activations.astype(np.float64))


def _scales(sae: Any, activations: Float[np.ndarray, "b d_in"]) -> Float[np.ndarray, "#b 1"]:
    """Return what SAELens multiplies the output of each activation by, to undo what it did to the input."""
    if sae.cfg.normalize_activations == "layer_norm":
        return activations.std(axis=1, ddof=1, keepdims=True)
    if sae.cfg.normalize_activations == "constant_norm_rescale":
        return np.linalg.norm(activations, axis=1, keepdims=True) / activations.shape[1] ** 0.5
    return np.ones((1, 1))


def _official(name: str) -> str:
    """Return what a model calls itself once TransformerLens has opened it; SAEs may know it as "gpt2-small", say."""
    from transformer_lens.loading_from_pretrained import get_official_model_name

    with suppress(ValueError):
        name = get_official_model_name(name)
    return name.split("/")[-1]
