"""Steering vectors: directions in the residual stream at one or several hooks, their arithmetic and their files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks, control_vectors, tensor_files
from ssae_lens.base.provenance import Origin

FORMAT = "ssae_lens.steering_vector"


class SteeringVector:
    """A direction to add to the residual stream, in its units, at one or several hooks.

    Parameters
    ----------
    direction
        A tensor, array or list of d_model numbers, or several of them by hook name.
    hook_name
        The hook to steer at; by default that of `origin`.
    origin
        The model of the vector, which `steer` checks; empty fields are not checked.
    method
        The method it was made with.
    concept
        The concept it should change.
    norms
        Units for the scales of `steer`: ``mean_residual_norm``, the mean norm of activations at the hook, and
        ``mean_shift_norm``, the mean norm of the shifts. For several hooks, by hook name.

    Attributes
    ----------
    directions
        The direction at each hook: float32, on the CPU.
    origin, method, concept
        As above; the origin's `hook_name` is the first hook.

    Examples
    --------
    >>> calm = SteeringVector([3.0, 4.0], "blocks.1.hook_resid_post", concept="calm")
    >>> (2 * calm - calm).normalize().direction
    tensor([0.6000, 0.8000])
    """

    __array_ufunc__ = None  # so that a NumPy number times a vector calls __rmul__ here

    def __init__(
        self,
        direction: Float[Tensor, "d_model"] | Mapping[str, Float[Tensor, "d_model"]] | Sequence[float],
        hook_name: str = "",
        *,
        origin: Origin | None = None,
        method: str = "",
        concept: str = "",
        norms: Mapping[str, Any] | None = None,
    ) -> None:
        hook_name = hook_name or (origin.hook_name if origin else "")
        by_hook: Mapping[str, Any] = direction if isinstance(direction, Mapping) else {hook_name: direction}
        directions = {hook: _checked(hook, values) for hook, values in by_hook.items()}
        widths = {hook: len(values) for hook, values in directions.items()}
        if not widths:
            raise ValueError("direction holds no hook; give a direction by hook name.")
        if len(set(widths.values())) > 1:
            raise ValueError(f"direction has several widths ({widths}); the residual stream of one model has one.")
        first, d_model = next(iter(widths.items()))
        if origin and origin.d_model != d_model:
            raise ValueError(f"direction has {d_model} numbers and its origin d_model={origin.d_model}.")
        norms = dict(norms or {})
        if not any(isinstance(value, Mapping) for value in norms.values()):
            norms = dict.fromkeys(directions, norms)
        self.directions: Mapping[str, Float[Tensor, "d_model"]] = MappingProxyType(directions)
        self.origin = replace(origin, hook_name=first) if origin else Origin(first, d_model)
        self.method = method
        self.concept = concept
        self._norms = {hook: _checked_norms(hook, norms.get(hook, {})) for hook in directions}

    @property
    def hook_names(self) -> tuple[str, ...]:
        """The hooks of its directions."""
        return tuple(self.directions)

    @property
    def d_model(self) -> int:
        """The width of its directions."""
        return self.origin.d_model

    @property
    def hook_name(self) -> str:
        """The hook of a vector with one hook."""
        if len(self.directions) > 1:
            hooks = f"{len(self.directions)} hooks ({', '.join(self.hook_names)})"
            raise ValueError(f"This vector has directions at {hooks}; take one with .at(hook_name).")
        return self.hook_names[0]

    @property
    def direction(self) -> Float[Tensor, "d_model"]:
        """The direction of a vector with one hook."""
        return self.directions[self.hook_name]

    @property
    def norms(self) -> dict[str, float]:
        """The norms of a vector with one hook."""
        return dict(self._norms[self.hook_name])

    def at(self, hook_name: str) -> "SteeringVector":
        """Return the vector's direction at one hook, as a vector."""
        checks.one_of("hook_name", hook_name, self.hook_names)
        return self._with({hook_name: self.directions[hook_name]}, {hook_name: self._norms[hook_name]})

    @classmethod
    def from_ssae(
        cls,
        ssae: Any,
        latent: Any,
        *,
        hook_name: str = "",
        concept: str = "",
        norms: Mapping[str, float] | None = None,
    ) -> "SteeringVector":
        """Return one typical change of a latent or a concept: rows of an SSAE's decoder, in residual-stream units.

        Parameters
        ----------
        ssae
            An `SSAE`; the vector takes its origin.
        latent
            The number of a latent, whose row is as long as the typical size of its codes in the SSAE's metadata (1 without
            them); the name of latents in the metadata (`Concepts.attach`), such as ``"tense"``; a concept's result of
            `match_concepts`; or a list of these, whose vectors are added.
        hook_name
            Required if the SSAE's origin has no hook.
        concept
            As in `SteeringVector`.
        norms
            As in `SteeringVector`; by default those in the SSAE's metadata.
        """
        parts = latent if isinstance(latent, list | tuple) else [latent]
        weights = [(row, weight) for part in parts for row, weight in ssae.row_weights(part)]
        if not weights:
            raise ValueError("latent is an empty list; give a number, a name or a concept.")
        names = [part if isinstance(part, str) else str(getattr(part, "concept", "")) for part in parts]
        return cls(
            torch.stack([weight * ssae.W_dec[row].detach().float() for row, weight in weights]).sum(0),
            hook_name,
            origin=ssae.origin,
            method="ssae",
            concept=concept or " + ".join(filter(None, dict.fromkeys(names))),
            norms=norms or ssae.cfg.metadata.norms,
        )

    def __add__(self, other: "SteeringVector") -> "SteeringVector":
        if not isinstance(other, SteeringVector):
            return NotImplemented
        self.origin.require_same(
            other.origin,
            "These vectors are not of one model",
            ignoring=("hook_name", "position"),
            hint="Make both with the same model, processed alike.",
        )
        directions, norms = {**self.directions, **other.directions}, {**self._norms, **other._norms}
        for hook in self.directions.keys() & other.directions.keys():
            directions[hook] = self.directions[hook] + other.directions[hook]
            # Keep the norms on which both agree.
            norms[hook] = dict(self._norms[hook].items() & other._norms[hook].items())
        method = self.method if self.method == other.method else " + ".join(filter(None, (self.method, other.method)))
        concept = " + ".join(filter(None, (self.concept, other.concept)))
        return SteeringVector(directions, origin=self.origin, method=method, concept=concept, norms=norms)

    def __radd__(self, other: object) -> "SteeringVector":
        # `sum` begins with 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, factor: float) -> "SteeringVector":
        if not isinstance(factor, Real):
            return NotImplemented
        if factor == 0:
            raise ValueError("A vector times 0 has no direction; steer with scale=0 to change nothing.")
        return self._with({hook: values * factor for hook, values in self.directions.items()}, self._norms)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "SteeringVector":
        if not isinstance(divisor, Real):
            return NotImplemented
        return self * (1 / divisor)

    def __neg__(self) -> "SteeringVector":
        return self * -1

    def __sub__(self, other: "SteeringVector") -> "SteeringVector":
        if not isinstance(other, SteeringVector):
            return NotImplemented
        difference = self + -other
        difference.concept = f"{self.concept} - {other.concept}".strip() if other.concept else self.concept
        return difference

    def normalize(self) -> "SteeringVector":
        """Return the same vector with a direction of length 1 at each hook."""
        return self._with({hook: values / values.norm() for hook, values in self.directions.items()}, self._norms)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Save as safetensors: a tensor per hook, and metadata; `overwrite` allows to replace a file of other contents."""
        tensor_files.save(path, FORMAT, self.directions, self.to_metadata(), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> "SteeringVector":
        """Load a vector that `save` wrote."""
        hint = "give an intact file that SteeringVector.save wrote"
        return tensor_files.load(path, FORMAT, cls.from_metadata, hint, "Give a file that SteeringVector.save wrote.")

    def to_gguf(self, path: str | Path, *, model_hint: str = "", overwrite: bool = False) -> None:
        """Save as a control vector of llama.cpp (``--control-vector FILE``).

        The hooks must be on the residual stream between blocks. The direction at the output of block N, or the input of
        block N + 1, is ``direction.N``. llama.cpp cannot add anything after block 0. `model_hint` is the model's name in
        the file, by default that of the origin.
        """
        hint = model_hint or self.origin.model_name
        control_vectors.save(path, self.directions, hint, self.to_metadata(), overwrite=overwrite)

    @classmethod
    def from_gguf(cls, path: str | Path) -> "SteeringVector":
        """Load a control vector of llama.cpp, repeng or `to_gguf`; direction N is at ``blocks.N.hook_resid_post``."""
        return control_vectors.load(
            path,
            cls.from_metadata,
            lambda directions, hint: cls(directions, method=f"control vector ({hint})" if hint else "control vector"),
        )

    @property
    def lengths(self) -> str:
        """The length at each hook, as text."""
        return "length " + ", ".join(f"{values.norm():.4g} at {hook}" for hook, values in self.directions.items())

    def __repr__(self) -> str:
        name = " ".join(filter(None, (self.method, repr(self.concept) if self.concept else "")))
        return f"SteeringVector({name + ': ' if name else ''}{self.lengths}, d_model {self.d_model})"

    def to_metadata(self) -> dict[str, Any]:
        """Return everything but the directions as JSON-able data."""
        return {
            "hook_names": self.hook_names,
            "origin": self.origin.to_dict(),
            "method": self.method,
            "concept": self.concept,
            "norms": self._norms,
        }

    @classmethod
    def from_metadata(cls, directions: Mapping[str, Tensor], metadata: dict[str, Any]) -> "SteeringVector":
        """Return a vector of directions by hook and what `to_metadata` returned."""
        return cls(
            {hook: directions[hook] for hook in metadata["hook_names"]},
            origin=Origin.from_dict(metadata["origin"]),
            method=str(metadata["method"]),
            concept=str(metadata["concept"]),
            norms=metadata["norms"],
        )

    def _with(self, directions: Mapping[str, Tensor], norms: Mapping[str, Any]) -> "SteeringVector":
        return SteeringVector(directions, origin=self.origin, method=self.method, concept=self.concept, norms=norms)


def _checked(hook: str, values: Any) -> Tensor:
    """Return a direction as float32 on the CPU, or raise if it cannot be one."""
    if not hook:
        raise ValueError("hook_name is empty; give hook_name, as in 'blocks.3.hook_resid_post'.")
    direction = torch.as_tensor(values).detach().to("cpu", torch.float32, copy=True).contiguous()
    if direction.ndim != 1 or not len(direction):
        shape = tuple(direction.shape)
        raise ValueError(f"direction has shape {shape} at {hook!r}; it must be one row of d_model numbers.")
    if not direction.isfinite().all():
        bad = f"{int((~direction.isfinite()).sum())} of {len(direction)}"
        raise ValueError(f"direction holds NaN or infinite values at {hook!r} ({bad}); compute it again in float32.")
    if not direction.any():
        raise ValueError(f"direction is zero at {hook!r} and points nowhere; steer with scale=0 to change nothing.")
    return direction


def _checked_norms(hook: str, norms: Mapping[str, Any]) -> dict[str, float]:
    for name, value in norms.items():
        checks.above(f"norms[{name!r}] at {hook!r}", float(value), 0, "Leave out a norm that was not measured.")
    return {name: float(value) for name, value in norms.items()}
