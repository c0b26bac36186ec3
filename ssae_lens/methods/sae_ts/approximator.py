"""Approximator: a linear map from a steering vector to its effects, fitted to measured ones, with its held-out R²."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.provenance import Origin
from ssae_lens.methods.sae_ts.effects import Effects
from ssae_lens.methods.sae_ts.settings import TensorRecord, half, unit_rows
from ssae_lens.metrics import r2_uncentred

Method = Literal["ridge", "adam"]
METHODS: tuple[Method, ...] = get_args(Method)
# Penalties to choose from, in mean squared singular values of the vectors.
PENALTIES = tuple(10.0 ** (half_power / 2) for half_power in range(-8, 9))
# Singular values of M below this share of the largest are what half precision, in which it is kept, leaves of zero.
ROUNDING = float(torch.finfo(torch.half).eps)


@dataclass(frozen=True, eq=False)
class Approximator(TensorRecord):
    """ŷ = xM + b: the effects ŷ of a vector x of length 1.

    Attributes
    ----------
    M, b
        The map.
    origin
        The model and the hook.
    sae
        The fingerprint of the SAE whose features these are.
    mean_norm
        The mean norm of the activations at the hook.
    r2
        On held-out vectors, 1 − Σ‖y − ŷ‖² / Σ‖y − ȳ‖², with ȳ the mean effect of the vectors it was fitted to: what it
        gains over saying that every vector has the mean effect.
    r2_shuffled
        The same of a map fitted to effects that were shuffled among the vectors.
    fitted
        How: the method and its settings, how many vectors were fitted, and the rows of those held out.
    """

    KIND: ClassVar = "approximator"
    SHAPES: ClassVar = {"M": "d_model d_sae", "b": "d_sae"}

    M: Float[Tensor, "d_model d_sae"]
    b: Float[Tensor, "d_sae"]
    origin: Origin
    sae: str
    mean_norm: float
    r2: float
    r2_shuffled: float
    fitted: dict[str, Any]

    def predict(self, vectors: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_sae"]:
        """Return the effects of vectors; their lengths do not matter."""
        return unit_rows(vectors, len(self.M)) @ self.M + self.b

    @cached_property
    def inverse(self) -> Float[Tensor, "d_sae d_model"]:
        """The pseudo-inverse of M, without the directions that only its rounding fills."""
        return torch.linalg.pinv(self.M.double(), rtol=ROUNDING).float()


def fit_approximator(
    effects: Effects,
    method: Method = "ridge",
    *,
    held_out: float = 0.1,
    seed: int = 0,
    penalty: float | None = None,
    lr: float = 2e-4,
    epochs: int = 15,
    batch_size: int = 64,
) -> Approximator:
    """Fit a linear map from vectors to their effects, and measure it on vectors that it was not fitted to.

    Parameters
    ----------
    effects
        What `measure_effects` gave.
    method
        ``ridge``: least squares with a penalty on M, in closed form. ``adam``: the paper's recipe, from random weights
        and without a penalty; with some hundreds of vectors it hardly gets anywhere in its fifteen epochs.
    held_out
        The share of vectors, chosen at random, that are only used to measure.
    seed
        Of the choice, of the shuffled control and of Adam's beginning and batches.
    penalty
        Of ridge: c in Σ‖y − ŷ‖² + c‖M‖²; by default the one with the least leave-one-out error on the vectors that are
        fitted. 0 is ordinary least squares.
    lr, epochs, batch_size
        Of Adam; the rate falls with the epochs as a cosine.

    Returns
    -------
    Approximator

    Notes
    -----
    With x̄ and ȳ the means and X = UΣVᵀ, Y the centred rows, M = V(Σ² + c)⁻¹Σ UᵀY and b = ȳ − x̄M. The leave-one-out
    residual of a row is its residual over 1 − h, with h its leverage: 1/n and its row of UΣ(Σ² + c)⁻¹ΣUᵀ at itself.
    """
    checks.one_of("method", method, METHODS)
    if penalty is not None:
        checks.at_least("penalty", penalty, 0)
    order = np.random.default_rng(seed).permutation(len(effects))
    n_out = round(held_out * len(effects)) if 0 < held_out < 1 else 0
    if not 0 < n_out < len(effects) - 2:
        raise ValueError(
            f"held_out is {held_out!r} of {len(effects)} vectors; give a share between 0 and 1 that leaves some to measure "
            "on and three at least to fit."
        )
    out, fitted = order[:n_out], order[n_out:]
    x, y = unit_rows(effects.vectors, effects.vectors.shape[1]).double(), effects.effects.double()

    def fit(rows: np.ndarray) -> tuple[Tensor, Tensor, dict[str, Any], float]:
        """Fit with the effects of these rows for those of `fitted`, and give the held-out R² too."""
        if method == "ridge":
            M, b, chosen = _ridge(x[fitted], y[rows], penalty)
            settings: dict[str, Any] = {"penalty": chosen}
        else:
            settings = {"lr": lr, "epochs": epochs, "batch_size": batch_size}
            M, b = _adam(x[fitted], y[rows], seed, **settings)
        mean = y[fitted].mean(0)
        return M, b, settings, r2_uncentred(y[out] - mean, x[out] @ M + b - mean)

    M, b, settings, r2 = fit(fitted)
    r2_shuffled = fit(np.random.default_rng([seed, 1]).permutation(fitted))[-1]
    how = {"method": method, **settings, "seed": seed, "n_fitted": len(fitted), "held_out": sorted(out.tolist())}
    M = half("M", M)
    return Approximator(M, b.float(), effects.origin, effects.sae, effects.mean_norm, r2, r2_shuffled, how)


def _ridge(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n d_sae"], penalty: float | None
) -> tuple[Float[Tensor, "d d_sae"], Float[Tensor, "d_sae"], float]:
    mean_x, mean_y = x.mean(0), y.mean(0)
    u, s, vt = torch.linalg.svd(x - mean_x, full_matrices=False)
    # Centring takes a dimension; what rounding leaves of it is no direction of the data.
    kept = s > s[0] * max(x.shape) * torch.finfo(s.dtype).eps
    u, s, vt = u[:, kept], s[kept], vt[kept]
    seen = u.T @ (y - mean_y)
    if penalty is None:
        choices = [share * s.square().mean().item() for share in PENALTIES]
        chosen = min(choices, key=lambda choice: _left_out(u, s, y - mean_y, seen, choice))
    else:
        chosen = penalty
    M = vt.T @ ((s / (s**2 + chosen))[:, None] * seen)
    return M, mean_y - mean_x @ M, chosen


def _left_out(u: Tensor, s: Tensor, y: Tensor, seen: Tensor, penalty: float) -> float:
    """Return the squared error of each row's effects by the map fitted to all other rows."""
    shares = s**2 / (s**2 + penalty)
    leverage = (u.square() @ shares + 1 / len(u))[:, None]
    return ((y - (u * shares) @ seen) / (1 - leverage)).square().sum().item()


def _adam(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n d_sae"], seed: int, *, lr: float, epochs: int, batch_size: int
) -> tuple[Float[Tensor, "d d_sae"], Float[Tensor, "d_sae"]]:
    checks.above("lr", lr, 0)
    checks.integer("epochs", epochs)
    checks.integer("batch_size", batch_size)
    x, y = x.float(), y.float()
    generator = torch.Generator().manual_seed(seed)
    # Uniform, with variance 2 / d_sae, as Kaiming's rule gives it for a matrix of this shape.
    M = (6 / y.shape[1]) ** 0.5 * (2 * torch.rand(x.shape[1], y.shape[1], generator=generator) - 1)
    M, b = M.requires_grad_(), torch.zeros(y.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([M, b], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch_size):
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(x[rows] @ M + b, y[rows]).backward()
            optimiser.step()
        schedule.step()
    return M.detach().double(), b.detach().double()
