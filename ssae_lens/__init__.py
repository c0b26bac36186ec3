"""Steering vectors from pairs of texts in which several unknown concepts change at once.

Importing the package registers the architecture ``"ssae"`` with SAELens as soon as SAELens is imported. Heavy libraries are
imported with the first public name that needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssae_lens.base.post_import import after_import as _after_import

if TYPE_CHECKING:
    from ssae_lens import evals, latents, methods, metrics, pretrained
    from ssae_lens.dashboards import dashboard, plot_steering_curve
    from ssae_lens.evals import layer_sweep
    from ssae_lens.hooks import After, Gate, capture_shifts, generate_sweep, kl_budget, steer
    from ssae_lens.latents.describe import describe_latents
    from ssae_lens.latents.match import match_concepts
    from ssae_lens.models import load_model
    from ssae_lens.pairs import load_pairs
    from ssae_lens.sae import SSAE, SSAEConfig, TrainingSSAE, TrainingSSAEConfig
    from ssae_lens.shifts import ShiftStore, open_shifts
    from ssae_lens.steering_vector import SteeringVector
    from ssae_lens.training import sweep, train
    from ssae_lens.vector_set import VectorSet

    __version__: str

__all__ = [
    "SSAE",
    "After",
    "Gate",
    "SSAEConfig",
    "ShiftStore",
    "SteeringVector",
    "TrainingSSAE",
    "TrainingSSAEConfig",
    "VectorSet",
    "capture_shifts",
    "dashboard",
    "describe_latents",
    "evals",
    "generate_sweep",
    "kl_budget",
    "latents",
    "layer_sweep",
    "load_model",
    "load_pairs",
    "match_concepts",
    "methods",
    "metrics",
    "open_shifts",
    "plot_steering_curve",
    "pretrained",
    "steer",
    "sweep",
    "train",
]

# The public names of each module; all others in __all__ are modules themselves.
_NAMES = {
    "dashboards": ("dashboard", "plot_steering_curve"),
    "evals": ("layer_sweep",),
    "hooks": ("After", "Gate", "capture_shifts", "generate_sweep", "kl_budget", "steer"),
    "latents.describe": ("describe_latents",),
    "latents.match": ("match_concepts",),
    "models": ("load_model",),
    "pairs": ("load_pairs",),
    "sae": ("SSAE", "SSAEConfig", "TrainingSSAE", "TrainingSSAEConfig"),
    "shifts": ("ShiftStore", "open_shifts"),
    "steering_vector": ("SteeringVector",),
    "training": ("sweep", "train"),
    "vector_set": ("VectorSet",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

# `ssae_lens.sae` registers the architecture and imports SAELens, which takes seconds.
_after_import("sae_lens", lambda: import_module(f"{__name__}.sae"))


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Reading metadata takes longer than all the rest of this file.
        from importlib.metadata import version

        return version("ssae-lens")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULES.get(name, name)}")
    value = getattr(module, name) if name in _MODULES else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
