"""Naming: how often a judge names a latent as the labels do, by kind of concept."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ssae_lens.evals.results import Cell
from ssae_lens.latents.concepts import Concepts
from ssae_lens.latents.describe import describe_latents
from ssae_lens.latents.judges import Judge, LexicalJudge, LocalJudge
from ssae_lens.latents.match import match_concepts
from ssae_lens.latents.name import common_concepts
from ssae_lens.metrics import wilson_interval
from ssae_lens.pairs.sentences import ATTRIBUTES
from studies.language.data import LanguageData
from studies.language.methods import train_ssaes

# A judge that compares words, and a language model.
JUDGES = ("lexical", "smollm2-135m")
PAIRS_SHOWN = 24
KINDS = {
    **dict.fromkeys(("tense", "voice", "polarity", "number", "person"), "grammar"),
    **dict.fromkeys(("age", "weather", "season", "time_of_day", "setting"), "one word for another"),
    **dict.fromkeys(("gender", "sentiment", "domain", "certainty", "politeness"), "several words"),
    **dict.fromkeys(("language", "french", "german"), "language"),
}


def measure_naming(data: LanguageData, cell: Cell) -> dict[str, Any]:
    """Train one SSAE, name its latents from its training pairs, and compare the names with held-out labels."""
    (ssae,) = train_ssaes(data.train, cell["width"], cell["seeds"][:1], cell["steps"])
    labelled = match_concepts(ssae, data.test, quiet=True)
    candidates = candidates_of(data.concepts, cell["settings"]["names"])
    descriptions = describe_latents(ssae, data.train, n_pairs=PAIRS_SHOWN, quiet=True)
    # All names count, however uncertain: the study measures how often the first name is right.
    named = match_concepts(
        ssae,
        data.train,
        judge=judge_of(cell["settings"]["judge"]),
        candidates=candidates,
        descriptions=descriptions,
        min_confidence=0,
        quiet=True,
    )
    if cell["settings"]["names"] == "attributes":
        named = as_contrasts(named, labelled)
    return {"latents": cell["width"], "naming": naming_accuracy(named, labelled, n_candidates=len(candidates))}


def naming_accuracy(
    named: Concepts, labelled: Concepts, *, n_candidates: int, kinds: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Compare a judge's names with labels.

    Parameters
    ----------
    named, labelled
        The results of `match_concepts` for one SSAE, with a judge and with labels.
    n_candidates
        The number of names the judge chose from; guessing is right for one in so many.
    kinds
        The kind of each concept; by default known for the built-in corpora.

    Returns
    -------
    list of dict
        For each kind, and for ``"all"``: ``concepts``, their number; ``matched``, how many have a latent by labels;
        ``right_chance``; and where any is matched, ``right``, the share of these with the right name, its 95 % interval
        ``right_low``, ``right_high``, the names that are ``wrong``, and ``right_sign``, the share of right names whose sign
        is that of the labels.
    """
    kinds = {concept: kind_of(concept) for concept in labelled} if kinds is None else kinds
    compared = {truth.concept: named.of_latent(truth.latent) for truth in labelled.values() if truth.latent is not None}
    # Where several latents have one name, those after the first have their number added to it.
    names = {
        concept: None if match is None else match.concept.removesuffix(f" ({match.latent})")
        for concept, match in compared.items()
    }
    rows = []
    for kind in (*dict.fromkeys(kinds.get(concept, "other") for concept in labelled), "all"):
        concepts = [concept for concept in labelled if kind in ("all", kinds.get(concept, "other"))]
        matched = [concept for concept in concepts if concept in compared]
        right = [concept for concept in matched if names[concept] == concept]
        row = {"kind": kind, "concepts": len(concepts), "matched": len(matched), "right_chance": 1 / n_candidates}
        if matched:
            share = wilson_interval(len(right), len(matched))
            wrong = {concept: names[concept] for concept in matched if concept not in right}
            row |= {"right": share.estimate, "right_low": share.low, "right_high": share.high, "wrong": wrong}
        if right:
            signs = [match.sign == labelled[concept].sign for concept in right if (match := compared[concept])]
            row["right_sign"] = sum(signs) / len(signs)
        rows.append(row)
    return rows


def judge_of(name: str) -> Judge:
    """Return the judge with a name: the lexical one, or a language model."""
    return LexicalJudge() if name == LexicalJudge.name else LocalJudge(name, quiet=True)


def candidates_of(concepts: list[str], names: str) -> dict[str, tuple[str, str]]:
    """Return the names to choose from: the concepts of the corpus, their attributes, or common concepts."""
    if names == "common":
        return common_concepts()
    if names == "attributes":
        return {attribute_of(name): ("", "") for name in concepts}
    return {name: ATTRIBUTES.get(name, ("", "")) for name in concepts}


def as_contrasts(named: Concepts, labelled: Concepts) -> Concepts:
    """Replace the name of a latent that is named after the right attribute by its contrast."""
    truth = {match.latent: match.concept for match in labelled.values() if match.latent is not None}
    renamed = []
    for match in named.values():
        contrast = "" if match.latent is None else truth.get(match.latent, "")
        right = match.concept.removesuffix(f" ({match.latent})") == attribute_of(contrast)
        renamed.append(replace(match, concept=contrast) if contrast and right else match)
    return Concepts(renamed, named.by)


def attribute_of(concept: str) -> str:
    """Return the attribute of a contrast of two values, ``attribute:before>after``."""
    return concept.partition(":")[0]


def kind_of(concept: str) -> str:
    """Return the kind of a concept: one of `KINDS`, or a contrast of two values of an attribute."""
    return f"two values of {attribute_of(concept)}" if ">" in concept else KINDS.get(concept, "other")
