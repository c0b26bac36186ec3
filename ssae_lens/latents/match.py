"""Matching of latents with concepts, by labels or by the names that a judge gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.latents.codes import Shifts, codes_of, pair_means
from ssae_lens.latents.concepts import Concept, Concepts
from ssae_lens.latents.describe import LatentDescription, describe_latents
from ssae_lens.latents.judges import Judge
from ssae_lens.latents.name import Candidates, Name, name_latents
from ssae_lens.metrics import hungarian
from ssae_lens.metrics.matching import unit_columns
from ssae_lens.shifts import ShiftStore
from ssae_lens.shifts.contents import annotations

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model
    from ssae_lens.sae import SSAE

# Default confidences: a permutation test at p = .05 with labels, more than half of the probability with a judge.
MIN_CONFIDENCE = 0.95
MIN_JUDGE_CONFIDENCE = 0.5
# A latent with less than this fraction of the energy of all codes counts as unused.
MIN_ENERGY = 1e-6


@dataclass(frozen=True, eq=False)
class Matches:
    """The fit of every latent to every concept, and the one-to-one matching.

    Attributes
    ----------
    fits
        Pearson correlations of codes with signed changes. A concept with the same change in all pairs has no correlation;
        its fit is the cosine Σyh / (‖y‖‖h‖).
    latents
        The latent of each concept in the matching with the largest sum of |fits|; −1 where no latent is left.
    p_values
        Permutation p-values of the largest |fit| of any latent to each concept.
    """

    fits: Float[np.ndarray, "k c"]
    latents: Int[np.ndarray, " c"]
    p_values: Float[np.ndarray, " c"]


def matched(
    codes: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n c"], *, n_permutations: int, seed: int = 0
) -> Matches:
    """Match concepts with latents one to one, with a permutation test of each fit.

    The null distribution permutes the labels among the pairs. For a concept with the same change in all pairs it flips the
    direction of each pair at random instead. The statistic is the largest |fit| over all latents, and the data themselves
    count as one permutation: p = (1 + #{permuted ≥ observed}) / (1 + n_permutations). All permutations are computed as one
    product of matrices, which `scipy.stats.permutation_test` cannot do for many latents and concepts at once.
    """
    energy = np.square(codes, dtype=np.float64).sum(axis=0)
    codes = codes * (energy > MIN_ENERGY * energy.sum())
    parts = [part for constant in (False, True) if len((part := _Part(codes, labels, constant=constant)).columns)]
    fits = np.zeros((codes.shape[1], labels.shape[1]))
    for part in parts:
        fits[:, part.columns] = part.fits()
    match = hungarian(fits)
    rng = np.random.default_rng(seed)
    n_as_large = np.ones(labels.shape[1])
    for _ in range(n_permutations):
        order, flips = rng.permutation(len(codes)), rng.choice((-1.0, 1.0), (len(codes), 1))
        for part in parts:
            largest = abs(part.fits(order, flips)).max(axis=0)
            n_as_large[part.columns] += largest >= match.per_factor[part.columns]
    return Matches(fits, np.where(match.per_factor > 0, match.latents, -1), n_as_large / (n_permutations + 1))


class _Part:
    """The concepts whose changes vary over pairs, or those whose changes are constant, with all codes."""

    def __init__(self, codes: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n c"], *, constant: bool) -> None:
        is_constant: Bool[np.ndarray, " c"] = (labels == labels[:1]).all(axis=0)
        self.constant = constant
        self.columns = np.flatnonzero(is_constant == constant)
        values = labels[:, self.columns].astype(np.float64)
        self.codes, self.labels = (
            (matrix / np.maximum(np.linalg.norm(matrix, axis=0), np.finfo(float).tiny) for matrix in (codes, values))
            if constant
            else (unit_columns(matrix, "pearson") for matrix in (codes, values))
        )

    def fits(self, order: np.ndarray | None = None, flips: np.ndarray | None = None) -> Float[np.ndarray, "k c"]:
        """Return the fits; with an order of the pairs and a flip of each, those of the permuted data."""
        labels = self.labels
        if order is not None and flips is not None:
            labels = labels * flips if self.constant else labels[order]
        return np.clip(self.codes.T @ labels, -1, 1)


def match_concepts(
    ssae: "SSAE",
    shifts: Shifts,
    labels: Int[np.ndarray, "n c"] | Int[Tensor, "n c"] | None = None,
    *,
    concepts: str | Sequence[str] = (),
    judge: Judge | None = None,
    candidates: Candidates | None = None,
    descriptions: Sequence[LatentDescription] | None = None,
    model: "Model | None" = None,
    min_confidence: float | None = None,
    min_fit: float = 0.3,
    n_permutations: int = 200,
    seed: int = 0,
    quiet: bool = False,
) -> Concepts:
    """Match latents with concepts: which latent is which concept, with its sign and the size of one change.

    With labels, latents and concepts are matched one to one, so that the sum of the |correlations| of codes with signed
    changes is largest. With a judge, labels are not used: latents are described, and the judge names them.

    Parameters
    ----------
    ssae
        A trained SSAE.
    shifts
        A store of its hook, or an array with one shift a row. If a pair has several rows, their codes are averaged.
    labels, concepts
        Signed changes (−1, 0, +1), and the names of their columns (a string is one name); by default those of the store.
    judge
        The judge that names latents, such as a `LocalJudge` or an `EndpointJudge`.
    candidates
        Names for the judge to choose among; see `name_latents`.
    descriptions, model
        Descriptions of latents for the judge or, to have them made, the model of the shifts for the tokens that latents
        promote.
    min_confidence
        The lowest confidence at which a concept is matched. With labels, by default .95: a concept has no latent if the
        p-value of its fit is above 1 − `min_confidence`. With a judge, by default .5, more than the probability of all
        other names together: a latent with a less certain name is unnamed. A judge without confidences names every latent
        that it has an answer for.
    min_fit
        With labels, the lowest |correlation| at which a concept is matched. With many pairs even a small one is significant.
    n_permutations, seed
        Number of permutations of the test, and their seed.
    quiet
        Show no progress.

    Returns
    -------
    Concepts
        By name. ``SteeringVector.from_ssae(ssae, concepts["gender"])`` is one change of gender, as labelled.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ssae_lens import SSAE
    >>> changes = np.random.default_rng(0).integers(-1, 2, (100, 2))
    >>> ssae = SSAE.from_weights(torch.eye(2), torch.eye(2))
    >>> shifts = (changes * [3.0, -5.0])[:, ::-1].astype(np.float32)
    >>> match_concepts(ssae, shifts, changes, concepts=["tense", "gender"])
    concept  latent   scale  confidence   fit  runner-up
    tense        +1       3       0.995  1.00  0 (0.05)
    gender       -0       5       0.995  1.00  1 (0.05)
    by labels; no latent below a confidence of 0.95
    """
    if min_confidence is None:
        min_confidence = MIN_CONFIDENCE if judge is None else MIN_JUDGE_CONFIDENCE
    checks.at_least("min_confidence", min_confidence, 0)
    if judge is not None:
        described = descriptions or describe_latents(ssae, _store(shifts), model, quiet=quiet)
        used = [description for description in described if description.density > 0]
        names = [name.if_at_least(min_confidence) for name in name_latents(used, judge, candidates)]
        return Concepts(_named(used, names), judge.name, described, min_confidence)
    checks.integer("n_permutations", n_permutations, minimum=20)
    if labels is None and (not isinstance(shifts, ShiftStore) or shifts.labels is None):
        raise ValueError(
            "There are no labels and no judge; give labels (signed changes, one column per concept), or a judge such as "
            "LocalJudge(), which needs none."
        )
    codes = codes_of(ssae, shifts)
    own_labels, names = (shifts.labels, shifts.concepts) if isinstance(shifts, ShiftStore) else (None, [])
    labels = own_labels if labels is None else labels
    assert labels is not None
    numbers = [str(column) for column in range(labels.shape[-1])]
    names = checks.name_list("concepts", concepts) or (names if len(names) == len(numbers) else numbers)
    checked = annotations(len(codes), labels=labels, concepts=names)["labels"]
    by_pair = _by_pair(codes, checked, shifts.row_ids) if isinstance(shifts, ShiftStore) else (codes, checked)
    matches = matched(*by_pair, n_permutations=n_permutations, seed=seed)
    return Concepts(
        [
            _concept(name, column, matches, codes, checked[:, column], min_confidence, min_fit)
            for column, name in enumerate(names)
        ],
        "labels",
        min_confidence=min_confidence,
    )


def _concept(
    name: str,
    column: int,
    matches: Matches,
    codes: Float[np.ndarray, "n k"],
    changes: Int[np.ndarray, " n"],
    min_confidence: float,
    min_fit: float,
) -> Concept:
    fits, latent, confidence = (
        matches.fits[:, column],
        int(matches.latents[column]),
        1 - float(matches.p_values[column]),
    )
    others = [other for other in np.argsort(-abs(fits), kind="stable").tolist() if other != latent]
    if latent < 0 or confidence < min_confidence or abs(fits[latent]) < min_fit:
        best = int(abs(fits).argmax())
        return Concept(name, None, confidence=confidence, runner_up=best, runner_up_fit=float(abs(fits[best])))
    changed = codes[changes != 0, latent].astype(np.float64)
    return Concept(
        name,
        latent,
        sign=float(np.sign(fits[latent])),
        scale=float((changed**2).sum() / abs(changed).sum()),
        confidence=confidence,
        fit=float(abs(fits[latent])),
        runner_up=others[0] if others else None,
        runner_up_fit=float(abs(fits[others[0]])) if others else None,
    )


def _by_pair(
    codes: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n c"], row_ids: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "p k"], Int[np.ndarray, "p c"]]:
    """Return the mean codes and the labels of each pair."""
    first = np.unique(row_ids, return_index=True)[1]
    return pair_means(codes, row_ids), labels if len(first) == len(codes) else labels[first]


def _named(descriptions: Sequence[LatentDescription], names: Sequence[Name]) -> list[Concept]:
    """Return the named latents; if several share a name, the most confident keeps it and the others get their number."""
    order = sorted(range(len(names)), key=lambda i: (-(names[i].confidence or 0), -descriptions[i].mean_abs))
    owner: dict[str, int] = {}
    for i in order:
        owner.setdefault(names[i].name or "", i)
    concepts = []
    for i, (description, answer) in enumerate(zip(descriptions, names, strict=True)):
        name = answer.name or "unnamed"
        is_owner = answer.name is not None and owner[answer.name] == i
        concepts.append(
            Concept(
                name if is_owner else f"{name} ({answer.latent})",
                answer.latent,
                sign=answer.sign,
                scale=description.typical,
                confidence=answer.confidence,
            )
        )
    return concepts


def _store(shifts: Shifts) -> ShiftStore:
    if not isinstance(shifts, ShiftStore):
        raise ValueError(  # noqa: TRY004 - whatever is unusable is a ValueError
            f"shifts is a {type(shifts).__name__}; a judge reads texts: give a ShiftStore, or descriptions."
        )
    return shifts
