"""`cosine_table`: the cosines of many steering vectors, and the names they are told apart by."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

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
    """Return vectors by name: by those they are given, or their concepts, methods or numbers."""
    values: Any = vectors.values() if isinstance(vectors, Mapping) else vectors
    listed = list(values) if isinstance(values, Iterable) else [values]
    if not listed:
        raise ValueError("vectors is empty; give at least one.")
    if not all(isinstance(each, SteeringVector) for each in listed):
        raise ValueError(f"vectors is {vectors!r}; give SteeringVectors, in a list or by name.")
    if isinstance(vectors, Mapping):
        names = [str(each) for each in vectors]
    else:
        names = [each.concept or each.method or str(number) for number, each in enumerate(listed)]
        if len(set(names)) < len(names):
            names = [f"{name} ({number})" for number, name in enumerate(names)]
    return dict(zip(names, listed, strict=True))
