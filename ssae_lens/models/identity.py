"""Identity of a model: name, class, processing flags and a fingerprint of the weights, read from the model itself."""

import hashlib
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer
    from transformer_lens.model_bridge import TransformerBridge

    Model = HookedTransformer | TransformerBridge

# A fingerprint is made of so many tensors and entries of each, rounded to 1/STEPS of the largest entry.
TENSORS, ENTRIES, STEPS = 8, 32, 50


def describe(model: "Model") -> dict[str, Any]:
    """Return a model's identity, under the names that an `Origin` uses.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge, or a subclass such as HookedSAETransformer.

    Returns
    -------
    dict
        ``model_name`` (without its organisation), ``model_class`` (``HookedTransformer`` or ``TransformerBridge``),
        ``processing`` (``fold_ln``, ``center_writing_weights``, ``center_unembed``), ``d_model``, ``n_layers`` and
        ``fingerprint``.

    Notes
    -----
    The processing flags are measured on the weights, since a model does not record how it was loaded and TransformerLens
    skips steps that an architecture does not allow. `fold_value_biases` cannot be measured and does not change the residual
    stream; it is not reported.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> describe(tiny_model("gpt2"))["processing"]
    {'fold_ln': True, 'center_writing_weights': True, 'center_unembed': True}
    >>> describe(tiny_model("llama"))["processing"]  # not allowed with RMS norms
    {'fold_ln': True, 'center_writing_weights': False, 'center_unembed': True}
    """
    model_class = require_model(model)
    return {
        "model_name": str(model.cfg.model_name).rstrip("/").split("/")[-1],
        "model_class": model_class,
        "processing": processing(model),
        "d_model": model.cfg.d_model,
        "n_layers": model.cfg.n_layers,
        "fingerprint": weights_fingerprint(model),
    }


@torch.no_grad()
def processing(model: "Model") -> dict[str, bool]:
    """Return which of TransformerLens's processing steps were applied to the weights, as measured on them."""
    model_any: Any = model
    if is_bridge(model):
        # A bridge is unprocessed until its compatibility mode is enabled, which may still skip any of the steps.
        if not model_any.compatibility_mode:
            return {"fold_ln": False, "center_writing_weights": False, "center_unembed": False}
        gains = model_any.ln_final.weight
        folded = bool((gains == gains[0]).all())
    else:
        folded = str(model.cfg.normalization_type).endswith("Pre")
    # A few rows suffice; the embeddings of a large model take gigabytes.
    return {
        "fold_ln": folded,
        "center_writing_weights": _centred(model_any.W_E[:64]),
        "center_unembed": _centred(model_any.W_U[:64]),
    }


@torch.no_grad()
def weights_fingerprint(model: "Model") -> str:
    """Return a short hash of fixed entries of some weights: equal for two loads of a model, different for two models.

    Entries are rounded to fiftieths of the largest in their tensor, because the last digits may depend on the device and the
    number of threads. Modules spliced in at hooks are skipped.
    """
    weights = [weight for name, weight in model.named_parameters() if weight.ndim > 1 and ".hook_" not in f".{name}"]
    digest = hashlib.sha256()
    for weight in (weights[i] for i in _evenly_spaced(len(weights), TENSORS)):
        # Indexed, not flattened: flattening a weight in another memory layout would copy all of it.
        indices = torch.unravel_index(
            torch.tensor(_evenly_spaced(weight.numel(), ENTRIES), device=weight.device), weight.shape
        )
        entries = weight.detach()[indices].double().cpu()
        steps = (entries / entries.abs().max().clamp_min(1e-30) * STEPS).round().long().tolist()
        digest.update(repr((tuple(weight.shape), steps)).encode())
    return digest.hexdigest()[:16]


def _evenly_spaced(length: int, count: int) -> list[int]:
    """Return up to `count` indices, evenly spaced from 0 to length - 1."""
    if length <= count:
        return list(range(length))
    return [i * (length - 1) // (count - 1) for i in range(count)]


def _centred(rows: Float[Tensor, "n d"]) -> bool:
    """Return whether every row's mean is zero up to rounding."""
    eps = torch.finfo(rows.dtype).eps
    rows = rows.double()
    rounding = max(4 * eps / rows.shape[1] ** 0.5, 4e-6)
    return bool(rows.mean(1).abs().max() <= rounding * rows.std())


def require_model(model: Any) -> str:
    """Return the class of a model, ``HookedTransformer`` or ``TransformerBridge``; raise ValueError for anything else."""
    from transformer_lens import HookedTransformer
    from transformer_lens.model_bridge import TransformerBridge

    for model_class in (HookedTransformer, TransformerBridge):
        if isinstance(model, model_class):
            return model_class.__name__
    raise ValueError(
        f"model is a {type(model).__name__}; it must be a HookedTransformer or a TransformerBridge, as from load_model."
    )


def is_bridge(model: Any) -> bool:
    """Return whether a model is a TransformerBridge rather than a HookedTransformer."""
    return hasattr(model, "original_model")
