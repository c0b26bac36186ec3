"""Steering of a running model: `steer` returns a `Steering`, whose hooks are on the model from `__enter__` to `__exit__`.

The hooks work wherever the model's own hooks do: in `model.generate`, `model(…)`, `run_with_cache` and `run_with_hooks` of a
HookedTransformer, a TransformerBridge, or a subclass of either.
"""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from typing_extensions import Self

from ssae_lens.base import checks
from ssae_lens.hooks.forward_pass import Pass, Watch, unwatch, watch
from ssae_lens.hooks.hook_points import hook_point, layer_of, origin_of, resolve_hook
from ssae_lens.hooks.operators import OPERATORS, UNITS, Directions
from ssae_lens.hooks.token_positions import Positions, check_positions, position_mask
from ssae_lens.hooks.trace import Recorder, Trace
from ssae_lens.models.identity import require_model
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model


def steer(
    model: "Model",
    vectors: SteeringVector | Sequence[SteeringVector],
    *,
    scale: float | Sequence[float] | Float[Tensor, "batch"] = 1.0,
    positions: Positions = "all",
    operator: Literal["add", "ablate", "ablate_add", "clamp", "add_keep_norm"] = "add",
    unit: Literal["vector", "residual", "shift"] = "vector",
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
        The steering strength: a number, or one for each row of the batches that the model will read.
    positions
        The tokens to steer: ``"all"``; ``"prompt"`` or ``"generated"``; a number, a list of numbers or a slice, counted from
        0 in each row's own text regardless of padding and cache (negative: back from the end of the prompt); or
        ``After("[/INST]")``. Padding is never steered. Outside of `generate`, the text given is the prompt, and text read
        after a filled cache is generated.
    operator
        ``add`` the vectors; ``ablate`` the projection of the activation on their span (`scale` is the fraction removed);
        ``ablate_add``, ablate and then add; ``clamp``, set the projection on each vector to that of `scale` times it;
        ``add_keep_norm``, add and then restore the activation's norm. `ssae_lens.hooks.operators` has the formulas.
    unit
        The length of a scale of 1. ``vector``: the vector's own. ``residual``: the mean norm of activations at the hook
        (the vector's ``mean_residual_norm`` or, without it, the norm of each steered activation). ``shift``: the mean norm
        of the shifts that the vector was made from (``mean_shift_norm``).
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
    scales = _scale_tensor(scale, len(listed) if per_row else None)
    by_hook = [{resolve_hook(model, hook): vector.at(hook) for hook in vector.hook_names} for vector in listed]
    hooks = dict.fromkeys(hook for vector in by_hook for hook in vector)
    for hook in hooks:
        if layer_of(hook) is None:
            raise ValueError(
                f"{hook!r} is outside of the blocks, where generation may not run it; steer in a block, as at "
                "'blocks.0.hook_resid_pre' for the input of the first."
            )
    directions = {hook: Directions.of([v.get(hook) for v in by_hook], unit, per_row=per_row) for hook in hooks}
    return Steering(model, directions, scales, positions, operator, Recorder() if trace else None)


class Steering:
    """The result of `steer`: steers its model inside a ``with`` block, or from `attach` to `remove`.

    It can be used repeatedly; each use begins with an empty trace. Entering it while its own block is open raises
    ValueError; blocks of different `Steering` objects can be nested in any order, and their changes add up. At the end, also
    after an exception, the model is exactly as before.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> vector = SteeringVector(torch.ones(32), "blocks.1.hook_resid_post")
    >>> steering = steer(tiny_model("gpt2"), vector).attach()
    >>> steering.active
    True
    >>> steering.remove()
    >>> steering.active
    False
    """

    def __init__(
        self,
        model: "Model",
        directions: dict[str, Directions],
        scales: Tensor,
        positions: Positions,
        operator: str,
        recorder: Recorder | None,
    ) -> None:
        self._model = model
        self._directions = directions
        self._scales = scales
        self._positions: Positions = positions
        self._operator = OPERATORS[operator]
        self._recorder = recorder
        self._watch: Watch | None = None
        self._in_block = False
        self._hooks: list[tuple[HookPoint, Any]] = []
        self._mask: tuple[Pass, Tensor] | None = None

    def __enter__(self) -> Self:
        if self._in_block:
            raise ValueError(
                "This Steering is already active in an open block; leave that block first, or call steer again for another."
            )
        if not self.active:
            self._begin()
        self._in_block = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def attach(self) -> Self:
        """Begin to steer without a block, until `remove` is called, and return this object.

        A ``with`` block entered later also ends it.
        """
        if self.active:
            raise ValueError("This Steering is already active; call remove first, or call steer again for another.")
        self._begin()
        return self

    def remove(self) -> None:
        """End steering; without effect when it is not active."""
        if self._watch is None:
            return
        for point, hook in self._hooks:
            # `HookPoint.remove_hooks` would also remove other hooks.
            for handle in [handle for handle in point.fwd_hooks if handle.user_hook is hook]:
                handle.hook.remove()
                point.fwd_hooks.remove(handle)
        self._hooks.clear()
        self._watch, self._mask, self._in_block = None, None, False
        unwatch(self._model)

    @property
    def active(self) -> bool:
        """Whether it is steering the model now."""
        return self._watch is not None

    def trace(self) -> Trace:
        """Return which tokens of the last text were steered, and the norm of each change."""
        if self._recorder is None:
            raise ValueError("Nothing was recorded, as trace is False; call steer with trace=True.")
        return self._recorder.trace(self._model.tokenizer)

    def _begin(self) -> None:
        # Looked up each time, since an SAE may have been spliced in. The vectors were checked by `steer`.
        points = {name: hook_point(self._model, name) for name in self._directions}
        if self._recorder is not None:
            self._recorder.clear()
        self._watch = watch(self._model, [layer for name in self._directions if (layer := layer_of(name)) is not None])
        try:
            for name, point in points.items():
                hook = self._hook(name)
                point.add_hook(hook)
                self._hooks.append((point, hook))
        except BaseException:
            self.remove()
            raise

    def _hook(self, name: str) -> Any:
        def hook(x: Tensor, hook: Any) -> Tensor:  # noqa: ARG001 - TransformerLens passes it by name
            return self._steered(name, self._directions[name], x)

        return hook

    def _steered(self, name: str, at_hook: Directions, x: Float[Tensor, "batch pos d"]) -> Float[Tensor, "batch pos d"]:
        if x.ndim != 3 or x.shape[-1] != at_hook.d_model:
            raise ValueError(
                f"The hook {name!r} carries activations of shape {tuple(x.shape)}, and the vector has {at_hook.d_model} "
                "numbers; steer at a hook on the residual stream."
            )
        if self._watch is None:
            return x
        current = self._watch.pass_of(x)
        if self._mask is None or self._mask[0] is not current:
            self._mask = current, position_mask(self._positions, current, self._model.tokenizer)
        mask = self._mask[1].to(x.device)
        rows = x.shape[0]
        for argument, count in (("scale", len(self._scales)), ("vectors", at_hook.rows)):
            if count not in (1, rows):
                raise ValueError(f"{argument} holds {count} for a batch of {rows} rows; give one, or one for each row.")
        at_hook.to(x)
        if at_hook.active is not None:
            mask = mask & at_hook.active[:, None]
        # Half precision would round small changes away.
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        coefficients = self._scales.to(precise)[:, None, None] * at_hook.unit_coefficients(precise)
        steered = self._operator(precise, at_hook.directions, at_hook.inverse, coefficients)
        steered = torch.where(mask[..., None], steered, precise)
        if self._recorder is not None:
            self._recorder.add(name, current, (steered - precise).detach().norm(dim=-1))
        return steered.to(x.dtype)


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
