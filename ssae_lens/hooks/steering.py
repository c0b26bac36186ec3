"""Steering of a running model: the hooks of a `Steering` are on the model from `__enter__` to `__exit__`.

They work wherever the model's own hooks do: in `model.generate`, `model(…)`, `run_with_cache` and `run_with_hooks` of a
HookedTransformer, a TransformerBridge, or a subclass of either.
"""

from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from typing_extensions import Self

from ssae_lens.hooks.forward_pass import Pass, Watch, unwatch, watch
from ssae_lens.hooks.gate import Gate
from ssae_lens.hooks.hook_points import hook_point, layer_of, resolve_hook
from ssae_lens.hooks.operators import OPERATORS, Directions
from ssae_lens.hooks.token_positions import Positions, position_mask
from ssae_lens.hooks.trace import Recorder, Trace

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model


class Steering:
    """The result of `steer`: steers its model inside a ``with`` block, or from `attach` to `remove`.

    It can be used repeatedly; each use begins with an empty trace. Entering it while its own block is open raises
    ValueError; blocks of different `Steering` objects can be nested in any order, and their changes add up. At the end, also
    after an exception, the model is exactly as before.

    Examples
    --------
    >>> from ssae_lens.hooks import steer
    >>> from ssae_lens.models import tiny_model
    >>> from ssae_lens.steering_vector import SteeringVector
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
        gate: Gate | None,
        recorder: Recorder | None,
    ) -> None:
        self.model = model
        self._directions = directions
        self._scales = scales
        self._positions: Positions = positions
        self._operator = OPERATORS[operator]
        self._gate = gate
        self._open: tuple[Pass, Tensor] | None = None
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
        self._watch, self._mask, self._open, self._in_block = None, None, None, False
        unwatch(self.model)

    @property
    def scale(self) -> float | list[float]:
        """The scale, or that of each row."""
        return self._scales.item() if len(self._scales) == 1 else self._scales.tolist()

    @property
    def active(self) -> bool:
        """Whether it is steering the model now."""
        return self._watch is not None

    def trace(self) -> Trace:
        """Return which tokens of the last text were steered, and the norm of each change."""
        if self._recorder is None:
            raise ValueError("Nothing was recorded, as trace is False; call steer with trace=True.")
        return self._recorder.trace(self.model.tokenizer)

    def _begin(self) -> None:
        # Looked up each time, since an SAE may have been spliced in. The vectors were checked by `steer`.
        points = {name: hook_point(self.model, name) for name in self._directions}
        if self._recorder is not None:
            self._recorder.clear()
        hooks = [(point, self._hook(name)) for name, point in points.items()]
        names = list(self._directions)
        if self._gate is not None:
            # The first hook of its point, so that it reads what is not steered yet.
            names.append(resolve_hook(self.model, self._gate.hook_name))
            hooks.insert(0, (hook_point(self.model, names[-1]), self._gate_hook))
        self._watch = watch(self.model, [layer for name in names if (layer := layer_of(name)) is not None])
        try:
            for point, hook in hooks:
                point.add_hook(hook)
                self._hooks.append((point, hook))
        except BaseException:
            self.remove()
            raise

    def _hook(self, name: str) -> Any:
        def hook(x: Tensor, hook: Any) -> Tensor:  # noqa: ARG001 - TransformerLens passes it by name
            return self._steered(name, self._directions[name], x)

        return hook

    def _gate_hook(self, x: Tensor, hook: Any) -> None:  # noqa: ARG002 - TransformerLens passes it by name
        if self._watch is not None and self._gate is not None:
            self._open = self._watch.pass_of(x), self._gate.is_open(x)

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
            self._mask = current, position_mask(self._positions, current, self.model.tokenizer)
        mask = self._mask[1].to(x.device)
        if self._open is not None and self._open[0] is current:
            mask = mask & self._open[1].to(x.device)
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
