"""Numbers from arrays that the open questions share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from ssae_lens.metrics import bootstrap_interval
from ssae_lens.metrics._cosines import cosines

Estimate = dict[str, float]


def estimate(rows: Float[np.ndarray, "n *m"], statistic: Callable[[np.ndarray], Any] = np.mean) -> Estimate:
    """Return a statistic with its 95 % bootstrap interval, as JSON holds it."""
    found = bootstrap_interval(np.asarray(rows, dtype=np.float64), statistic, resamples=1000)
    return {"estimate": found.estimate, "low": found.low, "high": found.high}


def rank_correlation(pairs: Float[np.ndarray, "n 2"]) -> float:
    """Return Spearman's correlation of two columns; 0 where one is constant."""
    from scipy.stats import rankdata

    one, other = (rankdata(column) for column in np.asarray(pairs).T)
    return ratio(float(((one - one.mean()) * (other - other.mean())).mean()), float(one.std() * other.std()))


def ratio(part: float, whole: float) -> float:
    """Divide, and give 0 by 0: of resamples that drew one row again and again nothing can be told."""
    return part / whole if whole > 0 else 0.0


def alike(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Return the cosines of all rows with one another, what they have in common taken out."""
    rows = np.asarray(rows, dtype=np.float64)
    return cosines(rows - rows.mean(0), rows - rows.mean(0))


def same_geometry(
    one: Float[np.ndarray, "n d"], other: Float[np.ndarray, "n e"], *, resamples: int = 500, seed: int = 0
) -> Estimate:
    """Correlate which rows are alike in one space with which are in another: Pearson's, over pairs of rows.

    The interval is a bootstrap over rows (a row drawn twice makes no pair with itself).
    """
    first, second = alike(one), alike(other)
    n = len(first)

    def correlation(drawn: np.ndarray) -> float:
        a, b = np.triu_indices(n, 1)
        i, j = drawn[a], drawn[b]
        different = i != j
        x, y = (each[i[different], j[different]] for each in (first, second))
        x, y = x - x.sum() / max(1, len(x)), y - y.sum() / max(1, len(y))
        return ratio(float(x @ y), float(np.sqrt((x @ x) * (y @ y))))

    rng = np.random.default_rng(seed)
    again = [correlation(rng.integers(n, size=n)) for _ in range(resamples)]
    low, high = np.quantile(again, (0.025, 0.975))
    return {"estimate": correlation(np.arange(n)), "low": float(low), "high": float(high)}
