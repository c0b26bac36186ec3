"""Figures of an SSAE: its latents, a single latent, its sweep, its training, and the spectrum of its shifts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.dashboards.drawings import (
    BLUE,
    GREY,
    ORANGE,
    Drawing,
    axis,
    bars,
    coloraxis,
    count,
    drawing,
    heat_map,
    known,
    line,
    panel,
    plain,
    stacked,
)
from ssae_lens.dashboards.latents import LatentName, Latents
from ssae_lens.shifts import spectrum_figure

MAX_LATENTS, MAX_CONCEPTS, MAX_RUNS = 200, 20, 12
ZERO_LINE = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
ZERO_LINE |= {"line": {"width": 2, "dash": "dot", "color": GREY}}
# A concept with a correlation of at least this size has a latent.
HIGH_CORRELATION = 0.5


def figures_of_latents(latents: Latents, names: Mapping[int, LatentName]) -> dict[str, Drawing]:
    """Draw all latents: the cosines of their decoder rows, and their correlations with concepts."""
    labels = [f"{latent} {names[latent].name}" if latent in names else str(latent) for latent in range(len(latents))]
    figures = {}
    order = latents.order_by_similarity(sorted(latents.order[:MAX_LATENTS]))
    ordered = [labels[latent] for latent in order]
    figures["cosines"] = cosines_figure(ordered, latents.cosines[np.ix_(order, order)], len(latents))
    if latents.correlations is not None:
        figures["concepts"] = concepts_figure(ordered, latents.concepts, latents.correlations[order])
    return figures


def figures_of_latent(latents: Latents, latent: int) -> dict[str, Drawing]:
    """Draw one latent: the histogram of its codes, and its correlations with concepts; a dead latent has neither."""
    figures = {}
    if latents.codes is not None and latents.strength[latent] > 0:
        edges, counts = latents.histogram(latent)
        figures["codes"] = codes_figure(edges, counts, n_zeros=len(latents.codes) - int(counts.sum()))
    if latents.correlations is not None and latents.correlations[latent].any():
        figures["correlations"] = correlations_figure(latents.concepts, latents.correlations[latent])
    return figures


def cosines_figure(labels: Sequence[str], cosines: Float[np.ndarray, "k k"], n_latents: int) -> Drawing:
    """Draw the cosine similarities of decoder rows, of all latents or of the strongest."""
    off_diagonal = abs(cosines[~np.eye(len(cosines), dtype=bool)])
    maximum = f" The largest off-diagonal |cosine| is {off_diagonal.max():.2f}." if off_diagonal.size else ""
    subset = f", the {len(labels)} strongest of {n_latents} latents" if len(labels) < n_latents else ""
    alt = f"Cosine similarities of the decoder rows{subset}, similar directions next to each other.{maximum}"
    return _heat_map(f"Cosine similarity of decoder rows{subset}", alt, labels, labels, cosines, "cosine")


def concepts_figure(labels: Sequence[str], concepts: Sequence[str], values: Float[np.ndarray, "k c"]) -> Drawing:
    """Draw the correlation of latents with labelled concepts."""
    n_high = int((abs(values).max(axis=0) >= HIGH_CORRELATION).sum())
    alt = (
        f"Correlations of {count(len(labels), 'latent')} with {count(len(concepts), 'labelled concept')}; {n_high} "
        f"correlate with a latent by {HIGH_CORRELATION} or more."
    )
    return _heat_map("Correlation of codes with labelled concepts", alt, concepts, labels, values, "correlation")


def codes_figure(edges: Float[np.ndarray, " b1"], counts: Int[np.ndarray, " b"], n_zeros: int = 0) -> Drawing:
    """Draw the histogram of a latent's codes on a logarithmic scale; `n_zeros` codes of zero are not in the counts."""
    middles = (edges[:-1] + edges[1:]) / 2
    sides = [("negative codes", middles < 0, ORANGE), ("positive codes", middles > 0, BLUE)]
    hover, width = "%{y} pairs with codes near %{x:.3g}", float(edges[1] - edges[0])
    traces = [
        bars(name, middles[side].tolist(), counts[side].tolist(), colour, hover, width=width)
        for name, side, colour in sides
        if side.any()
    ]
    negative, positive = (int(counts[side].sum()) for _, side, _ in sides)
    alt = (
        f"Histogram of {negative + positive} codes from {edges[0]:.3g} to {edges[-1]:.3g}: {negative} negative, "
        f"{positive} positive."
    )
    # The range shows a bar of one pair, whose logarithm is zero.
    log_range = [-0.3, math.log10(max(counts.max(), 1)) + 0.2]
    return drawing(
        "Histogram of codes" + (f" ({count(n_zeros, 'code')} of exactly 0 not shown)" if n_zeros else ""),
        alt,
        traces,
        height=260,
        xaxis=axis("code (residual-stream units)"),
        yaxis=axis("pairs (log scale)", type="log", dtick=1, range=log_range),
        bargap=0,
        shapes=[ZERO_LINE],
    )


