"""The study of the synthetic worlds: every method in every world, five seeds each, kept cell by cell as it goes.

A cell is one method in one world from one seed.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssae_lens.base import checks
from ssae_lens.base.versions import versions
from ssae_lens.evals.cells import Cell, Job, filled, gather
from studies.synthetic.grid import QUICK, ROWS, Row
from studies.synthetic.methods import METHODS
from studies.synthetic.result import Result
from studies.synthetic.scores import scores

SHIFTS = 10_000
STEPS = 2500
WIDE_STEPS = 1000
# What is not in a cell's own settings and yet shapes it; raise it when a method or a world changes.
EDITION = 3


def run(out: Path | None = None, quick: bool = False, quiet: bool = False) -> Result:
    """Run the study as the command does: the table, `synthetic.json` and `synthetic.html` in `out`."""
    return study(QUICK if quick else ROWS, seeds=2 if quick else 5, out=out, quiet=quiet).kept(out)


def study(
    rows: Sequence[Row] = ROWS,
    *,
    seeds: Sequence[int] | int = 5,
    n: int = SHIFTS,
    steps: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Result:
    """Try the methods of each row in its world.

    Parameters
    ----------
    rows
        Worlds with the methods to try; by default those of the package's table.
    seeds
        The seeds, or how many. A seed draws the world and begins the method.
    n
        Shifts in a world; a fifth is held out, and all scores are on those.
    steps
        Of the SSAE; what has converged by a part of them gets that part. None is 2500, and 1000 beyond 128 latents.
    out
        A folder for the cells; those already there are not run again.
    workers
        Processes of one thread each. None is as many as there are processors; 1 stays in this one.
    quiet
        Show no progress.
    """
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    checks.integer("the number of seeds", len(seeds), 2, "A standard deviation needs at least two.")
    for row in rows:
        for name in row.methods:
            checks.one_of(f"a method of {row.name!r}", name, METHODS)
    folder = None if out is None else Path(out) / "cells"
    began = time.monotonic()
    jobs = [
        _job(row, seed, [_cell(row, name, seed, n, steps) for name in row.methods], folder)
        for row in rows
        for seed in seeds
    ]
    done = gather(jobs, workers=workers, about="synthetic worlds", quiet=quiet)
    about = {
        "seeds": seeds,
        "shifts": n,
        "steps": steps,
        "methods": {name: METHODS[name].about for name in METHODS if any(name in row.methods for row in rows)},
        "rows": [asdict(row) for row in rows],
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
    }
    return Result(done, about)


def _cell(row: Row, method: str, seed: int, n: int, steps: int | None) -> Cell:
    """Return all that shapes a cell's numbers, but for versions of packages."""
    width = row.width
    steps = steps or (WIDE_STEPS if (width or 0) > 128 else STEPS)
    world = {"row": row.name, "group": row.group, "kind": row.kind, "settings": row.settings}
    return {**world, "method": method, "width": width, "seed": seed, "n": n, "steps": steps, "edition": EDITION}


def _job(row: Row, seed: int, cells: list[Cell], folder: Path | None) -> Job:
    """Return the cells of one world to run together; the widest worlds take longest."""

    def run() -> list[Cell]:
        return filled(cells, folder, lambda: row.make(seed, cells[0]["n"]), _score)

    return Job(cells, run, row.width or row.settings.get("n_concepts", 0))


def _score(world: Any, cell: Cell) -> dict[str, Any]:
    width = cell["width"] or world.codes.shape[1]
    began = time.process_time()
    found = METHODS[cell["method"]].fit(world, width, cell["seed"], cell["steps"])
    seconds = time.process_time() - began
    return {**scores(found, world), "world": world.description, "latents": width, "cpu_seconds": round(seconds, 2)}
