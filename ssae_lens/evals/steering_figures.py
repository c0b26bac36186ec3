"""Figures of steering: product by scale, and behaviour against coherence with the Pareto front."""

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ssae_lens.evals.text_scores import pareto

if TYPE_CHECKING:
    from ssae_lens.evals._steering import SteeringResult

TITLES = ("Effect vs. steering strength: product by scale", "Behaviour against coherence, a point for each scale")


def curves_figure(result: "SteeringResult") -> Any:
    """Draw the scale sweep and the Pareto front of all methods."""
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=2, subplot_titles=TITLES, horizontal_spacing=0.1)
    add_curves(figure, result)
    return titled(figure, result, height=560)


def add_curves(figure: Any, result: "SteeringResult") -> None:
    """Add both panels to the first row of a figure."""
    curves, colours = result.curves(), colours_of(result.about["methods"])
    _add_scale_sweep(figure, curves, colours)
    _add_front(figure, curves, colours)


def colours_of(methods: Iterable[str]) -> dict[str, str]:
    """Return a colour for each method."""
    from plotly.colors import qualitative

    return {name: qualitative.Dark24[i % 24] for i, name in enumerate(methods)}


def titled(figure: Any, result: "SteeringResult", height: int) -> Any:
    """Add the title, with the accuracy of the judges below it."""
    judges = [judge for judge in result.judges() if judge["of"] == "behaviour" and judge["right"] is not None]
    judged = [f"{judge['task']} {judge['right']:.2f}" for judge in judges]
    caption = (
        f"Shares of held-out labelled texts that judges are right about: {', '.join(judged) or 'none were needed'}"
    )
    title = f"Steering {result.about['model']} at {result.about['hook']}"
    # Plotly breaks no lines by itself.
    lines = "<br>".join(textwrap.wrap(caption, 160))
    return figure.update_layout(
        title={"text": title, "subtitle": {"text": lines}}, height=height, margin={"t": 140}, template="plotly_white"
    )


def _add_scale_sweep(figure: Any, curves: dict[str, Any], colours: dict[str, str]) -> None:
    swept = [curve["scales"] for curve in curves.values() if len(curve["scales"]) > 1]
    ends = [min(map(min, swept), default=0.0), max(map(max, swept), default=1.0)]
    for name, curve in curves.items():
        style: dict[str, Any] = {"color": colours[name]}
        x, y, mode = curve["scales"], curve["product"], "lines+markers"
        if len(x) == 1:  # a method without a scale is a level line
            x, y, mode = ends, [float(y[0])] * 2, "lines"
            style["dash"] = "dash"
        figure.add_scatter(x=x, y=y, mode=mode, name=name, legendgroup=name, line=style, row=1, col=1)
    figure.update_xaxes(title="scale, in mean norms of activations", row=1, col=1)
    figure.update_yaxes(title="behaviour × coherence", rangemode="tozero", row=1, col=1)


def _add_front(figure: Any, curves: dict[str, Any], colours: dict[str, str]) -> None:
    points = {name: np.stack([curve["coherence"], curve["behaviour"]], axis=1) for name, curve in curves.items()}
    for name, both in points.items():
        figure.add_scatter(
            x=both[:, 0], y=both[:, 1], mode="markers", name=name, legendgroup=name, showlegend=False,
            marker={"color": colours[name], "size": 9},
            text=[f"{name}, scale {scale:g}" for scale in curves[name]["scales"]],
            hovertemplate="%{text}<br>coherence %{x:.3f}, behaviour %{y:.3f}<extra></extra>",
            row=1, col=2,
        )  # fmt: skip
    if points:
        everything = np.concatenate(list(points.values()))
        best = everything[pareto(everything)]
        best = best[np.argsort(best[:, 0])]
        line = {"color": "black", "dash": "dot", "shape": "vh"}
        figure.add_scatter(x=best[:, 0], y=best[:, 1], mode="lines", name="Pareto front", line=line, row=1, col=2)
    figure.update_xaxes(title="coherence", row=1, col=2)
    figure.update_yaxes(title="behaviour", row=1, col=2)
