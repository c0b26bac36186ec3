"""The logit lens: which tokens a direction of the residual stream speaks for."""

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.hooks.hook_points import final_norm

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model


def logit_lens(model: "Model", directions: Float[Tensor, "k d_model"]) -> Float[Tensor, "k d_vocab"]:
    """Return the logits of directions, through the model's own final norm and unembedding.

    A direction is taken as if it were all of the residual stream: the final norm centres it (if it is a LayerNorm), scales
    it and multiplies in the gain, which a HookedTransformer has folded into ``W_U`` and a TransformerBridge has not; then
    comes ``W_U``. The biases of both are left out (half the difference of what v and −v give), and so is what all logits
    have in common, which no probability depends on. So the two classes of model give the same, a direction's length does
    not matter, and its negative has the negative logits.
    """
    if directions.shape[-1] != model.cfg.d_model:
        raise ValueError(
            f"The directions have {directions.shape[-1]} numbers and the model {model.cfg.model_name!r} has "
            f"d_model={model.cfg.d_model}; give the model that they belong to."
        )
    norm, unembed = final_norm(model), model.unembed
    with torch.no_grad():
        unit = directions.detach().to(model.cfg.device, torch.float32)
        # Of the length of a normalised residual, beside which the norm's ε is nothing.
        unit = unit * (unit.shape[1] ** 0.5 / unit.norm(dim=1, keepdim=True))
        both = torch.stack([unit, -unit])
        positive, negative = unembed(norm(both.to(model.cfg.dtype))).float()
        logits = (positive - negative) / 2
        return (logits - logits.mean(dim=1, keepdim=True)).cpu()


def extremes(
    model: "Model", logits: Float[Tensor, "d_vocab"], n_tokens: int
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Return the tokens of the largest logits, and of the smallest, each the most extreme first."""
    tokenizer: Any = model.tokenizer
    most = min(n_tokens, len(logits))
    largest, smallest = (logits.topk(most, largest=up).indices.tolist() for up in (True, False))
    return tuple([(tokenizer.decode([each]), float(logits[each])) for each in ids] for ids in (largest, smallest))  # pyright: ignore[reportReturnType]
