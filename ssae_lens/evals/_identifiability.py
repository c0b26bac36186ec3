"""Identifiability: how well the latents of an SSAE recover known concepts.

- MCC of codes: mean |correlation| of each concept with its own latent, matched one to one; beside shuffled labels, the value
  expected for independent codes, and a ridge regression that is trained on the labels.
- MCC of rows: mean |cosine| of decoder rows with each concept's direction, which is given or fitted by a ridge.
- DCI: disentanglement, completeness and informativeness of the codes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base import checks
from ssae_lens.base.provenance import versions
from ssae_lens.evals.results import EvalResult
from ssae_lens.latents.codes import Shifts, codes_of, pair_means
from ssae_lens.metrics import (
    control_shuffled,
    cosines,
    dci,
    expected_chance,
    hungarian,
    mcc_codes,
)
from ssae_lens.metrics.fits import fit_interval, matched
from ssae_lens.shifts import ShiftStore

if TYPE_CHECKING:
    import pandas as pd

# DCI fits a regression for each concept; with more latents times concepts it takes longer than everything else.
MAX_FOR_DCI = 20_000
MIN_FOR_DCI = 10
FOLDS = 5
SCORES = {
    "mcc": "MCC of codes",
    "mcc_shuffled": "… with shuffled labels",
    "mcc_chance": "… expected for independent codes",
    "mcc_ridge": "… of a ridge trained on the labels",
    "mcc_rows": "MCC of decoder rows",
    "rows_chance": "… expected for random rows",
    "disentanglement": "disentanglement",
    "completeness": "completeness",
    "informativeness": "informativeness (R²)",
}


class IdentifiabilityResult(EvalResult):
    """Scores of an SSAE against known concepts: overall scores in `about`, and a cell for each concept."""

    name = "identifiability"

    def _tabulated(self) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame(self.cells)

    def text(self) -> str:
        """Return the overall scores, then a line for each concept."""
        about = self.about
        lines = [
            f"Identifiability of {about['latents']} latents: {len(self.cells)} concepts, {about['pairs']} pairs",
            "",
        ]
        lines += [f"{title:<38}{about[name]:>7.3f}" for name, title in SCORES.items() if name in about]
        width = max(7, *(len(cell["concept"]) for cell in self.cells))
        lines += ["", f"{'concept':<{width}}{'latent':>8}{'|r|':>7}{'95 %':>13}{'p':>8}{'ridge':>7}{'cosine':>8}"]
        for cell in self.cells:
            latent = "none" if cell["latent"] is None else f"{'-' if cell['sign'] < 0 else '+'}{cell['latent']}"
            interval = f"{cell['low']:.2f}–{cell['high']:.2f}"
            lines.append(
                f"{cell['concept']:<{width}}{latent:>8}{cell['correlation']:>7.2f}{interval:>13}{cell['p']:>8.3f}"
                f"{cell['ridge']:>7.2f}{cell['cosine']:>8.2f}"
            )
        return "\n".join(lines)

    def figure(self) -> Any:
        """Return a plotly figure: each concept's correlation with its latent, beside that of the ridge."""
        import plotly.graph_objects as go

        table = self.table
        above, below = table["high"] - table["correlation"], table["correlation"] - table["low"]
        figure = go.Figure()
        error = {"type": "data", "array": above, "arrayminus": below}
        figure.add_bar(x=table["concept"], y=table["correlation"], error_y=error, name="own latent")
        figure.add_bar(x=table["concept"], y=table["ridge"], name="ridge trained on the labels")
        figure.add_hline(y=self.about["mcc_shuffled"], line={"dash": "dot"})
        figure.update_yaxes(title="|correlation| (dotted: shuffled labels)", range=[0, 1.02])
        title = f"MCC of codes {self.about['mcc']:.3f}"
        return figure.update_layout(title=title, barmode="group", template="plotly_white")


