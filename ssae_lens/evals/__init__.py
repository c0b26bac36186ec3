"""Evaluations of your own SSAE, shifts and steering vectors, and synthetic data with ground truth.

Each function returns a result with ``.table``, ``.text()``, ``.figure()``, ``.to_json()`` and ``.save(folder)``; that of
`layer_sweep` has SSAEs and a table.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssae_lens.evals._decomposition import DecompositionResult, decomposition
    from ssae_lens.evals._identifiability import IdentifiabilityResult, identifiability
    from ssae_lens.evals._layer_sweep import LayerSweep, layer_sweep
    from ssae_lens.evals._probes import ProbeResult, probes
    from ssae_lens.evals._steering import SteeringResult, steering
    from ssae_lens.evals.built_in_tasks import built_in
    from ssae_lens.evals.experiment import Intervention, SteeringSettings
    from ssae_lens.evals.tasks import ChoiceQuestion, Task, UnlabelledPairs

__all__ = [
    "ChoiceQuestion",
    "DecompositionResult",
    "IdentifiabilityResult",
    "Intervention",
    "LayerSweep",
    "ProbeResult",
    "SteeringResult",
    "SteeringSettings",
    "Task",
    "UnlabelledPairs",
    "built_in",
    "decomposition",
    "identifiability",
    "layer_sweep",
    "probes",
    "steering",
]

# The module of each public name.
_MODULES = {
    "ChoiceQuestion": "tasks",
    "DecompositionResult": "_decomposition",
    "IdentifiabilityResult": "_identifiability",
    "Intervention": "experiment",
    "LayerSweep": "_layer_sweep",
    "ProbeResult": "_probes",
    "SteeringResult": "_steering",
    "SteeringSettings": "experiment",
    "Task": "tasks",
    "UnlabelledPairs": "tasks",
    "built_in": "built_in_tasks",
    "decomposition": "_decomposition",
    "identifiability": "_identifiability",
    "layer_sweep": "_layer_sweep",
    "probes": "_probes",
    "steering": "_steering",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
