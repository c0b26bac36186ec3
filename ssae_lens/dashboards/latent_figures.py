"""Figures of one latent: its codes, its correlations with labelled concepts, and what steering along it does."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.dashboards.drawing import BLUE, GREY, ORANGE, Drawing, count, figure, known, line, panel, plain, stacked
from ssae_lens.dashboards.latents import Latents

CONCEPTS_SHOWN = 20
ZERO = {"width": 2, "dash": "dot", "color": GREY}


def figures_of_latent(latents: Latents, latent: int) -> dict[str, Drawing]:
    """Draw what there is to draw of a latent, by name."""
    drawn = {}
    if latents.codes is not None and latents.strength[latent] > 0:
        edges, counts = latents.histogram(latent)
        drawn["codes"] = codes_figure(edges, counts, zeros=len(latents.codes) - int(counts.sum()))
    if latents.correlations is not None and latents.correlations[latent].any():
        drawn["correlations"] = correlations_figure(latents.concepts, latents.correlations[latent])
    return drawn


def codes_figure(edges: Float[np.ndarray, " b1"], counts: Int[np.ndarray, " b"], zeros: int = 0) -> Drawing:
    """Draw how often codes of each size occur, those below and above zero in two colours, on a logarithmic scale.

    `zeros` is how many codes of exactly zero were left out of the counts.
    """
    width = float(edges[1] - edges[0])
    middles = (edges[:-1] + edges[1:]) / 2
    tails = [
        {
            "type": "bar",
            "name": name,
            "x": middles[side].tolist(),
            "y": counts[side].tolist(),
            "width": width,
            "marker": {"color": colour},
            "hovertemplate": "%{y} pairs with codes about %{x:.3g}<extra></extra>",
        }
        for name, side, colour in (("below zero", middles < 0, ORANGE), ("above zero", middles > 0, BLUE))
        if side.any()
    ]
    below, above = int(counts[middles < 0].sum()), int(counts[middles > 0].sum())
    alt = (
        f"Histogram of {below + above} codes from {edges[0]:.3g} to {edges[-1]:.3g}: {below} below zero, {above} above."
    )
    return figure(
        "Codes of all pairs" + (f", but for {zeros} of exactly zero" if zeros else ""),
        alt,
        tails,
        height=260,
        xaxis={"title": {"text": "code (units of the residual stream)"}},
        # One pair is to be seen as well, whose logarithm is zero.
        yaxis={
            "title": {"text": "pairs (log scale)"},
            "type": "log",
            "dtick": 1,
            "range": [-0.3, math.log10(max(counts.max(), 1)) + 0.2],
        },
        bargap=0,
        shapes=[{"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": ZERO}],
    )


def correlations_figure(concepts: Sequence[str], values: Float[np.ndarray, " c"]) -> Drawing:
    """Draw a latent's correlation with every labelled concept, the largest on top."""
    order = np.argsort(-abs(values), kind="stable")[:CONCEPTS_SHOWN]
    names, shown = [concepts[i] for i in order], [float(values[i]) for i in order]
    alt = (
        f"Correlations with {count(len(concepts), 'labelled concept')}; the largest is {shown[0]:.2f}, with {names[0]}."
    )
    left_out = f", the {CONCEPTS_SHOWN} largest of {len(concepts)}" if len(concepts) > len(order) else ""
    bars = {
        "type": "bar",
        "orientation": "h",
        "name": "correlation",
        "x": shown,
        "y": [plain(name) for name in names],
        "marker": {"color": [BLUE if each >= 0 else ORANGE for each in shown]},
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }
    return figure(
        f"Correlation with labelled concepts{left_out}",
        alt,
        [bars],
        height=90 + 22 * len(names),
        xaxis={"title": {"text": "correlation (Pearson)"}, "range": [-1, 1]},
        yaxis={"autorange": "reversed", "type": "category"},
    )


def steering_figure(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw behaviour and coherence over the scale of steering.

    Each row holds ``scale``, ``behaviour`` and ``coherence``; one of the latter two may be absent.
    """
    rows = sorted(rows, key=lambda row: row["scale"])
    scales = [float(row["scale"]) for row in rows]
    drawn = [name for name in ("behaviour", "coherence") if any(known(row.get(name)) for row in rows)]
    lines = [
        line(name, scales, [row.get(name) for row in rows], i, showlegend=False, **panel(i))
        for i, name in enumerate(drawn)
    ]
    alt = f"{' and '.join(drawn).capitalize()} at {len(scales)} scales from {scales[0]:g} to {scales[-1]:g}."
    return figure("Steering along this latent", alt, lines, height=340, **stacked(drawn, "scale"))
