"""The cells of a study: measurements that are cached on disk, run in parallel processes and collected in a result.

A cell is a dictionary of all settings that shape one measurement, with the measured numbers. With a folder, each cell is
written as soon as it is measured, under a hash of its settings and of the versions of packages. A study that was stopped
reads these files and measures only what is missing.
"""

import os
import threading
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from typing_extensions import Self

from ssae_lens.base.checksums import DamagedFileError, fingerprint, read_json, write_json
from ssae_lens.base.progress_bars import progress
from ssae_lens.base.provenance import versions
from ssae_lens.base.threads import one_thread
from ssae_lens.evals.results import Cell, EvalResult

T = TypeVar("T")
# Seconds between two checks that the parent process still runs.
PARENT_CHECK_INTERVAL = 1.0


class StudyResult(EvalResult):
    """The result of a study, which also lists where a baseline does better than the SSAE."""

    @abstractmethod
    def where_baselines_win(self) -> list[str]:
        """Return a line for each comparison that the SSAE loses, or in which it fails."""

    def kept(self, folder: str | Path | None) -> Self:
        """Save the result if there is a folder, and return it."""
        if folder is not None:
            self.save(folder)
        return self


@dataclass(frozen=True)
class Job:
    """Cells that run together because they need the same model or data.

    Attributes
    ----------
    cells
        Their settings.
    run
        Returns the cells with their numbers, in the same order.
    weight
        Expected duration, in any unit. The heaviest job starts first.
    """

    cells: Sequence[Cell]
    run: Callable[[], list[Cell]]
    weight: float = 0.0


def gather(jobs: Sequence[Job], *, workers: int | None, about: str, quiet: bool) -> list[Cell]:
    """Run jobs in processes of one thread each (with one worker, in this process), and return all cells in order."""
    done: list[list[Cell]] = [[] for _ in jobs]
    order = sorted(range(len(jobs)), key=lambda i: -jobs[i].weight)
    total = sum(len(job.cells) for job in jobs)
    with progress(total=total, unit="cell", desc=about, quiet=quiet) as bar:
        for i, cells in in_processes([jobs[i].run for i in order], workers):
            done[order[i]] = cells
            bar.update(len(cells))
    return [cell for cells in done for cell in cells]


def in_processes(jobs: Sequence[Callable[[], T]], workers: int | None) -> Iterator[tuple[int, T]]:
    """Run jobs in processes of one thread each, and yield the number and the result of each job as it ends.

    With `workers` None there is one process for each processor. With 1, or one job, everything runs in this process.
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
    """Read the cells that were measured before, and measure and save the others; `make` runs once if there are any."""
    return filled_together(cells, folder, make, lambda made, missing: (score(made, cell) for cell in missing))


def filled_together(
    cells: Sequence[Cell],
    folder: Path | None,
    make: Callable[[], Any],
    score: Callable[[Any, Sequence[Cell]], Iterable[dict[str, Any]]],
) -> list[Cell]:
    """Do as `filled` does, with a score that gets all missing cells at once; each is saved as soon as it is measured."""
    filled_cells = [_read(cell, folder) for cell in cells]
    missing = [i for i, cell in enumerate(filled_cells) if cell is None]
    if missing:
        made = make()
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the scores show what goes wrong in a fit
            for i, numbers in zip(missing, score(made, [cells[i] for i in missing]), strict=True):
                filled_cells[i] = {"cell": cells[i], **numbers}
                if folder is not None:
                    write_json(_path(cells[i], folder), filled_cells[i], checksum=True)
    return filled_cells  # pyright: ignore[reportReturnType]


def _numbered(i: int, run: Callable[[], T]) -> tuple[int, T]:
    _exit_with(os.getppid())
    return i, run()


@cache
def _exit_with(parent: int) -> None:
    """End this process when its parent has ended: a killed parent sends no message."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_INTERVAL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _path(cell: Cell, folder: Path) -> Path:
    return folder / f"{fingerprint([cell, versions()])}.json"


def _read(cell: Cell, folder: Path | None) -> Cell | None:
    """Read a cell that was measured before; return None for a damaged one, which is measured again."""
    if folder is None or not _path(cell, folder).is_file():
        return None
    try:
        saved = read_json(_path(cell, folder), checksum=True)
    except DamagedFileError:
        return None
    return saved if saved.get("cell") == cell else None
