"""Disentanglement, completeness and informativeness (Eastwood and Williams 2018).

Each factor is predicted from the codes; how much each code matters for each factor is the importance matrix. A code is
disentangled if it matters for one factor, a factor is completely captured if one code matters for it (one less the
entropy of the shares, in both), and informativeness is how well the factors are predicted on held-out rows.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base.checks import above, one_of
from ssae_lens.metrics.arrays import Array, as_matrix, same_length

Importance = Literal["lasso", "boosting"]
IMPORTANCES: tuple[Importance, ...] = ("lasso", "boosting")


@dataclass(frozen=True, eq=False)
class DCI:
    """The three scores, what they are means of, and how much each code matters for each factor.

    Attributes
    ----------
    disentanglement
        Mean of `per_latent`, each weighted by its share of all importance.
    completeness
        Mean of `per_factor`.
    informativeness
        Mean of `r2`.
    per_latent
        1 where a code matters for one factor only, 0 where for all alike or for none.
    per_factor
        1 where one code only matters for a factor, 0 where all alike or none.
    r2
        R² of each factor on held-out rows; may be negative, and is 0 for a factor that is constant there.
    importances
        Non-negative.
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
    importance: Importance = "lasso",
    held_out: float = 0.2,
    seed: int = 0,
) -> DCI:
    """Compute DCI with factors predicted by regression, binary ones too.

    Parameters
    ----------
    codes, factors
        Row i of both is the same example.
    importance
        ``lasso`` (the original's linear choice, and right for codes that are linear in the factors): |weights| between
        standardised columns. Its penalty is the universal one, σ √(2 ln k / n) with σ the residual's, so there is
        nothing to tune, and latents that only carry noise get a weight of exactly 0, however many they are.
        ``boosting``: the importances of gradient-boosted trees, as in disentanglement_lib; nonlinear, and slow.
    held_out
        The share of rows that informativeness is measured on.
    seed
        Of the split and of the trees.
    """
    one_of("importance", importance, IMPORTANCES)
    above("held_out", held_out, 0)
    codes, factors = as_matrix("codes", codes), as_matrix("factors", factors)
    same_length("codes", codes, "factors", factors, least=10)
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
    fit = _lasso if importance == "lasso" else _boosting
    importances, predicted = fit(codes, factors, held_codes, seed)
    r2 = _r2(held_factors, predicted)
    per_latent, per_factor = concentration(importances), concentration(importances.T)
    weights = importances.sum(axis=1) / (importances.sum() or 1)
    return DCI(
        float(weights @ per_latent),
        float(per_factor.mean()),
        float(r2.mean()),
        per_latent,
        per_factor,
        r2,
        importances,
    )


def concentration(importances: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows"]:
    """Return 1 less the entropy of each row's shares, over the logarithm of their number; 0 for a row of zeros."""
    total = importances.sum(axis=1, keepdims=True)
    if importances.shape[1] == 1:
        return (total[:, 0] > 0).astype(float)
    shares = importances / np.where(total == 0, 1, total)
    entropy = -(shares * np.log(np.where(shares == 0, 1, shares))).sum(axis=1)
    return np.where(total[:, 0] == 0, 0, 1 - entropy / np.log(importances.shape[1]))


def _standardised(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    constant = reference.max(axis=0) == reference.min(axis=0)
    spread = np.where(constant, 1, reference.std(axis=0, dtype=np.float64))
    return np.where(constant, 0, (values - reference.mean(axis=0, dtype=np.float64)) / spread)


def _lasso(codes: np.ndarray, factors: np.ndarray, held_codes: np.ndarray, _: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import lasso_path

    universal = np.sqrt(2 * np.log(max(codes.shape[1], 2)) / len(codes))
    codes = np.asfortranarray(codes)  # as the solver wants it, or every call would copy it
    settings: dict[str, Any] = {"precompute": codes.T @ codes, "copy_X": False, "max_iter": 10_000}
    weights = np.zeros((codes.shape[1], factors.shape[1]))
    for j, factor in enumerate(factors.T):
        noise = 1.0
        for _ in range(20):
            # A factor that is predicted exactly would ask for no penalty at all, where lasso does not converge.
            settings |= {"alphas": [max(noise, 1e-3) * universal], "coef_init": weights[:, j]}
            weights[:, j] = lasso_path(codes, factor, **settings)[1][:, 0]
            before, noise = noise, np.sqrt(np.mean((factor - codes @ weights[:, j]) ** 2))
            if abs(before - noise) < 1e-3:
                break
    return abs(weights), held_codes @ weights


def _boosting(
    codes: np.ndarray, factors: np.ndarray, held_codes: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.ensemble import GradientBoostingRegressor

    models = [GradientBoostingRegressor(random_state=seed).fit(codes, factor) for factor in factors.T]
    importances = np.stack([each.feature_importances_ for each in models], axis=1)
    return importances, np.stack([each.predict(held_codes) for each in models], axis=1)


def _r2(factors: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    total = ((factors - factors.mean(axis=0)) ** 2).sum(axis=0)
    constant = factors.max(axis=0) == factors.min(axis=0)
    return np.where(constant, 0, 1 - ((factors - predicted) ** 2).sum(axis=0) / np.where(constant, 1, total))
