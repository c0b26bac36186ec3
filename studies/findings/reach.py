"""How far beyond its training scales the map of effects holds, on vectors that it was not fitted to.

The map knows nothing of scales: it predicts one effect for a vector, that at the scale it was fitted at.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from studies.findings.arrays import Estimate, estimate, ratio, same_geometry
from studies.findings.layers import hooks_of
from studies.findings.material import Material, unit

Numbers = dict[str, Any]


def measure(material: Material) -> Numbers:
    """Steer by held-out vectors at multiples of their scales, and hold what they do against what the map predicts."""
    out, effects = material.held_out, material.effects
    units, scales = unit(effects.vectors[out]), effects.scales[out]
    predicted = material.approximator.predict(units).numpy()
    shipped, usual = effects.effects[out].numpy(), effects.effects[material.fitted].mean(0).numpy()
    rows, later = [], []
    for multiple in material.settings.multiples:
        texts = material.written(units, (multiple * scales).tolist(), effects.settings.seed + 1)
        found = material.effects_of(texts).numpy()
        rows.append({"multiple": multiple, **compared(found, predicted, shipped, usual)})
        if multiple == 1:
            hooks = hooks_of(material)
            later = [
                {"hook": name, "geometry": same_geometry(shipped, means.numpy())}
                for name, means in material.means_at(texts, hooks).items()
            ]
            later.append({"hook": "the SAE's features again", "geometry": same_geometry(shipped, found)})
    return {"vectors": len(out), "r2_said": material.approximator.r2, "rows": rows, "later": later}


def compared(
    found: Float[np.ndarray, "n d_sae"],
    predicted: Float[np.ndarray, "n d_sae"],
    shipped: Float[np.ndarray, "n d_sae"],
    usual: Float[np.ndarray, " d_sae"],
) -> Numbers:
    """Hold effects against a prediction of them, and against the same vectors' effects as measured before.

    ``r2`` is 1 − Σ‖y − ŷ‖² / Σ‖y − ȳ‖², ȳ the mean effect of the vectors that were fitted, as the approximator's own R²
    has it. ``correlation`` leaves out what all vectors do at this scale, and any factor; ``gain`` is that factor: by how
    much differences between vectors are larger than predicted. Intervals are bootstraps over vectors.
    """
    n = len(found)
    tables = {"y": found, "ŷ": predicted, "before": shipped}
    # All of this is in the rows' inner products, which are drawn again with the rows.
    inner = {(a, b): np.asarray(tables[a], float) @ np.asarray(tables[b], float).T for a in tables for b in tables}
    missed, due = (np.square(found - each).sum(1) for each in (predicted, usual))

    def centred(a: str, b: str, rows: np.ndarray) -> float:
        """Return Σ(aᵢ − ā)(bᵢ − b̄) over the rows drawn."""
        some = inner[a, b][np.ix_(rows, rows)]
        return float(np.trace(some) - some.sum() / n)

    def correlation(a: str, b: str, rows: np.ndarray) -> float:
        return ratio(centred(a, b, rows), np.sqrt(centred(a, a, rows) * centred(b, b, rows)))

    def over(statistic: Callable[[np.ndarray], float]) -> Estimate:
        return estimate(np.arange(n), lambda rows: statistic(rows.astype(int)))

    return {
        "r2": over(lambda rows: 1 - missed[rows].sum() / due[rows].sum()),
        "correlation": over(lambda rows: correlation("y", "ŷ", rows)),
        "gain": over(lambda rows: ratio(centred("y", "ŷ", rows), centred("ŷ", "ŷ", rows))),
        "with_shipped": over(lambda rows: correlation("y", "before", rows)),
        "common": float(np.linalg.norm(found.mean(0))),
        "different": float(np.sqrt(np.square(found - found.mean(0)).sum() / n)),
    }
