"""The measurement of a cell, by the kind of its row: scores on held-out pairs, each beside its value by chance."""

import time
import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ssae_lens.evals._identifiability import scores_of_codes
from ssae_lens.evals.results import Cell
from ssae_lens.metrics import (
    correlations,
    cosines,
    expected_chance,
    hungarian,
    mcc_codes,
    mcc_decoders,
    r2_uncentred,
    steered_cosines,
    steered_cosines_frobenius,
)
from ssae_lens.shifts import ShiftStore
from ssae_lens.training._sweep import sweep
from ssae_lens.training._train import best_of
from studies.baselines import FittedDictionary
from studies.language.context_dependence import measure_context_dependence, measure_subspaces
from studies.language.data import LanguageData, labels_of, oriented_sides, random_signs
from studies.language.methods import METHODS
from studies.language.naming import measure_naming

# A decoder row with at least this cosine with the mean shift of a concept counts as its direction.
ROW_MATCH = 0.9
SHUFFLES = 5
# Draws of the expected value of an assignment, divided by the number of concepts.
DRAWS, MIN_DRAWS = 2000, 32
# Seeds of a sweep beyond those of a method.
EXTRA_SEEDS = 2
# Concepts that have other names in other corpora.
SYNONYMS = {("corr", "language"): "french"}


def measured(data: LanguageData, cell: Cell) -> dict[str, Any]:
    """Return the numbers of one cell."""
    start = time.process_time()
    numbers = KINDS[cell["kind"]](data, cell)
    sizes = {"n_train": len(data.train), "n_test": len(data.test)}
    return {**numbers, **sizes, "cpu_seconds": round(time.process_time() - start, 1)}


def scores(fitted: FittedDictionary, data: LanguageData) -> dict[str, Any]:
    """Return the scores of one fit on the held-out pairs."""
    codes = codes_of(fitted, *data.sides)
    match = mcc_codes(codes, data.labels)
    rows = hungarian(cosines(fitted.directions, data.mean_shifts))
    reconstructed = fitted.decode(codes_of(fitted, data.test.source, data.test.target))
    return {
        **scores_of_codes(codes, data.labels, repeats=SHUFFLES),
        "rows": rows.score,
        "rows_near": float((rows.per_factor >= ROW_MATCH).mean()),
        **steered(fitted, data),
        "r2": r2_uncentred(data.test.shifts, reconstructed),
        "same_latent": float((match.latents == rows.latents).mean()),
        "per_concept": {
            name: [float(match.per_factor[c]), float(rows.per_factor[c])] for c, name in enumerate(data.concepts)
        },
    }


