"""The measurements, each the numbers of a cell: activations and the zero vector, a behaviour's vector, an SSAE."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ssae_lens.evals._decomposition import (
    POSITIVE,
    PURSUIT,
    RANDOM_ROWS,
    READINGS,
    cosine,
    decoded,
    explained,
    inputs,
    pursuit,
    read,
    strongest,
    used,
)
from ssae_lens.evals.tasks import Task
from ssae_lens.latents.concepts import Concept
from ssae_lens.metrics import cosines, r2_centred, r2_uncentred
from studies.decomposition.experiment import DecompositionExperiment, Sides, encoded

Numbers = dict[str, Any]
# The length that a vector has.
OWN = "its own"
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
RANDOM_VECTOR = f"{PURSUIT}, random vector"
AROUND, BETWEEN = "difference of encodings, x + v", "difference of encodings, texts"
SSAE = "SSAE"


def of_activations(experiment: DecompositionExperiment) -> Numbers:
    """Measure the norms of activations, the zero vector's codes, and what the encoder's bias compensates."""
    rows, sae = experiment.activations, experiment.sae
    counts, edges = np.histogram(experiment.norms, bins=40)
    zero = np.zeros((1, rows.shape[1]), dtype=np.float32)
    bias = inputs(sae, zero)[0]
    projections = inputs(sae, rows) - bias
    mean = projections.mean(0)
    with_mean = cosines(rows, rows.mean(0)[None])[:, 0]
    codes = {how: read(sae, zero, how)[0] for how in READINGS}
    fires = experiment.codes.max(0) > 0
    shown = experiment.settings.shown
    return {
        "tokens": len(rows),
        "mean_norm": experiment.mean_norm,
        "norms": dict(zip(map(str, QUANTILES), np.quantile(experiment.norms, QUANTILES).tolist(), strict=True)),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
        "mean_activation": float(np.linalg.norm(rows.mean(0))),
        "cosines_with_mean": {
            "lowest": float(with_mean.min()),
            "mean": float(with_mean.mean()),
            "sd": float(with_mean.std()),
        },
        "zero": {
            how: {"used": used(code), "largest": float(code.max()), "features": rows_shown(code, code, shown)}
            for how, code in codes.items()
        },
        "defaults": {
            # Over features that fire: does the bias compensate for what all activations have?
            "always": int(experiment.always.sum()),
            "correlation": float(np.corrcoef(bias[fires], mean[fires])[0, 1]) if fires.sum() > 2 else 0.0,
            "features": [
                {
                    "feature": int(feature),
                    "bias": float(bias[feature]),
                    "projection": float(mean[feature]),
                    "below_zero": float((projections[:, feature] < 0).mean()),
                }
                for feature in strongest(codes[READINGS[1]], experiment.settings.top)
            ],
        },
        "explained": r2_uncentred(rows, decoded(sae, experiment.codes)),
        "explained_centred": r2_centred(rows, decoded(sae, experiment.codes)),
        "active": float((experiment.codes > 0).sum(1).mean()),
    }


def of_vector(experiment: DecompositionExperiment, task: Task) -> Numbers:
    """Measure a behaviour's vector: its norm, its codes at each length, what is lost and spurious in them, the remedies."""
    sides, settings = experiment.sides(task), experiment.settings
    vector = sides.vector
    norm = float(np.linalg.norm(vector))
    changed = np.flatnonzero(sides.known)
    changed = changed[np.argsort(-abs(sides.change[changed]), kind="stable")][: settings.changed]
    lengths = {OWN: norm, **{f"{length:g}": length * experiment.mean_norm for length in settings.lengths}}
    control = experiment.random(task, 1.0)
    numbers = {
        "norm": norm,
        "share_shorter": float((experiment.norms < norm).mean()),
        "cosine_with_mean": cosine(vector, experiment.activations.mean(0)),
        "changed": [
            {
                "feature": int(feature),
                "change": float(sides.change[feature]),
                "cosine": cosine(experiment.atoms[feature], vector),
            }
            for feature in changed
        ],
        "codes": [
            {
                "length": name,
                "reading": how,
                **_code(experiment, vector / norm * length, control * length, sides, changed, how),
            }
            for name, length in lengths.items()
            for how in READINGS
        ],
        "remedies": {**_differences(experiment, vector, sides), **_pursuits(experiment, vector, control * norm, sides)},
    }
    if task.unlabelled is not None:
        numbers["ssae"] = _ssae(experiment, vector, task)
    return numbers


