"""`probe_sweep`: probes of every concept on all features, then on the k that mattered most."""

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.base import checks
from ssae_lens.base.progress import progress
from ssae_lens.base.versions import versions
from ssae_lens.pairs.splits import TEST, TRAIN, sides_of
from ssae_lens.shifts import ShiftStore
from studies.probes.features import Features, Reader, readers
from studies.probes.result import ProbeResult

KS = (1, 2, 5, 10, 25, 50, 100)
LEAST = 10


def probe_sweep(
    ssae: Any,
    shifts: ShiftStore,
    test: ShiftStore | None = None,
    *,
    sae: Any = None,
    features: Mapping[str, Reader] | None = None,
    concepts: str | Sequence[str] | None = None,
    ks: Sequence[int] = KS,
    held_out: float = 0.2,
    seed: int = 0,
    quiet: bool = False,
) -> ProbeResult:
    """Say in how many features of a pair each concept can be read.

    For each concept as many pairs in which it changes are drawn as pairs in which it does not; the first are turned so that
    it goes from its value 0 to its value 1. On features scaled to unit variance a logistic regression (L2, balanced classes)
    is fitted to tell the two apart, the features are ranked by their |coefficient|, and it is fitted again on the first k
    alone. All scores are on pairs held out: accuracy (chance: .5), Matthews correlation (chance: 0), and the correlation of
    the probe's logit with what it should say (chance: 0). A control does the same with shuffled labels to train on.

    Parameters
    ----------
    ssae
        The SSAE, whose codes are probed; None for none.
    shifts
        Captured pairs with labels, of its hook.
    test
        Pairs to score on, captured from a split by content (``load_pairs(…, "test")``). By default a part of `shifts` that
        shares no text with the rest.
    sae
        An SAE of the same hook, read as the difference of its codes of the two sides. (Of pairs captured as a mean over
        tokens those are codes of means, which an SAE of single activations was not trained on.)
    features
        More features by name: functions of the sources and the targets of some pairs, (b, d) each, to (b, m).
    concepts
        Which: a list of names, or a string for one; by default all that change in some pairs and not in others.
    ks
        How many features to keep.
    held_out
        The share of `shifts` held out where there is no `test`.
    seed
        Of the draws.
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
    train = Features.of(shifts, by_name, train_rows)
    held = Features.of(test or shifts, by_name, test_rows)
    wanted = _usable(shifts, train, held, None if concepts is None else checks.name_list("concepts", concepts))
    cells = []
    # Each fit is too small to be shared among threads.
    with (
        threadpool_limits(1),
        progress(total=len(wanted) * len(by_name), unit="sweep", about="Probes", quiet=quiet) as bar,
    ):
        for concept in wanted:
            for name in by_name:
                for shuffled in (False, True):
                    told = {"concept": shifts.concepts[concept], "features": name, "shuffled": shuffled}
                    cells += [
                        {"cell": {**told, "k": k, "seed": seed}, **scores}
                        for k, scores in _swept(train, held, name, concept, ks, seed, shuffled=shuffled)
                    ]
                bar.update()
    about = {
        "shifts": shifts.fingerprint,
        "test": None if test is None else test.fingerprint,
        "origin": shifts.origin.to_dict(),
        "widths": {name: values.shape[1] for name, values in train.forth.items()},
        "ks": list(ks),
        "held_out": held_out if test is None else None,
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
    }
    return ProbeResult(cells, about)


def _swept(
    train: Features, held: Features, name: str, concept: int, ks: Sequence[int], seed: int, *, shuffled: bool
) -> list[tuple[int | None, dict[str, Any]]]:
    """Fit on all features (k is None), then on the k of the largest |coefficients|."""
    rows, truth = train.balanced(concept, seed)
    held_rows, held_truth = held.balanced(concept, seed)
    values, held_values = _scaled(train.read(name, concept, rows), held.read(name, concept, held_rows))
    if shuffled:
        truth = np.random.default_rng([seed, concept]).permutation(truth)
    coefficients, scores = _probe(values, truth, held_values, held_truth)
    order = np.argsort(-abs(coefficients), kind="stable")
    found: list[tuple[int | None, dict[str, Any]]] = [(None, scores)]
    for k in ks:
        if k < len(order):
            _, scores = _probe(values[:, order[:k]], truth, held_values[:, order[:k]], held_truth)
            found.append((k, scores))
    return found


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
    said = logits > 0
    steady = logits.max() == logits.min()
    return fitted.coef_[0], {
        "accuracy": float((said == held_truth).mean()),
        "matthews": float(matthews_corrcoef(held_truth, said)),
        "correlation": 0.0 if steady else float(np.corrcoef(logits, held_truth)[0, 1]),
        "n_train": len(truth),
        "n_test": len(held_truth),
    }


def _scaled(
    values: Float[np.ndarray, "n m"], held: Float[np.ndarray, "h m"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "h m"]]:
    """Centre and scale features as the training pairs say; those that do not vary there become 0."""
    mean, spread = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    scale = np.where(values.max(axis=0) > values.min(axis=0), 1 / np.where(spread > 0, spread, 1), 0)
    return (values - mean) * scale, (held - mean) * scale


def _split(shifts: ShiftStore, test: ShiftStore | None, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those to score on, which share no text."""
    if test is not None:
        if test.concepts != shifts.concepts:
            raise ValueError(
                f"test is labelled with {test.concepts} and shifts with {shifts.concepts}; they must agree."
            )
        shifts.origin.require_same(test.origin, "test is not of the place that shifts was captured at")
        return np.arange(len(shifts)), np.arange(len(test))
    if shifts.texts is None:
        raise ValueError("The shifts have no texts to divide them by; give a test store of other contents.")
    sides = sides_of(list(zip(*shifts.texts, strict=True)), held_out)
    return np.flatnonzero(sides == TRAIN), np.flatnonzero(sides == TEST)


def _usable(shifts: ShiftStore, train: Features, held: Features, concepts: Sequence[str] | None) -> list[int]:
    """Return the columns of the concepts that are there often enough, changed and unchanged; warn of the others."""
    for each in concepts or ():
        checks.one_of("a concept", each, shifts.concepts)
    wanted = [shifts.concepts.index(each) for each in concepts or shifts.concepts]
    enough = [
        min(np.bincount(part.labels[:, concept] != 0, minlength=2).min() for part in (train, held)) >= LEAST
        for concept in wanted
    ]
    few = [shifts.concepts[concept] for concept, good in zip(wanted, enough, strict=True) if not good]
    if len(few) == len(wanted):
        raise ValueError(
            f"No concept of {', '.join(few)} both changes and stays in at least {LEAST} pairs of either part; capture more."
        )
    if few:
        warnings.warn(
            f"{', '.join(few)} left out: fewer than {LEAST} pairs in which it changes, or in which it stays.",
            stacklevel=3,
        )
    return [concept for concept, good in zip(wanted, enough, strict=True) if good]
