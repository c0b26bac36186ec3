"""Why the pseudo-inverse is worse: what it divides by, what the bias does to it, and what is left when both are mended.

All vectors come from one map ŷ = xM + b, and are compared at an equal rise of the loss.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.methods.sae_ts import fit_approximator, measure_effects
from ssae_lens.methods.sae_ts.approximator import ROUNDING
from ssae_lens.metrics import sign_flip_test
from studies.findings.arrays import estimate
from studies.findings.material import MAX_ROWS, Material, unit

Numbers = dict[str, Any]
ROW, TARGETED, COLUMN = "decoder row", "targeted", "column of M"
WHOLE, CUT, ALONE = "pseudo-inverse", "…, rounding cut off", "…, and without b"
WAYS = (ROW, TARGETED, COLUMN, WHOLE, CUT, ALONE)
# Features over which vectors are compared without steering.
MANY = 40


def measure(material: Material) -> Numbers:
    """Take the map apart, compare the vectors that it gives, and steer by them."""
    map_ = material.approximator
    many = material.raised[:MANY]
    left, values, _ = torch.linalg.svd(map_.M.double(), full_matrices=False)
    kept = int((values > ROUNDING * values[0]).sum())
    # Where the map has its full rank there is nothing to cut off: the inverse with the cut is the inverse.
    ways = tuple(way for way in WAYS if way != CUT or kept < len(values))
    made = _ways(map_.M, map_.b, material, many)
    vectors = {way: made[way] for way in ways}
    return {
        "features": len(many),
        "spectrum": values.tolist(),
        "rank": kept,
        "fitted": len(material.fitted),
        "bias": float(map_.b.norm()),
        "vectors": [
            {
                "way": way,
                # The share of a vector in directions that no fitted vector has: M is rounding there.
                "beyond": float((rows.double() @ left[:, kept:]).square().sum(1).mean()),
                "alike": _pairwise(rows),
                "predicted": float((rows * _columns(map_.M, many)).sum(1).mean()),
                "halves": agreement,
            }
            for (way, rows), agreement in zip(vectors.items(), _halves(material, many, ways), strict=True)
        ],
        "measured": _measured(material, ways),
    }


def _ways(
    M: Float[Tensor, "d d_sae"], b: Float[Tensor, " d_sae"], material: Material, features: list[int]
) -> dict[str, Float[Tensor, "n d"]]:
    """Return the vector of each feature in each way, length 1."""
    columns, away = _columns(M, features), (M @ b)[None]
    wanted = torch.zeros(len(features), M.shape[1], dtype=torch.float64)
    wanted[range(len(features)), features] = 1.0
    whole, cut = (torch.linalg.pinv(M.double(), rtol=rtol) for rtol in (None, ROUNDING))
    found = {
        ROW: material.sae.W_dec.detach().cpu().float()[features],
        TARGETED: unit(columns) - unit(away),
        COLUMN: columns,
        WHOLE: (wanted - b.double()) @ whole,
        CUT: (wanted - b.double()) @ cut,
        ALONE: wanted @ cut,
    }
    return {way: unit(rows.float()) for way, rows in found.items()}


def _halves(material: Material, features: list[int], ways: tuple[str, ...]) -> list[float | None]:
    """Fit the map to either half of the effects, and give the mean cosine of each way's vectors from both."""
    order = np.random.default_rng(material.settings.seed).permutation(len(material.effects))
    found = []
    for rows in np.array_split(order, 2):
        part = replace(
            material.effects,
            **{name: getattr(material.effects, name)[rows] for name in ("vectors", "effects", "scales", "rises")},
        )
        map_ = fit_approximator(part, penalty=material.approximator.fitted.get("penalty"))
        found.append((map_, map_.M.any(dim=0)))
    (one, fired), (other, also) = found
    both = [each for each in features if fired[each] and also[each]]
    if not both:
        return [None] * len(ways)
    pairs = (_ways(one.M, one.b, material, both), _ways(other.M, other.b, material, both))
    return [float((pairs[0][way] * pairs[1][way]).sum(1).mean()) for way in ways]


def _measured(material: Material, ways: tuple[str, ...]) -> Numbers:
    """Steer by every way, at an equal rise of the loss, and give its effect on its own feature and on all others."""
    features = material.raised[: material.settings.features]
    made = _ways(material.approximator.M, material.approximator.b, material, features)
    settings = replace(material.effects.settings, seed=material.effects.settings.seed + 1)
    vectors = torch.cat([made[way] for way in ways])
    found = measure_effects(material.model, material.sae, vectors, settings, max_rows=MAX_ROWS, quiet=True)
    by_way = found.effects.view(len(ways), len(features), -1).numpy()
    own = {way: each[np.arange(len(features)), features] for way, each in zip(ways, by_way, strict=True)}
    size = {way: np.linalg.norm(each, axis=1) for way, each in zip(ways, by_way, strict=True)}
    rows = []
    for way in ways:
        test = sign_flip_test(own[way], own[TARGETED])
        share = own[way] / np.maximum(size[way], 1e-9)
        rows.append(
            {
                "way": way,
                "own": estimate(own[way]),
                "share": estimate(share),
                "less_targeted": test.difference,
                "p": test.p_value,
                "values": own[way].tolist(),
            }
        )
    return {"features": features, "rows": rows}


def _columns(M: Float[Tensor, "d d_sae"], features: list[int]) -> Float[Tensor, "n d"]:
    return M[:, features].T


def _pairwise(rows: Float[Tensor, "n d"]) -> float:
    """Return the mean cosine of different rows."""
    n = len(rows)
    return float(((rows @ rows.T).sum() - n) / (n * (n - 1)))
