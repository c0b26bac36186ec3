"""The study: every behaviour's vector, decomposed by an SAE, by remedies and by an SSAE, cached cell by cell."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.progress_bars import progress
from ssae_lens.base.provenance import versions
from ssae_lens.evals._steering import as_json
from ssae_lens.evals.built_in_tasks import built_in
from ssae_lens.evals.results import Cell
from ssae_lens.evals.shipped_sae import ModelSAE, load_shipped_sae
from ssae_lens.evals.tasks import Task
from ssae_lens.hooks.hook_points import origin_of
from ssae_lens.models import load_model
from ssae_lens.pairs.schema import fingerprint_of
from studies.cells import filled
from studies.decomposition import measure
from studies.decomposition.experiment import DecompositionExperiment
from studies.decomposition.result import DecompositionStudyResult
from studies.decomposition.settings import QUICK, DecompositionSettings

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

MODEL = "smollm2-135m"
QUICK_TASKS = ("positive sentiment", "past tense", "politeness", "certainty")
# Part of the key of every cell; raise it when a measurement changes.
EDITION = 2
Measurement = tuple[Cell, Callable[[], dict[str, Any]]]


def run(
    out: Path | None = None, quick: bool = False, quiet: bool = False, *, model: "str | Model" = MODEL
) -> DecompositionStudyResult:
    """Run the study as the command does, and write `decomposition.json` and `decomposition.html` into `out`.

    Parameters
    ----------
    out
        A folder for results and cells; a later call resumes from it.
    quick
        Run with four behaviours, and fewer texts and pairs.
    quiet
        Show no progress.
    model
        A name for `load_model`, or a model.
    """
    settings = QUICK if quick else DecompositionSettings()
    tasks = built_in(QUICK_TASKS if quick else None, n_pairs=settings.n_pairs)
    return study(tasks, model=model, settings=settings, out=out, quiet=quiet).kept(out)


def study(
    tasks: Sequence[Task] | None = None,
    *,
    model: "str | Model" = MODEL,
    sae: ModelSAE | None = None,
    settings: DecompositionSettings | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
) -> DecompositionStudyResult:
    """Decompose the vector of every task.

    Parameters
    ----------
    tasks
        By default the built-in ones.
    model
        A name for `load_model`, or a model.
    sae
        An SAE and its hook; by default the one that ships with the package for the model.
    settings
        Sizes.
    out
        A folder for the cells and the trained SSAEs; what is there is not measured again.
    quiet
        Show no progress.
    """
    began = time.monotonic()
    settings = settings or DecompositionSettings()
    tasks = built_in(n_pairs=settings.n_pairs) if tasks is None else list(tasks)
    if not tasks:
        raise ValueError("tasks is empty; give at least one, such as built_in() returns.")
    loaded = load_model(model) if isinstance(model, str) else model
    sae = sae or load_shipped_sae(loaded)
    if sae is None:
        raise ValueError(
            f"No SAE of {loaded.cfg.model_name!r} ships with the package; give sae=ModelSAE(sae, hook_name)."
        )
    experiment = DecompositionExperiment(loaded, sae, settings, None if out is None else Path(out) / "learned")
    common = {
        "model": origin_of(loaded, sae.hook_name).to_dict(),
        "sae": sae.fingerprint,
        "edition": EDITION,
        "settings": as_json(asdict(settings)),
    }
    folder = None if out is None else Path(out) / "cells"
    measurements = _measurements(experiment, tasks)
    cells: list[Cell] = []
    with progress(total=len(measurements), unit="cell", desc="decomposition", quiet=quiet) as bar:
        for cell, score in measurements:
            cells += filled([{**cell, **common}], folder, lambda: None, partial(_timed, score))
            bar.update()
    about = {
        "model": loaded.cfg.model_name,
        "hook": sae.hook_name,
        "settings": asdict(settings),
        "tasks": [{"name": task.name, "group": task.group, "contrasts": len(task.contrasts)} for task in tasks],
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
    }
    return DecompositionStudyResult(cells, about)


def _measurements(experiment: DecompositionExperiment, tasks: Sequence[Task]) -> list[Measurement]:
    """Return the settings of each cell, and the function that measures it."""
    parts: list[Measurement] = [({"part": "activations"}, partial(measure.of_activations, experiment))]
    first_tasks: dict[int, Task] = {}
    for task in tasks:
        if task.unlabelled is not None:
            first_tasks.setdefault(id(task.unlabelled), task)
    for task in first_tasks.values():
        assert task.unlabelled is not None
        cell = {"part": "SSAE", "pool": task.unlabelled.name, "pairs": fingerprint_of(task.unlabelled.pairs)}
        parts.append((cell, partial(measure.of_ssae, experiment, task)))
    for task in tasks:
        cell: Cell = {"part": "vector", "task": task.name, "group": task.group, "texts": task.fingerprint}
        cell["pool"] = task.unlabelled.name if task.unlabelled else None
        parts.append((cell, partial(measure.of_vector, experiment, task)))
    # The SSAE of the first pairs, on the vectors of behaviours that do not vary in these pairs.
    first = next(iter(first_tasks.values()), None)
    for task in tasks:
        if first is not None and task.unlabelled is not first.unlabelled:
            cell = {"part": "foreign", "task": task.name, "texts": task.fingerprint}
            parts.append((cell, partial(measure.of_foreign, experiment, task, first)))
    return parts


def _timed(score: Callable[[], dict[str, Any]], _made: Any, _cell: Cell) -> dict[str, Any]:
    began = time.process_time()
    numbers = score()
    return {**numbers, "cpu_seconds": round(time.process_time() - began, 2)}
