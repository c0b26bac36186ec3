"""The comparison as one plotly figure."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ssae_lens.evals.steering import rows
from ssae_lens.evals.steering.rows import NOTHING
from ssae_lens.evals.steering.scores import pareto

if TYPE_CHECKING:
    from ssae_lens.evals.steering.result import Result

TITLES = (
    "Dose and response: product by scale, mean over tasks",
    "Behaviour against coherence, each scale a point; the front is outlined",
    "Product on the half that reports",
    "CAA by layer",
)


def figure(result: "Result") -> Any:
    """Draw dose–response curves, the Pareto front, tasks × methods, and layers."""
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    drawn = make_subplots(rows=2, cols=2, subplot_titles=TITLES, horizontal_spacing=0.1, vertical_spacing=0.14)
    curves = rows.dose_curves(result.cells, result.about["hook"])
    colours = {name: qualitative.Dark24[i % 24] for i, name in enumerate(result.about["methods"])}
    _curves(drawn, curves, colours)
    _front(drawn, curves, colours)
    _grid(drawn, result)
    _layers(drawn, result)
    title = f"Steering {result.about['model']} at {result.about['hook']}"
    judged = [f"{each['task']} {each['right']:.2f}" for each in result.judged("behaviour")]
    caption = (
        f"Shares of held-out labelled texts that judges are right about: {', '.join(judged) or 'none were needed'}"
    )
    # Plotly breaks no lines by itself.
    lines = "<br>".join(textwrap.wrap(caption, 160))
    return drawn.update_layout(
        title={"text": title, "subtitle": {"text": lines}}, height=1050, margin={"t": 140}, template="plotly_white"
    )


def _curves(drawn: Any, curves: dict[str, Any], colours: dict[str, str]) -> None:
    import plotly.graph_objects as go

    for name, curve in curves.items():
        style = {"color": colours[name]}
        if len(curve["scales"]) > 1:
            trace = go.Scatter(x=curve["scales"], y=curve["product"], name=name, legendgroup=name, line=style)
            drawn.add_trace(trace, row=1, col=1)
        else:
            # What has no scale is a level across all of them.
            ends = [
                min(min(each["scales"]) for each in curves.values()),
                max(max(each["scales"]) for each in curves.values()),
            ]
            level = [float(curve["product"][0])] * 2
            line = {**style, "dash": "dot" if name == NOTHING else "dash"}
            drawn.add_trace(
                go.Scatter(x=ends, y=level, mode="lines", name=name, legendgroup=name, line=line), row=1, col=1
            )
    drawn.update_xaxes(title="scale, in mean norms of activations", row=1, col=1)
    drawn.update_yaxes(title="behaviour × coherence", rangemode="tozero", row=1, col=1)


def _front(drawn: Any, curves: dict[str, Any], colours: dict[str, str]) -> None:
    import plotly.graph_objects as go

    points = []
    for name, curve in curves.items():
        both = np.stack([curve["coherence"], curve["behaviour"]], axis=1)
        points.append(both)
        said = [f"{name}, scale {scale:g}" for scale in curve["scales"]]
        trace = go.Scatter(
            x=both[:, 0],
            y=both[:, 1],
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=False,
            marker={"color": colours[name], "size": 9},
            text=said,
            hovertemplate="%{text}<br>coherence %{x:.3f}, behaviour %{y:.3f}<extra></extra>",
        )
        drawn.add_trace(trace, row=1, col=2)
    if points:
        everything = np.concatenate(points)
        best = everything[pareto(everything)]
        best = best[np.argsort(best[:, 0])]
        line = {"color": "black", "dash": "dot", "shape": "vh"}
        drawn.add_trace(
            go.Scatter(x=best[:, 0], y=best[:, 1], mode="lines", name="Pareto front", line=line), row=1, col=2
        )
    drawn.update_xaxes(title="coherence", row=1, col=2)
    drawn.update_yaxes(title="behaviour", row=1, col=2)


def _grid(drawn: Any, result: "Result") -> None:
    import plotly.graph_objects as go

    if "product" not in result.table:
        return
    wide = result.table.pivot_table(index="task", columns="method", values="product", sort=False)
    trace = go.Heatmap(
        z=wide.to_numpy(),
        x=list(wide.columns),
        y=list(wide.index),
        colorscale="Viridis",
        zmin=0,
        texttemplate="%{z:.2f}",
        colorbar={"len": 0.4, "y": 0.2, "x": 0.46},
    )
    drawn.add_trace(trace, row=2, col=1)
    drawn.update_yaxes(autorange="reversed", row=2, col=1)


def _layers(drawn: Any, result: "Result") -> None:
    import plotly.graph_objects as go

    if not len(result.layers):
        return
    table: Any = result.layers
    for task, some in table.groupby("task", sort=False):
        trace = go.Scatter(x=[hook.split(".")[1] for hook in some["hook"]], y=some["product"], name=f"CAA, {task}")
        drawn.add_trace(trace, row=2, col=2)
    drawn.update_xaxes(title="block", row=2, col=2)
    drawn.update_yaxes(title="behaviour × coherence", rangemode="tozero", row=2, col=2)
