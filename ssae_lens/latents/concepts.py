"""Concepts with their latents, as `match_concepts` returns them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ssae_lens.base import checks
from ssae_lens.latents.describe import LatentDescription

if TYPE_CHECKING:
    import pandas as pd

    from ssae_lens.sae import SSAE


@dataclass(frozen=True)
class Concept:
    """A concept and its latent, as `SteeringVector.from_ssae` takes it.

    Attributes
    ----------
    concept
        Its name.
    latent
        Its latent, or None.
    sign
        1 if the latent's direction makes the change as labelled (or named), −1 if it reverses it.
    scale
        The size of one change in units of the code, which are those of the residual stream, since decoder rows have length
        1: Σh² / Σ|h| over the pairs in which the concept changes (with a judge, over all pairs).
    confidence
        With labels, one minus the permutation p-value of the fit. With a judge, the probability of the name, which is not
        calibrated, or None. A latent without a name keeps the confidence of its best name.
    fit
        The |correlation| of the latent's codes with the signed changes (see `Matches`); None with a judge, and without a
        latent.
    runner_up, runner_up_fit
        The best fitting other latent, and its fit.
    """

    concept: str
    latent: int | None
    sign: float = 1.0
    scale: float = 1.0
    confidence: float | None = None
    fit: float | None = None
    runner_up: int | None = None
    runner_up_fit: float | None = None


class Concepts(Mapping[str, Concept]):
    """Concepts by name.

    Attributes
    ----------
    by
        What matched them: ``"labels"`` or the judge's name.
    descriptions
        The descriptions that the judge read; empty with labels.
    min_confidence
        The lowest confidence at which a concept has a latent, or a latent a name.
    """

    def __init__(
        self,
        concepts: Sequence[Concept],
        by: str,
        descriptions: Sequence[LatentDescription] = (),
        min_confidence: float | None = None,
    ) -> None:
        self._concepts = {concept.concept: concept for concept in concepts}
        self.by = by
        self.descriptions = list(descriptions)
        self.min_confidence = min_confidence

    def __getitem__(self, name: str) -> Concept:
        if name not in self._concepts:
            suggestion = checks.did_you_mean(name, self._concepts)
            raise KeyError(f"There is no concept {name!r} among {', '.join(self._concepts)}.{suggestion}")
        return self._concepts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._concepts)

    def __len__(self) -> int:
        return len(self._concepts)

    def of_latent(self, latent: int) -> Concept | None:
        """Return the concept that a latent is matched with, or None."""
        return next((concept for concept in self.values() if concept.latent == latent), None)

    def attach(self, ssae: "SSAE") -> None:
        """Write each latent's name, sign, scale and fit into the SSAE's metadata, where they are saved with it.

        Then ``SteeringVector.from_ssae(ssae, "tense")`` finds the latent of that name.
        """
        latents: list[dict[str, Any]] = [{"name": None} for _ in range(ssae.cfg.d_sae)]
        for concept in self.values():
            if concept.latent is not None:
                latents[concept.latent] = {
                    "name": concept.concept, "sign": concept.sign, "scale": concept.scale, "fit": concept.fit
                }  # fmt: skip
        ssae.cfg.metadata.latents = latents

    def table(self) -> "pd.DataFrame":
        """Return a table with one row per concept."""
        import pandas as pd

        table: Any = pd.DataFrame([asdict(each) for each in self.values()]).set_index("concept")
        return table.astype({"latent": "Int64", "runner_up": "Int64"})

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return {
            "by": self.by,
            "min_confidence": self.min_confidence,
            "concepts": [asdict(each) for each in self.values()],
            "descriptions": [each.to_dict() for each in self.descriptions],
        }

    def __repr__(self) -> str:
        width = max(len(name) for name in (*self, "concept"))
        lines = [f"{'concept':<{width}}  latent   scale  confidence   fit  runner-up"]
        for concept in self.values():
            latent = "none" if concept.latent is None else f"{'-' if concept.sign < 0 else '+'}{concept.latent}"
            scale = "" if concept.latent is None else f"{concept.scale:.3g}"
            confidence, fit = ("" if x is None else f"{x:.3f}" for x in (concept.confidence, concept.fit))
            other = "" if concept.runner_up is None else f"{concept.runner_up} ({concept.runner_up_fit:.2f})"
            line = f"{concept.concept:<{width}}{latent:>8}{scale:>8}{confidence:>12}{fit[:4]:>6}  {other}"
            lines.append(line.rstrip())
        return "\n".join([*lines, f"by {self.by}{self._threshold()}"])

    def _threshold(self) -> str:
        if not self.min_confidence:
            return ""
        outcome = "no latent" if self.by == "labels" else "unnamed"
        return f"; {outcome} below a confidence of {self.min_confidence:g}"
