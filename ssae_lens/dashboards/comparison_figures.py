"""Figures that compare methods: effect vs. steering strength, the Pareto front, and codes of vectors."""

from collections.abc import Sequence

import numpy as np

from ssae_lens.dashboards.drawings import (
    BLUE,
    ORANGE,
    Drawing,
    Row,
    axis,
    bars,
    drawing,
    grouped,
    known,
    line,
    panel,
    plain,
    stacked,
)
from ssae_lens.evals.text_scores import pareto

MAX_FEATURES = 12
# A code of smaller size is a rounding error.
ROUNDING = 1e-6
MEASURES = ("behaviour", "coherence")


def effect_figure(rows: Sequence[Row]) -> Drawing:
    """Draw behaviour and coherence against steering strength, a line for each method.

    A row holds ``scale``, ``behaviour`` or ``coherence`` or both, and ``method`` where there are several. Rows without a
    scale are left out.
    """
    rows = sorted((row for row in rows if known(row.get("scale"))), key=lambda row: row["scale"])
    measures = [name for name in MEASURES if any(known(row.get(name)) for row in rows)]
    methods = grouped("method", rows)
    named = any(method is not None for method, _ in methods)
    lines = []
    for index, (method, points) in enumerate(methods):
        scales = [float(row["scale"]) for row in points]
        for i, measure in enumerate(measures):
            name = str(method) if named else measure
            values = [row.get(measure) for row in points]
            legend = {"legendgroup": name, "showlegend": named and i == 0}
            lines.append(line(name, scales, values, index, **legend, **panel(i)))
    alt = f"{' and '.join(measures).capitalize()} at scales from {rows[0]['scale']:g} to {rows[-1]['scale']:g}"
    if named:
        alt += f", for {', '.join(str(method) for method, _ in methods)}"
    height = 440 if named else 340
    return drawing(
        "Effect vs. steering strength",
        f"{alt}.",
        lines,
        height=height,
        **stacked(measures, "steering strength (scale)"),
    )


def pareto_figure(rows: Sequence[Row]) -> Drawing:
    """Draw behaviour against coherence for every method and scale of a task, with the Pareto front."""
    points = [row for row in rows if all(known(row.get(measure)) for measure in MEASURES)]
    optimal = pareto(np.array([(row["coherence"], row["behaviour"]) for row in points]).reshape(-1, 2))
    front = sorted((points[i] for i in np.flatnonzero(optimal)), key=lambda row: row["coherence"])
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Pareto front",
            "x": [row["coherence"] for row in front],
            "y": [row["behaviour"] for row in front],
            "line": {"width": 8, "color": "rgba(123,132,144,.35)"},
            "hoverinfo": "skip",
        }
    ]
    for index, (method, group) in enumerate(grouped("method", points)):
        labels = [f"scale {row['scale']:g}" if known(row.get("scale")) else "no scale" for row in group]
        coherence, behaviour = ([row[measure] for row in group] for measure in ("coherence", "behaviour"))
        hover = "%{text}<br>coherence %{x:.3g}<br>behaviour %{y:.3g}"
        traces.append(
            line(str(method), coherence, behaviour, index) | {"mode": "markers", "text": labels, "hovertemplate": hover}
        )
    methods = ", ".join(dict.fromkeys(str(row["method"]) for row in front))
    alt = f"Behaviour against coherence of {len(points)} points. Methods on the Pareto front: {methods or 'none'}."
    axes = {"xaxis": axis("coherence"), "yaxis": axis("behaviour")}
    return drawing("Behaviour vs. coherence", alt, traces, height=400, **axes)


def codes_of_vector_figure(dictionary: str, rows: Sequence[Row]) -> Drawing:
    """Draw the largest codes of a vector by a dictionary beside the codes of the zero vector.

    A row holds ``feature``, ``value`` (the code of the vector) and ``zero_value`` (the code of the zero vector).
    """
    rows = [row for row in rows if known(row["value"])]
    rows = sorted(rows, key=lambda row: -abs(row["value"]))[:MAX_FEATURES]
    labels, hover = [plain(row["feature"]) for row in rows], "feature %{x}: code %{y:.3g} of the "
    traces = [
        bars(name, labels, [row.get(key) for row in rows], colour, hover + name)
        for name, key, colour in (("vector", "value", BLUE), ("zero vector", "zero_value", ORANGE))
    ]
    n_shared = sum(known(row.get("zero_value")) and abs(row["zero_value"]) > ROUNDING for row in rows)
    alt = f"Codes of the {len(rows)} largest features of the vector; {n_shared} of them are active for the zero vector too."
    x_axis = axis("feature", type="category")
    return drawing(f"Codes by {dictionary}", alt, traces, xaxis=x_axis, yaxis=axis("code"))