def of_ssae(experiment: DecompositionExperiment, task: Task) -> Numbers:
    """Measure an SSAE: its code of the zero vector, its reconstruction of it, and which latents are concepts."""
    assert task.unlabelled is not None
    ssae, concepts = experiment.ssae(task.unlabelled, task.position)
    zero, reconstructed = encoded(ssae, np.zeros((1, ssae.cfg.d_in)))
    return {
        "latents": int(ssae.cfg.d_sae),
        "zero": float(abs(zero).max()),
        "zero_back": float(abs(reconstructed).max()),
        "matched": sum(concept.latent is not None for concept in concepts.values()),
        "concepts": {
            name: None if one.latent is None else {"latent": one.latent, "sign": one.sign, "fit": one.fit}
            for name, one in concepts.items()
        },
    }


def of_foreign(experiment: DecompositionExperiment, task: Task, other: Task) -> Numbers:
    """Measure an SSAE of another task's pairs, in which this behaviour does not vary, on this task's vector."""
    assert other.unlabelled is not None
    vector = experiment.sides(task).vector
    ssae, _ = experiment.ssae(other.unlabelled, other.position)
    code, reconstructed = encoded(ssae, vector[None])
    within = _within(ssae.W_dec.detach().float().numpy(), vector)
    return {"used": used(code[0]), "explained": explained(vector, reconstructed[0]), "within": within}


def rows_shown(
    codes: Float[np.ndarray, " d_sae"], zero: Float[np.ndarray, " d_sae"], maximum: int
) -> list[dict[str, float]]:
    """Return a code's strongest features with their codes of the zero vector; of an empty code, the zero vector's."""
    features = strongest(codes, maximum).tolist() or strongest(zero, maximum).tolist()
    return [{"feature": i, "value": float(codes[i]), "zero_value": float(zero[i])} for i in features]


def agreeing(
    codes: Float[np.ndarray, " d_sae"],
    changes: Float[np.ndarray, " d_sae"],
    known: Bool[np.ndarray, " d_sae"],
    maximum: int,
) -> dict[str, int]:
    """Return, of a code's strongest features with a known change between texts, the number with its sign, and of all."""
    features = [i for i in strongest(codes, maximum) if known[i]]
    right = sum(bool(np.sign(codes[i]) == np.sign(changes[i])) for i in features)
    return {"right": right, "of": len(features)}


def _code(
    experiment: DecompositionExperiment,
    vector: np.ndarray,
    control: np.ndarray,
    sides: Sides,
    changed: np.ndarray,
    how: str,
) -> Numbers:
    """Encode a vector at a length, and compare with the zero vector and with what changes between texts."""
    zero, code, random = read(experiment.sae, np.stack([np.zeros_like(vector), vector, control]), how)
    settings = experiment.settings
    firsts = [set(strongest(one, settings.top).tolist()) for one in (zero, code, random)]
    reconstructed = decoded(experiment.sae, code[None])[0]
    negative = changed[sides.change[changed] < 0]
    lost = negative[code[negative] == 0]
    spurious = np.flatnonzero((code > 0) & (sides.firing < settings.rare))
    return {
        "used": used(code),
        "active": int((code != 0).sum()),
        "features": rows_shown(code, zero, settings.shown),
        "shared": len(firsts[0] & firsts[1]),
        "shared_random": len(firsts[0] & firsts[2]),
        "explained": explained(vector, reconstructed),
        "cosine": cosine(vector, reconstructed),
        "negative": len(negative),
        "lost": len(lost),
        "always": int((code[experiment.always] > 0).sum()),
        "found": int((code[changed[sides.change[changed] > 0]] > 0).sum()),
        "spurious": len(spurious),
        "against": _against(experiment.atoms, spurious, lost),
        **agreeing(code, sides.change, sides.known, settings.changed),
    }


def _against(atoms: np.ndarray, spurious: np.ndarray, lost: np.ndarray) -> Numbers | None:
    """Return the lowest cosine of spurious features with any lost feature, beside that of all other features."""
    if not len(spurious) or not len(lost):
        return None
    lowest = cosines(atoms, atoms[lost]).min(1)
    others = np.setdiff1d(np.arange(len(atoms)), [*spurious, *lost])
    first = int(spurious[lowest[spurious].argmin()])
    means = {"mean": float(lowest[spurious].mean()), "others": float(lowest[others].mean())}
    return {**means, "feature": first, "lowest": float(lowest[first])}


