"""`run` and `study`: corpora are captured, widths are chosen without labels, and the cells of all rows are measured."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ssae_lens.base import checks
from ssae_lens.base.provenance import versions
from ssae_lens.evals.results import Cell
from studies.cells import Job, filled, gather
from studies.language.corpora import QUICK, CaptureFile, Captures, disjoint_rows
from studies.language.data import LanguageData
from studies.language.grid import CORPORA, STUDIES, LanguageRow, corpus_title, study_rows, width_sweep
from studies.language.measure import measured, transfer_data
from studies.language.methods import METHODS
from studies.language.result import LanguageResult

SMOLLM2 = "smollm2-135m"
QUICK_STEPS = 800
# Beyond so many latents training takes fewer steps.
WIDE, WIDE_STEPS = 128, 1000
# Kinds of rows that train at a width.
FITS = ("fit", "transfer", "naming")
# Part of the settings of every cell; raise it when a method or a score changes.
EDITION = 3


def run(
    out: Path | None = None,
    quick: bool = False,
    quiet: bool = False,
    *,
    model: Any = SMOLLM2,
    studies: Sequence[str] | None = None,
    sentences: str | Path | None = None,
) -> LanguageResult:
    """Run the study as the command does, and save `language.json` and `language.html` in `out`.

    `sentences` is a file of labelled sentences, as one more corpus.
    """
    corpora = ("gender", "binary", "sentences") if quick else CORPORA
    corpora = corpora if sentences is None else (*corpora, str(checks.existing_file(sentences)))
    return study(studies, corpora, model=model, out=out, seeds=2 if quick else 3, quick=quick, quiet=quiet).kept(out)


def study(
    studies: Sequence[str] | None = None,
    corpora: Sequence[str] = CORPORA,
    *,
    model: Any = SMOLLM2,
    out: str | Path | None = None,
    seeds: int = 3,
    quick: bool = False,
    rows: Sequence[LanguageRow] | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> LanguageResult:
    """Run some of `STUDIES` on some corpora.

    Parameters
    ----------
    studies, corpora
        By name; a corpus may be the path of a file of labelled sentences.
    model
        Its name, or the model itself.
    out
        A folder for captures and cells; a run that was stopped resumes from it.
    seeds
        The number of seeds of methods with random initial values.
    quick
        Use fewer pairs, methods and steps.
    rows
        The rows to measure, in place of those of `studies`.
    workers
        Processes of one thread each. None is as many as there are processors; 1 is this process.
    """
    checks.integer("seeds", seeds, 2, "Stability compares seeds.")
    for name in studies or ():
        checks.one_of("a study", name, STUDIES)
    if rows is None:
        rows = [row for row in study_rows(tuple(corpora), quick=quick) if row.study in (studies or STUDIES)]
    for row in rows:
        checks.one_of(f"the method of {row.label!r}", row.method, METHODS)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if out is None else out)
        captures = Captures(model, folder / "captures", sizes=QUICK if quick else None, quiet=quiet)
        tasks = _Tasks(captures, list(range(seeds)), folder / "cells", workers, quick)
        cells, lines = tasks.measure(rows)
    about = {
        "model": captures.about,
        "corpora": list(corpora),
        "seeds": list(range(seeds)),
        "quick": quick,
        "lines": lines,
        "methods": {name: method.about for name, method in METHODS.items() if any(row.method == name for row in rows)},
        "seconds": round(time.monotonic() - start, 1),
        "versions": versions(),
    }
    return LanguageResult(cells, about)


@dataclass(frozen=True)
class _Task:
    """A cell to measure, and its captures: of the training corpus, and of the test corpus."""

    cell: Cell
    train: CaptureFile
    test: CaptureFile

    def open(self) -> LanguageData:
        if self.cell["kind"] != "transfer":
            return self.train.open(self.cell["n"])
        return transfer_data(self.train.open(rows=self.cell["rows"]), self.test.open(), self.cell["corpus"])


@dataclass(frozen=True)
class _Tasks:
    """The captures, seeds, folder and processes with which rows are measured."""

    captures: Captures
    seeds: list[int]
    folder: Path
    workers: int | None
    quick: bool

    def measure(self, rows: Sequence[LanguageRow]) -> tuple[list[Cell], list[dict[str, Any]]]:
        """Capture the corpora, choose widths, and return the cells and the row that each belongs to."""
        open_width = dict.fromkeys(row.corpus for row in rows if row.width is None and row.kind in FITS)
        sweeps = [width_sweep(corpus, quick=self.quick) for corpus in open_width]
        self._capture([*sweeps, *rows])
        chosen = self._gather([self._task(row, None) for row in sweeps])
        widths = {row.corpus: cell["chosen"] for row, cell in zip(sweeps, chosen, strict=True)}
        tasks = [self._task(row, row.width or widths.get(row.corpus)) for row in rows]
        # Several studies may have the same cell.
        different = {json.dumps(task.cell): task for task in tasks}
        numbers = {key: number for number, key in enumerate(different)}
        lines = [
            {"study": row.study, "label": row.label, "corpus": row.corpus, "cell": numbers[json.dumps(task.cell)]}
            for row, task in zip(rows, tasks, strict=True)
        ]
        return self._gather(list(different.values())), lines

    def _capture(self, rows: Sequence[LanguageRow]) -> None:
        """Capture each corpus once for each position, at all hooks together."""
        hooks: dict[tuple[str, str, bool], dict[str, None]] = {}
        for row in rows:
            for corpus in (row.corpus, row.test_corpus):
                hooks.setdefault((corpus, row.tokens, row.fewer), {})[self.captures.hook(row.depth)] = None
        for (corpus, position, fewer), names in hooks.items():
            self.captures.read(corpus, list(names), position, fewer=fewer)

    def _task(self, row: LanguageRow, width: int | None) -> _Task:
        """Return the task of a row; its cell holds all that shapes the numbers except the versions of packages."""
        hook = self.captures.hook(row.depth)
        train, test = (
            self.captures.file(corpus, hook, row.tokens, fewer=row.fewer) for corpus in (row.corpus, row.test_corpus)
        )
        fits = row.kind in FITS
        splits = self.captures.split
        steps = QUICK_STEPS if self.quick else WIDE_STEPS if (width or 0) > WIDE else METHODS[row.method].steps
        cell = {
            "kind": row.kind,
            "corpus": corpus_title(row.corpus),
            "captures": [train.name, test.name],
            "n": row.n,
            # The pairs of the training corpus that have nothing in common with the held-out pairs.
            "rows": disjoint_rows(splits(row.corpus).both, splits(row.other).test) if row.kind == "transfer" else None,
            "method": row.method if fits else None,
            "width": width if fits else None,
            "settings": row.settings,
            "seeds": self.seeds,
            "steps": steps,
            "edition": EDITION,
        }
        return _Task(cell, train, test)

    def _gather(self, tasks: list[_Task]) -> list[Cell]:
        """Measure tasks. Those with the same data are one job; a task that takes long is a job of its own."""
        jobs: dict[str, list[_Task]] = {}
        for task in tasks:
            cell = task.cell
            alone = cell if cell["kind"] == "sweep" or (cell["width"] or 0) > WIDE else None
            shared = [cell[name] for name in ("captures", "n", "rows")]
            jobs.setdefault(json.dumps([*shared, alone]), []).append(task)
        cells = gather(
            [self._job(job) for job in jobs.values()], workers=self.workers, about="language", quiet=self.captures.quiet
        )
        by_key = {json.dumps(cell["cell"]): cell for cell in cells}
        return [by_key[json.dumps(task.cell)] for task in tasks]

    def _job(self, tasks: list[_Task]) -> Job:
        cells = [task.cell for task in tasks]
        weight = sum((cell["width"] or 16) * (10 if cell["kind"] == "sweep" else 1) for cell in cells)
        return Job(cells, partial(filled, cells, self.folder, tasks[0].open, measured), weight)
