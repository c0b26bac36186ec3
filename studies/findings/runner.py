"""`run` and `study`: each question is measured by itself and saved when it is done."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.provenance import versions
from ssae_lens.evals.results import Cell
from ssae_lens.models import load_model
from studies.cells import Job, filled, gather
from studies.findings import coherence, inverse, layers, reach
from studies.findings.inputs import QUICK, FindingsInputs, FindingsSettings, Numbers
from studies.findings.result import FindingsResult

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

MODEL = "smollm2-135m"
# The function that measures each question, and the settings that it uses; the slowest first.
QUESTIONS: dict[str, tuple[Callable[[FindingsInputs], Numbers], tuple[str, ...]]] = {
    "reach": (reach.measure, ("held_out", "multiples", "layers")),
    "inverse": (inverse.measure, ("features", "seed")),
    "coherence": (coherence.measure, ("rows", "scales", "temperatures", "seed")),
    "layers": (layers.measure, ("carried", "layers")),
}
# Part of the settings of every cell; raise it when a measurement changes.
EDITION = 2


def run(
    out: Path | None = None, quick: bool = False, quiet: bool = False, *, model: "str | Model" = MODEL
) -> FindingsResult:
    """Run the study as the command does, and save `findings.json` and `findings.html` in `out`."""
    return study(model=model, settings=QUICK if quick else FindingsSettings(), out=out, quiet=quiet).kept(out)


def study(
    *,
    model: "str | Model" = MODEL,
    inputs: FindingsInputs | None = None,
    settings: FindingsSettings | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> FindingsResult:
    """Measure all questions.

    Parameters
    ----------
    model, inputs
        A model, or its name, for which an SAE with effects and a map ships; or inputs of your own.
    settings
        How much is measured.
    out
        A folder for the cells; those in it are not measured again.
    workers
        Processes of one thread each, for a model that is given by name. None is as many as there are processors.
    """
    start = time.monotonic()
    settings = settings or (inputs.settings if inputs else FindingsSettings())
    by_name = inputs is None and isinstance(model, str)
    opened: Callable[[], FindingsInputs] = (
        partial(_opened, model, settings) if by_name else (lambda: inputs or FindingsInputs.shipped(model, settings))  # pyright: ignore[reportArgumentType]
    )
    first = opened()
    common = {"model": first.effects.origin.to_dict(), "sae": first.effects.sae, "edition": EDITION}
    folder = None if out is None else Path(out) / "cells"
    jobs = []
    for weight, (name, (_, used)) in enumerate(reversed(QUESTIONS.items())):
        # As JSON has it, since the cell is compared with a saved one.
        used_settings = json.loads(json.dumps({field: getattr(settings, field) for field in used}))
        cell: Cell = {"question": name, **common, "settings": used_settings}
        jobs.append(Job([cell], partial(_filled, opened, cell, folder), weight))
    cells = gather(jobs, workers=workers if by_name else 1, about="findings", quiet=quiet)
    about = {
        "model": first.model.cfg.model_name,
        "hook": first.hook,
        "settings": asdict(settings),
        "seconds": round(time.monotonic() - start, 1),
        "versions": versions(),
    }
    return FindingsResult(cells, about)


def _filled(opened: Callable[[], FindingsInputs], cell: Cell, folder: Path | None) -> list[Cell]:
    return filled([cell], folder, opened, _measured)


def _measured(inputs: FindingsInputs, cell: Cell) -> dict[str, Any]:
    start = time.process_time()
    measure, _ = QUESTIONS[cell["question"]]
    numbers = measure(inputs)
    return {**numbers, "cpu_seconds": round(time.process_time() - start, 2)}


@cache
def _opened(name: str, settings: FindingsSettings) -> FindingsInputs:
    """Load a model once in each process."""
    return FindingsInputs.shipped(load_model(name), settings)
