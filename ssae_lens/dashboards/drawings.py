"""Building blocks of figures: drawings, traces, colours, and tables as lists of rows.

A drawing is plain data: plotly's ``data`` and ``layout``, with a ``title``, a text alternative ``alt`` and a ``height``.
The report draws it in the browser, a notebook as a plotly Figure.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Drawing = dict[str, Any]
Row = dict[str, Any]
Table: TypeAlias = Union["pd.DataFrame", Sequence[Mapping[str, Any]]]

# Distinct for the colour-blind, with a contrast to the page of 3.8 or more in both themes.
COLOURS = BLUE, ORANGE, GREEN, PURPLE, OLIVE, GREY = "#2f7fc4", "#cf5f10", "#12946f", "#b65fc4", "#948000", "#7b8490"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "hexagon", "bowtie")
DASHES = ("solid", "dash", "dot", "dashdot")
CIVIDIS = ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"]
MAX_LABEL = 32
PANEL_GAP = 0.08


def drawing(title: str, alt: str, data: list[dict[str, Any]], *, height: int = 320, **layout: Any) -> Drawing:
    """Return a drawing."""
    return {"title": title, "alt": alt, "height": height, "data": data, "layout": layout}


def template(*, dark: bool) -> dict[str, Any]:
    """Return plotly's template for a theme; the themes differ only in colours."""
    text, grid, middle = ("#dfe3e8", "#363c46", "#2b313b") if dark else ("#22262b", "#dfe2e6", "#e9ebee")
    ends = ("#6db3f2", "#f5a45c") if dark else ("#1f66ad", "#b85108")
    axis = {"gridcolor": grid, "linecolor": grid, "zerolinecolor": grid, "automargin": True, "title": {"standoff": 8}}
    return {
        "layout": {
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": text},
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
            "hoverlabel": {"bgcolor": "#1b1f26" if dark else "#ffffff", "font": {"color": text}, "align": "left"},
            "dragmode": False,
        }
    }


def plain(text: object) -> str:
    """Return a text for a label of plotly, which would otherwise read markup in it."""
    label = str(text)
    return escape(label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…", quote=False)


def count(number: int, noun: str) -> str:
    """Return "1 latent" or "2 latents"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def line(name: str, x: Iterable[Any], y: Iterable[Any], index: int = 0, **trace: Any) -> dict[str, Any]:
    """Return a line with markers; lines of different `index` differ in colour, symbol and dash."""
    style = {
        "marker": {"color": COLOURS[index % len(COLOURS)], "symbol": SYMBOLS[index % len(SYMBOLS)], "size": 7},
        "line": {"dash": DASHES[index // len(COLOURS) % len(DASHES)], "width": 2},
    }
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(name),
        "x": list(x),
        "y": list(y),
        **style,
        **trace,
    }


def bars(
    name: str, x: Sequence[Any], y: Sequence[Any], colour: str | Sequence[str], hover: str, **trace: Any
) -> dict[str, Any]:
    """Return bars; `hover` is plotly's template of a bar's text."""
    style = {"marker": {"color": colour}, "hovertemplate": f"{hover}<extra></extra>"}
    return {"type": "bar", "name": name, "x": x, "y": y, **style, **trace}


def heat_map(x: Iterable[Any], y: Iterable[Any], z: Sequence[Any], hover: str, **trace: Any) -> dict[str, Any]:
    """Return a heat map with the layout's colour axis; `hover` is plotly's template of a cell's text."""
    labels = {"x": [plain(label) for label in x], "y": [plain(label) for label in y]}
    style = {"coloraxis": "coloraxis", "hovertemplate": f"{hover}<extra></extra>"}
    return {"type": "heatmap", **labels, "z": z, **style, **trace}


def coloraxis(title: str, minimum: float = 0) -> dict[str, Any]:
    """Return a colour axis from `minimum` to 1 with a title."""
    return {"cmin": minimum, "cmax": 1, "colorbar": {"title": {"text": title}}}


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """Return an axis with a title."""
    return {"title": {"text": title}, **settings}


def stacked(titles: Sequence[str], x_title: str) -> dict[str, Any]:
    """Return the layout of panels above one x axis, the first on top."""
    height = (1 - PANEL_GAP * (len(titles) - 1)) / len(titles)
    layout = {"xaxis": axis(x_title, anchor=panel(len(titles) - 1)["yaxis"])}
    for i, title in enumerate(titles):
        top = 1 - i * (height + PANEL_GAP)
        layout[panel(i)["yaxis"].replace("y", "yaxis")] = axis(title, domain=[max(0, top - height), top])
    return layout


def panel(i: int) -> dict[str, str]:
    """Return the setting that puts a trace into a panel of `stacked`."""
    return {"yaxis": f"y{i + 1}" if i else "y"}


def jsonable(value: Any, digits: int = 5) -> Any:
    """Return data with the types of JSON: numbers to `digits` significant digits, None for NaN and infinity."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): jsonable(item, digits) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item, digits) for item in value]
    return value if value is None or isinstance(value, bool | int) else str(value)


def known(value: Any) -> bool:
    """Return whether a cell of a table holds a value: neither None nor NaN."""
    return value is not None and value == value  # noqa: PLR0124 - only NaN differs from itself


def rows_of(name: str, table: Table, keys: Sequence[str] = (), columns: Sequence[str] = ()) -> list[Row]:
    """Return the rows of a table, or raise unless it has `columns`, and `keys` with a value in every row."""
    to_dict: Any = getattr(table, "to_dict", None)
    rows: list[Row] = to_dict(orient="records") if to_dict else [dict(row) for row in table]  # pyright: ignore[reportArgumentType]
    for number, row in enumerate(rows):
        missing = [column for column in (*keys, *columns) if column not in row]
        missing += [key for key in keys if key in row and not known(row[key])]
        if missing:
            required = ", ".join((*keys, *columns))
            raise ValueError(
                f"Row {number} of {name} has no {missing[0]!r} (it has {', '.join(map(str, row))}); "
                f"a row must have {required}."
            )
    return rows


def grouped(column: str, rows: Sequence[Row]) -> list[tuple[Any, list[Row]]]:
    """Return the rows of each value of a column, in the order in which the values first occur."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.get(column), []).append(row)
    return list(groups.items())
