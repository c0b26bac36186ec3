"""The range of the map of effects: how it predicts held-out vectors at multiples of the scales it was fitted at.

The map takes no scale: it predicts one effect for a vector, that at the scale it was fitted at.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from studies.findings.inputs import FindingsInputs, Numbers, estimate, ratio, unit
from studies.findings.layers import same_geometry


def measure(inputs: FindingsInputs) -> Numbers:
    """Steer by held-out vectors at multiples of their scales, and compare their effects with the predictions."""
    rows, effects = inputs.held_out, inputs.effects
    units, scales = unit(effects.vectors[rows]), effects.scales[rows]
    predicted = inputs.approximator.predict(units).numpy()
    shipped, mean = effects.effects[rows].numpy(), effects.effects[inputs.fitted].mean(0).numpy()
    multiples, geometry = [], []
    for multiple in inputs.settings.multiples:
        texts = inputs.generate(units, (multiple * scales).tolist(), effects.settings.seed + 1)
        measured = inputs.effects_of(texts).numpy()
        multiples.append({"multiple": multiple, **compare_effects(measured, predicted, shipped, mean)})
        if multiple == 1:
            # Of the texts, read without steering.
            means = {**inputs.mean_activations(texts), "features of the SAE": measured}
            geometry = [
                {"hook": hook, "geometry": same_geometry(shipped, np.asarray(values))} for hook, values in means.items()
            ]
    return {
        "vectors": len(rows),
        "reported_r2": inputs.approximator.r2,
        "rows": multiples,
        "geometry_of_texts": geometry,
    }


def compare_effects(
    measured: Float[np.ndarray, "n d_sae"],
    predicted: Float[np.ndarray, "n d_sae"],
    shipped: Float[np.ndarray, "n d_sae"],
    mean: Float[np.ndarray, " d_sae"],
) -> Numbers:
    """Compare effects with a prediction of them, and with the shipped effects of the same vectors.

    ``r2`` is 1 − Σ‖y − ŷ‖² / Σ‖y − ȳ‖², with ȳ the mean effect of the fitted vectors, as in the R² of the approximator.
    ``correlation`` is of the differences between vectors. ``gain`` is the factor by which these are larger than predicted.
    Intervals are bootstraps over vectors.
    """
    n = len(measured)
    tables = {"measured": measured, "predicted": predicted, "shipped": shipped}
    # All statistics are functions of inner products of rows, which are resampled with the rows.
    inner = {(a, b): np.asarray(tables[a], float) @ np.asarray(tables[b], float).T for a in tables for b in tables}
    residual, total = (np.square(measured - reference).sum(1) for reference in (predicted, mean))

    def covariance(a: str, b: str, rows: np.ndarray) -> float:
        """Return Σ(aᵢ − ā)(bᵢ − b̄) over the drawn rows."""
        drawn = inner[a, b][np.ix_(rows, rows)]
        return float(np.trace(drawn) - drawn.sum() / n)

    def correlation(a: str, b: str, rows: np.ndarray) -> float:
        return ratio(covariance(a, b, rows), np.sqrt(covariance(a, a, rows) * covariance(b, b, rows)))

    def gain(rows: np.ndarray) -> float:
        return ratio(covariance("measured", "predicted", rows), covariance("predicted", "predicted", rows))

    def over_rows(statistic: Callable[[np.ndarray], float]) -> dict[str, float]:
        return estimate(np.arange(n), lambda rows: statistic(rows.astype(int)))

    return {
        "r2": over_rows(lambda rows: 1 - residual[rows].sum() / total[rows].sum()),
        "correlation": over_rows(lambda rows: correlation("measured", "predicted", rows)),
        "gain": over_rows(gain),
        "with_shipped": over_rows(lambda rows: correlation("measured", "shipped", rows)),
        "norm_of_mean": float(np.linalg.norm(measured.mean(0))),
        "spread": float(np.sqrt(np.square(measured - measured.mean(0)).sum() / n)),
    }
