"""Steering: how far vectors move a model towards a behaviour, and what coherence is left.

Each vector is measured at every scale on one half of the prompts. The scale with the largest behaviour × coherence is then
reported on the other half, beside the unsteered model.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssae_lens.base import checks
from ssae_lens.base.progress_bars import progress
from ssae_lens.base.provenance import versions
from ssae_lens.evals.built_in_tasks import built_in, names
from ssae_lens.evals.experiment import (
    Intervention,
    SteeringExperiment,
    SteeringSettings,
    best_scale,
    neutral_norm,
    products,
    require_room,
    unit_vector,
)
from ssae_lens.evals.results import Cell, EvalResult
from ssae_lens.evals.tasks import Task
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.generate import named_vectors
from ssae_lens.metrics import bootstrap_interval, harmonic_mean, steerability
from ssae_lens.models.hooked import laid_out_for_generation
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    import pandas as pd

    from ssae_lens.models.identity import Model

UNSTEERED = "unsteered"
# The parts of a measurement, as a cell names them.
SCALE_SWEEP, REPORT, JUDGES = "dose", "report", "judges"
# Title in the text, column, digits.
COLUMNS = (
    ("behav.", "behaviour", 2),
    ("coher.", "coherence", 2),
    ("product", "product", 3),
    ("harm.", "harmonic", 3),
    ("steer.", "steerability", 3),
    ("anti-", "anti_steerable", 2),
    ("elsewh.", "elsewhere", 3),
)
CAPTION = """\
All at the scale that the choosing half chose, on prompts (or questions) of the other half
behav., coher.  behaviour and coherence, from 0 to 1        product  behaviour × coherence, as SAE-TS scores
harm.    their harmonic mean, text by text, as AxBench      elsewh.  the product on prompts of other kinds
steer.   slope over multipliers of how much likelier texts with the behaviour are (nats a token; of answers: logits)
anti-    share of such slopes below 0"""


class SteeringResult(EvalResult):
    """Interventions on tasks: cells for the scale sweep and the report of each, and for the judges of each task."""

    name = "steering"

    def _tabulated(self) -> "pd.DataFrame":
        """Return a row for each task and method; a method that could not be tried has the reason in ``why``."""
        import pandas as pd

        parts_of = self.parts()
        why = {(item["task"], item["method"]): item["why"] for item in self.about["missing"]}
        rows = []
        for task in self.about["tasks"]:
            for method in self.about["methods"]:
                row = {"group": task["group"], "task": task["name"], "method": method}
                if parts := parts_of.get((task["name"], method, self.about["hook"])):
                    row |= self._row(parts, task)
                    row["cosine"] = self.about["cosines"][task["name"]].get(method)
                else:
                    row["why"] = why[task["name"], method]
                rows.append(row)
        return pd.DataFrame(rows)

    def parts(self) -> dict[tuple[str, str, str], dict[str, Cell]]:
        """Return the cells of each task, method and hook by the part of the measurement."""
        parts: dict[tuple[str, str, str], dict[str, Cell]] = {}
        for cell in self.cells:
            key = cell["cell"]
            parts.setdefault((key["task"], key["method"], key["hook"]), {})[key["part"]] = cell
        return parts

    def curves(self) -> dict[str, dict[str, np.ndarray]]:
        """Return mean behaviour, coherence and product over tasks of each method at each scale, on the choosing half."""
        sweeps: dict[str, list[Cell]] = {}
        for cell in self.cells:
            if cell["cell"]["part"] == SCALE_SWEEP and cell["cell"]["hook"] == self.about["hook"]:
                sweeps.setdefault(cell["cell"]["method"], []).append(cell)
        return {
            method: {
                "scales": np.array(cells[0]["scales"]),
                "behaviour": np.mean([np.mean(cell["behaviour"], axis=1) for cell in cells], axis=0),
                "coherence": np.mean([np.mean(cell["coherence"], axis=1) for cell in cells], axis=0),
                "product": np.mean([products(cell) for cell in cells], axis=0),
            }
            for method, cells in sweeps.items()
        }

    def text(self) -> str:
        """Return a line for each task and method, and the accuracy of the judges."""
        lines = [f"Steering {self.about['model']}", ""]
        for task, rows in self.table.groupby("task", sort=False):
            shown = [column for column in COLUMNS if column[1] in rows and rows[column[1]].notna().any()]
            titles = "".join(f"{title:>9}" for title, _, _ in shown)
            lines.append(f"{str(task)[:19]:<20}{'scale':>7}{titles}{'product, 95 %':>16}")
            for row in rows.to_dict("records"):
                numbers = "".join(f"{rounded(row[column], digits):>9}" for _, column, digits in shown)
                interval = f"{row['product_low']:.3f}–{row['product_high']:.3f}"
                lines.append(f"  {row['method'][:17]:<18}{row['scale']:>7g}{numbers}{interval:>16}")
            lines.append("")
        return "\n".join([*lines, CAPTION, "", *self._judge_lines()])

    def figure(self) -> Any:
        """Return a plotly figure: product by scale, and behaviour against coherence."""
        from ssae_lens.evals.steering_figures import curves_figure

        return curves_figure(self)

    def judges(self) -> list[dict[str, Any]]:
        """Return the judge of behaviour of each task, and of coherence, with its accuracy on labelled texts."""
        return [
            {"task": cell["cell"]["task"], "of": of, **cell[of]}
            for cell in self.cells
            if cell["cell"]["part"] == JUDGES
            for of in ("behaviour", "coherence")
            if of in cell
        ]

    def _row(self, parts: Mapping[str, Cell], task: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - for subclasses
        """Return a method's numbers on a task, all at the scale that the other half chose."""
        report, sweep = parts[REPORT], parts[SCALE_SWEEP]
        scale = report["cell"]["scale"]
        at_end = len(sweep["scales"]) > 1 and scale == max(sweep["scales"])
        row: dict[str, Any] = {"scale": scale, **scored(report), "scale_at_end": at_end}
        if len(sweep["multipliers"]) > 1:
            slopes = steerability(sweep["multipliers"], sweep["margins"])
            row |= {"steerability": slopes.mean.estimate, "steerability_low": slopes.mean.low}
            row |= {"steerability_high": slopes.mean.high, "anti_steerable": slopes.anti_steerable.estimate}
        if "elsewhere" in report:
            row["elsewhere"] = float(
                np.prod([np.mean(report["elsewhere"][name]) for name in ("behaviour", "coherence")])
            )
        return row

    def _judge_lines(self) -> Iterator[str]:
        yield "Judges, and the share of labelled texts (not trained on) that each is right about"
        measured = [judge for judge in self.judges() if judge["right"] is not None]
        behaviour = [judge for judge in measured if judge["of"] == "behaviour"]
        coherence = [judge for judge in measured if judge["of"] == "coherence"]
        for judge in behaviour:
            yield f"  {judge['task'][:19]:<20}{_accuracy(judge)}  {judge['name']}"
        for judge in coherence[:1]:
            yield f"  {'coherence':<20}{_accuracy(judge)}  neutral texts against the same with shuffled words"


