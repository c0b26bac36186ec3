"""A figure for each question."""

from collections.abc import Callable
from typing import Any

import numpy as np

Numbers = dict[str, Any]


def coherence(found: Numbers) -> Any:
    """Draw coherence over the entropy of what tokens are drawn from: vectors, and the unsteered model by temperature."""
    import plotly.graph_objects as go

    figure = go.Figure()
    plain = [each for each in found["rows"] if each["vector"] == "unsteered"]
    plain.sort(key=lambda each: each["temperature"])
    steered = [each for each in found["rows"] if each["vector"] != "unsteered"]
    for name, rows, mode in (("unsteered, by temperature", plain, "lines+markers"), ("vectors", steered, "markers")):
        figure.add_scatter(
            x=[np.mean(each["entropy"]) for each in rows],
            y=[np.mean(each["coherence"]) for each in rows],
            text=[f"{each['vector']}, scale {each['scale']:.2g}, temperature {each['temperature']:g}" for each in rows],
            mode=mode,
            name=name,
        )
    return _titled(figure, "Coherence", "entropy of what tokens are drawn from, nats", "coherence")


def layers(found: Numbers) -> Any:
    """Draw what is left of a vector at later layers."""
    import plotly.graph_objects as go

    figure = go.Figure()
    hooks = [each["hook"] for each in found["layers"]]
    names = {"cosine": "cosine with the vector", "steady": "the same at all tokens", "geometry": "geometry of effects"}
    for name, title in names.items():
        figure.add_scatter(
            x=hooks, y=[each[name]["estimate"] for each in found["layers"]], name=title, **_bars(found["layers"], name)
        )
    return _titled(figure, "What is left of a vector at later layers", "", "")


def inverse(found: Numbers) -> Any:
    """Draw each way's effect on its own feature."""
    import plotly.graph_objects as go

    rows = found["measured"]["rows"]
    figure = go.Figure()
    figure.add_bar(x=[each["way"] for each in rows], y=[each["own"]["estimate"] for each in rows], **_bars(rows, "own"))
    return _titled(figure, "Effect on the own feature, at an equal rise of the loss", "", "effect")


def reach(found: Numbers) -> Any:
    """Draw R², correlation and gain over multiples of the scales."""
    import plotly.graph_objects as go

    figure = go.Figure()
    multiples = [each["multiple"] for each in found["rows"]]
    for name in ("r2", "correlation", "gain", "with_shipped"):
        values = [each[name]["estimate"] for each in found["rows"]]
        figure.add_scatter(x=multiples, y=values, name=name.replace("_", " "), **_bars(found["rows"], name))
    figure.update_xaxes(type="log")
    return _titled(figure, "The map of effects beyond its scales", "multiple of the scale that it was fitted at", "")


DRAWN: dict[str, Callable[[Numbers], Any]] = {
    "coherence": coherence,
    "layers": layers,
    "inverse": inverse,
    "reach": reach,
}


def _bars(rows: list[Numbers], name: str) -> dict[str, Any]:
    """Return the intervals as error bars."""
    above = [each[name]["high"] - each[name]["estimate"] for each in rows]
    below = [each[name]["estimate"] - each[name]["low"] for each in rows]
    return {"error_y": {"type": "data", "array": above, "arrayminus": below}}


def _titled(figure: Any, title: str, x: str, y: str) -> Any:
    return figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, height=460, template="plotly_white")
