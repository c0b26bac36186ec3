"""`run` and `study`: all methods on all synthetic data sets. A cell is one method on one data set with one seed."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks
from ssae_lens.base.provenance import versions
from ssae_lens.evals.results import Cell
from ssae_lens.evals.synthetic_data import SyntheticData
from ssae_lens.metrics import mcc_codes, mcc_decoders, r2_uncentred
from studies.baselines import FittedDictionary
from studies.cells import Job, filled, gather
from studies.synthetic.grid import QUICK, ROWS, SyntheticRow
from studies.synthetic.methods import METHODS
from studies.synthetic.result import SyntheticResult

SHIFTS = 10_000
STEPS = 2500
# Beyond so many latents training takes fewer steps.
WIDE, WIDE_STEPS = 128, 1000
# Part of the settings of every cell; raise it when a method or the data changes.
EDITION = 4


def run(out: Path | None = None, quick: bool = False, quiet: bool = False) -> SyntheticResult:
    """Run the study as the command does, and save `synthetic.json` and `synthetic.html` in `out`."""
    return study(QUICK if quick else ROWS, seeds=2 if quick else 5, out=out, quiet=quiet).kept(out)


def study(
    rows: Sequence[SyntheticRow] = ROWS,
    *,
    seeds: Sequence[int] | int = 5,
    n: int = SHIFTS,
    steps: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> SyntheticResult:
    """Run the methods of each row on its data.

    Parameters
    ----------
    rows
        Data sets with their methods; by default those of the documentation.
    seeds
        The seeds, or their number. A seed draws the data and the initial values of a method.
    n
        The number of shifts; a fifth is held out, and all scores are on these.
    steps
        Training steps of the SSAE. None is 2500, and 1000 beyond 128 latents.
    out
        A folder for the cells; those in it are not run again.
    workers
        Processes of one thread each. None is as many as there are processors; 1 is this process.
    quiet
        Show no progress.
    """
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    checks.integer("the number of seeds", len(seeds), 2, "A standard deviation needs at least two.")
    for row in rows:
        for name in row.methods:
            checks.one_of(f"a method of {row.name!r}", name, METHODS)
    folder = None if out is None else Path(out) / "cells"
    start = time.monotonic()
    jobs = []
    for row in rows:
        for seed in seeds:
            cells = [_cell(row, name, seed, n, steps) for name in row.methods]
            fill = partial(filled, cells, folder, partial(row.make, seed, n), _score)
            jobs.append(Job(cells, fill, row.width or row.settings.get("n_concepts", 0)))
    cells = gather(jobs, workers=workers, about="synthetic data", quiet=quiet)
    about = {
        "seeds": seeds,
        "shifts": n,
        "steps": steps,
        "methods": {name: method.about for name, method in METHODS.items() if any(name in row.methods for row in rows)},
        "rows": [asdict(row) for row in rows],
        "seconds": round(time.monotonic() - start, 1),
        "versions": versions(),
    }
    return SyntheticResult(cells, about)


def scores(fitted: FittedDictionary, data: SyntheticData) -> dict[str, float]:
    """Return the scores of a fit on held-out shifts: MCC of codes, with shuffled labels, and of decoders; and R²."""
    codes = fitted.encode(data.test)
    order = np.random.default_rng(0).permutation(len(codes))
    return {
        "mcc_codes": mcc_codes(codes, data.test_codes).score,
        "mcc_shuffled": mcc_codes(codes, data.test_codes[order]).score,
        "mcc_decoders": mcc_decoders(fitted.directions, data.directions).score,
        "r2": r2_uncentred(data.test, fitted.decode(codes)),
    }


def _cell(row: SyntheticRow, method: str, seed: int, n: int, steps: int | None) -> Cell:
    """Return all that shapes the numbers except the versions of packages."""
    steps = steps or (WIDE_STEPS if (row.width or 0) > WIDE else STEPS)
    data = {"row": row.name, "group": row.group, "kind": row.kind, "settings": row.settings}
    return {**data, "method": method, "width": row.width, "seed": seed, "n": n, "steps": steps, "edition": EDITION}


def _score(data: SyntheticData, cell: Cell) -> dict[str, Any]:
    width = cell["width"] or data.codes.shape[1]
    start = time.process_time()
    fitted = METHODS[cell["method"]].fit(data, width, cell["seed"], cell["steps"])
    seconds = time.process_time() - start
    return {**scores(fitted, data), "data": data.description, "latents": width, "cpu_seconds": round(seconds, 2)}
