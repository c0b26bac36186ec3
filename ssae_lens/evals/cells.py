"""What every study shares: cells that are kept as they are done, processes to run them, and the shape of a result.

A cell is one measurement: a dictionary of all that shapes it, and the numbers that it gave. With a folder, each is written
as soon as it is done under the hash of its settings and of the versions of packages, and a study that was stopped takes up
what is there.
"""

import json
import os
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from typing_extensions import Self

from ssae_lens.base.files import DamagedFileError, fingerprint, read_json, write_json, writing
from ssae_lens.base.progress import progress
from ssae_lens.base.versions import versions

if TYPE_CHECKING:
    import pandas as pd

Cell = dict[str, Any]
T = TypeVar("T")
# Seconds between looks at whether the process that wants the cells is still there.
WATCH = 1.0


@dataclass(frozen=True)
class Job:
    """Cells that are run together, since they need the same thing.

    Attributes
    ----------
    cells
        Their settings.
    run
        Gives the cells with their numbers, in this order.
    weight
        How long it may take, in any unit: the heaviest job is begun first, so that none is left alone at the end.
    """

    cells: Sequence[Cell]
    run: Callable[[], list[Cell]]
    weight: float = 0.0


def gather(jobs: Sequence[Job], *, workers: int | None, about: str, quiet: bool) -> list[Cell]:
    """Run jobs in processes of one thread each (with one worker, in this process), and give all cells in their order."""
    done: list[list[Cell]] = [[] for _ in jobs]
    order = sorted(range(len(jobs)), key=lambda i: -jobs[i].weight)
    total = sum(len(job.cells) for job in jobs)
    with progress(total=total, unit="cell", about=about, quiet=quiet) as bar:
        for i, cells in in_processes([jobs[i].run for i in order], workers):
            done[order[i]] = cells
            bar.update(len(cells))
    return [cell for cells in done for cell in cells]


def in_processes(jobs: Sequence[Callable[[], T]], workers: int | None) -> Iterator[tuple[int, T]]:
    """Run jobs in processes of one thread each, and give the number and what came of each as it ends.

    None is as many processes as there are processors; with 1, and with one job, all is done in this process.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(jobs) < 2:
        yield from ((i, run()) for i, run in enumerate(jobs))
        return
    from joblib import Parallel, delayed

    parallel: Any = Parallel(n_jobs=workers, return_as="generator_unordered")
    yield from parallel(delayed(_numbered)(i, run) for i, run in enumerate(jobs))


def filled(
    cells: Sequence[Cell], folder: Path | None, make: Callable[[], Any], score: Callable[[Any, Cell], dict[str, Any]]
) -> list[Cell]:
    """Read the cells that were run before, and run and keep the others; `make` is called if there are any."""
    return filled_together(cells, folder, make, lambda made, missing: (score(made, cell) for cell in missing))


def filled_together(
    cells: Sequence[Cell],
    folder: Path | None,
    make: Callable[[], Any],
    score: Callable[[Any, Sequence[Cell]], Iterable[dict[str, Any]]],
) -> list[Cell]:
    """Do as `filled` does with a score that is given all missing cells at once; each is kept as soon as it comes."""
    found = [_kept(cell, folder) for cell in cells]
    missing = [i for i, each in enumerate(found) if each is None]
    if missing:
        made = make()
        with _one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what goes wrong in a fit is seen in its scores
            for i, numbers in zip(missing, score(made, [cells[i] for i in missing]), strict=True):
                found[i] = {"cell": cells[i], **numbers}
                if folder is not None:
                    write_json(_path(cells[i], folder), found[i], checksum=True)
    return found  # pyright: ignore[reportReturnType]


@dataclass(frozen=True, eq=False)
class Result(ABC):
    """What a study gave.

    Attributes
    ----------
    cells
        Each with ``cell`` (its settings) and its numbers.
    about
        What they were run with: seeds, versions, seconds taken.
    """

    cells: list[Cell]
    about: dict[str, Any]
    name: ClassVar[str]

    @cached_property
    def table(self) -> "pd.DataFrame":
        """The numbers, a row for each line of the study."""
        return self._tabulated()

    @abstractmethod
    def text(self) -> str:
        """Return the table to read in a terminal."""

    @abstractmethod
    def figure(self) -> Any:
        """Return a plotly figure."""

    @abstractmethod
    def beaten(self) -> list[str]:
        """Say where another does better than ours, or ours falls short."""

    @abstractmethod
    def _tabulated(self) -> "pd.DataFrame":
        """Make the table."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it: the table, its cells, and what they were run with."""
        table = json.loads(self.table.to_json(orient="records") or "[]")
        return {**self.about, "table": table, "cells": self.cells}

    def save(self, folder: str | Path) -> None:
        """Write the JSON and the figure, under the study's name."""
        write_json(Path(folder) / f"{self.name}.json", self.to_json())
        with writing(Path(folder) / f"{self.name}.html") as temporary:
            self.figure().write_html(temporary, include_plotlyjs=True)

    def kept(self, folder: str | Path | None) -> Self:
        """Save it, where there is a folder to save it in, and give it."""
        if folder is not None:
            self.save(folder)
        return self


def _numbered(i: int, run: Callable[[], T]) -> tuple[int, T]:
    _leave_with(os.getppid())
    return i, run()


@cache
def _leave_with(parent: int) -> None:
    """End this process, in whatever cell it is, when the one that wants the cells has ended: killed, it tells nobody."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep these small fits on one thread: handing them out costs more than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _path(cell: Cell, folder: Path) -> Path:
    return folder / f"{fingerprint([cell, versions()])}.json"


def _kept(cell: Cell, folder: Path | None) -> Cell | None:
    """Read a cell that was run before; one that cannot be read is run again."""
    if folder is None or not _path(cell, folder).is_file():
        return None
    try:
        kept = read_json(_path(cell, folder), checksum=True)
    except DamagedFileError:
        return None
    return kept if kept.get("cell") == cell else None