def expected_scores(data: LanguageData, width: int) -> dict[str, float]:
    """Return the expected scores of independent codes and of random directions."""
    n_concepts = len(data.concepts)
    draws = max(MIN_DRAWS, DRAWS // n_concepts)
    return {
        "mcc_chance": expected_chance(len(data.test) - 1, width, n_concepts, draws=draws),
        "rows_chance": expected_chance(data.test.d_model, width, n_concepts, draws=draws),
    }


def stability(fits: Sequence[FittedDictionary]) -> dict[str, float]:
    """Return the mean agreement of the decoder rows of all pairs of seeds, the first "MCC" of the paper."""
    pairs = [mcc_decoders(first.directions, other.directions).score for first, other in combinations(fits, 2)]
    return {"stability": float(np.mean(pairs))} if pairs else {}


def codes_of(
    fitted: FittedDictionary, source: Float[np.ndarray, "n d"], target: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "n k"]:
    """Return the codes of pairs: of their shifts, or the difference between the codes of their sides."""
    if fitted.of_activations:
        return fitted.encode(target) - fitted.encode(source)
    return fitted.encode(target - source)


def steered(fitted: FittedDictionary, data: LanguageData) -> dict[str, float]:
    """Return the mean cosine of steered sources with targets, and the same as the authors compute it."""
    (source, target), shift = data.sides, steering_shift(fitted, data)
    authors = float(steered_cosines_frobenius(source, shift, target).mean()) if shift.any() else 0.0
    return {"steered": float(steered_cosines(source, shift, target).mean()), "steered_authors": authors}


def steering_shift(fitted: FittedDictionary, data: LanguageData) -> Float[np.ndarray, "n d"]:
    """Return what steering by the labelled concepts adds to each held-out source.

    Each concept that changes in a pair adds the decoder row of its latent, times the sign of the change, at the mean code of
    the training pairs that change the concept.
    """
    latents, scales = matched_latents(fitted, data)
    return (data.labels @ (scales[:, None] * fitted.directions[latents])).astype(np.float32)


def matched_latents(
    fitted: FittedDictionary, data: LanguageData
) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Match concepts with latents on the training pairs; return the latents and their mean codes where a concept rises."""
    labels = labels_of(data.train)
    orientation = random_signs(len(labels), seed=1)
    codes, labels = codes_of(fitted, *oriented_sides(data.train, orientation)), labels * orientation
    latents = mcc_codes(codes, labels).latents
    sums = (labels * codes[:, latents]).sum(axis=0)
    return latents, np.where(latents < 0, 0, sums / np.maximum(abs(labels).sum(axis=0), 1))


def transfer_data(trained: LanguageData, tested: LanguageData, corpus: str) -> LanguageData:
    """Return the training pairs of one corpus with the held-out pairs of another, relabelled with the same concepts."""
    names = [SYNONYMS.get((corpus, name), name) for name in tested.concepts]
    missing = [name for name in names if name not in trained.concepts]
    if missing:
        raise ValueError(f"{corpus!r} has no concept {missing[0]!r}; it has {', '.join(trained.concepts)}.")
    store = tested.test
    labels = np.zeros((len(store), len(trained.concepts)), dtype=np.int8)
    labels[:, [trained.concepts.index(name) for name in names]] = labels_of(store)
    test = ShiftStore.from_arrays(
        store.source, store.target, origin=store.origin, labels=labels, concepts=trained.concepts
    )
    return LanguageData(trained.train, test)


def transfer_scores(fitted: FittedDictionary, data: LanguageData) -> dict[str, float]:
    """Return scores on another corpus: latents and scales are those matched on the training corpus."""
    latents, _ = matched_latents(fitted, data)
    codes, changed = codes_of(fitted, *data.sides), np.flatnonzero(abs(data.labels).any(axis=0))
    fits = [abs(correlations(codes[:, [latents[c]]], data.labels[:, [c]])[0, 0]) for c in changed]
    return {"mcc": float(np.mean(fits)), **steered(fitted, data)}


def _sweep(data: LanguageData, cell: Cell) -> dict[str, Any]:
    steps = {} if cell["steps"] is None else {"steps": cell["steps"]}
    seeds = len(cell["seeds"]) + EXTRA_SEEDS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the scores show what the sweep warns of
        # The store, not its shifts alone: it knows which pairs share a word, so that the halves do not.
        result = sweep(data.train, seeds=seeds, device="cpu", quiet=True, **steps, **cell["settings"])
    settings = []
    for setting in result.settings:
        fitted = FittedDictionary.from_sae(result.finished(setting, best_of(setting.outcomes)))
        about = {"width": setting.d_sae, "split_half_score": setting.split_half_score}
        about |= {"stability": setting.udr.decoders}
        settings.append({**about, **scores(fitted, data), **expected_scores(data, setting.d_sae)})
    return {**_references(data), "chosen": result.chosen.d_sae, "settings": settings}


def _fit(data: LanguageData, cell: Cell) -> dict[str, Any]:
    fits = _fits(data, cell)
    width = len(fits[0].directions)
    numbers = {"fits": [scores(fitted, data) for fitted in fits], "latents": width, **stability(fits)}
    return {**numbers, **expected_scores(data, width), **_references(data)}


def _transfer(data: LanguageData, cell: Cell) -> dict[str, Any]:
    fits = _fits(data, cell)
    numbers = [transfer_scores(fitted, data) for fitted in fits]
    return {"fits": numbers, "latents": len(fits[0].directions), "unsteered": data.unsteered}


def _fits(data: LanguageData, cell: Cell) -> list[FittedDictionary]:
    fit = METHODS[cell["method"]].fit
    return fit(data, cell["corpus"], cell["width"], cell["seeds"], cell["steps"], **cell["settings"])


def _references(data: LanguageData) -> dict[str, float]:
    return {"ceiling": data.ceiling, "unsteered": data.unsteered}


KINDS = {
    "sweep": _sweep,
    "fit": _fit,
    "transfer": _transfer,
    "naming": measure_naming,
    "context dependence": lambda data, _cell: {"concepts": measure_context_dependence(data)},
    "subspaces": lambda data, _cell: {"concepts": measure_subspaces(data)},
}
