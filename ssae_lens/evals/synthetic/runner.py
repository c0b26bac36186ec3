"""The study of the synthetic worlds: every method in every world, five seeds each, kept cell by cell as it goes.

A cell is one method in one world from one seed. With a folder, each is written as soon as it is done under the hash of all
that shapes it, and a study that was stopped takes up what is there.
"""

import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ssae_lens.base import checks
from ssae_lens.base.files import fingerprint, write_json
from ssae_lens.base.progress import progress
from ssae_lens.base.versions import versions
from ssae_lens.evals.synthetic.found import scores
from ssae_lens.evals.synthetic.grid import QUICK, ROWS, Row
from ssae_lens.evals.synthetic.methods import METHODS
from ssae_lens.evals.synthetic.result import Result

SHIFTS = 10_000
STEPS = 2500
WIDE_STEPS = 1000
# What is not in a cell's own settings and yet shapes it; raise it when a method or a world changes.
EDITION = 1


def run(out: Path | None = None, quick: bool = False, quiet: bool = False) -> Result:
    """Run the study as the command does: the table, `synthetic.json` and `synthetic.html` in `out`."""
    result = study(QUICK if quick else ROWS, seeds=2 if quick else 5, out=out, quiet=quiet)
    if out is not None:
        result.save(out)
    return result


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
        Of every method that trains by steps. None is 2500, and 1000 beyond 128 latents.
    out
        A folder for the cells; those already there are not run again.
    workers
        Processes of one thread each. None is as many as there are processors; 1 stays in this one.
    quiet
        Show no progress.
    """
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    checks.whole("the number of seeds", len(seeds), 2, "A standard deviation needs at least two.")
    for row in rows:
        for name in row.methods:
            checks.one_of(f"a method of {row.name!r}", name, METHODS)
    workers = workers or os.cpu_count() or 1
    folder = None if out is None else Path(out) / "cells"
    began = time.monotonic()
    jobs = [(row, seed, [_cell(row, name, seed, n, steps) for name in row.methods]) for row in rows for seed in seeds]
    done: list[dict[str, Any]] = []
    bar = progress(total=sum(len(cells) for *_, cells in jobs), unit="cell", about="synthetic worlds", quiet=quiet)
    with bar:
        for cells in _all(jobs, folder, workers):
            done += cells
            bar.update(len(cells))
    order = {json.dumps(cell): place for place, cell in enumerate(cell for *_, cells in jobs for cell in cells)}
    done.sort(key=lambda each: order[json.dumps(each["cell"])])
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


def _cell(row: Row, method: str, seed: int, n: int, steps: int | None) -> dict[str, Any]:
    """Give all that shapes a cell's numbers, but for versions of packages."""
    width = row.width
    steps = steps or (WIDE_STEPS if (width or 0) > 128 else STEPS)
    world = {"row": row.name, "group": row.group, "kind": row.kind, "settings": row.settings}
    return {**world, "method": method, "width": width, "seed": seed, "n": n, "steps": steps, "edition": EDITION}


def _all(jobs: list[tuple[Row, int, list[dict[str, Any]]]], folder: Path | None, workers: int) -> Iterator[Any]:
    """Run jobs, the widest worlds first so that none is left alone at the end, and give each one's cells."""
    jobs = sorted(jobs, key=lambda job: -(job[0].width or job[0].settings.get("n_concepts", 0)))
    if workers == 1:
        yield from (_run(*job, folder) for job in jobs)
        return
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
    yield from parallel(delayed(_run)(*job, folder) for job in jobs)  # pyright: ignore[reportGeneralTypeIssues]


def _run(row: Row, seed: int, cells: list[dict[str, Any]], folder: Path | None) -> list[dict[str, Any]]:
    """Run one world's cells, or read those that are there."""
    found = [_kept(cell, folder) for cell in cells]
    if all(each is not None for each in found):
        return found  # pyright: ignore[reportReturnType]
    world = row.make(seed, cells[0]["n"])
    # These fits are too small to share among threads.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for i, cell in enumerate(cells):
            if found[i] is None:
                found[i] = {"cell": cell, "world": world.description, **_score(world, cell)}
                if folder is not None:
                    write_json(_path(cell, folder), found[i])
    finally:
        torch.set_num_threads(threads)
    return found  # pyright: ignore[reportReturnType]


def _score(world: Any, cell: dict[str, Any]) -> dict[str, Any]:
    width = cell["width"] or world.codes.shape[1]
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = METHODS[cell["method"]].fit(world, width, cell["seed"], cell["steps"])
        seconds = time.process_time() - began
        numbers = scores(found, world)
    return {**numbers, "latents": width, "cpu_seconds": round(seconds, 2)}


def _path(cell: dict[str, Any], folder: Path) -> Path:
    return folder / f"{fingerprint([cell, versions()])}.json"


def _kept(cell: dict[str, Any], folder: Path | None) -> dict[str, Any] | None:
    """Read a cell that was run before; one that cannot be read is run again."""
    if folder is None or not _path(cell, folder).is_file():
        return None
    try:
        kept = json.loads(_path(cell, folder).read_text(encoding="utf-8"))
    except ValueError:
        return None
    return kept if kept.get("cell") == cell else None