def steering(
    model: "Model",
    vectors: SteeringVector | Sequence[SteeringVector] | Mapping[str, SteeringVector | Intervention],
    task: str | Task,
    *,
    settings: SteeringSettings | None = None,
    check: bool = True,
    quiet: bool = False,
) -> SteeringResult:
    """Measure vectors on a task: the scale is chosen on one half of the prompts and reported on the other.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge with its tokenizer.
    vectors
        A vector, several, or a mapping from names to vectors or interventions (a vector or words before the prompt, or
        neither). All vectors are brought to one length: a scale of 1 adds the mean norm of activations at the hook. An
        unsteered row is added.
    task
        The name of a built-in task (see `names`), or a `Task`.
    settings
        Scales, sizes and sampling.
    check
        Check that each vector belongs to this model.
    quiet
        Show no progress.

    Returns
    -------
    SteeringResult
        Its table has a row for each vector: ``scale``, ``behaviour``, ``coherence``, their ``product`` with its interval,
        ``harmonic`` mean, ``steerability``, ``anti_steerable`` and ``elsewhere``.
    """
    began = time.monotonic()
    settings = settings or SteeringSettings()
    if isinstance(task, str):
        checks.one_of("task", task, names())
        task = built_in([task])[0]
    require_room(model, task, settings.max_new_tokens)
    interventions = _interventions(model, vectors, check=check)
    hook = next((one.vector.hook_name for one in interventions.values() if one.vector), "")
    common = {"task": task.name, "group": task.group, "texts": task.fingerprint, "settings": as_json(asdict(settings))}
    experiment = SteeringExperiment(model, task, settings)
    cells = [{"cell": {"part": JUDGES, "method": "", "hook": "", **common}, **experiment.judges()}]
    total = 2 * len(interventions)
    with (
        laid_out_for_generation(model),
        progress(total=total, unit="cell", desc=f"Steering: {task.name}", quiet=quiet) as bar,
    ):
        for name, intervention in interventions.items():
            key = {"method": name, "hook": hook, **common}
            sweep = experiment.scale_sweep(intervention)
            cells.append({"cell": {"part": SCALE_SWEEP, **key}, **sweep})
            bar.update()
            scale = best_scale(sweep)
            report = experiment.report(intervention, scale)
            cells.append({"cell": {"part": REPORT, "scale": scale, **key}, **report})
            bar.update()
    about = {
        "model": model.cfg.model_name,
        "hook": hook,
        "settings": asdict(settings),
        "methods": {name: one.given for name, one in interventions.items()},
        "missing": [],
        "cosines": {task.name: {}},
        "tasks": [task.summary()],
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
    }
    return SteeringResult(cells, about)


