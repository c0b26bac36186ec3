"""Sites: hook points by name in a HookedTransformer or a TransformerBridge, where they come from, and reading them.

A TransformerBridge has its own names (``blocks.3.hook_out``) and knows most of HookedTransformer's
(``blocks.3.hook_resid_post``) as aliases. Everything here takes either and gives HookedTransformer's, so that what was read
from one model is compared with what was read from another.
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
from ssae_lens.base.origin import Origin
from ssae_lens.models.identity import class_name, describe

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer
    from transformer_lens.model_bridge import TransformerBridge

    Model = HookedTransformer | TransformerBridge

IN_BLOCK = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out")
OUTSIDE = ("hook_embed", "hook_pos_embed")


def require_model(model: Any) -> None:
    """Raise unless `model` is a HookedTransformer or a TransformerBridge."""
    class_name(model)


def hook_list(hook: Any) -> list[str]:
    """Return one hook name or several as a list, or raise if it holds none, one of them twice, or anything else."""
    names = [hook] if isinstance(hook, str) else list(hook) if isinstance(hook, Iterable) else []
    if not names or not all(isinstance(each, str) for each in names) or len(set(names)) < len(names):
        raise ValueError(
            f"hook is {hook!r}; give one hook, or several different ones, by name, as in 'blocks.3.hook_resid_post'."
        )
    return names


def resolve_hook(model: "Model", name: str) -> str:
    """Return the name that a hook point has in both classes of model, or the model's own name where there is none.

    Raises
    ------
    ValueError
        If the model has no such hook (the nearest names are given), or an SAE stands in its place.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> resolve_hook(tiny_model("gpt2", "bridge"), "blocks.1.hook_out")
    'blocks.1.hook_resid_post'
    """
    point = hook_point(model, name)
    block = re.match(r"blocks\.\d+\.", name)
    shared = [block.group() + each for each in IN_BLOCK] if block else OUTSIDE
    return next((each for each in shared if _walk(model, each) is point), str(point.name or name))


def hook_point(model: "Model", name: str) -> HookPoint:
    """Return the module of a hook point; its `name` is the one that this model's own methods take."""
    found = _walk(model, name)
    if isinstance(found, HookPoint):
        # On a bridge an alias still leads to the point that an SAE has taken the place of.
        name = str(found.name or name)
    if hasattr(_walk(model, name), "hook_sae_input"):
        raise ValueError(
            f"An SAE stands at {name!r}, put there by add_sae; use '{name}.hook_sae_input' for what goes into it or "
            f"'{name}.hook_sae_output' for what comes out, or take it away with reset_saes."
        )
    if isinstance(found, HookPoint):
        return found
    blocks = [f"blocks.{layer}.{each}" for layer in range(model.cfg.n_layers) for each in IN_BLOCK]
    names = dict.fromkeys([*(each for each in [*blocks, *OUTSIDE] if _walk(model, each)), *model.hook_dict])
    raise ValueError(
        f"The model {model.cfg.model_name!r} has no hook {name!r}.{did_you_mean(name, names)} "
        f"Its residual stream is at blocks.0 to blocks.{model.cfg.n_layers - 1}, as in 'blocks.0.hook_resid_post'."
    )


def layer_of(name: str) -> int | None:
    """Return the number of the block that a hook lies in, or None for one outside of all blocks."""
    block = re.match(r"blocks\.(\d+)\.", name)
    return int(block.group(1)) if block else None


def origin_of(model: "Model", hook_name: str, position: str = "") -> Origin:
    """Say where activations read from `model` at a hook and position come from."""
    what = describe(model)
    del what["n_layers"]
    return Origin(hook_name=resolve_hook(model, hook_name), position=position, **what)


def require_residual(model: "Model", *hook_names: str) -> None:
    """Raise unless what passes at each hook is one vector of the residual stream's width for each token.

    The shape is seen on a forward pass of a few tokens: a hook's name does not tell it.
    """
    tokens = torch.tensor([[0, 1, 2], [2, 1, 0]], device=model.cfg.device)
    due = (*tokens.shape, model.cfg.d_model)
    with reading(model, hook_names) as read:
        for name, values in read(tokens).items():
            if tuple(values.shape) != due:
                raise ValueError(
                    f"The hook {name!r} carries activations of shape {tuple(values.shape)} for {due[0]} texts of {due[1]} "
                    f"tokens, where (…, d_model) = {due} is wanted; use one on the residual stream, as in "
                    "'blocks.0.hook_resid_post', or an output of attention or of an MLP."
                )


def final_norm(model: Any) -> Callable[[Tensor], Tensor]:
    """Return the norm before the unembedding, or the identity where the model has none."""
    return getattr(model, "ln_final", None) or torch.nn.Identity()


@contextmanager
def reading(
    model: "Model", hook_names: Sequence[str]
) -> Iterator[Callable[[Int[Tensor, "batch pos"]], dict[str, Float[Tensor, "batch pos d_model"]]]]:
    """Return a function from tokens, padded on the right, to what passes at each hook.

    A forward pass goes no further than the last of the hooks. There are no gradients, and the model is in evaluation mode;
    at the end of the block it is as it was.
    """
    points = {name: hook_point(model, name) for name in hook_names}
    seen: dict[str, Tensor] = {}

    def look(name: str) -> Callable[..., None]:
        def hook(values: Any, hook: HookPoint) -> None:  # noqa: ARG001 - TransformerLens passes it by name
            seen[name] = values[0] if isinstance(values, tuple) else values
            if len(seen) == len(points):
                raise _SeenAll

        return hook

    def read(tokens: Int[Tensor, "batch pos"]) -> dict[str, Float[Tensor, "batch pos d_model"]]:
        seen.clear()
        try:
            with torch.no_grad():
                # Said because a tokenizer that pads on the left makes HookedTransformer look for padding there.
                model(tokens, return_type=None, padding_side="right")
        except _SeenAll:
            return {name: seen[name] for name in points}
        silent = ", ".join(repr(name) for name in points if name not in seen)
        raise ValueError(
            f"Nothing passed at the hook {silent} in a forward pass: a setting of the model leaves it out, or an SAE was "
            "taken away there; use another hook, or load the model again."
        )

    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        # By the points' own names: a bridge passes over an alias without a word after an SAE was spliced in.
        with model.hooks(fwd_hooks=[(str(point.name), look(name)) for name, point in points.items()]):
            yield read
    finally:
        for module, training in modes:
            module.training = training
        seen.clear()


class _SeenAll(Exception):  # noqa: N818 - the way out of a forward pass, not an error
    pass


def _walk(model: Any, name: str) -> Any:
    """Follow a dotted name from attribute to attribute, or give None."""
    for part in name.split("."):
        model = getattr(model, part, None)
    return model
