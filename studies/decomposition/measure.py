"""What is measured, each as a cell's numbers: activations and the zero vector, a behaviour's vector, an SSAE."""

from typing import Any

import numpy as np
from jaxtyping import Float

from ssae_lens.evals.steering import Task
from ssae_lens.latents.concepts import Concept
from ssae_lens.metrics import cosines, r2_centred, r2_uncentred
from studies.decomposition.bench import Bench, Sides, encoded
from studies.decomposition.pursuit import pursuit
from studies.decomposition.reading import (
    READINGS,
    agreeing,
    cosine,
    decoded,
    explained,
    inputs,
    read,
    rows_shown,
    strongest,
    used,
)

Numbers = dict[str, Any]
# A vector at the length that it has.
OWN = "its own"
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
PURSUIT, POSITIVE, BY_CHANCE = "signed pursuit", "pursuit without signs", "signed pursuit, random atoms"
AROUND, BETWEEN = "difference of encodings, x + v", "difference of encodings, texts"
OURS = "SSAE"


def of_activations(bench: Bench) -> Numbers:
    """Measure the norms of activations, the zero vector's codes, and what the encoder's bias makes up for."""
    rows, sae = bench.activations, bench.sae
    counts, edges = np.histogram(bench.norms, bins=40)
    zero = np.zeros((1, rows.shape[1]), dtype=np.float32)
    bias = inputs(sae, zero)[0]
    towards = inputs(sae, rows) - bias
    mean = towards.mean(0)
    alike = cosines(rows, rows.mean(0)[None])[:, 0]
    codes = {how: read(sae, zero, how)[0] for how in READINGS}
    first = strongest(codes[READINGS[1]], bench.settings.top)
    return {
        "tokens": len(rows),
        "mean_norm": bench.mean_norm,
        "norms": dict(zip(map(str, QUANTILES), np.quantile(bench.norms, QUANTILES).tolist(), strict=True)),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
        "mean_activation": float(np.linalg.norm(rows.mean(0))),
        "cosines_with_mean": {"lowest": float(alike.min()), "mean": float(alike.mean()), "sd": float(alike.std())},
        "zero": {
            how: {
                "used": used(each),
                "largest": float(each.max()),
                "features": rows_shown(each, each, bench.settings.shown),
            }
            for how, each in codes.items()
        },
        "defaults": {
            # Over features that fire: does the bias make up for what all activations have?
            "always": int(bench.always.sum()),
            "correlation": _correlation(bias, mean, bench.codes.max(0) > 0),
            "features": [
                {
                    "feature": int(each),
                    "bias": float(bias[each]),
                    "projection": float(mean[each]),
                    "below_zero": float((towards[:, each] < 0).mean()),
                }
                for each in first
            ],
        },
        "explained": r2_uncentred(rows, decoded(sae, bench.codes)),
        "explained_centred": r2_centred(rows, decoded(sae, bench.codes)),
        "active": float((bench.codes > 0).sum(1).mean()),
    }


def of_vector(bench: Bench, task: Task) -> Numbers:
    """Measure a behaviour's vector: its norm, its codes at each length, what they lose and call up, and the remedies."""
    sides = bench.sides(task)
    vector = sides.vector
    norm = float(np.linalg.norm(vector))
    changed = np.flatnonzero(sides.known)
    changed = changed[np.argsort(-abs(sides.change[changed]), kind="stable")][: bench.settings.changed]
    lengths = [(OWN, norm), *((f"{each:g}", each * bench.mean_norm) for each in bench.settings.lengths)]
    control = bench.random(task, 1.0)
    found = {
        "norm": norm,
        "share_shorter": float((bench.norms < norm).mean()),
        "cosine_with_mean": cosine(vector, bench.activations.mean(0)),
        "changed": [
            {
                "feature": int(each),
                "change": float(sides.change[each]),
                "cosine": cosine(bench.atoms[each], vector),
            }
            for each in changed
        ],
        "codes": [
            {
                "length": name,
                "reading": how,
                **_code(bench, vector / norm * length, control * length, sides, changed, how),
            }
            for name, length in lengths
            for how in READINGS
        ],
        "remedies": {**_differences(bench, vector, sides), **_pursuits(bench, vector, control * norm, sides)},
    }
    if task.pool is not None:
        found["ssae"] = _ssae(bench, vector, task)
    return found


