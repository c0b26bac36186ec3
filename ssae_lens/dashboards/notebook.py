"""`dashboard`: an SSAE, or one latent of it, as a plotly figure to look at in a notebook."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ssae_lens.dashboards.drawing import Drawing, count, plain, template
from ssae_lens.dashboards.latent_figures import figures_of_latent
from ssae_lens.dashboards.latents import Latents, with_names
from ssae_lens.dashboards.overview_figures import figures_of_latents
from ssae_lens.latents.codes import Shifts
from ssae_lens.latents.describe import LatentDescription, Span, describe_latents
from ssae_lens.shifts import ShiftStore

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from ssae_lens.hooks.hook_points import Model
    from ssae_lens.sae import SSAE

PAIRS = 5
# Between figures, for the names below one and the title of the next, in pixels.
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
        Shifts of its hook: a `ShiftStore`, for its texts and labels, or an array.
    latent
        Which latent; None shows them all.
    concepts
        What `match_concepts` gives, to name latents.
    model
        The model that the shifts came from, to show which tokens a latent promotes and suppresses.

    Returns
    -------
    plotly.graph_objects.Figure
        A notebook shows it where it is a cell's last value. `write_report` makes a page of much more.

    Examples
    --------
    >>> import torch
    >>> from ssae_lens import SSAE
    >>> figure = dashboard(SSAE.from_weights(torch.eye(8), torch.eye(8)), torch.randn(100, 8), latent=3)
    >>> figure.layout.title.text
    'Latent 3'
    """
    latents = Latents(ssae, shifts)
    names = with_names(len(latents), concepts)
    if latent is None:
        return _together(count(len(latents), "latent"), list(figures_of_latents(latents, names).values()))
    latent = latents.require(latent)
    drawings = list(figures_of_latent(latents, latent).values())
    tables = []
    if isinstance(shifts, ShiftStore):
        described = describe_latents(ssae, shifts, model, latents=[latent], n_pairs=PAIRS, quiet=True)[0]
        tables = _tables(described)
    title = f"Latent {latent}" + (f": {plain(names[latent].name)}" if latent in names else "")
    if not latents.strength[latent] > 0:
        title += ", which never fires on these pairs"
    return _together(title, drawings, tables)


def _together(title: str, drawings: Sequence[Drawing], tables: Sequence[dict[str, Any]] = ()) -> "Figure":
    """Put figures side by side, two in a row, and tables below."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    n_rows = -(-len(drawings) // 2)
    specs: list[list[Any]] = [[{"type": "xy"}, {"type": "xy"}] for _ in range(n_rows)]
    specs += [[{"type": "table", "colspan": 2}, None] for _ in tables]
    heights = [max(each["height"] for each in drawings[2 * i : 2 * i + 2]) for i in range(n_rows)]
    heights += [each["height"] for each in tables]
    shown = make_subplots(
        rows=max(1, len(specs)),
        cols=2,
        specs=specs or None,
        row_heights=heights or None,
        subplot_titles=[each["title"] for each in (*drawings, *tables)],
        vertical_spacing=GAP / (sum(heights) + GAP * (len(heights) - 1)) if len(heights) > 1 else None,
        horizontal_spacing=0.15,
    )
    for i, drawing in enumerate(drawings):
        row, col = i // 2 + 1, i % 2 + 1
        colours = f"coloraxis{i + 1}"
        for trace in drawing["data"]:
            shown.add_trace(_coloured_by(trace, colours) | {"showlegend": False}, row=row, col=col)
        shown.update_xaxes(drawing["layout"]["xaxis"], row=row, col=col)
        shown.update_yaxes(drawing["layout"]["yaxis"], row=row, col=col)
        if "coloraxis" in drawing["layout"]:
            x, y = (next(each(row=row, col=col)).domain for each in (shown.select_xaxes, shown.select_yaxes))
            axis = drawing["layout"]["coloraxis"]
            bar = axis["colorbar"] | {"x": x[1] + 0.01, "y": sum(y) / 2, "len": y[1] - y[0], "thickness": 12}
            shown.layout[colours] = {**axis, "autocolorscale": True, "colorbar": bar}
    for i, each in enumerate(tables):
        shown.add_trace(go.Table(**each["table"]), row=n_rows + i + 1, col=1)
    height = sum(heights) + GAP * len(heights) + 90
    return shown.update_layout(template=template(dark=False), title=title, height=height, margin={"t": 90, "b": GAP})


def _coloured_by(trace: dict[str, Any], colours: str) -> dict[str, Any]:
    """Return a trace its own scale of colours, where it has one."""
    if "coloraxis" in trace:
        return trace | {"coloraxis": colours}
    marker = trace.get("marker", {})
    return trace | {"marker": marker | {"coloraxis": colours}} if "coloraxis" in marker else trace


def _tables(described: LatentDescription) -> list[dict[str, Any]]:
    """Return the strongest pairs, what differs in bold, and the tokens, as plotly's tables."""
    pairs = [*described.positive, *reversed(described.negative)]
    tables = []
    if any(pair.source or pair.target for pair in pairs):
        columns = [
            [f"{pair.code:.3g}" for pair in pairs],
            [_bold(pair.source, pair.source_spans) for pair in pairs],
            [_bold(pair.target, pair.target_spans) for pair in pairs],
        ]
        tables.append(_table("Strongest pairs", ["code", "first text", "second text"], columns, [1, 5, 5]))
    if described.promoted:
        tokens = [[plain(repr(text)[1:-1]) for text, _ in side] for side in (described.promoted, described.suppressed)]
        logits = [[f"{logit:.3g}" for _, logit in side] for side in (described.promoted, described.suppressed)]
        columns = [tokens[0], logits[0], tokens[1], logits[1]]
        tables.append(
            _table("Tokens (logit lens)", ["promoted", "logit", "suppressed", "logit"], columns, [3, 1, 3, 1])
        )
    return tables


def _table(title: str, heads: list[str], columns: list[list[str]], widths: list[int]) -> dict[str, Any]:
    cells = {"values": columns, "align": "left", "height": 24}
    table = {"header": {"values": heads, "align": "left"}, "cells": cells, "columnwidth": widths}
    lines = sum(1 + max(len(row[i]) for i in range(len(row))) // 70 for row in zip(*columns, strict=True))
    return {"title": title, "height": min(600, 36 + 32 * lines), "table": table}


def _bold(text: str, spans: Sequence[Span]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [escape(text[at:start]), f"<b>{escape(text[start:end])}</b>"]
        at = end
    return "".join([*parts, escape(text[at:])])
