"""What a method found in shifts: directions, codes for any shifts, and the way back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float


@dataclass(frozen=True)
class Found:
    """A method's answer: its directions, and how it reads and writes shifts.

    Attributes
    ----------
    directions
        One for each latent, of any length.
    encode, decode
        From shifts to codes, and back.
    of_activations
        Whether it reads activations instead, so that a shift's codes are the difference of its two sides'.
    """

    directions: Float[np.ndarray, "k d"]
    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    of_activations: bool = False


def linear(
    directions: Float[np.ndarray, "k d"], encoder: Float[np.ndarray, "d k"], centre: Float[np.ndarray, " d"] | float = 0
) -> Found:
    """Return an answer that reads by one matrix and writes by another, about a centre."""
    return Found(directions, lambda shifts: (shifts - centre) @ encoder, lambda codes: codes @ directions + centre)


def from_sae(sae: Any) -> Found:
    """Return the answer that an SAE of SAELens's kind is."""

    def reads(part: str) -> Callable[[np.ndarray], np.ndarray]:
        @torch.no_grad()
        def read(rows: np.ndarray) -> np.ndarray:
            return getattr(sae, part)(torch.from_numpy(rows)).numpy()

        return read

    return Found(sae.W_dec.detach().numpy(), reads("encode"), reads("decode"))
