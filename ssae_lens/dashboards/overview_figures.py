"""Figures of an SSAE as a whole: its latents, their directions, and how it was chosen and trained."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ssae_lens.dashboards.drawing import BLUE, GREY, Drawing, count, figure, known, line, panel, plain, stacked
from ssae_lens.dashboards.latents import Latents, Name
from ssae_lens.shifts import spectrum_figure

# A map of more latents shows nothing, and more members are a tangle.
MAPPED, LINES_SHOWN = 200, 12


def figures_of_latents(
    latents: Latents, names: Mapping[int, Name], stability: Float[np.ndarray, " k"] | None = None
) -> dict[str, Drawing]:
    """Draw what there is to draw of an SSAE's latents, by name."""
    shown = [f"{latent} {names[latent].name}" if latent in names else str(latent) for latent in range(len(latents))]
    drawn = {}
    if latents.codes is not None:
        drawn["strengths"] = strengths_figure(shown, latents.strength, latents.density, stability)
    together = latents.similar_together(sorted(latents.order[:MAPPED]))
    labels = [shown[each] for each in together]
    drawn["cosines"] = cosines_figure(labels, latents.cosines[np.ix_(together, together)], len(latents))
    if latents.correlations is not None:
        drawn["concepts"] = concepts_figure(labels, latents.concepts, latents.correlations[together])
    return drawn


def strengths_figure(
    names: Sequence[str],
    strength: Float[np.ndarray, " k"],
    density: Float[np.ndarray, " k"],
    stability: Float[np.ndarray, " k"] | None = None,
) -> Drawing:
    """Draw each latent's strength over its density, coloured by its stability where that is known.

    A point's ``customdata`` is the latent's number.
    """
    marker: dict[str, Any] = {"size": 9, "color": BLUE, "line": {"width": 1, "color": GREY}}
    layout: dict[str, Any] = {}
    hover = "%{text}<br>strength %{y:.3g}<br>density %{x:.1%}"
    if stability is not None:
        marker |= {"color": stability.tolist(), "coloraxis": "coloraxis"}
        layout["coloraxis"] = {"cmin": 0, "cmax": 1, "colorbar": {"title": {"text": "stability"}}}
        hover += "<br>stability %{marker.color:.3f}"
    points = {
        "type": "scatter",
        "mode": "markers",
        "name": "latents",
        "x": density.tolist(),
        "y": strength.tolist(),
        "text": [plain(name) for name in names],
        "customdata": list(range(len(names))),
        "marker": marker,
        "cliponaxis": False,
        "hovertemplate": hover + "<extra></extra>",
    }
    never = int((density == 0).sum())
    alt = f"Strength over density of {count(len(names), 'latent')}" + (
        f"; {never} of them never active." if never else "."
    )
    return figure(
        "Latents by strength and density"
        if stability is None
        else "Latents by strength, density and stability across seeds",
        alt,
        [points],
        xaxis={
            "title": {"text": "density (share of pairs it is active in)"},
            "tickformat": ".0%",
            "rangemode": "tozero",
        },
        yaxis={"title": {"text": "strength (mean |code|)"}, "rangemode": "tozero"},
        **layout,
    )


def cosines_figure(names: Sequence[str], cosines: Float[np.ndarray, "k k"], of: int) -> Drawing:
    """Draw the cosines of decoder rows with each other: `names` and `cosines` in the order to show."""
    apart = abs(cosines[~np.eye(len(cosines), dtype=bool)])
    largest = f" The largest off the diagonal is {apart.max():.2f}." if apart.size else ""
    which = f"the {len(names)} strongest of {of} latents" if len(names) < of else count(of, "latent")
    return _map(
        "Cosines of decoder rows" + (f", {which}" if len(names) < of else ""),
        f"Cosines of the decoder rows of {which} with each other, like directions side by side.{largest}",
        names,
        names,
        cosines,
        "cosine",
    )


def concepts_figure(names: Sequence[str], concepts: Sequence[str], values: Float[np.ndarray, "k c"]) -> Drawing:
    """Draw the correlation of every latent shown with every labelled concept."""
    best = abs(values).max(axis=0)
    alt = (
        f"Correlations of {count(len(names), 'latent')} with {count(len(concepts), 'labelled concept')}, of which "
        f"{int((best >= 0.5).sum())} have a latent of 0.5 or more."
    )
    return _map("Correlation of codes with labelled concepts", alt, concepts, names, values, "correlation")


