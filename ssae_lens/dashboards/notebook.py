"""`dashboard`: an SSAE, or one of its latents, as a plotly figure for a notebook."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ssae_lens.dashboards.drawings import Drawing, count, plain, template
from ssae_lens.dashboards.figures import figures_of_latent, figures_of_latents
from ssae_lens.dashboards.latents import LatentName, Latents, latent_names
from ssae_lens.latents.codes import Shifts
from ssae_lens.latents.describe import LatentDescription, Span, describe_latents
from ssae_lens.sae.codes import latent_number
from ssae_lens.shifts import ShiftStore

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from ssae_lens.models.identity import Model
    from ssae_lens.sae import SSAE

N_PAIRS = 5
# Pixels between figures, for the axis labels of one and the title of the next.
GAP = 110


def dashboard(
    ssae: "SSAE",
    shifts: Shifts,
    latent: int | None = None,
    *,
    concepts: Mapping[str, Any] | None = None,
    model: "Model | None" = None,
) -> "Figure":
    """Show an SSAE, or one of its latents, in a notebook.

    Parameters
    ----------
    ssae
        The SSAE.
    shifts
        Shifts at its hook: a `ShiftStore`, for its texts and labels, or an array.
    latent
        The latent; None shows all of them.
    concepts
        The result of `match_concepts`, for the names of latents.
    model
        The model of the shifts, for the tokens that a latent promotes and suppresses.

    Returns
    -------
    plotly.graph_objects.Figure
        A notebook shows it as the last value of a cell. See `write_report` for a full report.

    Examples
    --------
    >>> import torch
    >>> from ssae_lens import SSAE
    >>> figure = dashboard(SSAE.from_weights(torch.eye(8), torch.eye(8)), torch.randn(100, 8), latent=3)
    >>> figure.layout.title.text
    'Latent 3'
    """
    latents = Latents(ssae, shifts)
    names = latent_names(len(latents), concepts)
    if latent is None:
        tables = []
        if isinstance(shifts, ShiftStore):
            tables = [_words_table(describe_latents(ssae, shifts, n_pairs=1, quiet=True), names)]
        return _combined(count(len(latents), "latent"), list(figures_of_latents(latents, names).values()), tables)
    latent = latent_number(ssae, latent)
    drawings = list(figures_of_latent(latents, latent).values())
    tables = []
    if isinstance(shifts, ShiftStore):
        description = describe_latents(ssae, shifts, model, latents=[latent], n_pairs=N_PAIRS, quiet=True)[0]
        tables = _tables(description)
    title = f"Latent {latent}" + (f": {plain(names[latent].name)}" if latent in names else "")
    if not latents.strength[latent] > 0:
        title += " (dead: never active on these pairs)"
    return _combined(title, drawings, tables)


def _combined(title: str, drawings: Sequence[Drawing], tables: Sequence[dict[str, Any]] = ()) -> "Figure":
    """Return one figure of drawings, two in a row, with tables below."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    n_rows = -(-len(drawings) // 2)
    specs: list[list[Any]] = [[{"type": "xy"}, {"type": "xy"}] for _ in range(n_rows)]
    specs += [[{"type": "table", "colspan": 2}, None] for _ in tables]
    heights = [max(drawing["height"] for drawing in drawings[2 * i : 2 * i + 2]) for i in range(n_rows)]
    heights += [table["height"] for table in tables]
    figure = make_subplots(
        rows=max(1, len(specs)),
        cols=2,
        specs=specs or None,
        row_heights=heights or None,
        subplot_titles=[item["title"] for item in (*drawings, *tables)],
        vertical_spacing=GAP / (sum(heights) + GAP * (len(heights) - 1)) if len(heights) > 1 else None,
        horizontal_spacing=0.15,
    )
    for i, drawing in enumerate(drawings):
        cell: dict[str, Any] = {"row": i // 2 + 1, "col": i % 2 + 1}
        coloraxis = f"coloraxis{i + 1}"
        for trace in drawing["data"]:
            figure.add_trace(_with_coloraxis(trace, coloraxis) | {"showlegend": False}, **cell)
        figure.update_xaxes(drawing["layout"]["xaxis"], **cell)
        figure.update_yaxes(drawing["layout"]["yaxis"], **cell)
        if "coloraxis" in drawing["layout"]:
            x, y = (next(select(**cell)).domain for select in (figure.select_xaxes, figure.select_yaxes))
            settings = drawing["layout"]["coloraxis"]
            bar = settings["colorbar"] | {"x": x[1] + 0.01, "y": sum(y) / 2, "len": y[1] - y[0], "thickness": 12}
            figure.layout[coloraxis] = {**settings, "autocolorscale": True, "colorbar": bar}
    for i, table in enumerate(tables):
        figure.add_trace(go.Table(**table["table"]), row=n_rows + i + 1, col=1)
    height = sum(heights) + GAP * len(heights) + 90
    return figure.update_layout(template=template(dark=False), title=title, height=height, margin={"t": 90, "b": GAP})


def _with_coloraxis(trace: dict[str, Any], coloraxis: str) -> dict[str, Any]:
    """Return a trace with a colour axis of its own, if it has one."""
    if "coloraxis" in trace:
        return trace | {"coloraxis": coloraxis}
    marker = trace.get("marker", {})
    return trace | {"marker": marker | {"coloraxis": coloraxis}} if "coloraxis" in marker else trace


def _words_table(described: Sequence[LatentDescription], names: Mapping[int, LatentName]) -> dict[str, Any]:
    """Return a table of the words that change with each latent."""
    columns = [
        [str(each.latent) for each in described],
        [plain(names[each.latent].name) if each.latent in names else "" for each in described],
        [plain(each.label) for each in described],
        [f"{each.density:.0%}" for each in described],
    ]
    return _table("Changed words", ["latent", "concept", "changed words", "active"], columns, [1, 2, 6, 1])


def _tables(description: LatentDescription) -> list[dict[str, Any]]:
    """Return the top activating pairs, their differences in bold, and the tokens, as tables of plotly."""
    pairs = [*description.positive, *reversed(description.negative)]
    tables = []
    if any(pair.source or pair.target for pair in pairs):
        columns = [
            [f"{pair.code:.3g}" for pair in pairs],
            [_bold(pair.source, pair.source_spans) for pair in pairs],
            [_bold(pair.target, pair.target_spans) for pair in pairs],
        ]
        tables.append(_table("Top activating pairs", ["code", "first text", "second text"], columns, [1, 5, 5]))
    if description.promoted:
        columns = []
        for tokens in (description.promoted, description.suppressed):
            columns += [[plain(repr(text)[1:-1]) for text, _ in tokens], [f"{logit:.3g}" for _, logit in tokens]]
        heads = ["promoted", "logit", "suppressed", "logit"]
        tables.append(_table("Tokens (logit lens)", heads, columns, [3, 1, 3, 1]))
    return tables


def _table(title: str, heads: list[str], columns: list[list[str]], widths: list[int]) -> dict[str, Any]:
    cells = {"values": columns, "align": "left", "height": 24}
    table = {"header": {"values": heads, "align": "left"}, "cells": cells, "columnwidth": widths}
    n_lines = sum(1 + max(map(len, row)) // 70 for row in zip(*columns, strict=True))
    return {"title": title, "height": min(600, 36 + 32 * n_lines), "table": table}


def _bold(text: str, spans: Sequence[Span]) -> str:
    parts, position = [], 0
    for start, end in spans:
        parts += [escape(text[position:start]), f"<b>{escape(text[start:end])}</b>"]
        position = end
    return "".join([*parts, escape(text[position:])])
