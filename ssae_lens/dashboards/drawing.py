"""What every figure has in common: its parts, and colours for light and dark.

A figure here is plain data: plotly's ``data`` and ``layout``, with a ``title``, a text alternative ``alt`` and a
``height``. The report draws it in the browser and a notebook as a plotly Figure, so that there is one description of each.
"""

import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np

Drawing = dict[str, Any]

BLUE, ORANGE, GREEN, PURPLE, OLIVE, GREY = "#2f7fc4", "#cf5f10", "#12946f", "#b65fc4", "#948000", "#7b8490"
# Apart for the colour-blind, and at a contrast of 3.8 or more with the page in both themes.
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, OLIVE, GREY)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "hexagon", "bowtie")
DASHES = ("solid", "dash", "dot", "dashdot")
LONGEST_LABEL = 32
CIVIDIS = ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"]


def figure(title: str, alt: str, data: list[dict[str, Any]], *, height: int = 320, **layout: Any) -> Drawing:
    """Put a figure together."""
    return {"title": title, "alt": alt, "height": height, "data": data, "layout": layout}


def template(*, dark: bool) -> dict[str, Any]:
    """Return plotly's template for a theme; all but colours is the same in both."""
    ink, grid, middle = ("#dfe3e8", "#363c46", "#2b313b") if dark else ("#22262b", "#dfe2e6", "#e9ebee")
    ends = ("#6db3f2", "#f5a45c") if dark else ("#1f66ad", "#b85108")
    axis = {"gridcolor": grid, "linecolor": grid, "zerolinecolor": grid, "automargin": True, "title": {"standoff": 8}}
    return {
        "layout": {
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": ink},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": COLOURS,
            "colorscale": {
                "sequential": [[i / 5, colour] for i, colour in enumerate(CIVIDIS)],
                "diverging": [[0, ends[1]], [0.5, middle], [1, ends[0]]],
            },
            "coloraxis": {"autocolorscale": True, "colorbar": {"thickness": 12, "outlinewidth": 0}},
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hoverlabel": {"bgcolor": "#1b1f26" if dark else "#ffffff", "font": {"color": ink}, "align": "left"},
            "dragmode": False,
        }
    }


def plain(text: object) -> str:
    """Return a text for one of plotly's labels, which would else read markup in it."""
    shown = str(text)
    shown = shown if len(shown) <= LONGEST_LABEL else shown[: LONGEST_LABEL - 1] + "…"
    return escape(shown, quote=False)


def count(number: int, what: str) -> str:
    """Return "1 latent", "2 latents"."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def line(name: str, x: Iterable[Any], y: Iterable[Any], place: int = 0, **more: Any) -> dict[str, Any]:
    """Return a line with points; lines of different places differ by colour, by symbol and, in time, by dash."""
    look = {
        "marker": {"color": COLOURS[place % len(COLOURS)], "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 7},
        "line": {"dash": DASHES[place // len(COLOURS) % len(DASHES)], "width": 2},
    }
    return {"type": "scatter", "mode": "lines+markers", "name": plain(name), "x": list(x), "y": list(y), **look, **more}


def stacked(titles: list[str], x_title: str) -> dict[str, Any]:
    """Return the layout of panels over one x axis, the first on top."""
    gap = 0.08
    height = (1 - gap * (len(titles) - 1)) / len(titles)
    layout: dict[str, Any] = {"xaxis": {"title": {"text": x_title}, "anchor": "y" + _nth(len(titles) - 1)}}
    for i, title in enumerate(titles):
        top = 1 - i * (height + gap)
        layout["yaxis" + _nth(i)] = {"title": {"text": title}, "domain": [max(0, top - height), top]}
    return layout


def panel(i: int) -> dict[str, str]:
    """Return what puts a trace into a panel of `stacked`."""
    return {"yaxis": "y" + _nth(i)}


def jsonable(value: Any, digits: int = 5) -> Any:
    """Return data as JSON holds it: numbers to `digits` significant digits, and null for what is not a number."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): jsonable(each, digits) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each, digits) for each in value]
    return value if value is None or isinstance(value, bool | int) else str(value)


def known(value: Any) -> bool:
    """Say whether a cell of a table holds something: neither None nor NaN."""
    return value is not None and value == value  # noqa: PLR0124 - NaN alone is unlike itself


def _nth(i: int) -> str:
    return str(i + 1) if i else ""
