"""Matching of latents with concepts, by labels or by the names that a judge gives them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.latents.codes import Shifts, codes_of, pair_means
from ssae_lens.latents.concepts import Concept, Concepts
from ssae_lens.latents.describe import LatentDescription, describe_latents
from ssae_lens.latents.judges import Judge
from ssae_lens.latents.name import Candidates, Name, name_latents
from ssae_lens.metrics.fits import Matches, fit_interval, fit_of, matched
from ssae_lens.shifts import ShiftStore
from ssae_lens.shifts.contents import annotations

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model
    from ssae_lens.sae import SSAE

# By how much a further latent must raise the |correlation| of a concept's codes for it to belong to the concept.
MIN_RISE = 0.02


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
    max_p_value: float = 0.05,
    min_fit: float = 0.3,
    min_confidence: float = 0.5,
    n_permutations: int = 200,
    seed: int = 0,
    quiet: bool = False,
) -> Concepts:
    """Match latents with concepts: which latents are which concept, with the size of one change.

    With labels, latents and concepts are matched one to one, so that the sum of the |correlations| of codes with signed
    changes is largest. A concept that is expressed in several ways can have several latents: a latent that is left joins the
    concept that it fits best if that raises the fit of the sum of their codes. With a judge, labels are not used: latents
    are described, and the judge names them.

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
    max_p_value, min_fit
        With labels, the largest permutation p-value and the lowest |correlation| at which a concept has a latent. With many
        pairs even a small correlation is significant.
    min_confidence
        With a judge, the lowest confidence of a name; a latent with a less certain one is unnamed. The default is more than
        the probability of all other names together. A judge without confidences names every latent that it has an answer
        for.
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
    concept  latents  size  p-value   fit  interval      runner-up
    tense    +1          3    0.005  1.00  1.00 to 1.00  0 (0.05)
    gender   -0          5    0.005  1.00  1.00 to 1.00  1 (0.05)
    by labels; no latent at a p-value above 0.05 or a fit below 0.3
    """
    for name, value in (("max_p_value", max_p_value), ("min_fit", min_fit), ("min_confidence", min_confidence)):
        checks.at_least(name, value, 0)
    if judge is not None:
        described = descriptions or describe_latents(ssae, _store(shifts), model, quiet=quiet)
        used = [description for description in described if description.density > 0]
        names = [name.if_at_least(min_confidence) for name in name_latents(used, judge, candidates)]
        rule = f"unnamed below a confidence of {min_confidence:g}" if min_confidence else ""
        return Concepts(_named(used, names), judge.name, described, rule)
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
    codes, checked = _by_pair(codes, checked, shifts.row_ids) if isinstance(shifts, ShiftStore) else (codes, checked)
    matches = matched(codes, checked, n_permutations=n_permutations, seed=seed)
    latents = [
        int(latent) if latent >= 0 and p_value <= max_p_value and abs(matches.fits[latent, column]) >= min_fit else None
        for column, (latent, p_value) in enumerate(zip(matches.latents, matches.p_values, strict=True))
    ]
    return Concepts(
        [
            _concept(name, column, _group(column, latents, matches, codes, checked), matches, codes, checked, seed)
            for column, name in enumerate(names)
        ],
        "labels",
        rule=f"no latent at a p-value above {max_p_value:g} or a fit below {min_fit:g}",
    )


def _group(
    column: int,
    latents: Sequence[int | None],
    matches: Matches,
    codes: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n c"],
) -> list[int]:
    """Return a concept's latents: the matched one, and those without a concept that fit it best and raise its fit."""
    first = latents[column]
    if first is None:
        return []
    nearest = abs(matches.fits).argmax(axis=1)
    free = [k for k in np.argsort(-abs(matches.fits[:, column])) if nearest[k] == column and k not in latents]
    group, total = [first], np.sign(matches.fits[first, column]) * codes[:, first]
    fit = fit_of(total, labels[:, column])
    for latent in map(int, free):
        with_latent = total + np.sign(matches.fits[latent, column]) * codes[:, latent]
        if (new := fit_of(with_latent, labels[:, column])) >= fit + MIN_RISE:
            group, total, fit = [*group, latent], with_latent, new
    return group


def _concept(
    name: str,
    column: int,
    group: list[int],
    matches: Matches,
    codes: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n c"],
    seed: int,
) -> Concept:
    fits, changes, p_value = matches.fits[:, column], labels[:, column], float(matches.p_values[column])
    others = [other for other in np.argsort(-abs(fits), kind="stable").tolist() if other not in group]
    runner_up = {"runner_up": others[0], "runner_up_fit": float(abs(fits[others[0]]))} if others else {}
    if not group:
        return Concept(name, p_value=p_value, **runner_up)
    signs = np.sign(fits[group])
    total = codes[:, group] @ signs
    changed = changes != 0
    if len(group) == 1:
        weights = signs * (total[changed] ** 2).sum() / abs(total[changed]).sum()
    else:
        # Each latent's mean code where the concept changes, in proportion; together as long as the size of the sum.
        means = changes[changed] @ codes[changed][:, group] / changed.sum()
        weights = means * (total[changed] ** 2).sum() / abs(total[changed]).sum() / abs(means).sum()
    return Concept(
        name,
        group,
        weights.tolist(),
        fit=fit_of(total, changes),
        interval=fit_interval(total, changes, seed),
        p_value=p_value,
        **runner_up,
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
                [answer.latent],
                [answer.sign * description.typical],
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