def udr_figure(table: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw the agreement of seeds over widths and bounds: `table` holds the rows of ``Sweep.table()``."""
    bound = "level" if any(known(row.get("level")) for row in table) else "budget"
    rows = [row for row in table if known(row.get(bound))]
    widths = sorted({int(row["d_sae"]) for row in rows})
    bounds = sorted({float(row[bound]) for row in rows})
    cells = {(float(row[bound]), int(row["d_sae"])): row for row in rows}
    best = max((row for row in rows if known(row["udr_decoders"])), key=lambda row: row["udr_decoders"], default=None)
    alt = f"UDR over {count(len(widths), 'width')} and {count(len(bounds), 'bound')}"
    if best:
        alt += f"; the largest is {best['udr_decoders']:.3f}, at d_sae {best['d_sae']} and {bound} {best[bound]:g}"
    cells_drawn = {
        "type": "heatmap",
        "x": [str(width) for width in widths],
        "y": [f"{each:g}" for each in bounds],
        "z": [[cells.get((b, w), {}).get("udr_decoders") for w in widths] for b in bounds],
        "text": [[plain(cells.get((b, w), {}).get("status", "")) for w in widths] for b in bounds],
        "texttemplate": "%{z:.3f}",
        "hovertemplate": f"d_sae %{{x}}, {bound} %{{y}}<br>UDR %{{z:.3f}}<br>bound: %{{text}}<extra></extra>",
        "coloraxis": "coloraxis",
        "xgap": 2,
        "ygap": 2,
    }
    return figure(
        "Agreement of seeds (UDR of decoders)",
        f"{alt}.",
        [cells_drawn],
        xaxis={"title": {"text": "width (d_sae)"}, "type": "category"},
        yaxis={"title": {"text": bound}, "type": "category"},
        coloraxis={"cmin": 0, "cmax": 1, "colorbar": {"title": {"text": "UDR"}}},
    )


def training_figure(history: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> Drawing:
    """Draw loss, sparsity and the multiplier of the bound over the steps of training.

    Each row of `history` is one of a training log: ``step``, and ``loss``, ``sparsity`` and ``multiplier``, each a number,
    or a list with a number for each member, whom `names` names.
    """
    history = sorted(history, key=lambda row: row["step"])
    steps = [row["step"] for row in history]
    first = history[0]["loss"]
    members = len(first) if isinstance(first, list) else 1
    names = list(names) or (["this SSAE"] if members == 1 else [f"member {i}" for i in range(members)])
    panels = [name for name in ("loss", "sparsity", "multiplier") if all(name in row for row in history)]

    def values(name: str, member: int) -> list[Any]:
        return [row[name][member] if isinstance(row[name], list) else row[name] for row in history]

    lines = [
        line(names[i], steps, values(name, i), i, mode="lines", legendgroup=str(i), showlegend=members > 1 and p == 0)
        | panel(p)
        for i in range(min(members, LINES_SHOWN))
        for p, name in enumerate(panels)
    ]
    several = f", {LINES_SHOWN} of {members} members" if members > LINES_SHOWN else ""
    whose = " and ".join(names) if members <= 2 else f"{members} members"
    alt = f"{', '.join(panels).capitalize()} of {whose} over {steps[-1]} steps."
    return figure(f"Training{several}", alt, lines, height=150 * len(panels) + 60, **stacked(panels, "step"))


def spectrum_drawing(summary: dict[str, Any]) -> Drawing:
    """Return `spectrum_figure` of what `summarise` says of a store as a figure of the report."""
    shown: Any = spectrum_figure(summary)
    # As plotly has them in JSON, arrays are bytes, which only plotly reads.
    data = [{**trace.to_plotly_json(), "x": trace.x, "y": trace.y} for trace in shown.data]
    layout = {name: value for name, value in shown.layout.to_plotly_json().items() if name not in ("template", "title")}
    share = summary["spectrum"]["share"]
    alt = (
        f"Of the energy of {summary['rows']} shifts {share[0]:.0%} lies along the first direction and {sum(share):.0%} "
        f"along the first {len(share)}; they are as spread as {summary['effective_rank']:.3g} equally strong ones."
    )
    return figure("Spectrum of the shifts", alt, data, **layout)


def _map(
    title: str, alt: str, x: Sequence[str], y: Sequence[str], values: Float[np.ndarray, "r c"], what: str
) -> Drawing:
    cells = {
        "type": "heatmap",
        "x": [plain(each) for each in x],
        "y": [plain(each) for each in y],
        "z": np.round(values.astype(np.float64), 2).tolist(),
        "coloraxis": "coloraxis",
        "hovertemplate": f"%{{y}}, %{{x}}<br>{what} %{{z:.2f}}<extra></extra>",
    }
    axis = {"type": "category", "nticks": 40, "tickfont": {"size": 10}, "showgrid": False}
    return figure(
        title,
        alt,
        [cells],
        height=min(540, 170 + 16 * max(12, len(y))),
        xaxis={**axis, "tickangle": -90},
        yaxis={**axis, "autorange": "reversed"},
        coloraxis={"cmin": -1, "cmax": 1, "colorbar": {"title": {"text": what}}},
    )
