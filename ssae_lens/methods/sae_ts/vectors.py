"""Vectors made from an approximator ŷ = xM + b (targeted, by pseudo-inverse, by rotation), and their comparison.

A target t names the features to raise, and how much of each: a feature's number, several numbers, or weights by number.
Every vector has length 1; `measure_effects` and `find_scales` measure how much of it to add. In our measurements the column
of M alone, ``targeted(…, bias=0)``, did best: what the paper subtracts for the bias cost most of the effect.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from ssae_lens.methods._sae_feature import hook_of_sae
from ssae_lens.methods.sae_ts.approximator import Approximator
from ssae_lens.methods.sae_ts.effects import measure_effects
from ssae_lens.methods.sae_ts.settings import Settings
from ssae_lens.models.identity import weights_fingerprint
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    import pandas as pd

    from ssae_lens.models.identity import Model

KINDS = ("decoder row", "targeted", "pseudo-inverse", "rotation", "random")

Target = int | Iterable[int] | Mapping[int, float]


def targeted(approximator: Approximator, features: Target, *, bias: float = 1.0, concept: str = "") -> SteeringVector:
    """Return SAE-TS's vector: s = Mt/‖Mt‖ − λ·Mb/‖Mb‖, made unit length.

    Mt is the direction in which the predicted effects turn towards the target the fastest. Mb is that in which they turn
    towards b, what any vector does; it is taken out.

    Parameters
    ----------
    approximator
        What `fit_approximator` gave.
    features
        One feature or several, perhaps with weights.
    bias
        λ; the paper's is 1. With 0 the vector is the column of M alone, which did best in our measurements
        (docs/findings.md).
    concept
        What the vector should do; by default the features' numbers.

    Examples
    --------
    >>> from ssae_lens.base.provenance import Origin
    >>> origin = Origin("blocks.1.hook_resid_post", 2)
    >>> M, b = torch.tensor([[1.0, 0], [0, 2]]), torch.tensor([0.0, 3])
    >>> approximator = Approximator(M, b, origin, "", 1.0, 0.5, 0.0, {})
    >>> targeted(approximator, 0).direction
    tensor([ 0.7071, -0.7071])
    """
    target, name = _target(approximator, features)
    return _vector(approximator, _less_bias(approximator, approximator.M @ target, bias), "targeted", concept or name)


def pseudo_inverse(
    approximator: Approximator, features: Target, *, size: float = 1.0, concept: str = ""
) -> SteeringVector:
    """Return the vector whose predicted effect is nearest to a target: (t/‖t‖ − b) pinv(M), made unit length.

    Parameters
    ----------
    approximator, features, concept
        As in `targeted`.
    size
        The length that t is given.
    """
    target, name = _target(approximator, features)
    solved = (size * target / target.norm() - approximator.b) @ approximator.inverse
    return _vector(approximator, solved, "pseudo-inverse", concept or name)


def rotated(
    approximator: Approximator, sae: Any, features: Target, *, bias: float = 1.0, concept: str = ""
) -> SteeringVector:
    """Return the features' decoder rows under the rotation that brings all decoder rows nearest to the columns of M.

    With the columns of M and the rows of W_dec made unit length, MW_dec = UΣVᵀ; R = UVᵀ is the rotation that makes
    Σ‖Mⱼ − R dⱼ‖² least, and s = Rd/‖Rd‖ − λ·Mb/‖Mb‖, made unit length, with d the sum of the unit rows, weighted by t.

    Parameters
    ----------
    approximator, features, bias, concept
        As in `targeted`.
    sae
        The SAE that the approximator was made with.
    """
    target, name = _target(approximator, features)
    rotation, rows = rotation_of(approximator, sae)
    return _vector(
        approximator, _less_bias(approximator, rotation @ (target @ rows), bias), "rotation", concept or name
    )


def rotation_of(
    approximator: Approximator, sae: Any
) -> tuple[Float[Tensor, "d_model d_model"], Float[Tensor, "d_sae d_model"]]:
    """Return R, as `rotated` says, and the unit decoder rows that it rotates."""
    if weights_fingerprint(sae) != approximator.sae:
        raise ValueError(
            f"The approximator was made with another SAE ({approximator.sae} against {weights_fingerprint(sae)}) at "
            f"{approximator.origin.hook_name!r}; give that one."
        )
    rows = sae.W_dec.detach().to("cpu", torch.float32)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    # A feature that never fired has a column of zeros, which has no influence.
    columns = approximator.M / approximator.M.norm(dim=0).clamp_min(torch.finfo(rows.dtype).tiny)
    u, _, vt = torch.linalg.svd((columns @ rows).double())
    return (u @ vt).float(), rows


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
    """Measure how much each kind of vector for a feature raises it, each at the scale that raises the loss equally.

    Equally means to a twentieth: as near as `find_scales` comes.

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
        A row for each feature: its effect under each kind of vector.
    """
    import pandas as pd

    approximator.origin.require_same(hook_of_sae(model, sae), "The approximator is not of this model and hook")
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
    measured = measure_effects(model, sae, torch.stack(rows), settings, path=path, max_rows=max_rows, quiet=quiet)
    by_feature = rearrange(measured.effects, "(feature kind) d_sae -> feature kind d_sae", kind=len(KINDS))
    own = torch.stack([rows[:, feature] for rows, feature in zip(by_feature, features, strict=True)])
    return pd.DataFrame(own.numpy(), index=pd.Index(list(features), name="feature"), columns=list(KINDS))


def _less_bias(approximator: Approximator, direction: Tensor, bias: float) -> Tensor:
    """Return a direction, made unit length, less so much of the unit direction of Mb."""
    away = approximator.M @ approximator.b
    if bias and (length := away.norm()) > 0:
        return direction / direction.norm() - bias * away / length
    return direction


def _target(approximator: Approximator, features: Target) -> tuple[Float[Tensor, "d_sae"], str]:
    """Return t, and a name for it."""
    if isinstance(features, int):
        features = [features]
    weights = dict(features) if isinstance(features, Mapping) else dict.fromkeys(features, 1.0)
    d_sae = len(approximator.b)
    target = torch.zeros(d_sae)
    for feature, weight in weights.items():
        if isinstance(feature, bool) or not isinstance(feature, int) or not 0 <= feature < d_sae:
            raise ValueError(f"features has {feature!r}; this SAE has features 0 to {d_sae - 1}.")
        if not approximator.M[:, feature].any():
            raise ValueError(
                f"Feature {feature} never fired while effects were measured, and no vector is known to raise it; choose "
                "another, or measure more."
            )
        target[feature] = float(weight)
    if not target.isfinite().all() or not target.any():
        raise ValueError(f"features is {features!r}; give one feature at least, with a finite weight that is not 0.")
    return target, "feature " + " + ".join(map(str, weights))


def _vector(approximator: Approximator, direction: Tensor, kind: str, concept: str) -> SteeringVector:
    norms = {"mean_residual_norm": approximator.mean_norm}
    method = f"sae_ts {kind}"
    vector = SteeringVector(direction, origin=approximator.origin, method=method, concept=concept, norms=norms)
    return vector.normalize()
