"""How what a method found in a corpus is scored: each number under its own name, beside what chance gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.metrics import (
    control_shuffled,
    cosines,
    dci,
    expected_chance,
    hungarian,
    mcc_codes,
    mcc_max,
    r2_uncentred,
    steered_cosines,
    steered_cosines_frobenius,
    udr,
)
from studies.fitted_dictionary import Found
from studies.language.data import Data, labels_of, sides_of, turns

# Rows of decoders at least this near to the mean shift of a concept count as its direction.
NEAR = 0.9
# DCI fits a regression for each concept; beyond so many latents times concepts it would take longer than all else.
MOST_FOR_DCI = 20_000
SHUFFLES = 5
# Of the expected value of an assignment, which is drawn.
DRAWS, LEAST_DRAWS = 2000, 32


def scores(found: Found, data: Data) -> dict[str, Any]:
    """Score one fit on the pairs held out."""
    codes = read(found, *data.sides)
    match = mcc_codes(codes, data.labels)
    rows = hungarian(cosines(found.directions, data.mean_shifts))
    shift = steering_shift(found, data)
    source, target = data.sides
    return {
        "mcc": match.score,
        "mcc_shuffled": control_shuffled(mcc_codes, codes, data.labels, repeats=SHUFFLES).mean,
        "mcc_max": mcc_max(codes, data.labels, signed=False).score,
        "mcc_max_shuffled": control_shuffled(_unsigned_max, codes, data.labels, repeats=SHUFFLES).mean,
        **_dci(codes, data.labels),
        "rows": rows.score,
        "rows_near": float((rows.per_factor >= NEAR).mean()),
        "steered": float(steered_cosines(source, shift, target).mean()),
        "steered_authors": float(steered_cosines_frobenius(source, shift, target).mean()) if shift.any() else 0.0,
        "r2": r2_uncentred(data.test.shifts, found.decode(read(found, data.test.source, data.test.target))),
        "same_latent": float((match.latents == rows.latents).mean()),
        "per_concept": {
            name: [float(match.per_factor[c]), float(rows.per_factor[c])] for c, name in enumerate(data.concepts)
        },
    }


def chances(data: Data, width: int) -> dict[str, float]:
    """Return what the scores of a width are expected to be where there is nothing to find."""
    n, concepts = len(data.test) - 1, len(data.concepts)
    # A mean over few concepts varies from draw to draw.
    draws = max(LEAST_DRAWS, DRAWS // concepts)
    return {
        "mcc_chance": expected_chance(n, width, concepts, draws=draws),
        "mcc_max_chance": expected_chance(n, width, concepts, rule="max"),
        "rows_chance": expected_chance(data.test.d_model, width, concepts, draws=draws),
    }


def agreement(found: Sequence[Found], data: Data) -> dict[str, float]:
    """Say how far fits from several seeds agree: by their codes (UDR) and by their rows (the paper's first "MCC")."""
    if len(found) < 2:
        return {}
    agrees = udr([read(each, *data.sides) for each in found], [each.directions for each in found])
    return {"udr": agrees.codes, "stability": agrees.decoders}


def read(found: Found, source: Float[np.ndarray, "n d"], target: Float[np.ndarray, "n d"]) -> np.ndarray:
    """Return the codes of pairs: of their shifts or, of what was learned from activations, the difference of both sides'."""
    if found.of_activations:
        return found.encode(target) - found.encode(source)
    return found.encode(target - source)


def steering_shift(found: Found, data: Data) -> Float[np.ndarray, "n d"]:
    """Return what steering by the labels' concepts adds to each held-out source.

    Each concept that changes in a pair adds its own latent's row, by its sign, at one scale: the mean code of the
    training pairs that change it. Latents are matched on training pairs as well.
    """
    latents, scales = matched(found, data)
    return (data.labels @ (scales[:, None] * found.directions[latents])).astype(np.float32)


def matched(found: Found, data: Data) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Match concepts with latents on the training pairs: each one's latent, and its mean code where it rises."""
    labels = labels_of(data.train)
    turned = turns(len(labels), seed=1)
    codes, labels = read(found, *sides_of(data.train, turned)), labels * turned
    latents = mcc_codes(codes, labels).latents
    sums = (labels * codes[:, latents]).sum(axis=0)
    scales = np.where(latents < 0, 0, sums / np.maximum(abs(labels).sum(axis=0), 1))
    return latents, scales


def _unsigned_max(codes: np.ndarray, labels: np.ndarray) -> float:
    return mcc_max(codes, labels, signed=False).score


def _dci(codes: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    if codes.shape[1] * labels.shape[1] > MOST_FOR_DCI or len(codes) < 10:
        return {}
    found = dci(codes, labels)
    return {
        "disentanglement": found.disentanglement,
        "completeness": found.completeness,
        "informativeness": found.informativeness,
    }
