"""`steer`: a `Steering` of checked vectors, at a scale that is given or found."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.hooks.divergence import Divergence, KLBudget
from ssae_lens.hooks.gate import Gate
from ssae_lens.hooks.hook_points import layer_of, origin_of, resolve_hook
from ssae_lens.hooks.operators import OPERATORS, UNITS, Directions
from ssae_lens.hooks.steering import Steering
from ssae_lens.hooks.token_positions import Positions, check_positions
from ssae_lens.hooks.trace import Recorder
from ssae_lens.models.identity import require_model
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

# Operators that change nothing at a scale of zero, and more at a larger one.
BUDGETED = ("add", "add_keep_norm", "rotate")


def steer(
    model: "Model",
    vectors: SteeringVector | Sequence[SteeringVector],
    *,
    scale: float | Sequence[float] | Float[Tensor, "batch"] | KLBudget = 1.0,
    positions: Positions = "all",
    operator: Literal["add", "ablate", "ablate_add", "clamp", "add_keep_norm", "rotate"] = "add",
    unit: Literal["vector", "residual", "shift"] = "vector",
    gate: Gate | None = None,
    per_row: bool = False,
    check: bool = True,
    trace: bool = True,
) -> "Steering":
    """Return a context manager that steers a model inside its block.

    Steering begins when the block is entered and ends when it is left, also by an exception. `Steering.attach` steers
    without a block.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge, or a subclass such as HookedSAETransformer.
    vectors
        One vector, or several that act together at their hooks.
    scale
        The steering strength: a number; one for each row of the batches that the model will read; or a `kl_budget`, for
        which the scale is found now.
    positions
        The tokens to steer: ``"all"``; ``"prompt"`` or ``"generated"``; a number, a list of numbers or a slice, counted from
        0 in each row's own text regardless of padding and cache (negative: back from the end of the prompt); or
        ``After("[/INST]")``. Padding is never steered. Outside of `generate`, the text given is the prompt, and text read
        after a filled cache is generated.
    operator
        ``add`` the vectors; ``ablate`` the projection of the activation on their span (`scale` is the fraction removed);
        ``ablate_add``, ablate and then add; ``clamp``, set the projection on each vector to that of `scale` times it;
        ``add_keep_norm``, add and then restore the activation's norm; ``rotate`` the activation towards the vector at its
        norm, by an arc of the same length. `ssae_lens.hooks.operators` has the formulas.
    unit
        The length of a scale of 1. ``vector``: the vector's own. ``residual``: the mean norm of activations at the hook
        (the vector's ``mean_residual_norm`` or, without it, the norm of each steered activation). ``shift``: the mean norm
        of the shifts that the vector was made from (``mean_shift_norm``).
    gate
        Steer only tokens whose activation passes this condition: a cosine with a vector, or a code of an SAE.
    per_row
        Steer each row of the batch with its own one of `vectors`.
    check
        Check, once, that each vector belongs to this model. Otherwise only hooks and widths have to fit.
    trace
        Record the trace: one number for each token and hook of the current text.

    Returns
    -------
    Steering
        A context manager, not yet active, which can be used repeatedly. `Steering.trace` shows the changes.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> model = tiny_model("gpt2")
    >>> vector = SteeringVector(torch.ones(32), "blocks.1.hook_resid_post")
    >>> with steer(model, vector, scale=4.0, positions=slice(2, None)) as steering:
    ...     logits = model("The man said")
    >>> print(steering.trace())
    row 0: <bos>The[ man 22.6][ said 22.6]
    """
    require_model(model)
    listed = _vector_list(vectors)
    check_positions(positions)
    checks.one_of("operator", operator, OPERATORS)
    checks.one_of("unit", unit, UNITS)
    if operator == "ablate" and unit != "vector":
        raise ValueError(
            f"unit is {unit!r}; the scale of operator='ablate' is a fraction and has no unit: leave it out."
        )
    for vector in {id(vector): vector for vector in listed}.values():
        _check_fit(model, vector, check=check)
    if isinstance(scale, KLBudget):
        options: Any = {"operator": operator, "unit": unit, "gate": gate, "check": check, "trace": False}
        scale = _found_scale(scale, model, listed, options, per_row=per_row)
    scales = _scale_tensor(scale, len(listed) if per_row else None)
    by_hook = [{resolve_hook(model, hook): vector.at(hook) for hook in vector.hook_names} for vector in listed]
    hooks = dict.fromkeys(hook for vector in by_hook for hook in vector)
    for hook in hooks:
        if layer_of(hook) is None:
            raise ValueError(
                f"{hook!r} is outside of the blocks, where generation may not run it; steer in a block, as at "
                "'blocks.0.hook_resid_pre' for the input of the first."
            )
    if gate is not None:
        _check_gate(model, gate, list(hooks))
    directions = {hook: Directions.of([v.get(hook) for v in by_hook], unit, per_row=per_row) for hook in hooks}
    return Steering(model, directions, scales, positions, operator, gate, Recorder() if trace else None)


def _vector_list(vectors: Any) -> list[SteeringVector]:
    """Return one or several vectors as a list; raise if there is none, or anything else among them."""
    if isinstance(vectors, SteeringVector):
        return [vectors]
    listed = list(vectors) if isinstance(vectors, Iterable) else []
    if not listed or not all(isinstance(vector, SteeringVector) for vector in listed):
        raise ValueError(
            f"vectors is {vectors!r}; give one or several SteeringVector objects, as SteeringVector(direction, hook_name)."
        )
    return listed


def _check_fit(model: "Model", vector: SteeringVector, *, check: bool) -> None:
    """Raise, naming both sides, if a vector does not belong to a model."""
    if vector.d_model != model.cfg.d_model:
        raise ValueError(
            f"The vector has d_model={vector.d_model} ({vector.origin.model_name or 'of an unnamed model'}) and the model "
            f"{model.cfg.model_name!r} has d_model={model.cfg.d_model}; a vector steers only the model it was made with."
        )
    if check:
        vector.origin.require_same(
            origin_of(model, vector.hook_names[0]),
            "The vector is not of this model",
            ignoring=("hook_name", "position"),
            hint="Load the model as when the vector was made, make the vector again, or pass check=False.",
        )


def _check_gate(model: "Model", gate: Gate, hooks: list[str]) -> None:
    """Raise unless a gate is at the steered hook or in an earlier block."""
    name = resolve_hook(model, gate.hook_name)
    own, first = layer_of(name), min(layer for hook in hooks if (layer := layer_of(hook)) is not None)
    if own is None or not (own < first or hooks == [name]):
        raise ValueError(
            f"The gate is at {name!r} and the vector at {', '.join(hooks)}; the gate must be at the same hook, or in an "
            "earlier block."
        )


def _found_scale(
    budget: KLBudget, model: "Model", vectors: list[SteeringVector], options: dict[str, Any], *, per_row: bool
) -> float | list[float]:
    """Return the scale of a KL budget, or that of each row's vector."""
    if options["operator"] not in BUDGETED:
        raise ValueError(
            f"scale is a KL budget and operator is {options['operator']!r}; it must be one of {', '.join(BUDGETED)}."
        )
    divergence = Divergence(model, budget.prompts)
    if not per_row:
        return budget.find(divergence, lambda scale: steer(model, vectors, scale=scale, **options))
    found = {
        id(vector): budget.find(divergence, lambda scale, vector=vector: steer(model, vector, scale=scale, **options))
        for vector in {id(vector): vector for vector in vectors}.values()
    }
    return [found[id(vector)] for vector in vectors]


def _scale_tensor(scale: Any, rows: int | None) -> Float[Tensor, "batch"]:
    try:
        scales = torch.as_tensor(scale, dtype=torch.float32, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError):
        scales = torch.empty(0)
    if scales.ndim > 1 or not scales.numel() or not scales.isfinite().all():
        raise ValueError(f"scale is {scale!r}; give a number, or one for each row of the batch.")
    scales = scales.reshape(-1)
    if rows is not None and len(scales) not in (1, rows):
        raise ValueError(
            f"scale holds {len(scales)} numbers for {rows} rows of per_row vectors; give one, or one for each."
        )
    return scales
