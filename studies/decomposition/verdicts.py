"""The findings of Mayne et al. (2024, https://arxiv.org/abs/2411.08790) one by one: what they say, what is found here.

The last line of each rule says when a finding counts as replicated.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ssae_lens.evals._decomposition import NO_THRESHOLD, POSITIVE, PURSUIT, WITH_THRESHOLD
from ssae_lens.metrics import bootstrap_interval, sign_flip_test
from studies.decomposition.measure import AROUND, BETWEEN, OWN

Numbers = dict[str, Any]
Verdict = dict[str, str]
YES, PART, NO, UNSAID = "yes", "in part", "no", "nothing to tell by"
BARE = "no, but yes without the SAE's threshold"
# Two decoder rows of this cosine, or less, point against each other: one is called up where the other is lost.
OPPOSED = -0.5
# The length at which a vector is as long as activations are.
FULL = "1"


def verdicts(activations: Numbers, vectors: Sequence[Numbers], ssaes: Sequence[Numbers]) -> list[Verdict]:
    """Return for each finding the paper's statement, the result here, and whether it is reproduced."""
    found = [rule(activations, vectors) for rule in RULES]
    return [*found, *_ours(vectors, ssaes)]


def code_of(vector: Numbers, length: str, reading: str) -> Numbers:
    """Return what a reading makes of a vector at a length."""
    return next(one for one in vector["codes"] if one["length"] == length and one["reading"] == reading)


def lengths_of(vector: Numbers) -> list[str]:
    """Return the lengths at which a vector was read."""
    return list(dict.fromkeys(one["length"] for one in vector["codes"]))


def _norms(activations: Numbers, vectors: Sequence[Numbers]) -> Verdict:
    outside = sum(one["share_shorter"] == 0 for one in vectors)
    norms = [one["norm"] for one in vectors]
    return {
        "finding": "Steering vectors are shorter than any activation",
        "paper": "the norm of a CAA vector lies outside of the distribution of activations' norms",
        "here": f"norms {min(norms):.1f} to {max(norms):.1f}, activations {activations['norms']['0.0']:.0f} to "
        f"{activations['norms']['1.0']:.0f}; {outside} of {len(vectors)} vectors are shorter than all of them",
        "again": _of(outside, len(vectors)),
    }


def _zero(activations: Numbers, _vectors: Sequence[Numbers]) -> Verdict:
    zero = activations["zero"]
    plain, bare = zero[WITH_THRESHOLD], zero[NO_THRESHOLD]
    return {
        "finding": "The zero vector has a code",
        "paper": "five features at 89 to 11",
        "here": f"{plain['used']} features (largest {plain['largest']:.3g}); without the SAE's threshold {bare['used']} "
        f"(largest {bare['largest']:.3g})",
        "again": YES if plain["used"] else (BARE if bare["used"] else NO),
    }


def _same(activations: Numbers, vectors: Sequence[Numbers]) -> Verdict:
    codes = {how: [code_of(one, OWN, how) for one in vectors] for how in (WITH_THRESHOLD, NO_THRESHOLD)}
    empty = sum(one["active"] == 0 for one in codes[WITH_THRESHOLD])
    shared, random = (_mean(codes[NO_THRESHOLD], name) for name in ("shared", "shared_random"))
    plain = _mean(codes[WITH_THRESHOLD], "shared")
    n_top = len(activations["zero"][NO_THRESHOLD]["features"][:5])
    return {
        "finding": "A vector's strongest features are the zero vector's",
        "paper": "4 of the top 5 (corrigibility)",
        "here": f"the SAE's codes of {empty} of {len(vectors)} vectors are empty; {plain:.1f} of the top {n_top} are the "
        f"zero vector's. Without the threshold {shared:.1f} of the top {n_top} are, of random vectors' as long {random:.1f}",
        "again": YES if n_top and plain > n_top / 2 else (BARE if n_top and shared > n_top / 2 else NO),
    }


