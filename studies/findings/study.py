"""The study: four questions that the papers leave open, each measured by itself and kept when it is."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.versions import versions
from ssae_lens.evals.cells import Cell, Job, filled, gather
from ssae_lens.models import load_model
from studies.findings import coherence, inverse, layers, reach
from studies.findings.material import Material
from studies.findings.result import Result
from studies.findings.settings import QUICK, Settings

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

MODEL = "smollm2-135m"
# Each question by what measures it; the longest first.
QUESTIONS: dict[str, Callable[[Material], dict[str, Any]]] = {
    "reach": reach.measure,
    "inverse": inverse.measure,
    "coherence": coherence.measure,
    "layers": layers.measure,
}
# The settings that shape each.
USES = {
    "reach": ("held_out", "multiples", "layers"),
    "inverse": ("features", "seed"),
    "coherence": ("rows", "scales", "temperatures", "seed"),
    "layers": ("carried", "layers"),
}
# What is not in a cell's own settings and yet shapes it; raise it when a measurement changes.
EDITION = 1


def run(out: Path | None = None, quick: bool = False, quiet: bool = False, *, model: "str | Model" = MODEL) -> Result:
    """Run the study as the command does: the table, `findings.json` and `findings.html` in `out`.

    Parameters
    ----------
    out
        A folder for results, and for what a later call goes on with.
    quick
        Fewer vectors, features, scales and temperatures: to see what it is, not what is so.
    quiet
        Show no progress.
    model
        A name that `load_model` opens, or a model: one for which an SAE with effects and a map of them ships.
    """
    return study(model=model, settings=QUICK if quick else Settings(), out=out, quiet=quiet).kept(out)


def study(
    *,
    model: "str | Model" = MODEL,
    material: Material | None = None,
    settings: Settings | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Result:
    """Ask every question.

    Parameters
    ----------
    model
        A name that `load_model` opens, or a model.
    material
        A model with an SAE, effects and a map of one's own.
    settings
        How much is done.
    out
        A folder for the cells; what is there is not measured again.
    workers
        Processes of one thread each. None is as many as there are processors; 1 stays in this one, as does what was not
        given by its name.
    quiet
        Show no progress.
    """
    began = time.monotonic()
    settings = settings or (material.settings if material else Settings())
    by_name = material is None and isinstance(model, str)
    opened: Callable[[], Material] = (
        partial(_opened, model, settings) if by_name else (lambda: material or Material.shipped(model, settings))  # pyright: ignore[reportArgumentType]
    )
    first = opened()
    common = {"model": first.effects.origin.to_dict(), "sae": first.effects.sae, "edition": EDITION}
    folder = None if out is None else Path(out) / "cells"
    jobs = []
    for weight, name in enumerate(reversed(QUESTIONS)):
        used = {each: getattr(settings, each) for each in USES[name]}
        # As JSON has it, in which a kept cell is compared.
        cell: Cell = {"question": name, **common, "settings": json.loads(json.dumps(used))}
        jobs.append(Job([cell], partial(_asked, opened, cell, folder), weight))
    cells = gather(jobs, workers=workers if by_name else 1, about="findings", quiet=quiet)
    about = {
        "model": first.model.cfg.model_name,
        "hook": first.hook,
        "settings": asdict(settings),
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
    }
    return Result(cells, about)


def _asked(opened: Callable[[], Material], cell: Cell, folder: Path | None) -> list[Cell]:
    return filled([cell], folder, opened, _score)


def _score(material: Material, cell: Cell) -> dict[str, Any]:
    began = time.process_time()
    found = QUESTIONS[cell["question"]](material)
    return {**found, "cpu_seconds": round(time.process_time() - began, 2)}


@cache
def _opened(name: str, settings: Settings) -> Material:
    """Open a model once in each process."""
    return Material.shipped(load_model(name), settings)
