"""An SAE's codes of any rows, as it gives them and as its encoder alone would, and what codes say about a vector."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from ssae_lens.sae.codes import codes_of

# How an SAE is read: as it is, and with a ReLU in place of whatever silences small codes.
AS_IT_IS, NO_THRESHOLD = "SAE", "SAE, no threshold"
READINGS = (AS_IT_IS, NO_THRESHOLD)
# A code is said to use a feature where it is above this share of the largest.
PART = 0.1


def read(sae: Any, rows: Float[np.ndarray, "n d"], how: str = AS_IT_IS) -> Float[np.ndarray, "n d_sae"]:
    """Return an SAE's codes of rows."""
    rows = np.asarray(rows, dtype=np.float32)
    return codes_of(sae, rows).astype(np.float32) if how == AS_IT_IS else np.maximum(inputs(sae, rows), 0)


@torch.no_grad()
def inputs(sae: Any, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d_sae"]:
    """Return what an SAE's activation function is given: of each feature, the row's projection and the bias."""
    seen: list[torch.Tensor] = []

    def look(values: torch.Tensor, hook: Any) -> None:  # noqa: ARG001 - TransformerLens passes it by name
        seen.append(values)

    with sae.hooks(fwd_hooks=[("hook_sae_acts_pre", look)]):
        sae.encode(torch.from_numpy(np.asarray(rows, dtype=np.float32)).to(sae.device, sae.dtype))
    return seen[0].float().cpu().numpy()


@torch.no_grad()
def decoded(sae: Any, codes: Float[np.ndarray, "n d_sae"]) -> Float[np.ndarray, "n d"]:
    """Return what an SAE makes of codes, its decoder's bias included."""
    return sae.decode(torch.from_numpy(codes).to(sae.device, sae.dtype)).float().cpu().numpy()


def strongest(codes: Float[np.ndarray, " d_sae"], most: int) -> Int[np.ndarray, " few"]:
    """Return the features of the largest |codes|, largest first, those that are 0 left out."""
    order = np.argsort(-abs(codes), kind="stable")[:most]
    return order[codes[order] != 0]


def used(codes: Float[np.ndarray, " d_sae"]) -> int:
    """Count the features whose |code| is above a tenth of the largest."""
    sizes = abs(np.asarray(codes))
    return int((sizes > PART * sizes.max()).sum()) if sizes.any() else 0


def explained(vector: Float[np.ndarray, " d"], again: Float[np.ndarray, " d"]) -> float:
    """Return 1 − ‖v − v̂‖² / ‖v‖²: the share of a vector's squared length that v̂ explains, below 0 where 0 explains more."""
    return float(1 - np.square(vector - again, dtype=np.float64).sum() / np.square(vector, dtype=np.float64).sum())


def cosine(one: Float[np.ndarray, " d"], other: Float[np.ndarray, " d"]) -> float:
    """Return the cosine of two vectors, 0 where one is zero."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def agreeing(
    codes: Float[np.ndarray, " d_sae"],
    changes: Float[np.ndarray, " d_sae"],
    known: Bool[np.ndarray, " d_sae"],
    most: int,
) -> tuple[int, int]:
    """Of a code's strongest features, count those whose change between texts is known, and those that have its sign."""
    found = [each for each in strongest(codes, most) if known[each]]
    return sum(bool(np.sign(codes[each]) == np.sign(changes[each])) for each in found), len(found)


def rows_shown(
    codes: Float[np.ndarray, " d_sae"], zero: Float[np.ndarray, " d_sae"], most: int
) -> list[dict[str, float]]:
    """Return a code's strongest features with their codes of the zero vector; of an empty code, the zero vector's."""
    features: Sequence[int] = strongest(codes, most).tolist() or strongest(zero, most).tolist()
    return [{"feature": each, "value": float(codes[each]), "zero_value": float(zero[each])} for each in features]
