"""Disentanglement, completeness and informativeness (Eastwood and Williams 2018).

Each factor is predicted from the codes, which gives the importance of each code for each factor. A code is disentangled if
it matters for one factor, a factor is complete if one code matters for it (both are 1 minus a normalised entropy), and
informativeness is the R² of the predictions on held-out rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base.checks import above
from ssae_lens.metrics.arrays import Array, as_matrix, same_length


@dataclass(frozen=True, eq=False)
class DCI:
    """The three scores, the scores of each latent and factor, and the importances.

    Attributes
    ----------
    disentanglement
        Mean of `per_latent`, weighted by the latents' total importance.
    completeness
        Mean of `per_factor`.
    informativeness
        Mean of `r2`.
    per_latent
        1 where a code matters for one factor only, 0 where for all equally or for none.
    per_factor
        1 where only one code matters for a factor, 0 where all do equally or none.
    r2
        R² of each factor on held-out rows; may be negative, and is 0 for a factor that is constant there.
    importances
        The importance of each code for each factor, non-negative.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    per_latent: Float[np.ndarray, "k"]
    per_factor: Float[np.ndarray, "c"]
    r2: Float[np.ndarray, "c"]
    importances: Float[np.ndarray, "k c"]


def dci(
    codes: Shaped[Array, "n k"],
    factors: Shaped[Array, "n c"],
    *,
    held_out: float = 0.2,
    seed: int = 0,
) -> DCI:
    """Return DCI, with factors (binary ones too) predicted by lasso regression.

    Importances are |weights| between standardised columns. The penalty is the universal one, σ √(2 ln k / n) with σ the
    standard deviation of the residual, so there is nothing to tune, and latents of noise get a weight of exactly 0.

    Parameters
    ----------
    codes, factors
        Row i of both is the same example.
    held_out
        The fraction of rows that informativeness is measured on.
    seed
        Of the split.
    """
    above("held_out", held_out, 0)
    codes, factors = as_matrix("codes", codes), as_matrix("factors", factors)
    same_length("codes", codes, "factors", factors, minimum=10)
    tested = round(held_out * len(codes))
    if not 2 <= tested <= len(codes) - 2:
        raise ValueError(
            f"held_out is {held_out}, which leaves {tested} of {len(codes)} rows; both parts need at least 2."
        )
    order = np.random.default_rng(seed).permutation(len(codes))
    test, train = order[:tested], order[tested:]
    (codes, factors), (held_codes, held_factors) = (
        (_standardised(codes[train], codes[rows]), _standardised(factors[train], factors[rows]))
        for rows in (train, test)
    )
    weights = _lasso(codes, factors)
    importances, predicted = abs(weights), held_codes @ weights
    r2 = _r2(held_factors, predicted)
    per_latent, per_factor = concentration(importances), concentration(importances.T)
    of_latents = importances.sum(axis=1) / (importances.sum() or 1)
    return DCI(
        float(of_latents @ per_latent),
        float(per_factor.mean()),
        float(r2.mean()),
        per_latent,
        per_factor,
        r2,
        importances,
    )


def concentration(importances: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows"]:
    """Return 1 minus the normalised entropy of each row; 0 for a row of zeros."""
    total = importances.sum(axis=1, keepdims=True)
    if importances.shape[1] == 1:
        return (total[:, 0] > 0).astype(float)
    fractions = importances / np.where(total == 0, 1, total)
    entropy = -(fractions * np.log(np.where(fractions == 0, 1, fractions))).sum(axis=1)
    return np.where(total[:, 0] == 0, 0, 1 - entropy / np.log(importances.shape[1]))


def _standardised(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    constant = reference.max(axis=0) == reference.min(axis=0)
    spread = np.where(constant, 1, reference.std(axis=0, dtype=np.float64))
    return np.where(constant, 0, (values - reference.mean(axis=0, dtype=np.float64)) / spread)


def _lasso(codes: np.ndarray, factors: np.ndarray) -> Float[np.ndarray, "k c"]:
    from sklearn.linear_model import lasso_path

    universal = np.sqrt(2 * np.log(max(codes.shape[1], 2)) / len(codes))
    codes = np.asfortranarray(codes)  # the solver's order, or every call would copy it
    settings: dict[str, Any] = {"precompute": codes.T @ codes, "copy_X": False, "max_iter": 10_000}
    weights = np.zeros((codes.shape[1], factors.shape[1]))
    for j, factor in enumerate(factors.T):
        noise = 1.0
        for _ in range(20):
            # An exactly predicted factor would have no penalty, and lasso would not converge.
            settings |= {"alphas": [max(noise, 1e-3) * universal], "coef_init": weights[:, j]}
            weights[:, j] = lasso_path(codes, factor, **settings)[1][:, 0]
            before, noise = noise, np.sqrt(np.mean((factor - codes @ weights[:, j]) ** 2))
            if abs(before - noise) < 1e-3:
                break
    return weights


def _r2(factors: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    total = ((factors - factors.mean(axis=0)) ** 2).sum(axis=0)
    constant = factors.max(axis=0) == factors.min(axis=0)
    return np.where(constant, 0, 1 - ((factors - predicted) ** 2).sum(axis=0) / np.where(constant, 1, total))