def _scaling(activations: Numbers, vectors: Sequence[Numbers]) -> Verdict:
    lengths = [one for one in lengths_of(vectors[0]) if one != OWN]
    by_length = {one: [code_of(vector, one, WITH_THRESHOLD) for vector in vectors] for one in lengths}
    best = max(lengths, key=lambda one: _mean(by_length[one], "explained"))
    share = _mean(by_length[best], "explained")
    last = FULL if FULL in lengths else lengths[-1]
    return {
        "finding": "Scaling a vector up does not fix it",
        "paper": "scaled vectors stay out of distribution",
        "here": f"at {best} mean norms, the best length, {share:.2f} of a vector is explained (of activations "
        f"{activations['explained']:.2f}); at {last} it is {_mean(by_length[last], 'explained'):.2f}, with "
        f"{_mean(by_length[last], 'active'):.0f} features active (activations: {activations['active']:.0f})",
        "again": YES if share < activations["explained"] else NO,
    }


def _defaults(activations: Numbers, vectors: Sequence[Numbers]) -> Verdict:
    alike, defaults = activations["cosines_with_mean"], activations["defaults"]
    ours = max(abs(one["cosine_with_mean"]) for one in vectors)
    negative = sum(one["projection"] < 0 for one in defaults["features"])
    cancel, offset = ours < alike["lowest"], defaults["correlation"] < 0
    return {
        "finding": "What all activations have cancels in the subtraction, and the bias makes up for it",
        "paper": "activations project strongly below zero on feature 4888, whose bias offsets that",
        "here": f"activations have cosine {alike['mean']:.2f} (lowest {alike['lowest']:.2f}) with their mean, vectors at "
        f"most {ours:.2f} either way; of the zero vector's strongest features {negative} of "
        f"{len(defaults['features'])} have activations below zero on the mean, and biases go with mean projections "
        f"at correlation {defaults['correlation']:+.2f}",
        "again": YES if cancel and offset else (PART if cancel or offset else NO),
    }


def _negative(_activations: Numbers, vectors: Sequence[Numbers]) -> Verdict:
    codes = [code_of(one, length, WITH_THRESHOLD) for one in vectors for length in lengths_of(one)]
    negative = sum(one["change"] < 0 for vector in vectors for one in vector["changed"])
    total = sum(len(vector["changed"]) for vector in vectors)
    lost, of = (sum(one[name] for one in codes) for name in ("lost", "negative"))
    return {
        "finding": "Features that a behaviour lowers are lost",
        "paper": "feature 14004 fires more without the behaviour, and reads 0",
        "here": f"{negative} of the {total} features that change most fall; over all lengths the code is 0 in {lost} of "
        f"{of} such readings",
        "again": UNSAID if not of else _of(lost, of),
    }


def _spurious(_activations: Numbers, vectors: Sequence[Numbers]) -> Verdict:
    last = FULL if FULL in lengths_of(vectors[0]) else lengths_of(vectors[0])[-1]
    codes = [code_of(one, last, WITH_THRESHOLD) for one in vectors]
    called = [one["spurious"] for one in codes]
    pairs = [one["against"] for one in codes if one["against"]]
    shares = [one["spurious"] / one["active"] for one in codes if one["active"]]
    here = f"at {last} mean norms {np.mean(called):.0f} features fire that hardly fire in the behaviour's texts"
    here += f" ({np.mean(shares):.0%} of the code)" if shares else ""
    against = False
    if len(pairs) > 1:
        test = sign_flip_test(*(np.array([one[name] for one in pairs]) for name in ("mean", "others")))
        lowest = min(one["lowest"] for one in pairs)
        against = test.difference < 0 and test.p_value < 0.05 and lowest <= OPPOSED
        here += (
            f"; their lowest cosine with a lost feature is {np.mean([one['mean'] for one in pairs]):.3f} on average, other "
            f"features' {np.mean([one['others'] for one in pairs]):.3f} (p {test.p_value:.3f}), the lowest {lowest:.2f}"
        )
    return {
        "finding": "Other features fire in their place",
        "paper": "feature 3517, which hardly fires in the texts, fires: its cosine with 14004 is −0.82",
        "here": here,
        "again": (YES if against else PART) if sum(called) else NO,
    }


