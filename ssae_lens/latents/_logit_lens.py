"""Logit lens: the logits of directions of the residual stream."""

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.hooks.hook_points import final_norm

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model


def logit_lens(model: "Model", directions: Float[Tensor, "k d_model"]) -> Float[Tensor, "k d_vocab"]:
    """Return the logits of directions, through the model's final norm and unembedding.

    The final norm centres a direction (LayerNorm), scales it and applies the gain, which a HookedTransformer has folded into
    ``W_U`` and a TransformerBridge has not; then ``W_U`` is applied. Biases cancel in half the difference of the logits of v
    and −v, and the mean over the vocabulary, on which no probability depends, is subtracted. Both classes of model
    therefore give the same logits, the length of a direction does not matter, and −v has the negative logits.
    """
    if directions.shape[-1] != model.cfg.d_model:
        raise ValueError(
            f"The directions have {directions.shape[-1]} dimensions and the model {model.cfg.model_name!r} has "
            f"d_model={model.cfg.d_model}; give the model they belong to."
        )
    norm, unembed = final_norm(model), model.unembed
    with torch.no_grad():
        unit = directions.detach().to(model.cfg.device, torch.float32)
        # The length of a normalised residual, at which the norm's ε is negligible.
        unit = unit * (unit.shape[1] ** 0.5 / unit.norm(dim=1, keepdim=True))
        both = torch.stack([unit, -unit])
        positive, negative = unembed(norm(both.to(model.cfg.dtype))).float()
        logits = (positive - negative) / 2
        return (logits - logits.mean(dim=1, keepdim=True)).cpu()


def extremes(
    model: "Model", logits: Float[Tensor, "d_vocab"], n_tokens: int
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Return the tokens with the largest and with the smallest logits, most extreme first."""
    tokenizer: Any = model.tokenizer
    k = min(n_tokens, len(logits))
    largest, smallest = (logits.topk(k, largest=sign).indices.tolist() for sign in (True, False))
    return tuple([(tokenizer.decode([token]), float(logits[token])) for token in ids] for ids in (largest, smallest))  # pyright: ignore[reportReturnType]
