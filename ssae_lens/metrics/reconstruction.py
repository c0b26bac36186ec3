"""Reconstruction of the shifts (explained variance, R²), and the sparsity of the codes it takes."""

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ssae_lens.base.checks import at_least
from ssae_lens.metrics.arrays import Array, as_matrix, same_length, same_width


def r2_centred(values: Shaped[Array, "n d"], reconstructed: Shaped[Array, "n d"]) -> float:
    """Return 1 − Σ‖x − x̂‖² / Σ‖x − mean‖²: explained variance, as SAELens has it. Predicting the mean scores 0."""
    values, reconstructed = _both(values, reconstructed)
    return _r2(values - values.mean(axis=0), values - reconstructed)


def r2_uncentred(values: Shaped[Array, "n d"], reconstructed: Shaped[Array, "n d"]) -> float:
    """Return 1 − Σ‖x − x̂‖² / Σ‖x‖²: explained energy. Predicting zero scores 0.

    Never below `r2_centred`; the two are far apart where all shifts have much in common.
    """
    values, reconstructed = _both(values, reconstructed)
    return _r2(values, values - reconstructed)


def active_codes(codes: Shaped[Array, "n k"], *, relative: float = 0.01) -> float:
    """Return the mean number of codes in a row whose |value| is above `relative` times the largest |value| of that row.

    ``relative=0`` counts what is not exactly zero (the L0 of a hard-sparse code); a code from an L1 constraint is never
    exactly zero, so it needs a threshold. A row of zeros has none.
    """
    return float(active(codes, relative).sum(axis=1).mean())


def density(codes: Shaped[Array, "n k"], *, relative: float = 0.01) -> Float[np.ndarray, "k"]:
    """Return for each latent the share of rows it is active in, as `active_codes` counts; 0 is a dead latent."""
    return active(codes, relative).mean(axis=0)


def mean_abs(codes: Shaped[Array, "n k"]) -> float:
    """Return the mean |code| over rows and latents: what the constraint of an SSAE bounds."""
    return float(abs(as_matrix("codes", codes)).mean(dtype=np.float64))


def active(codes: Shaped[Array, "n k"], relative: float = 0.01) -> Bool[np.ndarray, "n k"]:
    """Return which codes are active, as `active_codes` counts."""
    at_least("relative", relative, 0)
    sizes = abs(as_matrix("codes", codes))
    return sizes > relative * sizes.max(axis=1, keepdims=True)


def _both(values: Array, reconstructed: Array) -> tuple[np.ndarray, np.ndarray]:
    given, back = as_matrix("values", values), as_matrix("reconstructed", reconstructed)
    same_length("values", given, "reconstructed", back)
    same_width("values", given, "reconstructed", back)
    return given.astype(np.float64), back.astype(np.float64)


def _r2(total: np.ndarray, residual: np.ndarray) -> float:
    """As SAELens: where there is nothing to explain, all of it is explained by an exact answer and none by another."""
    energy, missed = float((total**2).sum()), float((residual**2).sum())
    if energy == 0:
        return 1.0 if missed == 0 else 0.0
    return 1 - missed / energy
