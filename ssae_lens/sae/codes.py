"""Codes and decoder rows of any SAELens SAE in units of the residual stream, and the checks that allow it.

Steering adds to raw activations, so the normalisation of activations by SAELens is undone. At run time it multiplies each
code by a factor that depends on the activation; one applied to the training data must be folded into the weights first.
"""

from contextlib import suppress
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.provenance import Origin

FOLDS = {
    "expected_average_only_in": "sae.fold_activation_norm_scaling_factor(sae.cfg.d_in**0.5 / mean_norm)",
    "covariance_whitening": "sae.fold_activation_whitening(mean, whitening, unwhitening)",
}


def origin_of_sae(sae: Any) -> Origin:
    """Return the origin of an SAELens SAE, as far as its configuration states it."""
    if isinstance(stated := getattr(sae, "origin", None), Origin):
        return stated
    metadata = sae.cfg.metadata
    return Origin(metadata.hook_name or "", sae.cfg.d_in, model_name=_official(metadata.model_name or ""))


def require_usable(sae: Any) -> None:
    """Raise unless an SAE's codes and decoder rows can be converted to units of the residual stream."""
    if getattr(sae.cfg, "reshape_activations", "none") != "none" or hasattr(sae.cfg, "d_out"):
        raise ValueError(
            f"The SAE ({sae.cfg.architecture()}) at {sae.cfg.metadata.hook_name!r} does not read and write one place on the "
            "residual stream, so its rows cannot be added there; give an SAE that does."
        )
    if fold := FOLDS.get(sae.cfg.normalize_activations):
        raise ValueError(
            f"The SAE expects activations normalised by {sae.cfg.normalize_activations!r}; fold that into its weights "
            f"first: {fold}."
        )


def require_origin(sae: Any, origin: Origin) -> None:
    """Raise, naming both sides, unless an SAE is of the model, hook and width that shifts were captured at."""
    origin_of_sae(sae).require_same(
        origin,
        "The SAE does not belong to the hook that the shifts were captured at",
        ignoring=("position",),
        hint="Capture at the SAE's hook of its model, or give another SAE.",
    )


def latent_number(sae: Any, latent: Any) -> int:
    """Return the index of a latent, or raise if the SAE has no such latent."""
    d_sae, number = len(sae.W_dec), checks.as_int(latent)
    if number is None or not 0 <= number < d_sae:
        raise ValueError(f"latent is {latent!r}; the SAE has latents 0 to {d_sae - 1}.")
    return number


@torch.no_grad()
def rows_of(sae: Any, latents: slice | list[int] = slice(None)) -> Float[Tensor, "n d_in"]:
    """Return the decoder rows: what one unit of each code adds to the reconstruction, before run-time normalisation."""
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
    """Return the factor by which SAELens undoes its normalisation of each activation."""
    if sae.cfg.normalize_activations == "layer_norm":
        return activations.std(axis=1, ddof=1, keepdims=True)
    if sae.cfg.normalize_activations == "constant_norm_rescale":
        return np.linalg.norm(activations, axis=1, keepdims=True) / activations.shape[1] ** 0.5
    return np.ones((1, 1))


def _official(name: str) -> str:
    """Return TransformerLens's official name of a model; an SAE may store an alias such as "gpt2-small"."""
    from transformer_lens.loading_from_pretrained import get_official_model_name

    with suppress(ValueError):
        name = get_official_model_name(name)
    return name.split("/")[-1]
