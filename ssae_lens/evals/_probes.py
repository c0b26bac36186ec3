"""k-sparse probes: from how many features of a pair each concept can be read.

For each concept, a logistic regression on standardised features separates pairs in which the concept changes from as
many pairs in which it does not. The features are ranked by their |coefficient|, and the regression is fitted again on the
first k alone.
"""

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.base import checks
from ssae_lens.base.progress_bars import progress
from ssae_lens.base.provenance import versions
from ssae_lens.evals.pair_features import SSAE_CODES, FeatureReader, PairFeatures, readers
from ssae_lens.evals.results import EvalResult
from ssae_lens.pairs.splits import TEST, TRAIN, sides_of
from ssae_lens.shifts import ShiftStore

if TYPE_CHECKING:
    import pandas as pd

KS = (1, 2, 5, 10, 25, 50, 100)
MIN_PAIRS = 10
ALL = "all"
TITLES = {
    "accuracy": "Accuracy (chance: .5)",
    "matthews": "Matthews correlation (chance: 0)",
    "correlation": "Correlation of the probe's logit (chance: 0)",
}
SCORES = tuple(TITLES)


class ProbeResult(EvalResult):
    """Scores of probes: a cell for each concept, kind of features, number of features, and true or shuffled labels."""

    name = "probes"

    def _tabulated(self) -> "pd.DataFrame":
        """Return a row for each kind and number of features: mean and standard deviation over concepts."""
        keys = ["features", "shuffled", "k", "n_features"]
        grouped: Any = self.by_concept().groupby(keys, sort=False)[list(SCORES)]
        deviations = grouped.std().rename(columns=lambda name: f"{name}_sd")
        return grouped.mean().join(deviations).assign(concepts=grouped.size()).reset_index()

    def by_concept(self) -> "pd.DataFrame":
        """Return a row for each cell."""
        import pandas as pd

        widths = self.about["widths"]
        return pd.DataFrame(
            {
                **{name: cell["cell"][name] for name in ("concept", "features", "shuffled")},
                "k": ALL if cell["cell"]["k"] is None else str(cell["cell"]["k"]),
                "n_features": cell["cell"]["k"] or widths[cell["cell"]["features"]],
                **{name: cell[name] for name in (*SCORES, "n_train", "n_test")},
            }
            for cell in self.cells
        )

    def where_baselines_win(self) -> list[str]:
        """Return the numbers of features at which other features have a Matthews correlation higher by more than .01."""
        table: Any = self.table
        wide = table[~table["shuffled"]].pivot_table(index="k", columns="features", values="matthews", sort=False)
        lines: list[str] = []
        if SSAE_CODES not in wide.columns:
            return lines
        for k, row in wide.reindex([k for k in self._ks() if k in wide.index]).iterrows():
            others = row.drop(SSAE_CODES).dropna()
            if len(others) and row[SSAE_CODES] < others.max() - 0.01:
                lines.append(f"k={k}: {others.idxmax()} {others.max():.3f}, {SSAE_CODES} {row[SSAE_CODES]:.3f}")
        return lines

    def text(self) -> str:
        """Return a table for each score."""
        table: Any = self.table
        concepts = self.by_concept()["concept"].nunique()
        lines = [f"Probes of {concepts} concepts on held-out pairs: mean ± standard deviation over concepts", ""]
        true = table[~table["shuffled"]]
        kinds = list(dict.fromkeys(true["features"]))
        for score, title in TITLES.items():
            lines.append(f"{title:<46}" + "".join(f"{kind:>16}" for kind in kinds))
            for k in self._ks():
                rows = true[true["k"] == k].set_index("features")
                entries = [
                    f"{rows.loc[kind, score]:.3f}±{rows.loc[kind, score + '_sd']:.3f}" if kind in rows.index else ""
                    for kind in kinds
                ]
                lines.append(f"  {k + ' features':<44}" + "".join(f"{entry:>16}" for entry in entries))
            lines.append("")
        shuffled = table[table["shuffled"]]["accuracy"]
        lines.append(f"Shuffled labels: mean accuracy {shuffled.min():.3f} to {shuffled.max():.3f}")
        wins = self.where_baselines_win() or ["nowhere"]
        return "\n".join(
            [*lines, "", "Where other features do better than the SSAE's codes", *(f"  {win}" for win in wins)]
        )

    def figure(self) -> Any:
        """Return a plotly figure: accuracy by number of features, concepts as thin lines and their mean as a thick one."""
        import plotly.graph_objects as go
        from plotly.colors import qualitative

        table: Any = self.by_concept()
        figure = go.Figure()
        for colour, (kind, rows) in zip(qualitative.Plotly, table.groupby("features", sort=False), strict=False):
            true = rows[~rows["shuffled"]].sort_values("n_features")
            for concept, part in true.groupby("concept"):
                figure.add_scatter(
                    x=part["n_features"], y=part["accuracy"], mode="lines", line={"color": colour, "width": 1},
                    opacity=0.25, legendgroup=kind, showlegend=False, hovertext=concept,
                )  # fmt: skip
            for title, dash, part in ((kind, "solid", true), (f"{kind}, shuffled", "dot", rows[rows["shuffled"]])):
                mean = part.groupby("n_features")["accuracy"].mean()
                line = {"color": colour, "dash": dash}
                figure.add_scatter(x=mean.index, y=mean, mode="lines+markers", name=title, legendgroup=kind, line=line)
        figure.update_xaxes(title="features", type="log")
        figure.update_yaxes(title="accuracy on held-out pairs", range=[0.4, 1.02])
        return figure.update_layout(title="Accuracy of probes by number of features", template="plotly_white")

    def _ks(self) -> list[str]:
        return [*map(str, sorted(self.about["ks"])), ALL]


