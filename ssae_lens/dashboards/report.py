"""`Report`: the data of an SSAE's report, collected part by part; `write_report` writes it as a page.

Every part is optional. Tables are pandas data frames or lists of dictionaries, one a row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from typing_extensions import Self

from ssae_lens.dashboards import figures
from ssae_lens.dashboards.comparison_figures import codes_of_vector_figure, effect_figure, pareto_figure
from ssae_lens.dashboards.drawings import Drawing, Row, Table, grouped, jsonable, known, rows_of
from ssae_lens.dashboards.latents import LatentName, Latents, latent_names
from ssae_lens.latents.codes import Shifts
from ssae_lens.metrics import cosines
from ssae_lens.sae.codes import latent_number
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.latents.describe import LatentDescription
    from ssae_lens.sae import SSAE

# The smallest |correlation| at which a latent's row names a label.
MIN_CORRELATION = 0.3
# The parts of a description that a latent's page shows.
DESCRIPTION_PARTS = ("positive", "negative", "promoted", "suppressed", "steered")
# The figures of the overview in their order.
OVERVIEW = ("concepts", "cosines", "spectrum", "training", "udr")
# A map of fewer settings says less than the table of a sweep.
MIN_SETTINGS = 3


@dataclass
class Report:
    """The data of a report.

    Parameters
    ----------
    title
        Title of the page.
    about
        Names and values to show at the top: model, hook, versions.

    Attributes
    ----------
    latents
        A row for each latent.
    details
        The data of each latent's page, by its number.
    overview, comparison, decomposition
        The data of the other tabs.

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
        """Add the latents: their figures in the overview, and a page for each.

        Parameters
        ----------
        ssae
            The SSAE.
        shifts
            A `ShiftStore`, whose labels and concepts are used, or an array.
        descriptions
            The result of `describe_latents`, or its dictionaries.
        concepts
            The result of `match_concepts`.
        stability
            A number from 0 to 1 for each latent, as `latent_stability` returns; by default the split-half cosines in the
            metadata of the SSAE.
        steering
            Rows with ``latent``, ``scale``, and ``behaviour`` or ``coherence`` or both.
        vectors
            Vectors of other methods by concept and method, to compare with the latent of that concept.
        """
        latents = Latents(ssae, shifts)
        if stability is not None and len(stability) != len(latents):
            raise ValueError(
                f"stability has {len(stability)} numbers; it must have one for each of {len(latents)} latents."
            )
        described = {latent_number(ssae, row["latent"]): row for row in map(_as_dictionary, descriptions)}
        curves = dict(grouped("latent", _measured(rows_of("steering", steering, ("latent", "scale")))))
        for latent in curves:
            latent_number(ssae, latent)
        recorded: Any = ssae.cfg.metadata.split_half
        if stability is None and isinstance(recorded, list) and len(recorded) == len(latents):
            stability = np.array([np.nan if value is None else value for value in recorded], dtype=float)
        names = latent_names(len(latents), concepts)
        numbers = range(len(latents))
        self.latents = [
            {
                "latent": latent,
                **asdict(names.get(latent, LatentName())),
                "strength": latents.strength[latent],
                "density": latents.density[latent],
                "typical": described.get(latent, {}).get("typical"),
                "words": described.get(latent, {}).get("label", ""),
                "all_words": _words(described.get(latent, {})),
                "stability": None if stability is None else stability[latent],
                "broken": latents.broken[latent],
                **_closest_label(latents, latent),
            }
            for latent in numbers
        ]
        self.details = {
            latent: {
                "codes": None,
                "correlations": None,
                **figures.figures_of_latent(latents, latent),
                "steering": effect_figure(curves[latent]) if latent in curves else None,
                "nearest": latents.nearest(latent),
                "direction": latents.decoder[latent].tolist(),
                "vectors": _cosines_with(vectors or {}, latents, latent, names.get(latent)),
                **{part: described.get(latent, {}).get(part, []) for part in DESCRIPTION_PARTS},
            }
            for latent in numbers
        }
        self.overview |= figures.figures_of_latents(latents, names)
        return self

    def add_sweep(self, table: Table) -> Self:
        """Add the stability across seeds over widths and bounds, from ``Sweep.table()`` or the rows of ``sweep.json``."""
        rows = rows_of("the sweep's table", table, ("d_sae",), ("udr_decoders",))
        if rows and (figure := figures.udr_figure(rows)) and len(rows) >= MIN_SETTINGS:
            self.overview["udr"] = figure
        return self

    def add_training(self, history: Table, names: Sequence[str] = ()) -> Self:
        """Add training curves, from the rows of ``log.jsonl`` or from ``ssae.outcome.history``."""
        rows = rows_of("history", history, ("step",), ("loss",))
        if rows:
            self.overview["training"] = figures.training_figure(rows, names)
        return self

    def add_spectrum(self, summary: dict[str, Any]) -> Self:
        """Add the spectrum of the shifts, from `ssae_lens.shifts.summarise`."""
        self.overview["spectrum"] = figures.spectrum_drawing(summary)
        return self

    def add_comparison(
        self, table: Table, *, scores: Table = (), texts: Table = (), notes: Mapping[str, str] | None = None
    ) -> Self:
        """Add a comparison of methods.

        Parameters
        ----------
        table
            A row for each task, method and scale: ``task``, ``method``, ``scale``, ``behaviour``, ``coherence``; larger is
            better. ``scale`` 0 is the unsteered model.
        scores
            A row for each task and method: ``task``, ``method``, ``score``, and optionally ``scale``, ``low`` and ``high``
            (an interval) and ``given`` (the data that the method uses). The best method of a task is marked if its interval
            lies above those of all others. Without scores, the page shows the largest behaviour × coherence of the table,
            which is selected on the same texts, and marks no method.
        texts
            A row for each text: ``task``, ``prompt``, ``method``, ``scale``, ``text``, and any scores of it.
        notes
            Sentences to show above the ``scores`` and above the ``curves``.
        """
        rows = rows_of("the comparison's table", table, ("task", "method"), ("scale",))
        score_rows = rows_of("scores", scores, ("task", "method"), ("score",))
        self.comparison = {
            "chosen": bool(score_rows),
            "scores": _with_best(score_rows) if score_rows else _largest_products(rows),
            "notes": dict(notes or {}),
            "tasks": [(task, _figures_of_task(task_rows)) for task, task_rows in grouped("task", rows)],
            "texts": rows_of("texts", texts, ("task", "method"), ("prompt", "scale", "text")),
        }
        return self

    def add_decomposition(self, features: Table, *, summary: Table = ()) -> Self:
        """Add decompositions of steering vectors by dictionaries.

        Parameters
        ----------
        features
            A row for each vector, dictionary (``"SAE"``, ``"SSAE"``) and feature: ``vector``, ``dictionary``, ``feature``,
            ``value`` (the code of the vector) and ``zero_value`` (the code of the zero vector).
        summary
            A table to show above, such as the variance explained of each vector by each dictionary.
        """
        rows = rows_of("features", features, ("vector", "dictionary", "feature"), ("value", "zero_value"))
        self.decomposition = {
            "summary": rows_of("summary", summary),
            "vectors": [
                (vector, [codes_of_vector_figure(str(name), part) for name, part in grouped("dictionary", vector_rows)])
                for vector, vector_rows in grouped("vector", rows)
            ],
        }
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the data of the page with the types of JSON; NaN is None."""
        return jsonable(
            {
                "title": self.title,
                "about": list(self.about.items()),
                "latents": self.latents,
                "details": self.details,
                "overview": [self.overview[part] for part in OVERVIEW if part in self.overview],
                "comparison": self.comparison,
                "decomposition": self.decomposition,
            }
        )


def _as_dictionary(description: Any) -> Mapping[str, Any]:
    return description if isinstance(description, Mapping) else description.to_dict()


def _words(description: Mapping[str, Any]) -> list[str]:
    return [word for change in description.get("changes", ()) for word in change[:2]]


def _closest_label(latents: Latents, latent: int) -> dict[str, Any]:
    """Return the labelled concept of the largest |correlation| with a latent, if that is not small."""
    if latents.correlations is None:
        return {}
    values = latents.correlations[latent]
    best = int(abs(values).argmax())
    return (
        {"closest": latents.concepts[best], "correlation": values[best]} if abs(values[best]) >= MIN_CORRELATION else {}
    )


def _cosines_with(
    vectors: Mapping[str, Mapping[str, SteeringVector]], latents: Latents, latent: int, name: LatentName | None
) -> list[tuple[str, float]]:
    """Return the cosines of a latent, times its sign, with the vectors of its concept by method."""
    if name is None or name.name not in vectors:
        return []
    by_method = vectors[name.name]
    directions = np.stack([vector.direction.numpy() for vector in by_method.values()])
    values = name.sign * cosines(latents.decoder[latent : latent + 1], directions)[0]
    return list(zip(by_method, values.tolist(), strict=True))


def _figures_of_task(rows: list[Row]) -> list[Drawing]:
    rows = _measured(rows)
    scaled = any(known(row["scale"]) for row in rows)
    return [*([effect_figure(rows)] if scaled else []), *([pareto_figure(rows)] if rows else [])]


def _measured(rows: list[Row]) -> list[Row]:
    return [row for row in rows if known(row.get("behaviour")) or known(row.get("coherence"))]


def _largest_products(rows: list[Row]) -> list[Row]:
    """Return the largest behaviour × coherence over scales of each task and method."""
    scores = []
    for task, task_rows in grouped("task", rows):
        for method, method_rows in grouped("method", task_rows):
            complete = [row for row in method_rows if known(row.get("behaviour")) and known(row.get("coherence"))]
            best = max(complete, key=lambda row: row["behaviour"] * row["coherence"], default=None)
            score = None if best is None else best["behaviour"] * best["coherence"]
            scores.append({"task": task, "method": method, "score": score, "scale": best and best["scale"]})
    return scores


def _with_best(scores: list[Row]) -> list[Row]:
    """Mark the method of each task whose interval lies above those of all others; without intervals, none."""
    best = set()
    for task, rows in grouped("task", scores):
        for row in rows:
            highs = [other.get("high") for other in rows if other is not row]
            if known(row.get("low")) and highs and all(known(high) and row["low"] > high for high in highs):
                best.add((task, row["method"]))
    return [{**row, "best": (row["task"], row["method"]) in best} for row in scores]
