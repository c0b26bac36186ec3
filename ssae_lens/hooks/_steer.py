"""Steering a running model: `steer` makes a `Steering`, which has hooks on the model from `__enter__` to `__exit__`.

The hooks work wherever the model's own hooks do: in `model.generate`, `model(…)`, `run_with_cache` and
`run_with_hooks`, of a HookedTransformer, a TransformerBridge, or a subclass of either.
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
from ssae_lens.hooks.hook_points import hook_point, layer_of, origin_of, require_model, resolve_hook
from ssae_lens.hooks.operators import OPERATORS
from ssae_lens.hooks.steering_site import UNITS, Site
from ssae_lens.hooks.token_positions import Positions, check_positions, chosen
from ssae_lens.hooks.trace import Recorder, Trace
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model


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

    The call itself changes nothing: steering begins when the block is entered and ends when it is left, also by an
    exception. `Steering.attach` begins it without a block.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge, or a subclass such as HookedSAETransformer.
    vectors
        One vector, or several that act together at their hooks.
    scale
        How much of them: a number, or one for each row of the batches that the model will be given.
    positions
        Which tokens. ``"all"``; ``"prompt"`` or ``"generated"``; a number, a list of numbers or a slice, counted in each
        row's own text from 0 whatever the padding and the cache (negative: back from the end of the prompt); or
        ``After("[/INST]")``. Padding is never steered. Outside of `generate`, the text given is the prompt, and what is
        read onto a filled cache is generated.
    operator
        ``add`` the vectors; ``ablate`` what the activation has in their span (`scale` is the share taken out: 1 for all);
        ``ablate_add``, add in its place; ``clamp``, set the projection on each to what `scale` of it alone would have;
        ``add_keep_norm``, add and then restore the activation's length. `ssae_lens.hooks.operators` has the formulas.
    unit
        What a scale of 1 adds. ``vector``: the vector as it is. ``residual``: as much as the mean norm of activations at the
        hook, which the vector carries (``mean_residual_norm``), or if it does not, the norm of each activation that is
        steered. ``shift``: as much as the mean norm of the shifts that the vector came from (``mean_shift_norm``).
    per_row
        Give each row of the batch its own one of `vectors`.
    check
        Check that each vector belongs to this model, once, in this call. Without, only hooks and widths have to fit.
    trace
        Record what `Steering.trace` shows: one number for each token and hook, of the text that is being read.

    Returns
    -------
    Steering
        A context manager, not yet active. It can be entered again after its block; `Steering.trace` shows what it did.

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
    listed = _listed(vectors)
    check_positions(positions)
    checks.one_of("operator", operator, OPERATORS)
    checks.one_of("unit", unit, UNITS)
    if operator == "ablate" and unit != "vector":
        raise ValueError(f"unit is {unit!r}; the scale of operator='ablate' is a share and has no unit: leave it out.")
    for each in {id(each): each for each in listed}.values():
        _check_fit(model, each, check=check)
    scales = _checked_scales(scale, len(listed) if per_row else None)
    placed = [{resolve_hook(model, hook): each.at(hook) for hook in each.hook_names} for each in listed]
    hooks = dict.fromkeys(hook for each in placed for hook in each)
    for hook in hooks:
        if layer_of(hook) is None:
            raise ValueError(
                f"{hook!r} is outside of the blocks, and generation goes around it; steer in a block, as at "
                "'blocks.0.hook_resid_pre' for what goes into the first."
            )
    sites = {hook: Site.of([each.get(hook) for each in placed], unit, per_row=per_row) for hook in hooks}
    return Steering(model, sites, scales, positions, operator, Recorder() if trace else None)


class Steering:
    """What `steer` returns: steers its model inside a ``with`` block, or from `attach` to `remove`.

    It can be used any number of times, one after another; each use begins with an empty trace. Entering it while its own
    block is open raises ValueError and leaves that block as it is; blocks of different `Steering` objects nest in any
    order, and their changes add up. When it ends, also by an exception, the model is exactly as it was.

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
        sites: dict[str, Site],
        scales: Tensor,
        positions: Positions,
        operator: str,
        recorder: Recorder | None,
    ) -> None:
        self._model = model
        self._sites = sites
        self._scales = scales
        self._positions: Positions = positions
        self._operator = OPERATORS[operator]
        self._recorder = recorder
        self._watch: Watch | None = None
        self._in_block = False
        self._hooks: list[tuple[HookPoint, Any]] = []
        self._chosen: tuple[Pass, Tensor] | None = None

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
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.remove()

    def attach(self) -> Self:
        """Begin to steer without a block, until `remove` is called, and return this object.

        A ``with`` block entered afterwards ends it as well.
        """
        if self.active:
            raise ValueError("This Steering is already active; call remove first, or call steer again for another.")
        self._begin()
        return self

    def remove(self) -> None:
        """End steering; a call when it is not active changes nothing."""
        if self._watch is None:
            return
        for point, hook in self._hooks:
            # Only its own: `HookPoint.remove_hooks` would take away those of others.
            for handle in [each for each in point.fwd_hooks if each.user_hook is hook]:
                handle.hook.remove()
                point.fwd_hooks.remove(handle)
        self._hooks.clear()
        self._watch, self._chosen, self._in_block = None, None, False
        unwatch(self._model)

    @property
    def active(self) -> bool:
        """Whether the model is being steered by it now."""
        return self._watch is not None

    def trace(self) -> Trace:
        """Return which tokens of the text last read were steered, and by how much: the length of each change."""
        if self._recorder is None:
            raise ValueError("Nothing was recorded, as trace is False; call steer with trace=True.")
        return self._recorder.trace(self._model.tokenizer)

    def _begin(self) -> None:
        # Looked up each time: an SAE may have been put at a hook since the last. Vectors were checked by `steer`.
        points = {name: hook_point(self._model, name) for name in self._sites}
        if self._recorder is not None:
            self._recorder.clear()
        self._watch = watch(self._model, [layer for name in self._sites if (layer := layer_of(name)) is not None])
        try:
            for name, point in points.items():
                hook = self._hook(name, self._sites[name])
                point.add_hook(hook)
                self._hooks.append((point, hook))
        except BaseException:
            self.remove()
            raise

    def _hook(self, name: str, site: Site) -> Any:
        def hook(x: Tensor, hook: Any) -> Tensor:  # noqa: ARG001 - TransformerLens passes it by name
            return self._steered(name, site, x)

        return hook

    def _steered(self, name: str, site: Site, x: Float[Tensor, "batch pos d"]) -> Float[Tensor, "batch pos d"]:
        if x.ndim != 3 or x.shape[-1] != site.d_model:
            raise ValueError(
                f"The hook {name!r} carries activations of shape {tuple(x.shape)}, and the vector has {site.d_model} "
                "numbers; steer at a hook on the residual stream."
            )
        if self._watch is None:
            return x
        now = self._watch.pass_of(x)
        if self._chosen is None or self._chosen[0] is not now:
            self._chosen = now, chosen(self._positions, now, self._model.tokenizer)
        where = self._chosen[1].to(x.device)
        rows = x.shape[0]
        for what, count in (("scale", len(self._scales)), ("vectors", site.rows)):
            if count not in (1, rows):
                raise ValueError(f"{what} holds {count} for a batch of {rows} rows; give one, or one for each row.")
        site.to(x)
        if site.there is not None:
            where = where & site.there[:, None]
        # In half precision the sum would round away small changes of its parts.
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        coefficients = self._scales.to(precise)[:, None, None] * site.lengths(precise)
        moved = self._operator(precise, site.directions, site.inverse, coefficients)
        moved = torch.where(where[..., None], moved, precise)
        if self._recorder is not None:
            self._recorder.add(name, now, (moved - precise).detach().norm(dim=-1))
        return moved.to(x.dtype)


