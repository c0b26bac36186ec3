"""Concepts with their latents, as `match_concepts` returns them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ssae_lens.base import checks
from ssae_lens.latents.describe import LatentDescription

if TYPE_CHECKING:
    import pandas as pd

    from ssae_lens.sae import SSAE


@dataclass(frozen=True)
class Concept:
    """A concept and its latents, as `SteeringVector.from_ssae` takes it.

    Attributes
    ----------
    concept
        Its name.
    latents, weights
        Its latents, the one that fits best first, and the weights with which their decoder rows add up to one change, as
        labelled or named. Empty without a latent. A concept that is expressed in several ways can have several latents.
    fit, interval
        The |correlation| of signed changes with the sum of the latents' signed codes (see `Matches`), and its 95 % bootstrap
        interval over pairs; None with a judge, and without a latent.
    p_value
        With labels, the permutation p-value of the largest |fit| of any latent.
    confidence
        With a judge, the probability of the name, which is not calibrated. A latent without a name keeps that of its best
        name.
    runner_up, runner_up_fit
        The best fitting other latent, and its fit.
    """

    concept: str
    latents: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    fit: float | None = None
    interval: list[float] | None = None
    p_value: float | None = None
    confidence: float | None = None
    runner_up: int | None = None
    runner_up_fit: float | None = None

    @property
    def latent(self) -> int | None:
        """The latent that fits best, or None."""
        return self.latents[0] if self.latents else None

    @property
    def sign(self) -> float:
        """1 if that latent's direction makes the change as labelled (or named), −1 if it reverses it."""
        return -1.0 if self.weights and self.weights[0] < 0 else 1.0


class Concepts(Mapping[str, Concept]):
    """Concepts by name.

    Attributes
    ----------
    by
        What matched them: ``"labels"`` or the judge's name.
    descriptions
        The descriptions that the judge read; empty with labels.
    rule
        The condition for a concept to have a latent, or a latent a name.
    """

    def __init__(
        self,
        concepts: Sequence[Concept],
        by: str,
        descriptions: Sequence[LatentDescription] = (),
        rule: str = "",
    ) -> None:
        self._concepts = {concept.concept: concept for concept in concepts}
        self.by = by
        self.descriptions = list(descriptions)
        self.rule = rule

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
        return next((concept for concept in self.values() if latent in concept.latents), None)

    def attach(self, ssae: "SSAE") -> None:
        """Write each latent's name, sign, scale and fit into the SSAE's metadata, where they are saved with it.

        Then ``SteeringVector.from_ssae(ssae, "tense")`` finds the latents of that name.
        """
        latents: list[dict[str, Any]] = [{"name": None} for _ in range(ssae.cfg.d_sae)]
        for concept in self.values():
            for latent, weight in zip(concept.latents, concept.weights, strict=True):
                latents[latent] = {
                    "name": concept.concept,
                    "sign": -1.0 if weight < 0 else 1.0,
                    "scale": abs(weight),
                    "fit": concept.fit,
                }
        ssae.cfg.metadata.latents = latents

    def table(self) -> "pd.DataFrame":
        """Return a table with one row per concept."""
        import pandas as pd

        table: Any = pd.DataFrame([asdict(each) for each in self.values()]).set_index("concept")
        return table.astype({"runner_up": "Int64"})

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return {
            "by": self.by,
            "rule": self.rule,
            "concepts": [asdict(each) for each in self.values()],
            "descriptions": [each.to_dict() for each in self.descriptions],
        }

    def __repr__(self) -> str:
        by_labels = any(concept.p_value is not None for concept in self.values())
        header = (
            "concept",
            "latents",
            "size",
            "p-value" if by_labels else "confidence",
            "fit",
            "interval",
            "runner-up",
        )
        lines = [header, *(_line(concept) for concept in self.values())]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        used = [i for i in range(len(header)) if any(line[i] for line in lines[1:])]
        text = [
            "  ".join(line[i].ljust(widths[i]) if i < 2 or i > 4 else line[i].rjust(widths[i]) for i in used).rstrip()
            for line in lines
        ]
        return "\n".join([*text, f"by {self.by}" + (f"; {self.rule}" if self.rule else "")])


def _line(concept: Concept) -> tuple[str, ...]:
    latents = " ".join(f"{w:+.0e}"[0] + str(k) for k, w in zip(concept.latents, concept.weights, strict=True))
    size = f"{sum(weight**2 for weight in concept.weights) ** 0.5:.3g}" if concept.latents else ""
    test = concept.p_value if concept.p_value is not None else concept.confidence
    interval = "" if concept.interval is None else f"{concept.interval[0]:.2f} to {concept.interval[1]:.2f}"
    other = "" if concept.runner_up is None else f"{concept.runner_up} ({concept.runner_up_fit:.2f})"
    fit = "" if concept.fit is None else f"{concept.fit:.2f}"
    return concept.concept, latents or "none", size, "" if test is None else f"{test:.3f}", fit, interval, other