def scored(report: Mapping[str, Any], seed: int = 0) -> dict[str, float]:
    """Return SAE-TS's product of means with its interval, and AxBench's harmonic mean, text by text.

    A task of questions has its behaviour in answers and its coherence in texts: there, each answer gets the mean coherence.
    """
    behaviour, coherence = np.array(report["behaviour"]), np.array(report["coherence"])
    if len(behaviour) != len(coherence):
        coherence = np.full(len(behaviour), coherence.mean())
    both = np.stack([behaviour, coherence], axis=1)
    interval = bootstrap_interval(both, lambda rows: rows.mean(0).prod(), seed=seed)
    return {
        "behaviour": float(behaviour.mean()),
        "coherence": float(coherence.mean()),
        "product": interval.estimate,
        "product_low": interval.low,
        "product_high": interval.high,
        "harmonic": float(harmonic_mean(both).mean()),
    }


def as_json(value: Any) -> Any:
    """Return a value with the types that JSON has, in which a saved cell is compared."""
    return json.loads(json.dumps(value))


def rounded(value: float | None, digits: int) -> str:
    """Return a number as text; a dash where there is none."""
    return "–" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def _interventions(model: "Model", vectors: Any, *, check: bool) -> dict[str, Intervention]:
    """Return interventions by name, their vectors at one length, with the unsteered model last."""
    given = dict(vectors) if isinstance(vectors, Mapping) else named_vectors(_as_list(vectors))
    if not given:
        raise ValueError("vectors is empty; give at least one.")
    interventions: dict[str, Intervention] = {}
    for name, value in given.items():
        one = value if isinstance(value, Intervention) else Intervention(value, given=getattr(value, "method", ""))
        if one.vector is not None:
            if not isinstance(one.vector, SteeringVector):
                raise ValueError(f"vectors holds {one.vector!r}; give SteeringVectors or Interventions by name.")
            with steer(model, one.vector, scale=0.0, check=check):
                pass  # entering the block checks the vector
            one = replace(one, vector=unit_vector(one.vector, neutral_norm(model, one.vector.hook_name)))
        interventions[str(name)] = one
    return {**interventions, **({} if UNSTEERED in interventions else {UNSTEERED: Intervention(given="nothing")})}


def _as_list(vectors: Any) -> Any:
    return [vectors] if isinstance(vectors, SteeringVector) else vectors


def _accuracy(judge: Mapping[str, Any]) -> str:
    return f"{judge['right']:.2f} ({judge['low']:.2f}–{judge['high']:.2f})"