def _differences(experiment: DecompositionExperiment, vector: np.ndarray, sides: Sides) -> Numbers:
    """Measure differences of encodings: over activations with and without the vector, and over a behaviour's texts."""
    around = (read(experiment.sae, experiment.activations + vector) - experiment.codes).mean(0)
    codes = {AROUND: around, BETWEEN: sides.change}
    return {name: _remedy(experiment, vector, change, sides) for name, change in codes.items()}


def _pursuits(experiment: DecompositionExperiment, vector: np.ndarray, control: np.ndarray, sides: Sides) -> Numbers:
    """Measure pursuit over decoder rows, with signs and without, over random rows, and of a random vector."""
    settings, atoms = experiment.settings, experiment.atoms
    maximum = max(settings.atoms)
    random = np.random.default_rng(settings.seed).normal(size=atoms.shape)
    pursuits = {
        PURSUIT: pursuit(atoms, vector, maximum),
        POSITIVE: pursuit(atoms, vector, maximum, signed=False),
        RANDOM_ROWS: pursuit(random, vector, maximum),
        RANDOM_VECTOR: pursuit(atoms, control, maximum),
    }
    results: Numbers = {}
    for name, steps in pursuits.items():
        last = steps[-1]
        results[name] = {"used": used(last.coefficients), "explained": last.explained}
        results[name]["by_atoms"] = {str(k): steps[min(k, len(steps)) - 1].explained for k in settings.atoms}
        if name in (PURSUIT, POSITIVE):
            results[name] |= _remedy(experiment, vector, last.codes(len(atoms)), sides)
    return results


def _remedy(experiment: DecompositionExperiment, vector: np.ndarray, codes: np.ndarray, sides: Sides) -> Numbers:
    """Score signed codes of a vector over the decoder's rows, without the bias: a difference has none."""
    settings, reconstructed = experiment.settings, codes @ experiment.atoms
    return {
        "used": used(codes),
        "explained": explained(vector, reconstructed),
        "cosine": cosine(vector, reconstructed),
        **agreeing(codes, sides.change, sides.known, settings.changed),
        "negative": int((codes[strongest(codes, settings.changed)] < 0).sum()),
        "features": rows_shown(codes, np.zeros_like(codes), settings.shown),
    }


def _ssae(experiment: DecompositionExperiment, vector: Float[np.ndarray, " d"], task: Task) -> Numbers:
    """Encode a vector by an SSAE of pairs in which the behaviour is one of several things that change."""
    assert task.unlabelled is not None
    ssae, concepts = experiment.ssae(task.unlabelled, task.position)
    (zero, code), (_, reconstructed) = encoded(ssae, np.stack([np.zeros_like(vector), vector]))
    concept = concepts[task.concept]
    numbers: Numbers = {
        "used": used(code),
        "explained": explained(vector, reconstructed),
        "cosine": cosine(vector, reconstructed),
        # The maximum over all codes of these latents.
        "within": _within(ssae.W_dec.detach().float().numpy(), vector),
        "features": rows_shown(code, zero, experiment.settings.shown),
        "codes": code.tolist(),
        "latent": concept.latent,
        **_rank(code, concept, task),
    }
    if task.positive:
        # Of texts of another kind than the pairs that the SSAE was trained on.
        other = experiment.held_out(task)
        (other_code,), (reconstructed,) = encoded(ssae, other[None])
        share, of = explained(other, reconstructed), used(other_code)
        numbers["elsewhere"] = {"explained": share, "used": of, **_rank(other_code, concept, task)}
        numbers["elsewhere"]["cosine_of_vectors"] = cosine(vector, other)
    return numbers


def _rank(code: Float[np.ndarray, " k"], concept: Concept, task: Task) -> Numbers:
    """Return whether the behaviour's own latent has the right sign in a code, and its rank by size."""
    if concept.latent is None:
        return {}
    value = float(code[concept.latent]) * concept.sign * task.sign
    order = np.argsort(-abs(code), kind="stable").tolist()
    return {"sign_right": value > 0, "rank": 1 + order.index(concept.latent)}


def _within(rows: Float[np.ndarray, "k d"], vector: Float[np.ndarray, " d"]) -> float:
    codes = np.linalg.lstsq(rows.T.astype(np.float64), vector.astype(np.float64), rcond=None)[0]
    return explained(vector, codes @ rows)
