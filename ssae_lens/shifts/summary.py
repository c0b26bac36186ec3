"""Summary of a store: norms, spectrum and labels, as numbers and as a figure."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ssae_lens.base import checks
from ssae_lens.base.progress_bars import progress
from ssae_lens.shifts.store import ShiftStore

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PERCENTILES = (0, 5, 50, 95, 100)


def summarise(store: ShiftStore, leading: int = 64, *, quiet: bool = False) -> dict[str, Any]:
    """Read a store once, in order, and return its summary.

    Parameters
    ----------
    store
        The store.
    leading
        Number of leading directions of the shifts in the spectrum.
    quiet
        Hide the progress bar.

    Returns
    -------
    dict
        JSON-able. ``norms`` of source, target and shifts: mean and percentiles. ``spectrum``: the leading
        ``singular_values`` of the (n, d) matrix of shifts, not centred, and the ``share`` of the shifts' energy (sum of
        squares) along each. ``effective_rank``: exp of the entropy of all shares. ``zero_shifts``: rows whose two sides are
        equal. ``constant_dimensions``: coordinates in which all shifts are equal. ``labels``: counts of the changes −1, 0
        and +1 of each concept. ``changes_per_row``: numbers of rows that change no concept, one, two, …
    """
    checks.integer("leading", leading)
    norms = {name: np.empty(len(store), dtype=np.float32) for name in ("source", "target", "shifts")}
    second_moment = np.zeros((store.d_model, store.d_model))
    lowest = np.full(store.d_model, np.inf, dtype=np.float32)
    highest = -lowest
    with progress(total=len(store), unit=" rows", desc="Reading", quiet=quiet) as bar:
        for rows, source, target in store.blocks():
            shifts = target - source
            for name, values in (("source", source), ("target", target), ("shifts", shifts)):
                norms[name][rows] = np.linalg.norm(values, axis=1)
            exact = shifts.astype(np.float64)
            second_moment += exact.T @ exact
            lowest, highest = np.minimum(lowest, shifts.min(0)), np.maximum(highest, shifts.max(0))
            bar.update(len(shifts))
    return {
        "path": str(store.path) if store.path else None,
        "rows": len(store),
        "pairs": len(np.unique(store.row_ids)),
        "d_model": store.d_model,
        "dtype": store.dtype.name,
        "origin": store.origin.to_dict(),
        "pairs_data": store.pairs,
        "versions": store.versions,
        "fingerprint": store.fingerprint,
        "texts": store.texts is not None,
        "norms": {name: _distribution(values) for name, values in norms.items()},
        **_spectrum(second_moment, min(leading, len(store), store.d_model)),
        "zero_shifts": int((norms["shifts"] == 0).sum()),
        "constant_dimensions": int((lowest == highest).sum()),
        **_labels(store),
    }


def spectrum_figure(summary: dict[str, Any]) -> "Figure":
    """Plot the share of the shifts' energy along each leading direction, and the cumulative share.

    Parameters
    ----------
    summary
        The result of `summarise`.
    """
    import plotly.graph_objects as go

    share = np.array(summary["spectrum"]["share"])
    directions = np.arange(1, len(share) + 1)
    hook_name = summary["origin"]["hook_name"] or "unknown origin"
    figure = go.Figure()
    figure.add_bar(x=directions, y=share, name="of the direction")
    figure.add_scatter(x=directions, y=share.cumsum(), name="cumulative", mode="lines")
    figure.update_layout(
        title=f"Spectrum of {summary['rows']} shifts at {hook_name}",
        xaxis_title="singular direction",
        yaxis_title="share of the shifts' energy",
        yaxis_range=[0, 1],
        template="plotly_white",
    )
    return figure


def _distribution(values: np.ndarray) -> dict[str, float]:
    percentiles = zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)
    return {"mean": float(values.mean(dtype=np.float64))} | {f"p{p}": float(value) for p, value in percentiles}


def _spectrum(second_moment: np.ndarray, leading: int) -> dict[str, Any]:
    energy = np.clip(np.linalg.eigvalsh(second_moment)[::-1], 0, None)
    total = energy.sum()
    share = energy / total if total > 0 else energy
    entropy = -float(np.sum(share[share > 0] * np.log(share[share > 0])))
    return {
        "spectrum": {
            "singular_values": np.sqrt(energy[:leading]).tolist(),
            "share": share[:leading].tolist(),
        },
        "effective_rank": float(np.exp(entropy)) if total > 0 else 0.0,
    }


def _labels(store: ShiftStore) -> dict[str, Any]:
    if store.labels is None:
        return {"concepts": [], "labels": {}, "changes_per_row": []}
    counts = {
        concept: {f"{change:+d}" if change else "0": int((column == change).sum()) for change in (-1, 0, 1)}
        for concept, column in zip(store.concepts, store.labels.T, strict=True)
    }
    changes = np.bincount((store.labels != 0).sum(axis=1)).tolist()
    return {"concepts": store.concepts, "labels": counts, "changes_per_row": changes}
