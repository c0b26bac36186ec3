"""How a HookedTransformer's weights lie in memory, which is what makes it slow to generate.

Its attention, gated MLPs and unembedding hand PyTorch the transpose of their weights, made anew at each forward pass: at
one token a pass, copying the weights takes longer than using them. A weight that already lies in memory as its transpose
would is not copied. Its shape and numbers are the same, and so are the results, to the last bit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

# The order of axes that TransformerLens asks for.
BY_NAME = {
    **dict.fromkeys(("W_Q", "W_K", "W_V", "_W_K", "_W_V"), (0, 2, 1)),  # (head, d_model, d_head)
    "W_O": (2, 0, 1),  # (head, d_head, d_model)
    **dict.fromkeys(("W_in", "W_gate", "W_out", "W_U"), (1, 0)),
}


@contextmanager
def laid_out_for_generation(model: "Model") -> Iterator[None]:
    """Lay a HookedTransformer's weights out as its forward pass asks for them, and back at the end of the block.

    Worth its while for a generation of a few tokens or more; a TransformerBridge has nothing to gain and is left alone.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> model = tiny_model("llama")
    >>> with laid_out_for_generation(model):
    ...     text = model.generate("The man", verbose=False)
    """
    moved = [] if hasattr(model, "original_model") else list(_weights(model))
    try:
        # One after another, so that no more than one lies in memory twice.
        for weight, axes in moved:
            back = torch.argsort(torch.tensor(axes)).tolist()
            _relay(weight, lambda values, axes=axes, back=back: values.permute(axes).contiguous().permute(back))
        yield
    finally:
        for weight, _ in moved:
            _relay(weight, Tensor.contiguous)


def _weights(model: Any) -> Iterator[tuple[nn.Parameter, tuple[int, ...]]]:
    for module in [
        model.unembed,
        *(part for block in model.blocks for part in (block.attn, getattr(block, "mlp", None))),
    ]:
        own = dict(module.named_parameters(recurse=False)) if module is not None else {}
        # An MLP without a gate multiplies by its weights as they are.
        gated = "W_gate" in own or "W_in" not in own
        for name, weight in own.items():
            axes = BY_NAME.get(name, ())
            if gated and weight.ndim == len(axes) and weight.is_contiguous() and weight.is_floating_point():
                yield weight, axes


def _relay(weight: nn.Parameter, layout: Callable[[Tensor], Tensor]) -> None:
    # A weight made in inference mode could have no gradients afterwards.
    with torch.inference_mode(mode=False):
        weight.data = layout(weight.data)
