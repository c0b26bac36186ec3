"""`Concepts`: which latent is which concept, as `match_concepts` found it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ssae_lens.base import checks
from ssae_lens.latents.describe import LatentDescription

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Concept:
    """A concept and its latent, as `SteeringVector.from_ssae` takes it.

    Attributes
    ----------
    concept
        Its name.
    latent
        Its latent, or None where there is none.
    sign
        1 where the latent's direction makes the change as labelled (or as named), −1 where it undoes it.
    scale
        What one change measures, in units of the code, and so, decoder rows being of length 1, of the residual stream:
        Σh² / Σ|h| over the pairs in which the concept changes (with a judge: over all). Codes near 0 hardly count.
    confidence
        From labels: one less how often chance finds a latent that fits as well; of concepts that no latent has to do with,
        one in twenty gets .95 or more. From a judge: how sure it is, which is not calibrated; None where it does not say. A
        latent that is too uncertain to be named has the confidence of the name that it did not get.
    fit
        The correlation of the latent's codes with the signed changes, from 0 to 1 (see `fits.Matches`); None from a judge,
        and where there is no latent.
    runner_up, runner_up_fit
        Of all other latents the one that fits best, and how well.
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
    """Concepts by name, each with its latent.

    Attributes
    ----------
    by
        What named them: ``"labels"`` or the judge's name.
    descriptions
        What the judge was shown, of each latent; empty with labels.
    least_confidence
        The lowest confidence at which a concept has a latent, or a latent a name; None where none was asked for.
    """

    def __init__(
        self,
        concepts: Sequence[Concept],
        by: str,
        descriptions: Sequence[LatentDescription] = (),
        least_confidence: float | None = None,
    ) -> None:
        self._concepts = {each.concept: each for each in concepts}
        self.by = by
        self.descriptions = list(descriptions)
        self.least_confidence = least_confidence

    def __getitem__(self, name: str) -> Concept:
        if name not in self._concepts:
            near = checks.did_you_mean(name, self._concepts)
            raise KeyError(f"There is no concept {name!r} among {', '.join(self._concepts)}.{near}")
        return self._concepts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._concepts)

    def __len__(self) -> int:
        return len(self._concepts)

    def of_latent(self, latent: int) -> Concept | None:
        """Return the concept that a latent is matched with, if there is one."""
        return next((each for each in self.values() if each.latent == latent), None)

    def table(self) -> "pd.DataFrame":
        """Return a row for each concept."""
        import pandas as pd

        table: Any = pd.DataFrame([asdict(each) for each in self.values()]).set_index("concept")
        return table.astype({"latent": "Int64", "runner_up": "Int64"})

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it."""
        return {
            "by": self.by,
            "least_confidence": self.least_confidence,
            "concepts": [asdict(each) for each in self.values()],
            "descriptions": [each.to_dict() for each in self.descriptions],
        }

    def __repr__(self) -> str:
        width = max(len(name) for name in (*self, "concept"))
        lines = [f"{'concept':<{width}}  latent   scale  confidence   fit  runner-up"]
        for each in self.values():
            latent = "none" if each.latent is None else f"{'-' if each.sign < 0 else '+'}{each.latent}"
            scale = "" if each.latent is None else f"{each.scale:.3g}"
            numbers = ["" if number is None else f"{number:.3f}" for number in (each.confidence, each.fit)]
            after = "" if each.runner_up is None else f"{each.runner_up} ({each.runner_up_fit:.2f})"
            line = f"{each.concept:<{width}}{latent:>8}{scale:>8}{numbers[0]:>12}{numbers[1][:4]:>6}  {after}"
            lines.append(line.rstrip())
        return "\n".join([*lines, f"by {self.by}{self._threshold()}"])

    def _threshold(self) -> str:
        if not self.least_confidence:
            return ""
        what = "no latent" if self.by == "labels" else "unnamed"
        return f"; {what} below a confidence of {self.least_confidence:g}"
