"""`Report`: gathers what is known of an SSAE as plain data, part by part; `write_report` makes a page of it.

Every part may be missing. Tables are pandas data frames or lists of dictionaries, one a row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from typing_extensions import Self

from ssae_lens.dashboards.comparison_figures import codes_of_vector_figure, dose_figure, pareto_figure
from ssae_lens.dashboards.drawing import Drawing, jsonable, known
from ssae_lens.dashboards.latent_figures import figures_of_latent, steering_figure
from ssae_lens.dashboards.latents import Latents, Name, with_names
from ssae_lens.dashboards.overview_figures import figures_of_latents, spectrum_drawing, training_figure, udr_figure
from ssae_lens.dashboards.tables import Row, Table, by, rows_of
from ssae_lens.latents.codes import Shifts
from ssae_lens.metrics import cosines
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.latents.describe import LatentDescription
    from ssae_lens.sae import SSAE

# A latent of less correlation is not said to be close to a concept.
CLOSE = 0.3
# What a description says of a latent.
SAID = ("positive", "negative", "promoted", "suppressed", "steered")
# What an overview is made of, in its order, and how to get a part that is missing.
OVERVIEW = {
    "strengths": "Strength and density of latents: give add_latents the shifts.",
    "cosines": "Map of decoder cosines: add_latents.",
    "concepts": "Correlations with labelled concepts: give add_latents a store with labels.",
    "udr": "UDR over widths and levels: add_sweep, with the table of a sweep.",
    "training": "Training curves: add_training, with the log of a run.",
    "spectrum": "Spectrum of the shifts: add_spectrum, with what summarise says of a store.",
}


@dataclass
class Report:
    """What a report's page is made of.

    Parameters
    ----------
    title
        Of the page.
    about
        Names and values to show at the top: the model, the hook, versions.

    Attributes
    ----------
    latents
        A row for each latent.
    details
        What each latent's page shows, by its number.
    overview, comparison, decomposition
        What the other tabs show.

    Examples
    --------
    >>> import torch
    >>> from ssae_lens import SSAE
    >>> ssae = SSAE.from_weights(torch.eye(8), torch.eye(8))
    >>> report = Report("Eight directions").add_latents(ssae, torch.randn(100, 8))
    >>> report.add_sweep([{"d_sae": 8, "level": 0.1, "udr_decoders": 0.98}]).to_dict()["title"]
    'Eight directions'
    """

    title: str
    about: dict[str, Any] = field(default_factory=dict)
    latents: list[Row] = field(default_factory=list, init=False)
    details: dict[int, dict[str, Any]] = field(default_factory=dict, init=False)
    overview: dict[str, Drawing] = field(default_factory=dict, init=False)
    comparison: dict[str, Any] = field(default_factory=dict, init=False)
    decomposition: dict[str, Any] = field(default_factory=dict, init=False)

    def add_latents(
        self,
        ssae: "SSAE",
        shifts: Shifts | None = None,
        *,
        descriptions: "Iterable[LatentDescription | Mapping[str, Any]]" = (),
        concepts: Mapping[str, Any] | None = None,
        stability: Float[np.ndarray, " k"] | None = None,
        steering: Table = (),
        vectors: Mapping[str, Mapping[str, SteeringVector]] | None = None,
    ) -> Self:
        """Add the latents: the overview's figures of them, and a page of each.

        Parameters
        ----------
        ssae
            The SSAE.
        shifts
            A store of shifts (its labels and concepts are used) or an array.
        descriptions
            What `describe_latents` gives, or its dictionaries.
        concepts
            What `match_concepts` gives: names, each with an object that has `latent`, `sign` and `confidence`.
        stability
            For each latent a number from 0 to 1, as `latent_stability` gives.
        steering
            Rows with ``latent``, ``scale``, and ``behaviour`` or ``coherence`` or both.
        vectors
            For a concept, vectors of other methods by the method's name, to hold against the latent of that concept.
        """
        latents = Latents(ssae, shifts)
        if stability is not None and len(stability) != len(latents):
            raise ValueError(
                f"stability has {len(stability)} numbers; give one for each of the {len(latents)} latents."
            )
        said = {latents.require(each["latent"]): each for each in map(_dictionary, descriptions)}
        curves = dict(by("latent", rows_of("steering", steering, ("latent", "scale"))))
        for latent in curves:
            latents.require(latent)
        curves = {latent: rows for latent, each in curves.items() if (rows := _measured(each))}
        names = with_names(len(latents), concepts)
        self.latents = [
            {
                "latent": latent,
                **asdict(names.get(latent, Name())),
                "strength": latents.strength[latent],
                "density": latents.density[latent],
                "stability": None if stability is None else stability[latent],
                "broken": latents.broken[latent],
                **_closest(latents, latent),
            }
            for latent in range(len(latents))
        ]
        self.details = {
            latent: {
                "codes": None,
                "correlations": None,
                **figures_of_latent(latents, latent),
                "steering": steering_figure(curves[latent]) if latent in curves else None,
                "nearest": latents.nearest(latent),
                "vectors": _vectors(latents, latent, names.get(latent), vectors or {}),
                **{part: said.get(latent, {}).get(part, []) for part in SAID},
            }
            for latent in range(len(latents))
        }
        self.overview |= figures_of_latents(latents, names, stability)
        return self

    def add_sweep(self, table: Table) -> Self:
        """Add the agreement of seeds over widths and bounds: ``Sweep.table()``, or the rows of a sweep's ``sweep.json``."""
        rows = rows_of("the sweep's table", table, ("d_sae",), ("udr_decoders",))
        if rows:
            self.overview["udr"] = udr_figure(rows)
        return self

    def add_training(self, history: Table, names: Sequence[str] = ()) -> Self:
        """Add training curves: the rows of a run's ``log.jsonl``, or ``ssae.outcome.history``."""
        rows = rows_of("history", history, ("step",), ("loss",))
        if rows:
            self.overview["training"] = training_figure(rows, names)
        return self

    def add_spectrum(self, summary: dict[str, Any]) -> Self:
        """Add the spectrum of the shifts: what `ssae_lens.shifts.summarise` says of a store."""
        self.overview["spectrum"] = spectrum_drawing(summary)
        return self

    def add_comparison(
        self, table: Table, *, scores: Table = (), texts: Table = (), notes: Mapping[str, str] | None = None
    ) -> Self:
        """Add methods beside each other.

        Parameters
        ----------
        table
            A row for each task, method and scale: ``task``, ``method``, ``scale``, ``behaviour``, ``coherence``. The more of
            either the better. ``scale`` 0 is the unsteered model.
        scores
            A row for each task and method: ``task``, ``method``, ``score``, and perhaps ``scale``, ``low`` and ``high`` (an
            interval) and ``given`` (what the method was told). A method whose interval lies above those of all others on a
            task is marked as the best there. Without scores the page shows the largest product of behaviour and coherence of
            the table, which is the best of all scales on these very texts, and marks none.
        texts
            A row for each text: ``task``, ``prompt``, ``method``, ``scale``, ``text``, and any scores of it.
        notes
            Sentences above the table of ``scores`` and above the ``curves``: which prompts each is measured on, say.
        """
        rows = rows_of("the comparison's table", table, ("task", "method"), ("scale",))
        given = rows_of("scores", scores, ("task", "method"), ("score",))
        self.comparison = {
            "chosen": bool(given),
            "scores": _marked(given) if given else _best_products(rows),
            "notes": dict(notes or {}),
            "tasks": [(task, _figures_of_task(each)) for task, each in by("task", rows)],
            "texts": rows_of("texts", texts, ("task", "method"), ("prompt", "scale", "text")),
        }
        return self

    def add_decomposition(self, features: Table, *, summary: Table = ()) -> Self:
        """Add what dictionaries make of steering vectors.

        Parameters
        ----------
        features
            A row for each vector, dictionary (``"SAE"``, ``"SSAE"``) and feature: ``vector``, ``dictionary``, ``feature``,
            ``value`` (the code of the vector) and ``zero_value`` (of the zero vector).
        summary
            Any table to show above: a row for each vector and dictionary, say, with the variance explained.
        """
        rows = rows_of("features", features, ("vector", "dictionary", "feature"), ("value", "zero_value"))
        self.decomposition = {
            "summary": rows_of("summary", summary),
            "vectors": [
                (vector, [codes_of_vector_figure(str(name), part) for name, part in by("dictionary", each)])
                for vector, each in by("vector", rows)
            ],
        }
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return everything as the page reads it: JSON-able, what is not a number as None."""
        return jsonable(
            {
                "title": self.title,
                "about": list(self.about.items()),
                "latents": self.latents,
                "details": self.details,
                "overview": [self.overview[part] for part in OVERVIEW if part in self.overview],
                "missing": [words for part, words in OVERVIEW.items() if part not in self.overview],
                "comparison": self.comparison,
                "decomposition": self.decomposition,
            }
        )


def _dictionary(description: Any) -> Mapping[str, Any]:
    return description if isinstance(description, Mapping) else description.to_dict()


def _closest(latents: Latents, latent: int) -> dict[str, Any]:
    """Return the labelled concept that a latent goes with most."""
    if latents.correlations is None:
        return {}
    found = latents.correlations[latent]
    best = int(abs(found).argmax())
    return {"closest": latents.concepts[best], "correlation": found[best]} if abs(found[best]) >= CLOSE else {}


def _vectors(
    latents: Latents, latent: int, name: Name | None, vectors: Mapping[str, Mapping[str, SteeringVector]]
) -> list[tuple[str, float]]:
    """Return the cosine of a latent, as its concept points, with each method's vector of that concept."""
    if name is None or name.name not in vectors:
        return []
    others = vectors[name.name]
    rows = np.stack([each.direction.numpy() for each in others.values()])
    found = name.sign * cosines(latents.decoder[latent : latent + 1], rows)[0]
    return list(zip(others, found.tolist(), strict=True))


