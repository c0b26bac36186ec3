"""Ways to raise a feature, compared at equal loss: its decoder row, SAE-TS's vectors, and a random direction."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange

from ssae_lens.methods.sae_ts.approximator import Approximator
from ssae_lens.methods.sae_ts.effects import measure_effects
from ssae_lens.methods.sae_ts.places import place_of
from ssae_lens.methods.sae_ts.settings import Settings
from ssae_lens.methods.sae_ts.vectors import pseudo_inverse, rotated, targeted

if TYPE_CHECKING:
    import pandas as pd

    from ssae_lens.hooks.sites import Model

WAYS = ("decoder row", "targeted", "pseudo-inverse", "rotation", "random")


def compare(
    model: "Model",
    sae: Any,
    approximator: Approximator,
    features: Sequence[int],
    settings: Settings | None = None,
    *,
    seed: int = 0,
    path: str | Path | None = None,
    max_rows: int = 128,
    quiet: bool = False,
) -> "pd.DataFrame":
    """Measure how much each way to raise a feature raises it, each at the scale that raises the loss by the same.

    The same to a twentieth, that is: as near as `find_scales` comes.

    Parameters
    ----------
    model, sae
        As in `measure_effects`.
    approximator
        Made with this SAE.
    features
        Which features.
    settings
        How effects are measured: best with another seed than the approximator was made with.
    seed
        Of the random directions.
    path, max_rows, quiet
        As in `measure_effects`.

    Returns
    -------
    pandas.DataFrame
        A row for each feature: its effect under each of the ways.
    """
    import pandas as pd

    approximator.origin.require_same(place_of(model, sae), "The approximator is not of this model and hook")
    random = torch.randn(len(features), sae.cfg.d_in, generator=torch.Generator().manual_seed(seed))
    rows = [
        row
        for number, feature in enumerate(features)
        for row in (
            sae.W_dec[feature].detach().cpu().float(),
            targeted(approximator, feature).direction,
            pseudo_inverse(approximator, feature).direction,
            rotated(approximator, sae, feature).direction,
            random[number],
        )
    ]
    found = measure_effects(model, sae, torch.stack(rows), settings, path=path, max_rows=max_rows, quiet=quiet)
    by_feature = rearrange(found.effects, "(feature way) d_sae -> feature way d_sae", way=len(WAYS))
    own = torch.stack([each[:, feature] for each, feature in zip(by_feature, features, strict=True)])
    return pd.DataFrame(own.numpy(), index=pd.Index(list(features), name="feature"), columns=list(WAYS))
