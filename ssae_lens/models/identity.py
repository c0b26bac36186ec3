"""Identity of a model: its name, class, processing and a fingerprint of its weights, read from the model itself."""

import hashlib
from typing import TYPE_CHECKING, Any, Union

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer
    from transformer_lens.model_bridge import TransformerBridge

# Of how many tensors, and how many numbers of each, a fingerprint is made; and how finely each number is rounded.
TENSORS, NUMBERS, STEPS = 8, 32, 50


def describe(model: Union["HookedTransformer", "TransformerBridge"]) -> dict[str, Any]:
    """Return what a model is, with the names that an `Origin` has.

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
    The processing is measured on the weights: TransformerLens leaves out what an architecture does not allow, whatever
    it was asked for, and a model does not remember how it was loaded. `fold_value_biases` leaves no trace that can be
    measured and does not change the residual stream; it is left out.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> describe(tiny_model("gpt2"))["processing"]
    {'fold_ln': True, 'center_writing_weights': True, 'center_unembed': True}
    >>> describe(tiny_model("llama"))["processing"]  # RMS norms do not subtract the mean, so it has to stay
    {'fold_ln': True, 'center_writing_weights': False, 'center_unembed': True}
    """
    model_class = class_name(model)
    return {
        "model_name": str(model.cfg.model_name).rstrip("/").split("/")[-1],
        "model_class": model_class,
        "processing": processing(model),
        "d_model": model.cfg.d_model,
        "n_layers": model.cfg.n_layers,
        "fingerprint": weights_fingerprint(model),
    }


@torch.no_grad()
def processing(model: Union["HookedTransformer", "TransformerBridge"]) -> dict[str, bool]:
    """Return which of TransformerLens's processing steps the weights have been through, measured on them."""
    model_any: Any = model
    if class_name(model) == "TransformerBridge":
        # A bridge is raw until its compatibility mode is switched on; that may be without any one of the steps.
        if not model_any.compatibility_mode:
            return {"fold_ln": False, "center_writing_weights": False, "center_unembed": False}
        gains = model_any.ln_final.weight
        folded = bool((gains == gains[0]).all())
    else:
        folded = str(model.cfg.normalization_type).endswith("Pre")
    # A few rows are enough, and the embeddings of a large model are gigabytes.
    return {
        "fold_ln": folded,
        "center_writing_weights": _centred(model_any.W_E[:64]),
        "center_unembed": _centred(model_any.W_U[:64]),
    }


@torch.no_grad()
def weights_fingerprint(model: Union["HookedTransformer", "TransformerBridge"]) -> str:
    """Return a short hash of fixed entries of some weights: two loads of one model agree, two models do not.

    Entries are rounded to fiftieths of the largest beside them, so that the last digits, which another device or number
    of threads may give differently, do not matter. Modules spliced in at hooks are passed over.
    """
    weights = [each for name, each in model.named_parameters() if each.ndim > 1 and ".hook_" not in f".{name}"]
    picked = [weights[i] for i in _spread(len(weights), TENSORS)]
    digest = hashlib.sha256()
    for weight in picked:
        # Each by its own indices: to flatten a weight laid out for generation would copy all of it.
        where = torch.unravel_index(torch.tensor(_spread(weight.numel(), NUMBERS), device=weight.device), weight.shape)
        entries = weight.detach()[where].double().cpu()
        steps = (entries / entries.abs().max().clamp_min(1e-30) * STEPS).round().long().tolist()
        digest.update(repr((tuple(weight.shape), steps)).encode())
    return digest.hexdigest()[:16]


def _spread(length: int, count: int) -> list[int]:
    """Return up to `count` different indices, evenly from the first to the last of `length`."""
    if length <= count:
        return list(range(length))
    return [i * (length - 1) // (count - 1) for i in range(count)]


def _centred(rows: Float[Tensor, "n d"]) -> bool:
    """Whether every row's mean is zero, up to the rounding of its numbers."""
    eps = torch.finfo(rows.dtype).eps
    rows = rows.double()
    rounding = max(4 * eps / rows.shape[1] ** 0.5, 4e-6)
    return bool(rows.mean(1).abs().max() <= rounding * rows.std())


def class_name(model: Any) -> str:
    """Return which of TransformerLens's two classes a model is of, or raise if of neither."""
    from transformer_lens import HookedTransformer
    from transformer_lens.model_bridge import TransformerBridge

    for each in (HookedTransformer, TransformerBridge):
        if isinstance(model, each):
            return each.__name__
    raise ValueError(
        f"model is a {type(model).__name__}; it must be a HookedTransformer or a TransformerBridge: load_model gives either."
    )