def probes(
    ssae: Any,
    shifts: ShiftStore,
    test: ShiftStore | None = None,
    *,
    sae: Any = None,
    features: Mapping[str, FeatureReader] | None = None,
    concepts: str | Sequence[str] | None = None,
    ks: Sequence[int] = KS,
    held_out: float = 0.2,
    seed: int = 0,
    quiet: bool = False,
) -> ProbeResult:
    """Train probes of each concept on the codes of an SSAE and on raw shifts, on all features and on the k best.

    Pairs are oriented so that the concept goes from its value 0 to its value 1. All scores are on held-out pairs: accuracy,
    Matthews correlation, and the correlation of the probe's logit with the label. A control trains on shuffled labels.

    Parameters
    ----------
    ssae
        The SSAE whose codes are probed; None for none.
    shifts
        Captured pairs with labels, of its hook.
    test
        Pairs to score on, captured from a split by content (``load_pairs(…, "test")``). By default a part of `shifts` that
        shares no text with the rest.
    sae
        An SAE of the same hook, read as the difference between its codes of the two sides.
    features
        More features by name: functions of the sources and the targets of some pairs, (b, d) each, to (b, m).
    concepts
        One name or a list; by default all concepts that change in some pairs and not in others.
    ks
        Numbers of features to keep.
    held_out
        The share of `shifts` that is held out if there is no `test`.
    seed
        Seed of the draws.
    quiet
        Show no progress.
    """
    from threadpoolctl import threadpool_limits

    if not isinstance(shifts, ShiftStore) or shifts.labels is None:
        raise ValueError(
            "The shifts have no labels, and probes need them: capture pairs that have `changes`, or give from_arrays labels."
        )
    for k in ks:
        checks.integer("a number of features in ks", k)
    began = time.monotonic()
    by_name = {**readers(ssae, sae, shifts), **(features or {})}
    train_rows, test_rows = _split(shifts, test, held_out)
    train = PairFeatures.of(shifts, by_name, train_rows)
    held = PairFeatures.of(test or shifts, by_name, test_rows)
    columns = _usable(shifts, train, held, None if concepts is None else checks.name_list("concepts", concepts))
    cells = []
    total = len(columns) * len(by_name)
    # Each fit is too small for several threads.
    with threadpool_limits(1), progress(total=total, unit="sweep", desc="Probes", quiet=quiet) as bar:
        for column in columns:
            for kind in by_name:
                for shuffled in (False, True):
                    cell = {"concept": shifts.concepts[column], "features": kind, "shuffled": shuffled}
                    scores = _sweep(train, held, kind, column, ks, seed, shuffled=shuffled)
                    cells += [{"cell": {**cell, "k": k, "seed": seed}, **numbers} for k, numbers in scores]
                bar.update()
    about = {
        "shifts": shifts.fingerprint,
        "test": None if test is None else test.fingerprint,
        "origin": shifts.origin.to_dict(),
        "widths": {kind: values.shape[1] for kind, values in train.forward.items()},
        "ks": list(ks),
        "held_out": held_out if test is None else None,
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
    }
    return ProbeResult(cells, about)


