"""How often judges name a corpus's latents as its labels do, by what the concepts are made of."""

from dataclasses import replace
from typing import Any

from ssae_lens.evals.cells import Cell
from ssae_lens.latents.concepts import Concepts
from ssae_lens.latents.describe import describe_latents
from ssae_lens.latents.judges import Judge, LexicalJudge, LocalJudge
from ssae_lens.latents.match import match_concepts
from ssae_lens.latents.name import common_concepts
from ssae_lens.pairs.sentences import ATTRIBUTES
from studies.language.data import Data
from studies.language.methods import trained
from studies.language.naming_accuracy import KINDS, NamingAccuracy, naming_accuracy

# Who names: a judge that knows no words, and a language model.
JUDGES = ("lexical", "smollm2-135m")
SHOWN = 24


def naming(data: Data, cell: Cell) -> dict[str, Any]:
    """Train one SSAE, name its latents from the pairs it learned from, and hold the names against labels held out."""
    (ssae,) = trained(data.train, cell["width"], cell["seeds"][:1], cell["steps"])
    labelled = match_concepts(ssae, data.test, quiet=True)
    candidates = candidates_of(data.concepts, cell["settings"]["names"])
    told = describe_latents(ssae, data.train, n_pairs=SHOWN, quiet=True)
    judge = judge_of(cell["settings"]["judge"])
    # Every name counts, however uncertain: what is measured is how often the first name is right.
    named = match_concepts(
        ssae, data.train, judge=judge, candidates=candidates, descriptions=told, min_confidence=0, quiet=True
    )
    if cell["settings"]["names"] == "attributes":
        named = as_contrasts(named, labelled)
    return {"latents": cell["width"], "naming": counted(named, labelled, len(candidates))}


def judge_of(name: str) -> Judge:
    """Return the judge of a name: the one that knows no words, or a language model."""
    return LexicalJudge() if name == LexicalJudge.name else LocalJudge(name, quiet=True)


def candidates_of(concepts: list[str], names: str) -> dict[str, tuple[str, str]]:
    """Return the names to choose among: a corpus's own concepts, what they are values of, or common concepts."""
    if names == "common":
        return common_concepts()
    if names == "attributes":
        return {attribute_of(name): ("", "") for name in concepts}
    return {name: ATTRIBUTES.get(name, ("", "")) for name in concepts}


def as_contrasts(named: Concepts, labelled: Concepts) -> Concepts:
    """Call a latent that is named after the right attribute by the contrast that labels found it to be."""
    truth = {each.latent: each.concept for each in labelled.values() if each.latent is not None}
    renamed = []
    for each in named.values():
        contrast = "" if each.latent is None else truth.get(each.latent, "")
        right = each.concept.removesuffix(f" ({each.latent})") == attribute_of(contrast)
        renamed.append(replace(each, concept=contrast) if contrast and right else each)
    return Concepts(renamed, named.by)


def attribute_of(concept: str) -> str:
    """Return the attribute of a contrast of two values, ``attribute:before>after``."""
    return concept.partition(":")[0]


def kind_of(concept: str) -> str:
    """Say what a concept is made of: one known, or a contrast of two values of an attribute."""
    return f"two values of {attribute_of(concept)}" if ">" in concept else KINDS.get(concept, "other")


def counted(named: Concepts, labelled: Concepts, n_candidates: int) -> list[dict[str, Any]]:
    """Count for each kind of concept, and for all, those with a latent, and those whose latent is named rightly."""
    matched = [each.concept for each in labelled.values() if each.latent is not None]
    kinds = {concept: kind_of(concept) for concept in labelled}
    found = naming_accuracy(named, labelled, n_candidates=n_candidates, kinds=kinds) if matched else None
    return [
        _row(kind, [each for each in labelled if kind in ("all", kinds[each])], found, 1 / n_candidates)
        for kind in (*dict.fromkeys(kinds.values()), "all")
    ]


def _row(kind: str, concepts: list[str], found: NamingAccuracy | None, chance: float) -> dict[str, Any]:
    cells = [each for each in found.cells if each["concept"] in concepts] if found else []
    row = {"kind": kind, "concepts": len(concepts), "matched": len(cells), "right_chance": chance}
    if found is None or not cells:
        return row
    share = found.accuracy(None if kind == "all" else kind)
    ways = [each["way"] for each in cells if each["way"] is not None]
    wrong = {each["concept"]: each["name"] for each in cells if not each["right"]}
    row |= {"right": share.estimate, "right_low": share.low, "right_high": share.high, "wrong": wrong}
    return row | ({"right_way": sum(ways) / len(ways)} if ways else {})
