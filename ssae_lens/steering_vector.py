"""Steering vectors: a direction in the residual stream, or at several hooks; its arithmetic and its files."""

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
from ssae_lens.base.origin import Origin

FORMAT = "ssae_lens.steering_vector"


class SteeringVector:
    """A direction to add to the residual stream, in its units, at one hook or at several.

    Parameters
    ----------
    direction
        A tensor, array or list of d_model numbers, or several of them by hook name.
    hook_name
        The hook it belongs to; taken from `origin` where that is given.
    origin
        The model it belongs to, which `steer` checks; what it leaves empty is not checked.
    method
        How it was made.
    concept
        What it should do.
    norms
        What it was measured with: ``mean_residual_norm``, the mean norm of activations at the hook, and
        ``mean_shift_norm``, that of the shifts it came from; the units that `steer` takes scales in. For several hooks, by
        hook name.

    Attributes
    ----------
    directions
        The direction at each hook: float32, on the CPU.
    origin, method, concept
        As above; the origin's `hook_name` is that of the first hook.

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
        given: Mapping[str, Any] = direction if isinstance(direction, Mapping) else {hook_name: direction}
        directions = {hook: _checked(hook, values) for hook, values in given.items()}
        widths = {hook: len(values) for hook, values in directions.items()}
        if not widths:
            raise ValueError(
                "direction holds no hook; give at least one, as in {'blocks.3.hook_resid_post': direction}."
            )
        if len(set(widths.values())) > 1:
            raise ValueError(f"direction has several widths ({widths}); the residual stream of one model has one.")
        first, d_model = next(iter(widths.items()))
        if origin and origin.d_model != d_model:
            raise ValueError(
                f"direction has {d_model} numbers and its origin d_model={origin.d_model}; give that many."
            )
        by_hook: dict[str, Any] = dict(norms or {})
        if not any(isinstance(each, Mapping) for each in by_hook.values()):
            by_hook = dict.fromkeys(directions, by_hook)
        self.directions: Mapping[str, Float[Tensor, "d_model"]] = MappingProxyType(directions)
        self.origin = replace(origin, hook_name=first) if origin else Origin(first, d_model)
        self.method = method
        self.concept = concept
        self._norms = {hook: _checked_norms(hook, by_hook.get(hook, {})) for hook in directions}

    @property
    def hook_names(self) -> tuple[str, ...]:
        """The hooks it has a direction at."""
        return tuple(self.directions)

    @property
    def d_model(self) -> int:
        """The width of its directions."""
        return self.origin.d_model

    @property
    def hook_name(self) -> str:
        """Its hook, if it has one only."""
        self._require_single("hook_name")
        return self.hook_names[0]

    @property
    def direction(self) -> Float[Tensor, "d_model"]:
        """Its direction, if it has one hook only."""
        return self.directions[self.hook_name]

    @property
    def norms(self) -> dict[str, float]:
        """What it was measured with, if it has one hook only."""
        return dict(self._norms[self.hook_name])

    def at(self, hook_name: str) -> "SteeringVector":
        """Return the part of it at one hook."""
        checks.one_of("hook_name", hook_name, self.hook_names)
        return self._with({hook_name: self.directions[hook_name]}, {hook_name: self._norms[hook_name]})

    @classmethod
    def from_ssae(
        cls,
        ssae: Any,
        latent: Any,
        *,
        sign: float | None = None,
        scale: float | None = None,
        hook_name: str = "",
        concept: str = "",
        norms: Mapping[str, float] | None = None,
    ) -> "SteeringVector":
        """Return a row of an SSAE's decoder, which has the length of one unit of its code.

        Parameters
        ----------
        ssae
            An `SSAE`; its origin becomes the vector's.
        latent
            The row's number, of Python, NumPy or PyTorch, or what `match_concepts` returns for a concept: an object with
            `latent`, and perhaps `sign`, `scale` and `concept`.
        sign, scale
            What the row is multiplied by. By default those of `latent`, or 1.
        hook_name
            Needed where the SSAE does not know its hook.
        concept, norms
            As in `SteeringVector`.
        """
        given = latent
        if matched := hasattr(given, "latent"):
            latent = given.latent
            sign = getattr(given, "sign", 1) if sign is None else sign
            scale = getattr(given, "scale", 1) if scale is None else scale
            concept = concept or str(getattr(given, "concept", ""))
        if matched and latent is None:
            raise ValueError(_unmatched(given))
        d_sae, row = ssae.W_dec.shape[0], checks.as_int(latent)
        if row is None or not -d_sae <= row < d_sae:
            raise ValueError(f"latent is {latent!r}; this SSAE has latents 0 to {d_sae - 1}.")
        origin = ssae.origin
        if not (hook_name or origin.hook_name):
            raise ValueError(
                "The SSAE does not say which hook it belongs to; give hook_name, as in 'blocks.3.hook_resid_post'."
            )
        factor = float(1 if sign is None else sign) * float(1 if scale is None else scale)
        direction = ssae.W_dec[row].detach() * factor
        return cls(direction, hook_name, origin=origin, method="ssae", concept=concept, norms=norms)

    def __add__(self, other: "SteeringVector") -> "SteeringVector":
        if not isinstance(other, SteeringVector):
            return NotImplemented
        self.origin.require_same(
            other.origin,
            "These vectors are not of one model",
            ignoring=("hook_name", "position"),
            hint="Make both with the same model, processed alike.",
        )
        directions = {**self.directions, **other.directions}
        norms = {**self._norms, **other._norms}
        for hook in self.directions.keys() & other.directions.keys():
            directions[hook] = self.directions[hook] + other.directions[hook]
            # Norms on which the two do not agree are dropped.
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
        if other.concept:
            difference.concept = f"{self.concept} - {other.concept}".strip()
        return difference

    def normalize(self) -> "SteeringVector":
        """Return the same vector with a direction of length 1 at each hook."""
        return self._with({hook: values / values.norm() for hook, values in self.directions.items()}, self._norms)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Save as safetensors: a tensor for each hook, and a header in JSON; another file at `path` needs `overwrite`."""
        tensor_files.save(path, FORMAT, self.directions, self._about(), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> "SteeringVector":
        """Load what `save` wrote."""
        hint = "give a file that SteeringVector.save wrote, whole"
        return tensor_files.load(path, FORMAT, cls._from_about, hint, "Give a file that SteeringVector.save wrote.")

    def to_gguf(self, path: str | Path, *, model_hint: str = "", overwrite: bool = False) -> None:
        """Write it as a control vector for llama.cpp (``--control-vector FILE``).

        Its hooks must be on the residual stream between blocks: what comes out of block N is ``direction.N``, and what goes
        into block N is what came out of the one before. llama.cpp cannot add anything after block 0.

        Parameters
        ----------
        path
            Where the file goes.
        model_hint
            The name that the file gives for the model, by default the origin's.
        overwrite
            Whether a file of other contents may be replaced.
        """
        control_vectors.save(
            path, self.directions, model_hint or self.origin.model_name, self._about(), overwrite=overwrite
        )

    @classmethod
    def from_gguf(cls, path: str | Path) -> "SteeringVector":
        """Load a control vector of llama.cpp's, repeng's or `to_gguf`; direction N is at ``blocks.N.hook_resid_post``."""
        return control_vectors.load(
            path,
            cls._from_about,
            lambda directions, hint: cls(directions, method=f"control vector ({hint})" if hint else "control vector"),
        )

    def __repr__(self) -> str:
        lengths = ", ".join(f"{values.norm():.4g} at {hook}" for hook, values in self.directions.items())
        what = " ".join(filter(None, (self.method, repr(self.concept) if self.concept else "")))
        return f"SteeringVector({what + ': ' if what else ''}length {lengths}, d_model {self.d_model})"

    def _about(self) -> dict[str, Any]:
        """Return what the header of a file holds beside the directions."""
        return {
            "hook_names": self.hook_names,
            "origin": self.origin.to_dict(),
            "method": self.method,
            "concept": self.concept,
            "norms": self._norms,
        }

    @classmethod
    def _from_about(cls, directions: Mapping[str, Tensor], about: dict[str, Any]) -> "SteeringVector":
        ordered = {hook: directions[hook] for hook in about["hook_names"]}
        texts = {key: str(about[key]) for key in ("method", "concept")}
        return cls(ordered, origin=Origin.from_dict(about["origin"]), norms=about["norms"], **texts)

    def _with(self, directions: Mapping[str, Tensor], norms: Mapping[str, Any]) -> "SteeringVector":
        return SteeringVector(directions, origin=self.origin, method=self.method, concept=self.concept, norms=norms)

    def _require_single(self, what: str) -> None:
        if len(self.directions) > 1:
            raise ValueError(
                f"This vector has directions at {len(self.directions)} hooks ({', '.join(self.hook_names)}) and no one "
                f"{what}; take one with .at(hook_name)."
            )


def _checked(hook: str, values: Any) -> Tensor:
    """Return a direction as float32 on the CPU, or raise if it cannot be one."""
    if not hook:
        raise ValueError(
            "hook_name is empty; give the hook that the direction belongs to, as in 'blocks.3.hook_resid_post'."
        )
    direction = torch.as_tensor(values).detach().to("cpu", torch.float32, copy=True).contiguous()
    if direction.ndim != 1 or not len(direction):
        raise ValueError(
            f"direction has shape {tuple(direction.shape)} at {hook!r}; it must be one row of d_model numbers."
        )
    if not direction.isfinite().all():
        bad = int((~direction.isfinite()).sum())
        raise ValueError(
            f"direction holds NaN or infinite values at {hook!r} ({bad} of {len(direction)}); measure it again in float32."
        )
    if not direction.any():
        raise ValueError(f"direction is zero at {hook!r} and points nowhere; steer with scale=0 to change nothing.")
    return direction


def _unmatched(concept: Any) -> str:
    """Return an error: `match_concepts` matched no latent to a concept."""
    nearest, fit = (getattr(concept, name, None) for name in ("runner_up", "runner_up_fit"))
    runner_up = "" if nearest is None or fit is None else f" (the nearest, latent {nearest}, has a fit of {fit:.2f})"
    return (
        f"No latent was matched to the concept {getattr(concept, 'concept', '')!r}{runner_up}; give a latent's number, call "
        "match_concepts with lower thresholds, or train on more pairs in which the concept changes."
    )


def _checked_norms(hook: str, norms: Mapping[str, Any]) -> dict[str, float]:
    checked = {}
    for name, value in norms.items():
        checks.above(f"norms[{name!r}] at {hook!r}", float(value), 0, "Leave out a norm that was not measured.")
        checked[name] = float(value)
    return checked