def _sweep(
    train: PairFeatures, held: PairFeatures, name: str, concept: int, ks: Sequence[int], seed: int, *, shuffled: bool
) -> list[tuple[int | None, dict[str, Any]]]:
    """Fit on all features (k is None), then on the k of the largest |coefficients|."""
    rows, truth = train.balanced(concept, seed)
    held_rows, held_truth = held.balanced(concept, seed)
    values, held_values = _scaled(train.oriented(name, concept, rows), held.oriented(name, concept, held_rows))
    if shuffled:
        truth = np.random.default_rng([seed, concept]).permutation(truth)
    coefficients, scores = _probe(values, truth, held_values, held_truth)
    order = np.argsort(-abs(coefficients), kind="stable")
    results: list[tuple[int | None, dict[str, Any]]] = [(None, scores)]
    for k in ks:
        if k < len(order):
            _, scores = _probe(values[:, order[:k]], truth, held_values[:, order[:k]], held_truth)
            results.append((k, scores))
    return results


def _probe(
    values: Float[np.ndarray, "n m"],
    truth: Int[np.ndarray, " n"],
    held_values: Float[np.ndarray, "h m"],
    held_truth: Int[np.ndarray, " h"],
) -> tuple[Float[np.ndarray, " m"], dict[str, Any]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import matthews_corrcoef

    fitted = LogisticRegression(max_iter=1000, class_weight="balanced").fit(values, truth)
    logits = fitted.decision_function(held_values)
    predicted = logits > 0
    constant = logits.max() == logits.min()
    return fitted.coef_[0], {
        "accuracy": float((predicted == held_truth).mean()),
        "matthews": float(matthews_corrcoef(held_truth, predicted)),
        "correlation": 0.0 if constant else float(np.corrcoef(logits, held_truth)[0, 1]),
        "n_train": len(truth),
        "n_test": len(held_truth),
    }


def _scaled(
    values: Float[np.ndarray, "n m"], held: Float[np.ndarray, "h m"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "h m"]]:
    """Standardise features by the training pairs; those that are constant there become 0."""
    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    scale = np.where(values.max(axis=0) > values.min(axis=0), 1 / np.where(deviation > 0, deviation, 1), 0)
    return (values - mean) * scale, (held - mean) * scale


def _split(shifts: ShiftStore, test: ShiftStore | None, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those to score on, which share no text."""
    if test is not None:
        if test.concepts != shifts.concepts:
            raise ValueError(
                f"test is labelled with {test.concepts} and shifts with {shifts.concepts}; they must agree."
            )
        shifts.origin.require_same(test.origin, "test was captured elsewhere than shifts")
        return np.arange(len(shifts)), np.arange(len(test))
    if shifts.texts is None:
        raise ValueError("The shifts have no texts to split by; give a test store of other contents.")
    sides = sides_of(list(zip(*shifts.texts, strict=True)), held_out)
    return np.flatnonzero(sides == TRAIN), np.flatnonzero(sides == TEST)


def _usable(shifts: ShiftStore, train: PairFeatures, held: PairFeatures, concepts: Sequence[str] | None) -> list[int]:
    """Return the columns of the concepts that change, and do not change, often enough; warn of the others."""
    for name in concepts or ():
        checks.one_of("a concept", name, shifts.concepts)
    columns = [shifts.concepts.index(name) for name in concepts or shifts.concepts]
    usable = [
        column
        for column in columns
        if min(np.bincount(part.labels[:, column] != 0, minlength=2).min() for part in (train, held)) >= MIN_PAIRS
    ]
    few = ", ".join(shifts.concepts[column] for column in columns if column not in usable)
    if not usable:
        raise ValueError(
            f"No concept of {few} has {MIN_PAIRS} pairs with a change and {MIN_PAIRS} without in both parts; capture more."
        )
    if few:
        warnings.warn(f"{few} left out: fewer than {MIN_PAIRS} pairs with, or without, a change.", stacklevel=3)
    return usable
