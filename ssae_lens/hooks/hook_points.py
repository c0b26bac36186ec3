"""Hook points of a HookedTransformer or a TransformerBridge: their names, and recording the activations at them.

A TransformerBridge has its own names (``blocks.3.hook_out``) and accepts most of HookedTransformer's
(``blocks.3.hook_resid_post``) as aliases. Everything here accepts both and returns HookedTransformer's, so that activations
of both classes can be compared.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from ssae_lens.base.checks import did_you_mean
from ssae_lens.base.provenance import Origin
from ssae_lens.models.identity import describe

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

IN_BLOCK = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out")
OUTSIDE = ("hook_embed", "hook_pos_embed")


def hook_list(hook: Any) -> list[str]:
    """Return one or several hook names as a list; raise if there is none, a duplicate, or anything that is not a name."""
    names = [hook] if isinstance(hook, str) else list(hook) if isinstance(hook, Iterable) else []
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(
            f"hook is {hook!r}; give one hook, or several different ones, by name, as in 'blocks.3.hook_resid_post'."
        )
    return names


def resolve_hook(model: "Model", name: str) -> str:
    """Return the name of a hook point that both classes of model share, or else the model's own name.

    Raises
    ------
    ValueError
        If the model has no such hook (the nearest names are suggested), or an SAE is spliced in there.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> resolve_hook(tiny_model("gpt2", "bridge"), "blocks.1.hook_out")
    'blocks.1.hook_resid_post'
    """
    point = hook_point(model, name)
    block = re.match(r"blocks\.\d+\.", name)
    shared = [block.group() + suffix for suffix in IN_BLOCK] if block else OUTSIDE
    return next((alias for alias in shared if _attribute(model, alias) is point), str(point.name or name))


def hook_point(model: "Model", name: str) -> HookPoint:
    """Return the module of a hook point; its `name` is the one that the model's own methods accept."""
    point = _attribute(model, name)
    if isinstance(point, HookPoint):
        # On a bridge, an alias still leads to the hook point that a spliced SAE has replaced.
        name = str(point.name or name)
    if hasattr(_attribute(model, name), "hook_sae_input"):
        raise ValueError(
            f"An SAE stands at {name!r}, spliced in by add_sae; use '{name}.hook_sae_input' for its input or "
            f"'{name}.hook_sae_output' for its output, or remove it with reset_saes."
        )
    if isinstance(point, HookPoint):
        return point
    blocks = [f"blocks.{layer}.{suffix}" for layer in range(model.cfg.n_layers) for suffix in IN_BLOCK]
    names = [*(shared for shared in [*blocks, *OUTSIDE] if _attribute(model, shared)), *model.hook_dict]
    raise ValueError(
        f"The model {model.cfg.model_name!r} has no hook {name!r}.{did_you_mean(name, dict.fromkeys(names))} "
        f"Its residual stream is at blocks.0 to blocks.{model.cfg.n_layers - 1}, as in 'blocks.0.hook_resid_post'."
    )


def layer_of(name: str) -> int | None:
    """Return the number of the block that a hook is in, or None for a hook outside of the blocks."""
    block = re.match(r"blocks\.(\d+)\.", name)
    return int(block.group(1)) if block else None


def origin_of(model: "Model", hook_name: str, position: str = "") -> Origin:
    """Return the origin of activations recorded from `model` at a hook and position."""
    identity = describe(model)
    del identity["n_layers"]
    return Origin(hook_name=resolve_hook(model, hook_name), position=position, **identity)


def require_residual(model: "Model", *hook_names: str) -> None:
    """Raise unless each hook carries one vector of width d_model per token, as seen in a forward pass of a few tokens."""
    tokens = torch.tensor([[0, 1, 2], [2, 1, 0]], device=model.cfg.device)
    expected = (*tokens.shape, model.cfg.d_model)
    with record_activations(model, hook_names) as record:
        for name, values in record(tokens).items():
            if tuple(values.shape) != expected:
                raise ValueError(
                    f"The hook {name!r} carries activations of shape {tuple(values.shape)} for {expected[0]} texts of "
                    f"{expected[1]} tokens; the shape must be (…, d_model) = {expected}. Use a hook on the residual stream, "
                    "as in 'blocks.0.hook_resid_post', or an output of attention or of an MLP."
                )


def final_norm(model: Any) -> Callable[[Tensor], Tensor]:
    """Return the norm before the unembedding, or the identity where the model has none."""
    return getattr(model, "ln_final", None) or torch.nn.Identity()


@contextmanager
def record_activations(
    model: "Model", hook_names: Sequence[str]
) -> Iterator[Callable[[Int[Tensor, "batch pos"]], dict[str, Float[Tensor, "batch pos d_model"]]]]:
    """Return a function from right-padded tokens to the activations at each hook.

    A forward pass stops at the last of the hooks. There are no gradients, and the model is in evaluation mode; at the end of
    the block its previous state is restored.
    """
    points = {name: hook_point(model, name) for name in hook_names}
    recorded: dict[str, Tensor] = {}

    def recorder(name: str) -> Callable[..., None]:
        def hook(values: Any, hook: HookPoint) -> None:  # noqa: ARG001 - TransformerLens passes it by name
            recorded[name] = values[0] if isinstance(values, tuple) else values
            if len(recorded) == len(points):
                raise _AllRecorded

        return hook

    def record(tokens: Int[Tensor, "batch pos"]) -> dict[str, Float[Tensor, "batch pos d_model"]]:
        recorded.clear()
        try:
            with torch.no_grad():
                # Otherwise, with a tokenizer that pads on the left, HookedTransformer would look for padding there.
                model(tokens, return_type=None, padding_side="right")
        except _AllRecorded:
            return {name: recorded[name] for name in points}
        missing = ", ".join(repr(name) for name in points if name not in recorded)
        raise ValueError(
            f"Nothing passed at the hook {missing} in a forward pass: a setting of the model disables it, or an SAE was "
            "removed there; use another hook, or load the model again."
        )

    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        # By the hook points' own names: a bridge silently ignores an alias after an SAE was spliced in.
        with model.hooks(fwd_hooks=[(str(point.name), recorder(name)) for name, point in points.items()]):
            yield record
    finally:
        for module, training in modes:
            module.training = training
        recorded.clear()


class _AllRecorded(Exception):  # noqa: N818 - ends a forward pass early; not an error
    pass


def _attribute(model: Any, name: str) -> Any:
    """Return the attribute at a dotted name, or None."""
    for part in name.split("."):
        model = getattr(model, part, None)
    return model