def _listed(vectors: Any) -> list[SteeringVector]:
    """Return one vector or several as a list, or raise if there is none or anything else among them."""
    if isinstance(vectors, SteeringVector):
        return [vectors]
    listed = list(vectors) if isinstance(vectors, Iterable) else []
    if not listed or not all(isinstance(each, SteeringVector) for each in listed):
        raise ValueError(
            f"vectors is {vectors!r}; give a SteeringVector or several, as SteeringVector(direction, hook_name) makes them."
        )
    return listed


def _check_fit(model: "Model", vector: SteeringVector, *, check: bool) -> None:
    """Raise, naming both sides, if a vector does not belong to a model."""
    if vector.d_model != model.cfg.d_model:
        raise ValueError(
            f"The vector has d_model={vector.d_model} ({vector.origin.model_name or 'of an unnamed model'}) and the model "
            f"{model.cfg.model_name!r} has d_model={model.cfg.d_model}; a vector steers the model it was made with."
        )
    if check:
        vector.origin.require_same(
            origin_of(model, vector.hook_names[0]),
            "The vector is not of this model",
            ignoring=("hook_name", "position"),
            hint="Open the model as it was when the vector was made, make the vector again, or pass check=False.",
        )


def _checked_scales(scale: Any, rows: int | None) -> Tensor:
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
