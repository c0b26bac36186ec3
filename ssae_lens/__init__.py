"""Steering vectors from pairs of texts in which several unknown concepts change at once.

Importing the package registers the architecture ``"ssae"`` with SAELens. Everything else is imported when first used.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from ssae_lens import sae as _sae

if TYPE_CHECKING:
    from ssae_lens.sae import SSAE, SSAEConfig, TrainingSSAE, TrainingSSAEConfig

__version__ = _version("ssae-lens")

# Each public name and the module that holds it.
_HOMES = {
    "SSAE": "sae",
    "SSAEConfig": "sae",
    "TrainingSSAE": "sae",
    "TrainingSSAEConfig": "sae",
}

__all__ = ["SSAE", "SSAEConfig", "TrainingSSAE", "TrainingSSAEConfig"]

_sae.register()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