def correlations_figure(concepts: Sequence[str], values: Float[np.ndarray, " c"]) -> Drawing:
    """Draw the correlations of a latent with labelled concepts, the largest on top."""
    order = np.argsort(-abs(values), kind="stable")[:MAX_CONCEPTS]
    names, shown = [concepts[i] for i in order], [float(values[i]) for i in order]
    alt = (
        f"Correlations with {count(len(concepts), 'labelled concept')}; the largest is {shown[0]:.2f}, with {names[0]}."
    )
    subset = f", the {MAX_CONCEPTS} largest of {len(concepts)}" if len(concepts) > len(order) else ""
    colours = [BLUE if value >= 0 else ORANGE for value in shown]
    labels = [plain(name) for name in names]
    return drawing(
        f"Correlation with labelled concepts{subset}",
        alt,
        [bars("correlation", shown, labels, colours, "%{y}: %{x:.3f}", orientation="h")],
        height=90 + 22 * len(names),
        xaxis=axis("Pearson correlation", range=[-1, 1]),
        yaxis={"autorange": "reversed", "type": "category"},
    )


def udr_figure(table: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw the stability across seeds (UDR) over widths and bounds, from the rows of ``Sweep.table()``."""
    bound = "level" if any(known(row.get("level")) for row in table) else "budget"
    rows = [row for row in table if known(row.get(bound))]
    widths = sorted({int(row["d_sae"]) for row in rows})
    bounds = sorted({float(row[bound]) for row in rows})
    cells = {(float(row[bound]), int(row["d_sae"])): row for row in rows}
    measured = [row for row in rows if known(row["udr_decoders"])]
    alt = f"UDR over {count(len(widths), 'width')} and {count(len(bounds), 'bound')}"
    if measured:
        best = max(measured, key=lambda row: row["udr_decoders"])
        alt += f"; the largest is {best['udr_decoders']:.3f}, at d_sae {best['d_sae']} and {bound} {best[bound]:g}"
    grid = [[cells.get((value, width), {}) for width in widths] for value in bounds]
    udr = heat_map(
        widths,
        [f"{value:g}" for value in bounds],
        [[row.get("udr_decoders") for row in line] for line in grid],
        f"d_sae %{{x}}, {bound} %{{y}}<br>UDR %{{z:.3f}}<br>status: %{{text}}",
        text=[[plain(row.get("status", "")) for row in line] for line in grid],
        texttemplate="%{z:.3f}",
        xgap=2,
        ygap=2,
    )
    return drawing(
        "Stability across seeds (UDR of decoders)",
        f"{alt}.",
        [udr],
        xaxis=axis("width (d_sae)", type="category"),
        yaxis=axis(bound, type="category"),
        coloraxis=coloraxis("UDR"),
    )


def training_figure(history: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> Drawing:
    """Draw loss, sparsity and the Lagrange multiplier over training steps.

    A row of `history` holds ``step``, and ``loss``, ``sparsity`` and ``multiplier``: numbers, or lists with a number for
    each run of an ensemble, which `names` names.
    """
    history = sorted(history, key=lambda row: row["step"])
    steps = [row["step"] for row in history]
    n_runs = len(history[0]["loss"]) if isinstance(history[0]["loss"], list) else 1
    names = list(names) or (["this SSAE"] if n_runs == 1 else [f"run {i}" for i in range(n_runs)])
    panels = [name for name in ("loss", "sparsity", "multiplier") if all(name in row for row in history)]

    def values(name: str, run: int) -> list[Any]:
        return [row[name][run] if isinstance(row[name], list) else row[name] for row in history]

    lines = []
    for run in range(min(n_runs, MAX_RUNS)):
        for i, name in enumerate(panels):
            legend = {"legendgroup": str(run), "showlegend": n_runs > 1 and i == 0}
            lines.append(line(names[run], steps, values(name, run), run, mode="lines", **legend, **panel(i)))
    subset = f", {MAX_RUNS} of {n_runs} runs" if n_runs > MAX_RUNS else ""
    runs = " and ".join(names) if n_runs <= 2 else f"{n_runs} runs"
    alt = f"{', '.join(panels).capitalize()} of {runs} over {steps[-1]} steps."
    return drawing(f"Training{subset}", alt, lines, height=150 * len(panels) + 60, **stacked(panels, "step"))


def spectrum_drawing(summary: dict[str, Any]) -> Drawing:
    """Return the `spectrum_figure` of a summary of shifts as a drawing."""
    figure: Any = spectrum_figure(summary)
    # In plotly's JSON, arrays are bytes, which only plotly reads.
    data = [{**trace.to_plotly_json(), "x": trace.x, "y": trace.y} for trace in figure.data]
    layout = {
        name: value for name, value in figure.layout.to_plotly_json().items() if name not in ("template", "title")
    }
    share = summary["spectrum"]["share"]
    alt = (
        f"The first singular direction holds {share[0]:.0%} of the squared norm of {summary['rows']} shifts, the first "
        f"{len(share)} hold {sum(share):.0%}; effective rank {summary['effective_rank']:.3g}."
    )
    return drawing("Spectrum of the shifts", alt, data, **layout)


def _heat_map(
    title: str, alt: str, x: Sequence[str], y: Sequence[str], values: Float[np.ndarray, "r c"], quantity: str
) -> Drawing:
    cells = np.round(values.astype(np.float64), 2).tolist()
    settings = {"type": "category", "nticks": 40, "tickfont": {"size": 10}, "showgrid": False}
    return drawing(
        title,
        alt,
        [heat_map(x, y, cells, f"%{{y}}, %{{x}}<br>{quantity} %{{z:.2f}}")],
        height=min(540, 170 + 16 * max(12, len(y))),
        xaxis={**settings, "tickangle": -90},
        yaxis={**settings, "autorange": "reversed"},
        coloraxis=coloraxis(quantity, minimum=-1),
    )