def identifiability(
    ssae: Any,
    shifts: Shifts,
    labels: Shaped[Any, "n c"] | None = None,
    *,
    concepts: str | Sequence[str] = (),
    directions: Float[Any, "c d"] | None = None,
    shuffles: int = 200,
    seed: int = 0,
) -> IdentifiabilityResult:
    """Compute how well the latents of an SSAE recover known concepts.

    Scores are fair on pairs that the SSAE was not trained on. Where a pair has several rows, they are averaged.

    Parameters
    ----------
    ssae
        A trained SSAE.
    shifts
        A store of its hook, or an array with one shift in each row.
    labels, concepts
        The change of each concept in each row (−1, 0 and 1, or any numbers), and the names of the columns; by default those
        of the store.
    directions
        The true direction of each concept, as of synthetic data. By default a ridge regression of shifts on labels.
    shuffles, seed
        Number of permutations for the p-values, and the seed of all random numbers.

    Returns
    -------
    IdentifiabilityResult
        In its table, for each concept: ``latent`` and ``sign``; ``correlation`` (absolute) with its bootstrap interval
        ``low``, ``high``; ``p``, how often shuffled labels correlate as well with any latent; ``ridge``, the correlation of
        the cross-validated prediction of a ridge trained on the labels; ``cosine`` (absolute) of the matched decoder row.

    Examples
    --------
    >>> import torch
    >>> from ssae_lens import SSAE
    >>> changes = np.random.default_rng(0).integers(-1, 2, (100, 2))
    >>> result = identifiability(SSAE.from_weights(torch.eye(2), torch.eye(2)), changes[:, ::-1] * 3.0, changes)
    >>> round(result.about["mcc"], 3), result.table["latent"].tolist()
    (1.0, [1, 0])
    """
    checks.integer("shuffles", shuffles, minimum=20)
    codes, rows, values, names = _by_pair(ssae, shifts, labels, concepts)
    match = mcc_codes(codes, values)
    if directions is None:
        directions = _ridge().fit(values, rows).coef_.T
    row_match = hungarian(cosines(ssae.W_dec.detach().cpu().float().numpy(), np.asarray(directions, dtype=np.float64)))
    p_values = matched(codes, values, n_permutations=shuffles, seed=seed).p_values
    ridge = _ridge_fits(rows, values, seed)
    cells = []
    for column, concept in enumerate(names):
        latent = int(match.latents[column])
        found = latent >= 0 and match.per_factor[column] > 0
        low, high = fit_interval(codes[:, latent], values[:, column], seed) if found else (0.0, 0.0)
        cells.append(
            {
                "concept": concept,
                "latent": latent if latent >= 0 else None,
                "sign": float(match.signs[column]),
                "correlation": float(match.per_factor[column]),
                "low": low,
                "high": high,
                "p": float(p_values[column]) if found else 1.0,
                "ridge": float(ridge[column]),
                "cosine": float(row_match.per_factor[column]),
            }
        )
    n, width = codes.shape
    about = {
        **scores_of_codes(codes, values, seed=seed),
        "mcc_chance": expected_chance(max(n - 1, 2), width, len(names), seed=seed),
        "mcc_ridge": float(ridge.mean()),
        "mcc_rows": row_match.score,
        "rows_chance": expected_chance(rows.shape[1], width, len(names), seed=seed),
        "latents": width,
        "pairs": n,
        "shuffles": shuffles,
        "seed": seed,
        "shifts": shifts.fingerprint if isinstance(shifts, ShiftStore) else None,
        "versions": versions(),
    }
    return IdentifiabilityResult(cells, about)


def scores_of_codes(
    codes: Float[np.ndarray, "n k"], labels: Shaped[np.ndarray, "n c"], *, repeats: int = 20, seed: int = 0
) -> dict[str, float]:
    """Return the MCC of codes, the MCC with shuffled labels and, if codes are few enough, DCI."""
    scores = {
        "mcc": mcc_codes(codes, labels).score,
        "mcc_shuffled": control_shuffled(mcc_codes, codes, labels, repeats=repeats, seed=seed).mean,
    }
    if codes.shape[1] * labels.shape[1] > MAX_FOR_DCI or len(codes) < MIN_FOR_DCI:
        return scores
    result = dci(codes, labels)
    return {
        **scores,
        "disentanglement": result.disentanglement,
        "completeness": result.completeness,
        "informativeness": result.informativeness,
    }


def _by_pair(
    ssae: Any, shifts: Shifts, labels: Any, concepts: str | Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Return codes, shifts, labels and concepts, with the rows of each pair averaged."""
    store = shifts if isinstance(shifts, ShiftStore) else None
    names = checks.name_list("concepts", concepts)
    if labels is None:
        if store is None or store.labels is None:
            raise ValueError("The shifts have no labels; give labels, with a column for each concept.")
        labels, names = store.labels, names or list(store.concepts)
    codes = codes_of(ssae, shifts)
    values = np.asarray(labels, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(codes) or not values.size:
        raise ValueError(f"labels has shape {values.shape} for {len(codes)} shifts; give a row for each shift.")
    names = names or [str(column) for column in range(values.shape[1])]
    if len(names) != values.shape[1]:
        raise ValueError(f"concepts has {len(names)} names for {values.shape[1]} columns of labels; give one for each.")
    rows = np.asarray(store.shifts if store is not None else shifts, dtype=np.float32)
    if store is not None:
        codes, rows, values = (pair_means(part, store.row_ids).astype(part.dtype) for part in (codes, rows, values))
    return codes, rows, values, names


def _ridge() -> Any:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=np.logspace(-3, 4, 15), fit_intercept=False)


def _ridge_fits(rows: np.ndarray, labels: np.ndarray, seed: int) -> Float[np.ndarray, " c"]:
    """Return for each concept the correlation of cross-validated ridge predictions with its labels."""
    from sklearn.model_selection import KFold, cross_val_predict

    if len(rows) < 2 * FOLDS:
        return np.zeros(labels.shape[1])
    scaled = rows / max(float(np.sqrt((rows.astype(np.float64) ** 2).mean())), np.finfo(np.float32).tiny)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    predicted = np.asarray(cross_val_predict(_ridge(), scaled, labels, cv=folds)).reshape(labels.shape)
    return np.array([abs(_correlation(predicted[:, c], labels[:, c])) for c in range(labels.shape[1])])


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if one.max() == one.min() or other.max() == other.min():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
