"""Steering vectors from pairs of texts in which several unknown concepts change at once.

Importing the package registers the architecture ``"ssae"`` with SAELens, as soon as SAELens is imported. Nothing heavy is
imported with the package; each name is imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssae_lens.base.post_import import after_import as _after_import

if TYPE_CHECKING:
    from ssae_lens.dashboards import dashboard
    from ssae_lens.hooks import After, capture_shifts, generate_sweep, steer
    from ssae_lens.latents.describe import describe_latents
    from ssae_lens.latents.match import match_concepts
    from ssae_lens.models import load_model
    from ssae_lens.pairs import load_pairs
    from ssae_lens.sae import SSAE, SSAEConfig, TrainingSSAE, TrainingSSAEConfig
    from ssae_lens.shifts import ShiftStore, open_shifts
    from ssae_lens.steering_vector import SteeringVector
    from ssae_lens.training import sweep, train

    __version__: str

# Each public name and the module that holds it.
_HOMES = {
    "After": "hooks",
    "SSAE": "sae",
    "SSAEConfig": "sae",
    "ShiftStore": "shifts",
    "SteeringVector": "steering_vector",
    "TrainingSSAE": "sae",
    "TrainingSSAEConfig": "sae",
    "capture_shifts": "hooks",
    "dashboard": "dashboards",
    "describe_latents": "latents.describe",
    "generate_sweep": "hooks",
    "load_model": "models",
    "load_pairs": "pairs",
    "match_concepts": "latents.match",
    "open_shifts": "shifts",
    "steer": "hooks",
    "sweep": "training",
    "train": "training",
}

__all__ = [
    "SSAE",
    "After",
    "SSAEConfig",
    "ShiftStore",
    "SteeringVector",
    "TrainingSSAE",
    "TrainingSSAEConfig",
    "capture_shifts",
    "dashboard",
    "describe_latents",
    "generate_sweep",
    "load_model",
    "load_pairs",
    "match_concepts",
    "open_shifts",
    "steer",
    "sweep",
    "train",
]

# `ssae_lens.sae` registers the architecture, and imports SAELens, which takes seconds. It is imported as soon as SAELens is.
_after_import("sae_lens", lambda: import_module(f"{__name__}.sae"))


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Read when asked for: reading metadata takes longer than all the rest of this file.
        from importlib.metadata import version

        return version("ssae-lens")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "__version__"])
