"""`naming_accuracy`: how often the names that a judge gave are those that labels give."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssae_lens.base import checks
from ssae_lens.latents.concepts import Concepts
from ssae_lens.metrics import Interval, wilson_interval

if TYPE_CHECKING:
    import pandas as pd

# Of the built-in corpora: what a concept is made of.
KINDS = {
    **dict.fromkeys(("tense", "voice", "polarity", "number", "person"), "grammar"),
    **dict.fromkeys(("age", "weather", "season", "time_of_day", "setting"), "one word for another"),
    **dict.fromkeys(("gender", "sentiment", "domain", "certainty", "politeness"), "several words"),
    **dict.fromkeys(("language", "french", "german"), "language"),
}
OTHER = "other"


@dataclass(frozen=True)
class NamingAccuracy:
    """How often names are right.

    Attributes
    ----------
    cells
        For each concept that labels found a latent for: ``concept``, ``kind``, ``latent``, ``name`` (what the judge called
        that latent), ``right``, and ``way`` (whether the judge's sign is that of the labels, where the name is right).
    by
        The judge.
    chance
        What guessing among the names gets; None where the judge had its own words.
    """

    cells: list[dict[str, Any]]
    by: str
    chance: float | None

    def accuracy(self, kind: str | None = None) -> Interval:
        """Return the share of right names, with its interval, of all concepts or of one kind."""
        cells = [each for each in self.cells if kind in (None, each["kind"])]
        if not cells:
            checks.one_of("kind", kind, dict.fromkeys(each["kind"] for each in self.cells))
        return wilson_interval(sum(each["right"] for each in cells), len(cells))

    def table(self) -> "pd.DataFrame":
        """Return a row for each kind of concept, and one for all."""
        import pandas as pd

        kinds = [*dict.fromkeys(each["kind"] for each in self.cells), None]
        rows = []
        for kind in kinds:
            cells = [each for each in self.cells if kind in (None, each["kind"])]
            ways = [each["way"] for each in cells if each["way"] is not None]
            share = self.accuracy(kind)
            rows.append(
                {
                    "kind": kind or "all",
                    "concepts": len(cells),
                    "right": share.estimate,
                    "low": share.low,
                    "high": share.high,
                    "right way": sum(ways) / len(ways) if ways else None,
                }
            )
        return pd.DataFrame(rows).set_index("kind")

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it."""
        return {"by": self.by, "chance": self.chance, "cells": self.cells}

    def __str__(self) -> str:
        chance = "" if self.chance is None else f" (chance: {self.chance:.3f})"
        wrong = [f"{each['concept']} called {each['name'] or 'nothing'}" for each in self.cells if not each["right"]]
        return "\n".join([f"Names by {self.by}{chance}", self.table().round(3).to_string(), *wrong])


def naming_accuracy(
    named: Concepts, labelled: Concepts, *, n_candidates: int | None = None, kinds: Mapping[str, str] | None = None
) -> NamingAccuracy:
    """Hold a judge's names against labels, latent by latent.

    Parameters
    ----------
    named, labelled
        What `match_concepts` gave for one SSAE with the judge, and with labels. Concepts without a latent are left out.
    n_candidates
        How many names the judge chose among, for what chance gets.
    kinds
        What kind each concept is of, to count apart; by default known for the built-in corpora.
    """
    kinds = KINDS if kinds is None else kinds
    cells = []
    for truth in labelled.values():
        if truth.latent is None:
            continue
        given = named.of_latent(truth.latent)
        # Of several latents of one name all but the surest have their number behind it.
        name = None if given is None else given.concept.removesuffix(f" ({given.latent})")
        right = name == truth.concept
        cells.append(
            {
                "concept": truth.concept,
                "kind": kinds.get(truth.concept, OTHER),
                "latent": truth.latent,
                "name": name,
                "right": right,
                "way": given.sign == truth.sign if right and given is not None else None,
            }
        )
    if not cells:
        raise ValueError("labelled has no concept with a latent; match with labels that the SSAE's latents follow.")
    return NamingAccuracy(cells, named.by, 1 / n_candidates if n_candidates else None)
