"""Dashboards: a figure for a notebook, an HTML report, and export to Neuronpedia and SAEDashboard."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssae_lens.dashboards.build import build_report
    from ssae_lens.dashboards.neuronpedia import write_neuronpedia, write_vector_set
    from ssae_lens.dashboards.notebook import dashboard
    from ssae_lens.dashboards.page import write_report
    from ssae_lens.dashboards.report import Report
    from ssae_lens.dashboards.steering_curve import plot_steering_curve

_MODULES = {
    "Report": "report",
    "build_report": "build",
    "dashboard": "notebook",
    "plot_steering_curve": "steering_curve",
    "write_neuronpedia": "neuronpedia",
    "write_report": "page",
    "write_vector_set": "neuronpedia",
}

__all__ = [
    "Report",
    "build_report",
    "dashboard",
    "plot_steering_curve",
    "write_neuronpedia",
    "write_report",
    "write_vector_set",
]


def __getattr__(name: str) -> Any:
    # Plotly and SAELens are imported with the first name that needs them.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