def _remedies(_activations: Numbers, vectors: Sequence[Numbers]) -> Verdict:
    shares = {
        name: [one["remedies"][name]["explained"] for one in vectors] for name in (AROUND, BETWEEN, PURSUIT, POSITIVE)
    }
    means = {name: float(np.mean(one)) for name, one in shares.items()}
    last = max(map(int, vectors[0]["remedies"][PURSUIT]["by_atoms"]))
    plain = float(np.mean([max(code_of(v, e, WITH_THRESHOLD)["explained"] for e in lengths_of(v)) for v in vectors]))
    return {
        "finding": "Signed pursuit explains more than the SAE's code",
        "paper": ".50 with signed least squares, .23 to .35 otherwise (by others, on another model)",
        "here": f"{last} atoms with signs {means[PURSUIT]:.2f}, without {means[POSITIVE]:.2f}; differences of encodings "
        f"{means[AROUND]:.2f} (x + v) and {means[BETWEEN]:.2f} (texts); the SAE's code at each vector's "
        f"best length {plain:.2f}",
        "again": YES if means[PURSUIT] > plain else NO,
    }


def _ours(vectors: Sequence[Numbers], ssaes: Sequence[Numbers]) -> list[Verdict]:
    """Return whether the SSAE has the two flaws of the SAE."""
    read = [one for one in vectors if "ssae" in one]
    if not ssaes or not read:
        return []
    zero = max(one["zero"] for one in ssaes)
    signed = [one["ssae"] for one in read if one["ssae"]["latent"] is not None]
    right, first = sum(one["sign_right"] for one in signed), sum(one["rank"] == 1 for one in signed)
    shares = np.array([one["ssae"]["explained"] for one in read])
    shown = f"{shares.mean():.2f}"
    if len(shares) > 1:
        spread = bootstrap_interval(shares)
        shown += f" ({spread.low:.2f} to {spread.high:.2f})"
    return [
        {
            "finding": "The SSAE's code of the zero vector",
            "paper": "",
            "here": f"at most {zero:.1e} in {len(ssaes)} SSAEs",
            "again": "zero" if zero <= 1e-6 else "not zero",
        },
        {
            "finding": "The SSAE's signs",
            "paper": "",
            "here": f"right for {right} of {len(signed)} vectors whose behaviour has a latent "
            f"({len(read) - len(signed)} have none); that latent is the strongest for {first}; {shown} of a vector "
            f"is explained",
            "again": "right" if signed and right == len(signed) else "not all right",
        },
        *_elsewhere(read),
    ]


def _elsewhere(vectors: Sequence[Numbers]) -> list[Verdict]:
    found = [one["ssae"]["elsewhere"] for one in vectors if "elsewhere" in one["ssae"]]
    signed = [one for one in found if "rank" in one]
    if not signed:
        return []
    right, first = sum(one["sign_right"] for one in signed), sum(one["rank"] == 1 for one in signed)
    return [
        {
            "finding": "The SSAE on vectors of texts unlike those it learned from",
            "paper": "",
            "here": f"the sign is right for {right} of {len(signed)}, the behaviour's latent the strongest for {first}; "
            f"{_mean(found, 'explained'):.2f} of such a vector is explained, whose cosine with the other of its "
            f"behaviour is {_mean(found, 'cosine_of_vectors'):.2f}",
            "again": "right" if right == len(signed) else "not all right",
        }
    ]


RULES: tuple[Callable[[Numbers, Sequence[Numbers]], Verdict], ...] = (
    _norms,
    _zero,
    _same,
    _scaling,
    _defaults,
    _negative,
    _spurious,
    _remedies,
)


def _of(some: int, of: int) -> str:
    return YES if some == of else (PART if some else NO)


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([one[name] for one in rows]))
