"""Provenance of results: the model, hook and position that activations come from, and the package versions used.

A store of shifts, an SSAE and a steering vector each carry an `Origin`. Using one with another model or hook is an error.
"""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib import metadata
from typing import Any

from ssae_lens.base.reading import member

PACKAGES = ("ssae-lens", "torch", "transformer-lens", "sae-lens", "cooper-optim", "transformers")


@dataclass(frozen=True)
class Origin:
    """The hook of a model that activations were recorded at.

    Attributes
    ----------
    hook_name
        A TransformerLens hook point, such as ``blocks.12.hook_resid_post``.
    d_model
        The width of the activations.
    model_name
        The model's name in its configuration.
    model_class
        ``HookedTransformer`` or ``TransformerBridge``; the two process weights differently.
    processing
        How TransformerLens processed the weights (``fold_ln``, ``center_writing_weights``, …). The same text gives other
        activations under other flags.
    position
        The token position: ``last``, ``mean``, an index, …
    fingerprint
        A short hash of some of the model's weights, to tell models of one name apart.
    """

    hook_name: str
    d_model: int
    model_name: str = ""
    model_class: str = ""
    processing: dict[str, bool] = field(default_factory=dict)
    position: str = ""
    fingerprint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Origin":
        """Return the origin that `to_dict` made; unknown keys, such as a later version's, are ignored.

        Raises
        ------
        ValueError
            If a value is missing or of another type.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"origin is of type {type(values).__name__} where an object is expected")  # noqa: TRY004
        kinds = {each.name: {"d_model": int, "processing": dict}.get(each.name, str) for each in fields(cls)}
        names = values.keys() | {"hook_name", "d_model"}
        return cls(**{name: member(values, name, kind) for name, kind in kinds.items() if name in names})

    def differences(self, other: "Origin", ignoring: tuple[str, ...] = ()) -> list[str]:
        """Return the differences as "name: mine against theirs". Values that are empty on either side are not compared."""
        pairs = {each.name: (getattr(self, each.name), getattr(other, each.name)) for each in fields(self)}
        return [
            f"{name}: {mine!r} against {theirs!r}"
            for name, (mine, theirs) in pairs.items()
            if name not in ignoring and mine not in ("", {}) and theirs not in ("", {}) and mine != theirs
        ]

    def require_same(self, other: "Origin", what: str, ignoring: tuple[str, ...] = (), hint: str = "") -> None:
        """Raise a ValueError that names both sides of every difference."""
        if differences := self.differences(other, ignoring):
            raise ValueError(f"{what} ({'; '.join(differences)}).{' ' + hint if hint else ''}")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = "not installed"
    return installed
