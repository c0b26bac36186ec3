"""Cosines of several steering vectors, as a table."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch

from ssae_lens.hooks.generate import named_vectors
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    import pandas as pd


def cosine_table(
    vectors: Iterable[SteeringVector] | Mapping[str, SteeringVector], hook_name: str = ""
) -> "pd.DataFrame":
    """Return the cosine of every two of several vectors.

    Parameters
    ----------
    vectors
        Vectors by name, or several of them, which are then named by their concepts, else by their methods.
    hook_name
        Where to compare vectors of several hooks.

    Returns
    -------
    pandas.DataFrame
        Square and symmetric, the names on both sides.

    Examples
    --------
    >>> up = SteeringVector([0.0, 2.0], "blocks.1.hook_resid_post")
    >>> slope = SteeringVector([1.0, 1.0], "blocks.1.hook_resid_post")
    >>> cosine_table({"up": up, "slope": slope}).round(3).loc["up", "slope"].item()
    0.707
    """
    import pandas as pd

    parts = {name: each.at(hook_name) if hook_name else each for name, each in named_vectors(vectors).items()}
    first_name, first = next(iter(parts.items()))
    for name, each in parts.items():
        first.origin.require_same(
            each.origin, f"{first_name!r} and {name!r} cannot be compared", ignoring=("position",)
        )
    unit = torch.stack([each.direction.double() / each.direction.double().norm() for each in parts.values()])
    return pd.DataFrame((unit @ unit.T).numpy(), index=list(parts), columns=list(parts))
