"""`match_concepts`: which latent is which concept, found by labels or, without any, named by a judge."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.latents.codes import Shifts, codes_of
from ssae_lens.latents.concepts import Concept, Concepts
from ssae_lens.latents.describe import LatentDescription, describe_latents
from ssae_lens.latents.fits import Matches, matched
from ssae_lens.latents.judges import Judge
from ssae_lens.latents.name import Candidates, Name, name_latents
from ssae_lens.shifts import ShiftStore
from ssae_lens.shifts.rows import annotations

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model
    from ssae_lens.sae import SSAE

# The lowest confidences by default: a test at one in twenty with labels, a name likelier than all others with a judge.
MIN_CONFIDENCE = 0.95
MIN_JUDGE_CONFIDENCE = 0.5


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
    least_confidence: float | None = None,
    least_fit: float = 0.3,
    shuffles: int = 200,
    seed: int = 0,
    quiet: bool = False,
) -> Concepts:
    """Say which latent is which concept, with its sign and the size of one change.

    With labels, latents and concepts are matched one to one so that the |correlations| of codes with signed changes are
    largest in sum. With a judge no label is looked at: each latent is described, and the judge names it.

    Parameters
    ----------
    ssae
        A trained SSAE.
    shifts
        A store of its hook, or an array of one shift a row. Where a pair has several rows, their codes are averaged.
    labels, concepts
        Signed changes (−1, 0, +1), and the names of their columns (a string is one name); by default those of the store.
    judge
        Who names latents, such as a `LocalJudge` or an `EndpointJudge`.
    candidates
        Names for the judge to choose among; see `name_latents`.
    descriptions, model
        What the judge is told: descriptions of latents or, to have them made, the model of the shifts, for the tokens
        that directions promote.
    least_confidence
        The lowest confidence at which a concept and a latent are matched; the result keeps it. With labels, by default .95:
        a concept has no latent where chance finds one that fits as well in more than 1 − `least_confidence` of cases. With a
        judge, by default .5, which is more than all other names together have: a latent whose name is less certain is
        unnamed. A judge that does not say how sure it is names all that it answers.
    least_fit
        With labels, a concept has no latent either where its latent fits less than this: of many pairs, chance is soon ruled
        out.
    shuffles, seed
        How often to ask chance.
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
    if least_confidence is None:
        least_confidence = MIN_CONFIDENCE if judge is None else MIN_JUDGE_CONFIDENCE
    checks.at_least("least_confidence", least_confidence, 0)
    if judge is not None:
        told = descriptions or describe_latents(ssae, _store(shifts), model, quiet=quiet)
        used = [each for each in told if each.density > 0]
        names = [each.if_at_least(least_confidence) for each in name_latents(used, judge, candidates)]
        return Concepts(_named(used, names), judge.name, told, least_confidence)
    checks.integer("shuffles", shuffles, minimum=20)
    if labels is None and (not isinstance(shifts, ShiftStore) or shifts.labels is None):
        raise ValueError(
            "There are no labels and no judge; give labels (signed changes, a column for each concept), or a judge such as "
            "LocalJudge(), which does without."
        )
    codes = codes_of(ssae, shifts)
    known, names = (shifts.labels, shifts.concepts) if isinstance(shifts, ShiftStore) else (None, [])
    labels = known if labels is None else labels
    assert labels is not None
    numbers = [str(column) for column in range(labels.shape[-1])]
    names = checks.name_list("concepts", concepts) or (names if len(names) == len(numbers) else numbers)
    checked = annotations(len(codes), labels=labels, concepts=names)["labels"]
    by_pair = _by_pair(codes, checked, shifts.row_ids) if isinstance(shifts, ShiftStore) else (codes, checked)
    matches = matched(*by_pair, shuffles=shuffles, seed=seed)
    return Concepts(
        [
            _concept(name, column, matches, codes, checked[:, column], least_confidence, least_fit)
            for column, name in enumerate(names)
        ],
        "labels",
        least_confidence=least_confidence,
    )


def _concept(
    name: str,
    column: int,
    matches: Matches,
    codes: Float[np.ndarray, "n k"],
    changes: Int[np.ndarray, " n"],
    least_confidence: float,
    least_fit: float,
) -> Concept:
    fits, latent, confidence = matches.fits[:, column], int(matches.latents[column]), 1 - float(matches.chances[column])
    others = [each for each in np.argsort(-abs(fits), kind="stable").tolist() if each != latent]
    if latent < 0 or confidence < least_confidence or abs(fits[latent]) < least_fit:
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
    """Average the codes of rows of one pair: they are no more independent than one row is."""
    ids, first, pair = np.unique(row_ids, return_index=True, return_inverse=True)
    if len(ids) == len(codes):
        return codes, labels
    sums = np.zeros((len(ids), codes.shape[1]))
    np.add.at(sums, pair, codes)
    return sums / np.bincount(pair)[:, None], labels[first]


def _named(descriptions: Sequence[LatentDescription], names: Sequence[Name]) -> list[Concept]:
    """Return the named latents; of several of one name the surest has it alone, and the others with their number."""
    order = sorted(range(len(names)), key=lambda i: (-(names[i].confidence or 0), -descriptions[i].mean_abs))
    taken: dict[str, int] = {}
    for i in order:
        taken.setdefault(names[i].name or "", i)
    found = []
    for i, (told, each) in enumerate(zip(descriptions, names, strict=True)):
        name = each.name or "unnamed"
        alone = each.name is not None and taken[each.name] == i
        found.append(
            Concept(
                name if alone else f"{name} ({each.latent})",
                each.latent,
                sign=each.sign,
                scale=told.typical,
                confidence=each.confidence,
            )
        )
    return found


def _store(shifts: Shifts) -> ShiftStore:
    if not isinstance(shifts, ShiftStore):
        raise ValueError(  # noqa: TRY004 - whatever is unusable is a ValueError
            f"shifts is a {type(shifts).__name__}; a judge is told of texts: give a ShiftStore, or descriptions."
        )
    return shifts