def of_ssae(bench: Bench, task: Task) -> Numbers:
    """Measure an SSAE: its code of the zero vector, what it explains of its own shifts, and which latents are concepts."""
    assert task.pool is not None
    ssae, concepts = bench.ssae(task.pool, task.position)
    zero, back = encoded(ssae, np.zeros((1, ssae.cfg.d_in)))
    return {
        "latents": int(ssae.cfg.d_sae),
        "zero": float(abs(zero).max()),
        "zero_back": float(abs(back).max()),
        "matched": sum(each.latent is not None for each in concepts.values()),
        "concepts": {
            name: None if each.latent is None else {"latent": each.latent, "sign": each.sign, "fit": each.fit}
            for name, each in concepts.items()
        },
    }


def of_foreign(bench: Bench, task: Task, other: Task) -> Numbers:
    """Measure what an SSAE of another task's pairs, in which this one's behaviour does not vary, makes of its vector."""
    assert other.pool is not None
    vector = bench.sides(task).vector
    ssae, _ = bench.ssae(other.pool, other.position)
    code, back = encoded(ssae, vector[None])
    within = _within(ssae.W_dec.detach().float().numpy(), vector)
    return {"used": used(code[0]), "explained": explained(vector, back[0]), "within": within}


def _code(
    bench: Bench,
    vector: np.ndarray,
    control: np.ndarray,
    sides: Sides,
    changed: np.ndarray,
    how: str,
) -> Numbers:
    """Read a vector at a length: beside the zero vector, beside what changes between texts, and back again."""
    zero, code, random = read(bench.sae, np.stack([np.zeros_like(vector), vector, control]), how)
    top = bench.settings.top
    firsts = [set(strongest(each, top).tolist()) for each in (zero, code, random)]
    back = decoded(bench.sae, code[None])[0]
    negative = changed[sides.change[changed] < 0]
    lost = negative[code[negative] == 0]
    called = np.flatnonzero((code > 0) & (sides.firing < bench.settings.rare))
    right, known = agreeing(code, sides.change, sides.known, bench.settings.changed)
    return {
        "used": used(code),
        "active": int((code != 0).sum()),
        "features": rows_shown(code, zero, bench.settings.shown),
        "shared": len(firsts[0] & firsts[1]),
        "shared_random": len(firsts[0] & firsts[2]),
        "explained": explained(vector, back),
        "cosine": cosine(vector, back),
        "negative": len(negative),
        "lost": len(lost),
        "always": int((code[bench.always] > 0).sum()),
        "found": int((code[changed[sides.change[changed] > 0]] > 0).sum()),
        "spurious": len(called),
        "against": _against(bench, called, lost),
        "right": right,
        "of": known,
    }


def _against(bench: Bench, called: np.ndarray, lost: np.ndarray) -> Numbers | None:
    """Return the lowest cosine of features called up for nothing with any that was lost, beside all other features'."""
    if not len(called) or not len(lost):
        return None
    lowest = cosines(bench.atoms, bench.atoms[lost]).min(1)
    others = np.setdiff1d(np.arange(len(bench.atoms)), [*called, *lost])
    first = int(called[lowest[called].argmin()])
    return {
        "mean": float(lowest[called].mean()),
        "others": float(lowest[others].mean()),
        "feature": first,
        "lowest": float(lowest[first]),
    }


def _differences(bench: Bench, vector: np.ndarray, sides: Sides) -> Numbers:
    """Take differences of encodings: over activations with and without the vector, and over a behaviour's texts."""
    around = (read(bench.sae, bench.activations + vector) - bench.codes).mean(0)
    return {
        AROUND: _remedy(bench, vector, around, sides),
        BETWEEN: _remedy(bench, vector, sides.change, sides),
    }


