"""Where activations come from: which model, how processed, at which hook and position.

A store of shifts, an SSAE and a steering vector all carry an `Origin`, so that using one where it does not belong
is one check in one place.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ssae_lens.base.reading import member


@dataclass(frozen=True)
class Origin:
    """The place in a model that activations were read from.

    Attributes
    ----------
    hook_name
        A TransformerLens hook point, such as ``blocks.12.hook_resid_post``.
    d_model
        The width of the activations.
    model_name
        What the model calls itself.
    model_class
        ``HookedTransformer`` or ``TransformerBridge``; the two process weights differently.
    processing
        How TransformerLens processed the weights (``fold_ln``, ``center_writing_weights``, …). The same text gives other
        activations under other flags.
    position
        Which token was read: ``last``, ``mean``, an index, …
    fingerprint
        A short hash of some of the model's weights: two models of one name are told apart by it.
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
        """Read what `to_dict` returned; keys of a later version are passed over.

        Raises
        ------
        ValueError
            If a value is missing or of another type.
        """
        kinds = {each.name: {"d_model": int, "processing": dict}.get(each.name, str) for each in fields(cls)}
        if not isinstance(values, Mapping):
            raise ValueError(f"origin is of type {type(values).__name__} where an object is expected")  # noqa: TRY004
        needed = {"hook_name", "d_model"}
        return cls(
            **{name: member(values, name, kind) for name, kind in kinds.items() if name in values.keys() | needed}
        )

    def differences(self, other: "Origin", ignoring: tuple[str, ...] = ()) -> list[str]:
        """Say what differs, each as "name: mine against theirs"; what either leaves empty is not compared."""
        found = []
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if each.name not in ignoring and mine not in ("", {}) and theirs not in ("", {}) and mine != theirs:
                found.append(f"{each.name}: {mine!r} against {theirs!r}")
        return found

    def require_same(self, other: "Origin", what: str, ignoring: tuple[str, ...] = (), hint: str = "") -> None:
        """Raise a ValueError that names both sides of every difference."""
        if found := self.differences(other, ignoring):
            raise ValueError(f"{what} ({'; '.join(found)}).{' ' + hint if hint else ''}")
