"""The study: every behaviour's vector, read by an SAE, by the remedies and by an SSAE, kept cell by cell."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.progress import progress
from ssae_lens.base.versions import versions
from ssae_lens.evals.cells import Cell, filled
from ssae_lens.evals.steering import Features, Task, built_in
from ssae_lens.evals.steering.saes import shipped_features
from ssae_lens.hooks.hook_points import origin_of
from ssae_lens.models import load_model
from ssae_lens.pairs.schema import fingerprint_of
from studies.decomposition import measure
from studies.decomposition.bench import Bench
from studies.decomposition.result import Result
from studies.decomposition.settings import QUICK, Settings

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

MODEL = "smollm2-135m"
QUICK_TASKS = ("positive sentiment", "past tense", "politeness", "certainty")
# What is not in a cell's own settings and yet shapes it; raise it when a measurement changes.
EDITION = 2


def run(out: Path | None = None, quick: bool = False, quiet: bool = False, *, model: "str | Model" = MODEL) -> Result:
    """Run the study as the command does: the table, `decomposition.json` and `decomposition.html` in `out`.

    Parameters
    ----------
    out
        A folder for results, and for what a later call goes on with.
    quick
        Four behaviours, fewer texts and pairs.
    quiet
        Show no progress.
    model
        A name that `load_model` opens, or a model.
    """
    settings = QUICK if quick else Settings()
    tasks = built_in(QUICK_TASKS if quick else None, n_pairs=settings.n_pairs)
    return study(tasks, model=model, settings=settings, out=out, quiet=quiet).kept(out)


def study(
    tasks: Sequence[Task] | None = None,
    *,
    model: "str | Model" = MODEL,
    features: Features | None = None,
    settings: Settings | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
) -> Result:
    """Take apart the vector of every task.

    Parameters
    ----------
    tasks
        By default those of ``python -m studies steering`` that are built in.
    model
        A name that `load_model` opens, or a model.
    features
        An SAE and its hook; by default what ships with the package for the model.
    settings
        How much is done.
    out
        A folder for the cells and for what is learned; what is there is not done again.
    quiet
        Show no progress.
    """
    began = time.monotonic()
    settings = settings or Settings()
    tasks = built_in(n_pairs=settings.n_pairs) if tasks is None else list(tasks)
    if not tasks:
        raise ValueError("tasks is empty; give at least one, such as built_in() makes.")
    opened = load_model(model) if isinstance(model, str) else model
    features = features or shipped_features(opened)
    if features is None:
        raise ValueError(
            f"No SAE of {opened.cfg.model_name!r} ships with the package; give one: features=Features(sae, hook_name)."
        )
    learned = None if out is None else Path(out) / "learned"
    bench = Bench(opened, features, settings, learned, quiet=True)
    common = {
        "model": origin_of(opened, features.hook_name).to_dict(),
        "sae": features.fingerprint,
        "edition": EDITION,
        # As JSON has it, in which a kept cell is compared.
        "settings": json.loads(json.dumps(asdict(settings))),
    }
    folder = None if out is None else Path(out) / "cells"
    parts = _parts(bench, tasks)
    cells: list[Cell] = []
    with progress(total=len(parts), unit="cell", about="decomposition", quiet=quiet) as bar:
        for cell, score in parts:
            cells += filled([{**cell, **common}], folder, lambda: None, _timed(score))
            bar.update()
    about = {
        "model": opened.cfg.model_name,
        "hook": features.hook_name,
        "settings": asdict(settings),
        "tasks": [{"name": task.name, "group": task.group, "contrasts": len(task.contrasts)} for task in tasks],
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
    }
    return Result(cells, about)


def _parts(bench: Bench, tasks: Sequence[Task]) -> list[tuple[Cell, Callable[[], dict[str, Any]]]]:
    """Return all that is measured: the settings of each cell, and what measures it."""
    parts: list[tuple[Cell, Callable[[], dict[str, Any]]]] = [
        ({"part": "activations"}, partial(measure.of_activations, bench))
    ]
    pools: dict[int, Task] = {}
    for task in tasks:
        if task.pool is not None:
            pools.setdefault(id(task.pool), task)
    for task in pools.values():
        assert task.pool is not None
        cell = {"part": "SSAE", "pool": task.pool.name, "pairs": fingerprint_of(task.pool.pairs)}
        parts.append((cell, partial(measure.of_ssae, bench, task)))
    for task in tasks:
        named: Cell = {"task": task.name, "group": task.group, "texts": task.fingerprint}
        named["pool"] = task.pool.name if task.pool else None
        parts.append(({"part": "vector", **named}, partial(measure.of_vector, bench, task)))
    # What is learned from one set of pairs, on a vector of what these pairs do not vary.
    first = next(iter(pools.values()), None)
    if first is not None:
        for task in tasks:
            if task.pool is not first.pool:
                cell = {"part": "foreign", "task": task.name, "texts": task.fingerprint}
                parts.append((cell, partial(measure.of_foreign, bench, task, first)))
    return parts


def _timed(score: Callable[[], dict[str, Any]]) -> Callable[[Any, Cell], dict[str, Any]]:
    def timed(_made: Any, _cell: Cell) -> dict[str, Any]:
        began = time.process_time()
        found = score()
        return {**found, "cpu_seconds": round(time.process_time() - began, 2)}

    return timed