def _pursuits(bench: Bench, vector: np.ndarray, control: np.ndarray, sides: Sides) -> Numbers:
    """Write a vector as a sum of decoder rows, with signs and without; and of as many random directions, for chance."""
    most = max(bench.settings.atoms)
    generator = np.random.default_rng(bench.settings.seed)
    by_chance = generator.normal(size=bench.atoms.shape)
    ways = {
        PURSUIT: pursuit(bench.atoms, vector, most),
        POSITIVE: pursuit(bench.atoms, vector, most, signed=False),
        BY_CHANCE: pursuit(by_chance, vector, most),
        f"{PURSUIT}, random vector": pursuit(bench.atoms, control, most),
    }
    found: Numbers = {}
    for name, steps in ways.items():
        last = steps[-1]
        told = {"used": used(last.coefficients), "explained": last.explained}
        told["by_atoms"] = {str(k): steps[min(k, len(steps)) - 1].explained for k in bench.settings.atoms}
        if name in (PURSUIT, POSITIVE):
            told |= _remedy(bench, vector, last.codes(len(bench.atoms)), sides)
        found[name] = told
    return found


def _remedy(bench: Bench, vector: np.ndarray, codes: np.ndarray, sides: Sides) -> Numbers:
    """Score signed codes of a vector over the decoder's rows; no bias is added, since a difference has none."""
    right, known = agreeing(codes, sides.change, sides.known, bench.settings.changed)
    back = codes @ bench.atoms
    return {
        "used": used(codes),
        "explained": explained(vector, back),
        "cosine": cosine(vector, back),
        "right": right,
        "of": known,
        "negative": int((codes[strongest(codes, bench.settings.changed)] < 0).sum()),
        "features": rows_shown(codes, np.zeros_like(codes), bench.settings.shown),
    }


def _ssae(bench: Bench, vector: Float[np.ndarray, " d"], task: Task) -> Numbers:
    """Read a vector by an SSAE of pairs in which the behaviour is one of several things that change."""
    assert task.pool is not None
    ssae, concepts = bench.ssae(task.pool, task.position)
    (zero, code), (_, back) = encoded(ssae, np.stack([np.zeros_like(vector), vector]))
    concept = concepts[task.concept]
    told: Numbers = {
        "used": used(code),
        "explained": explained(vector, back),
        "cosine": cosine(vector, back),
        # What any code over these latents could explain at most.
        "within": _within(ssae.W_dec.detach().float().numpy(), vector),
        "features": rows_shown(code, zero, bench.settings.shown),
        "codes": code.tolist(),
        "latent": concept.latent,
    }
    told |= _placed(code, concept, task)
    if task.with_it:
        # Of texts of another kind, which the pairs that the SSAE learned from do not look like.
        other = bench.held_out(task)
        (there,), (found,) = encoded(ssae, other[None])
        told["elsewhere"] = {"explained": explained(other, found), "used": used(there), **_placed(there, concept, task)}
        told["elsewhere"]["cosine_of_vectors"] = cosine(vector, other)
    return told


def _placed(code: Float[np.ndarray, " k"], concept: Concept, task: Task) -> Numbers:
    """Say whether a behaviour's own latent has the right sign in a code, and which place by size."""
    if concept.latent is None:
        return {}
    value = float(code[concept.latent]) * concept.sign * task.sign
    order = np.argsort(-abs(code), kind="stable").tolist()
    return {"sign_right": value > 0, "rank": 1 + order.index(concept.latent)}


def _within(rows: Float[np.ndarray, "k d"], vector: Float[np.ndarray, " d"]) -> float:
    found = np.linalg.lstsq(rows.T.astype(np.float64), vector.astype(np.float64), rcond=None)[0]
    return explained(vector, found @ rows)


def _correlation(one: np.ndarray, other: np.ndarray, some: np.ndarray) -> float:
    return float(np.corrcoef(one[some], other[some])[0, 1]) if some.sum() > 2 else 0.0