def _figures_of_task(rows: list[Row]) -> list[Drawing]:
    rows = _measured(rows)
    scaled = any(known(row["scale"]) for row in rows)
    return [*([dose_figure(rows)] if scaled else []), *([pareto_figure(rows)] if rows else [])]


def _measured(rows: list[Row]) -> list[Row]:
    return [row for row in rows if known(row.get("behaviour")) or known(row.get("coherence"))]


def _best_products(rows: list[Row]) -> list[Row]:
    """Return for each task and method the scale at which behaviour × coherence is largest."""
    found = []
    for task, of_task in by("task", rows):
        for method, each in by("method", of_task):
            scored = [(row["behaviour"] * row["coherence"], row) for row in each if _both(row)]
            score, row = max(scored, key=lambda pair: pair[0], default=(None, {}))
            found.append({"task": task, "method": method, "score": score, "scale": row.get("scale")})
    return found


def _marked(scores: list[Row]) -> list[Row]:
    """Mark the method of each task whose interval lies above those of all others; without intervals, none."""
    best = set()
    for task, rows in by("task", scores):
        for row in rows:
            highs = [other.get("high") for other in rows if other is not row]
            if known(row.get("low")) and highs and all(known(high) and row["low"] > high for high in highs):
                best.add((task, row["method"]))
    return [{**row, "best": (row["task"], row["method"]) in best} for row in scores]


def _both(row: Row) -> bool:
    return known(row.get("behaviour")) and known(row.get("coherence"))
