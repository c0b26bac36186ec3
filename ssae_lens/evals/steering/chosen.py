"""Which scale, and which layer, one half of the prompts chooses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float


def products(dose: Mapping[str, Any]) -> Float[np.ndarray, "scales"]:
    """Return mean behaviour × mean coherence at each scale, as SAE-TS scores."""
    return np.mean(dose["behaviour"], axis=1) * np.mean(dose["coherence"], axis=1)


def best_scale(dose: Mapping[str, Any]) -> float:
    """Return the scale at which that is most; of equals the smallest."""
    return float(dose["scales"][int(np.argmax(products(dose)))])


def best_layer(doses: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of the dose whose best scale does best: the layer that the choosing half takes."""
    return int(np.argmax([products(each).max() for each in doses]))
