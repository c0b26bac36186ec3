"""`cosine_table`: the cosines of many steering vectors, and the names they are told apart by."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch

from ssae_lens.vector.vector import SteeringVector

if TYPE_CHECKING:
    import pandas as pd


def cosine_table(
    vectors: Iterable[SteeringVector] | Mapping[str, SteeringVector], hook_name: str = ""
) -> "pd.DataFrame":
    """Give the cosine of every two of some vectors.

    Parameters
    ----------
    vectors
        Vectors by name, or several of them, which are then called by their concepts, else by their methods.
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

    vectors = named(vectors)
    parts = {name: each.at(hook_name) if hook_name else each for name, each in vectors.items()}
    first_name, first = next(iter(parts.items()))
    for name, each in parts.items():
        first.origin.require_same(
            each.origin, f"{first_name!r} and {name!r} cannot be compared", ignoring=("position",)
        )
    unit = torch.stack([each.direction.double() / each.direction.double().norm() for each in parts.values()])
    return pd.DataFrame((unit @ unit.T).numpy(), index=list(parts), columns=list(parts))


def named(vectors: Iterable[SteeringVector] | Mapping[str, SteeringVector]) -> dict[str, SteeringVector]:
    """Give vectors by name: by those they are given, or their concepts, methods or numbers."""
    if isinstance(vectors, Mapping):
        names, listed = [str(each) for each in vectors], list(vectors.values())
    else:
        listed = list(vectors)
        names = [each.concept or each.method or str(number) for number, each in enumerate(listed)]
        if len(set(names)) < len(names):
            names = [f"{name} ({number})" for number, name in enumerate(names)]
    if not listed:
        raise ValueError("vectors is empty; give at least one.")
    return dict(zip(names, listed, strict=True))
