"""The studies of a language model: captures, the choice of widths without labels, and the cells of every line."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssae_lens.base import checks
from ssae_lens.base.versions import versions
from ssae_lens.evals.cells import Cell, Job, filled, gather
from studies.language import transfer
from studies.language.captures import Captures, Place
from studies.language.corpora import QUICK, apart, concatenate
from studies.language.data import Data
from studies.language.grid import CORPORA, STUDIES, Row, choice, name_of
from studies.language.measure import measured
from studies.language.methods import METHODS
from studies.language.result import Result

SMOLLM2 = "smollm2-135m"
QUICK_STEPS = 800
# Beyond so many latents training takes fewer steps.
WIDE, WIDE_STEPS = 128, 1000
# Kinds of lines that have a width.
FITS = ("fit", "transfer", "naming")
# What is not in a cell's own settings and yet shapes it; raise it when a method or a score changes.
EDITION = 2


def run(
    out: Path | None = None,
    quick: bool = False,
    quiet: bool = False,
    *,
    model: Any = SMOLLM2,
    studies: Sequence[str] | None = None,
    sentences: str | Path | None = None,
) -> Result:
    """Run the studies as the command does: the table, `language.json` and `language.html` in `out`.

    Parameters
    ----------
    out
        A folder for captures, cells and results; what is there is not done again.
    quick
        Fewer pairs, corpora, methods, seeds and steps.
    model
        Its name, or the model itself.
    studies
        Some of `STUDIES`; by default all.
    sentences
        A file of labelled sentences, to study beside the built-in corpora.
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
    rows: Sequence[Row] | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Result:
    """Run some studies on some corpora.

    Parameters
    ----------
    studies, corpora
        By name; a corpus may be the path of a file of labelled sentences.
    seeds
        How many, for methods that begin at random.
    rows
        The lines to measure, in place of those of `studies`.
    workers
        Processes of one thread each. None is as many as there are processors; 1 stays in this one.
    """
    checks.integer("seeds", seeds, 2, "Stability compares seeds.")
    for name in studies or ():
        checks.one_of("a study", name, STUDIES)
    if rows is None:
        rows = [row for name in studies or STUDIES for row in STUDIES[name](tuple(corpora), quick=quick)]
    for row in rows:
        checks.one_of(f"the method of {row.label!r}", row.method, METHODS)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if out is None else out)
        captures = Captures(model, folder / "captures", most=QUICK if quick else None, quiet=quiet)
        bench = _Bench(captures, seeds, folder / "cells", workers, quick=quick)
        cells, lines = bench.measure(rows)
    about = {
        "model": captures.about,
        "corpora": list(corpora),
        "seeds": list(range(seeds)),
        "quick": quick,
        "lines": lines,
        "methods": {name: METHODS[name].about for name in METHODS if any(row.method == name for row in rows)},
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
    }
    return Result(cells, about)


@dataclass(frozen=True)
class _Task:
    """A cell to measure, and the captures that it reads: where it is learned, and where it is tried."""

    cell: Cell
    learned: Place
    tried: Place

    @property
    def key(self) -> str:
        return json.dumps(self.cell)

    @property
    def together(self) -> str:
        """What cells that are run together share. What takes long is run alone, so that processes share it."""
        alone = self.cell if self.cell["kind"] == "sweep" or (self.cell["width"] or 0) > WIDE else None
        return json.dumps([self.cell[name] for name in ("captures", "n", "rows")] + [alone])

    def open(self) -> Data:
        if self.cell["kind"] != "transfer":
            return self.learned.open(self.cell["n"])
        return transfer.onto(self.learned.open(rows=self.cell["rows"]), self.tried.open(), self.cell["corpus"])


class _Bench:
    """Everything that lines are measured with."""

    def __init__(self, captures: Captures, seeds: int, folder: Path, workers: int | None, *, quick: bool) -> None:
        self.captures, self.seeds, self.folder = captures, list(range(seeds)), folder
        self.workers, self.quick = workers, quick

    def measure(self, rows: Sequence[Row]) -> tuple[list[Cell], list[dict[str, Any]]]:
        """Capture what the rows need, choose widths, and give the cells and what line each is of."""
        open_width = dict.fromkeys(row.corpus for row in rows if row.width is None and row.kind in FITS)
        choices = [choice(corpus, quick=self.quick) for corpus in open_width]
        self._capture([*choices, *rows])
        chosen = self._gather([self._task(row, None) for row in choices])
        widths = {row.corpus: each["chosen"] for row, each in zip(choices, chosen, strict=True)}
        tasks = [self._task(row, row.width or widths.get(row.corpus)) for row in rows]
        # A cell may stand in several studies.
        different = {task.key: task for task in tasks}
        places = {key: place for place, key in enumerate(different)}
        lines = [
            {"study": row.study, "label": row.label, "corpus": row.corpus, "cell": places[task.key]}
            for row, task in zip(rows, tasks, strict=True)
        ]
        return self._gather(list(different.values())), lines

    def _capture(self, rows: Sequence[Row]) -> None:
        """Read each corpus once for each position, at all hooks together."""
        hooks: dict[tuple[str, str, bool], dict[str, None]] = {}
        for row in rows:
            for corpus in (row.corpus, row.tried):
                hooks.setdefault((corpus, row.where, row.fewer), {})[self.captures.hook(row.depth)] = None
        for (corpus, position, fewer), names in hooks.items():
            self.captures.read(corpus, list(names), position, fewer=fewer)

    def _task(self, row: Row, width: int | None) -> _Task:
        """Return all that shapes a line's numbers, but for versions of packages."""
        hook = self.captures.hook(row.depth)
        learned, tried = (
            self.captures.place(corpus, hook, row.where, fewer=row.fewer) for corpus in (row.corpus, row.tried)
        )
        fits = row.kind in FITS
        steps = QUICK_STEPS if self.quick else WIDE_STEPS if (width or 0) > WIDE else METHODS[row.method].steps
        cell = {
            "kind": row.kind,
            "corpus": name_of(row.corpus),
            "captures": [learned.name, tried.name],
            "n": row.n,
            "rows": self._apart(row) if row.kind == "transfer" else None,
            "method": row.method if fits else None,
            "width": width if fits else None,
            "settings": row.settings,
            "seeds": self.seeds,
            "steps": steps,
            "edition": EDITION,
        }
        return _Task(cell, learned, tried)

    def _apart(self, row: Row) -> list[int]:
        """Return the pairs of a transfer's corpus that have nothing in common with what it is tried on."""
        learned, tried = self.captures.halves(row.corpus), self.captures.halves(row.tried)
        return apart(concatenate(learned), tried.test)

    def _gather(self, tasks: list[_Task]) -> list[Cell]:
        """Run tasks, those of one set of data together."""
        jobs: dict[str, list[_Task]] = {}
        for task in tasks:
            jobs.setdefault(task.together, []).append(task)
        made = gather(
            [self._job(each) for each in jobs.values()],
            workers=self.workers,
            about="language",
            quiet=self.captures.quiet,
        )
        by_key = {json.dumps(each["cell"]): each for each in made}
        return [by_key[task.key] for task in tasks]

    def _job(self, tasks: list[_Task]) -> Job:
        cells, folder, first = [task.cell for task in tasks], self.folder, tasks[0]
        weight = sum((cell["width"] or 16) * (10 if cell["kind"] == "sweep" else 1) for cell in cells)
        return Job(cells, lambda: filled(cells, folder, first.open, measured), weight)
