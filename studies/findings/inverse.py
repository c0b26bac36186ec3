"""The pseudo-inverse of the map of effects: why its vectors are worse, and how they do without the bias and rounding.

All vectors come from one map ŷ = xM + b, and are compared at an equal rise of the loss.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.methods.sae_ts import fit_approximator, measure_effects
from ssae_lens.methods.sae_ts.approximator import ROUNDING
from ssae_lens.metrics import sign_flip_test
from studies.findings.inputs import BATCH_SIZE, FindingsInputs, Numbers, estimate, unit

ROW, TARGETED, COLUMN = "decoder row", "targeted", "column of M"
INVERSE, CUT, UNBIASED = "pseudo-inverse", "…, rounding cut off", "…, and without b"
KINDS = (ROW, TARGETED, COLUMN, INVERSE, CUT, UNBIASED)
# Number of features over which vectors are compared without steering.
COMPARED = 40


def measure(inputs: FindingsInputs) -> Numbers:
    """Decompose the map, compare the kinds of vectors that it gives, and steer by them."""
    M, b, features = inputs.approximator.M, inputs.approximator.b, inputs.features[:COMPARED]
    left, values, _ = torch.linalg.svd(M.double(), full_matrices=False)
    rank = int((values > ROUNDING * values[0]).sum())
    # A map of full rank has nothing to cut off: the inverse with the cut is the inverse.
    kinds = tuple(kind for kind in KINDS if kind != CUT or rank < len(values))
    vectors = vectors_of(M, b, inputs, features)
    halves = _agreement_of_halves(inputs, features, kinds)
    return {
        "features": len(features),
        "singular_values": {
            "number": len(values),
            "above_rounding": rank,
            "largest": float(values[0]),
            "smallest_above_rounding": float(values[rank - 1]),
            "smallest": float(values[-1]),
        },
        "fitted": len(inputs.fitted),
        "norm_of_b": float(b.norm()),
        "vectors": [
            {
                "kind": kind,
                # The share of a vector in directions of no fitted vector, where M is rounding.
                "rounding_share": float((vectors[kind].double() @ left[:, rank:]).square().sum(1).mean()),
                "mean_cosine": _mean_cosine(vectors[kind]),
                "predicted": float((vectors[kind] * M[:, features].T).sum(1).mean()),
                "half_agreement": agreement,
            }
            for kind, agreement in zip(kinds, halves, strict=True)
        ],
        "steered": _steered(inputs, kinds),
    }


def vectors_of(
    M: Float[Tensor, "d d_sae"], b: Float[Tensor, " d_sae"], inputs: FindingsInputs, features: list[int]
) -> dict[str, Float[Tensor, "n d"]]:
    """Return for each kind the vector of each feature, with length 1."""
    columns = M[:, features].T
    targets = torch.zeros(len(features), M.shape[1], dtype=torch.float64)
    targets[range(len(features)), features] = 1.0
    inverse, cut = (torch.linalg.pinv(M.double(), rtol=rtol) for rtol in (None, ROUNDING))
    vectors = {
        ROW: inputs.sae.W_dec.detach().cpu().float()[features],
        TARGETED: unit(columns) - unit((M @ b)[None]),
        COLUMN: columns,
        INVERSE: (targets - b.double()) @ inverse,
        CUT: (targets - b.double()) @ cut,
        UNBIASED: targets @ cut,
    }
    return {kind: unit(rows.float()) for kind, rows in vectors.items()}


def _agreement_of_halves(inputs: FindingsInputs, features: list[int], kinds: tuple[str, ...]) -> list[float | None]:
    """Fit the map to each half of the effects; return for each kind the mean cosine of the vectors of both halves."""
    effects = inputs.effects
    order = np.random.default_rng(inputs.settings.seed).permutation(len(effects))
    maps = []
    for rows in np.array_split(order, 2):
        columns = {name: getattr(effects, name)[rows] for name in ("vectors", "effects", "scales", "rises")}
        penalty = inputs.approximator.fitted.get("penalty")
        maps.append(fit_approximator(replace(effects, **columns), penalty=penalty))
    fitted = (maps[0].M.any(dim=0) & maps[1].M.any(dim=0)).tolist()
    both = [feature for feature in features if fitted[feature]]
    if not both:
        return [None] * len(kinds)
    first, other = (vectors_of(half.M, half.b, inputs, both) for half in maps)
    return [float((first[kind] * other[kind]).sum(1).mean()) for kind in kinds]


def _steered(inputs: FindingsInputs, kinds: tuple[str, ...]) -> list[Numbers]:
    """Steer by each kind of vector at an equal rise of the loss; return the effect on the own feature and its share."""
    features = inputs.features[: inputs.settings.features]
    vectors = vectors_of(inputs.approximator.M, inputs.approximator.b, inputs, features)
    settings = replace(inputs.effects.settings, seed=inputs.effects.settings.seed + 1)
    stacked = torch.cat([vectors[kind] for kind in kinds])
    measured = measure_effects(inputs.model, inputs.sae, stacked, settings, max_rows=BATCH_SIZE, quiet=True)
    effects = dict(zip(kinds, measured.effects.view(len(kinds), len(features), -1).numpy(), strict=True))
    own = {kind: rows[np.arange(len(features)), features] for kind, rows in effects.items()}
    steered = []
    for kind in kinds:
        test = sign_flip_test(own[kind], own[TARGETED])
        share = own[kind] / np.maximum(np.linalg.norm(effects[kind], axis=1), 1e-9)
        steered.append(
            {
                "kind": kind,
                "own_effect": estimate(own[kind]),
                "own_share": estimate(share),
                "difference_to_targeted": test.difference,
                "p": test.p_value,
                "features": len(features),
            }
        )
    return steered


def _mean_cosine(rows: Float[Tensor, "n d"]) -> float:
    """Return the mean cosine of different rows."""
    n = len(rows)
    return float(((rows @ rows.T).sum() - n) / (n * (n - 1)))
