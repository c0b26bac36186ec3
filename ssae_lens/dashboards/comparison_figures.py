"""Figures of methods beside each other: what steering does at each scale, its Pareto front, and codes of vectors."""

from collections.abc import Sequence

import numpy as np

from ssae_lens.dashboards.drawing import BLUE, ORANGE, Drawing, figure, known, line, panel, plain, stacked
from ssae_lens.dashboards.tables import Row, by

FEATURES_SHOWN = 12
# A code below this is a rounding.
NOTHING = 1e-6


def dose_figure(rows: Sequence[Row]) -> Drawing:
    """Draw each method's behaviour and coherence over the scale of steering, on one task; what has no scale is left out."""
    rows = [row for row in rows if known(row.get("scale"))]
    measures = [name for name in ("behaviour", "coherence") if any(known(row.get(name)) for row in rows)]
    lines = []
    for place, (method, each) in enumerate(by("method", rows)):
        points = sorted(each, key=lambda row: row["scale"])
        scales = [row["scale"] for row in points]
        for p, name in enumerate(measures):
            values = [row.get(name) for row in points]
            lines.append(
                line(str(method), scales, values, place, legendgroup=str(method), showlegend=p == 0, **panel(p))
            )
    methods = ", ".join(str(method) for method, _ in by("method", rows))
    alt = f"{' and '.join(measures).capitalize()} over the scale of steering, for {methods}."
    return figure("Dose and response", alt, lines, height=440, **stacked(measures, "scale (as each method takes it)"))


def pareto_figure(rows: Sequence[Row]) -> Drawing:
    """Draw behaviour against coherence for every method and scale of one task, and the front that no other point beats."""
    from ssae_lens.evals.steering.scores import pareto

    points = [row for row in rows if known(row.get("behaviour")) and known(row.get("coherence"))]
    unbeaten = pareto(np.array([(row["coherence"], row["behaviour"]) for row in points]).reshape(-1, 2))
    best = sorted((points[i] for i in np.flatnonzero(unbeaten)), key=lambda row: row["coherence"])
    shown = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "front",
            "x": [row["coherence"] for row in best],
            "y": [row["behaviour"] for row in best],
            "line": {"width": 8, "color": "rgba(123,132,144,.35)"},
            "hoverinfo": "skip",
        }
    ]
    for place, (method, each) in enumerate(by("method", points)):
        shown.append(
            line(str(method), [row["coherence"] for row in each], [row["behaviour"] for row in each], place)
            | {
                "mode": "markers",
                "text": [f"scale {row['scale']:g}" if known(row.get("scale")) else "no scale" for row in each],
                "hovertemplate": "%{text}<br>coherence %{x:.3g}<br>behaviour %{y:.3g}",
            }
        )
    methods = dict.fromkeys(str(row["method"]) for row in best)
    alt = f"Behaviour against coherence of {len(points)} points; on the front: {', '.join(methods) or 'none'}."
    axes = {"xaxis": {"title": {"text": "coherence"}}, "yaxis": {"title": {"text": "behaviour"}}}
    return figure("Behaviour against coherence", alt, shown, height=400, **axes)


def codes_of_vector_figure(dictionary: str, rows: Sequence[Row]) -> Drawing:
    """Draw a dictionary's strongest features of one vector beside their codes of the zero vector.

    Each row holds ``feature``, ``value`` (the code of the vector) and ``zero_value`` (of the zero vector).
    """
    rows = [row for row in rows if known(row["value"])]
    rows = sorted(rows, key=lambda row: -abs(row["value"]))[:FEATURES_SHOWN]
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": [plain(row["feature"]) for row in rows],
            "y": [row.get(key) for row in rows],
            "marker": {"color": colour},
            "hovertemplate": f"feature %{{x}}: %{{y:.3g}} {name}<extra></extra>",
        }
        for name, key, colour in (("of the vector", "value", BLUE), ("of the zero vector", "zero_value", ORANGE))
    ]
    there = sum(known(row.get("zero_value")) and abs(row["zero_value"]) > NOTHING for row in rows)
    alt = f"The {len(rows)} strongest features of the vector; {there} of them have a code of the zero vector too."
    axes = {"xaxis": {"type": "category", "title": {"text": "feature"}}, "yaxis": {"title": {"text": "code"}}}
    return figure(f"Codes by {dictionary}", alt, bars, **axes)
