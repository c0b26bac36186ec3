"""Many inputs of many readers over some processes: scheduling, the table, and what was found kept."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .engine import FINE, HANG, OUTCOMES, Tally, Target, Worker, attempt, input_of, valid_files

CHUNK = 400


def fuzz(
    targets: Sequence[Target],
    counts: dict[str, int],
    *,
    seed: int = 0,
    jobs: int = 2,
    limit: float = HANG,
    findings: Path | None = None,
    report: Callable[[str], object] = lambda _: None,
) -> dict[str, Tally]:
    """Return each reader its inputs, and return what became of them.

    Parameters
    ----------
    targets, counts
        The readers, and the number of inputs of each by its name.
    seed
        Another seed, other inputs.
    jobs
        How many processes at once.
    limit
        Seconds of processor time for one input.
    findings
        The folder in which to keep inputs whose outcome is not documented.
    report
        Takes a line as each reader is done.
    """
    ram = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(prefix="ssae-fuzz-", dir=ram if ram.is_dir() else None))
    try:
        valid = {each.name: valid_files(each, root / "seeds" / each.name.replace(" ", "-")) for each in targets}
        waiting = [(target, -1, 0) for target in targets] + [
            (target, begin, min(begin + CHUNK, counts[target.name]))
            for target in targets
            for begin in range(0, counts[target.name], CHUNK)
        ]
        tallies = {each.name: Tally() for each in targets}
        left = {name: counts[name] for name in tallies}
        running: list[Worker] = []
        number = 0
        while waiting or running:
            while waiting and len(running) < jobs:
                target, begin, end = waiting.pop(0)
                number += 1
                running.append(Worker(target, valid[target.name], seed, begin, end, root / f"{number}", limit))
            ended = [each for each in running if each.poll()]
            if not ended:
                running[0].process.join(0.02)
            for worker in ended:
                running.remove(worker)
                tally, goes_on = worker.result()
                name = worker.target.name
                if worker.end == 0:
                    tallies[name].undamaged = next(each for each, count in tally.counts.items() if count)
                    continue
                _add(tallies[name], tally)
                left[name] -= goes_on - worker.begin
                if goes_on < worker.end:
                    waiting.insert(0, (worker.target, goes_on, worker.end))
                for each in tally.findings:
                    keep(findings, worker.target, each, input_of(worker.target, valid[name], seed, each.index), seed)
                if not left[name]:
                    report(row(worker.target, tallies[name]))
        return tallies
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _add(to: Tally, tally: Tally) -> None:
    for outcome, count in tally.counts.items():
        to.counts[outcome] += count
    to.findings += tally.findings


def keep(folder: Path | None, target: Target, finding, files, seed: int) -> None:
    """Keep an input with what became of it, to be read again by ``--reproduce``."""
    if folder is None:
        return
    place = folder / f"{target.name.replace(' ', '-')}-{seed}-{finding.index}"
    shutil.rmtree(place, ignore_errors=True)
    for name, data in files.items():
        (place / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "files" / name).write_bytes(data)
    (place / "target").write_text(target.name)
    (place / "outcome").write_text(f"{finding.outcome}\n{finding.detail}\n")


def row(target: Target, tally: Tally) -> str:
    """Return a reader's line of the table."""
    numbers = " | ".join(f"{tally.counts[each]}" for each in OUTCOMES)
    return f"| {target.name} | {target.about} | {tally.total} | {numbers} |"


def table(targets: Sequence[Target], tallies: dict[str, Tally]) -> str:
    """Return the table of outcomes in Markdown."""
    whole = Tally()
    for each in tallies.values():
        _add(whole, each)
    names = {"foreign": "foreign exception"}
    titles = " | ".join(names.get(each, each) for each in OUTCOMES)
    lines = [f"| reader | what is read | inputs | {titles} |", "|---" * 2 + "|---:" * (1 + len(OUTCOMES)) + "|"]
    lines += [row(each, tallies[each.name]) for each in targets]
    numbers = " | ".join(str(whole.counts[each]) for each in OUTCOMES)
    return "\n".join([*lines, f"| all | | {whole.total} | {numbers} |"])


def undocumented(tallies: dict[str, Tally]) -> int:
    """Return how many inputs had an outcome that is not documented."""
    return sum(count for each in tallies.values() for outcome, count in each.counts.items() if outcome not in FINE)


def read_again(place: Path, targets: dict[str, Target]) -> tuple[str, str, str]:
    """Read an input that was kept; return the reader, the outcome, and what to say of it."""
    target = targets[(place / "target").read_text()]
    found = [each for each in (place / "files").rglob("*") if each.is_file()]
    files = {str(each.relative_to(place / "files")): each.read_bytes() for each in found}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return target.name, *attempt(target, Path(folder, "work"), files)
        finally:
            os.chdir(before)
