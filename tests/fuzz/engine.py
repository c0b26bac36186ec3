"""Inputs given to readers in processes of their own, and what became of each.

A worker is forked for some hundreds of inputs of one reader. It writes each input, reads it, and notes in memory that is
shared what it is at and what came of it; so a worker that dies or has to be killed is an outcome of one input, and the next
worker goes on behind it. An input is made from its number alone, so that it can be made again.
"""

import faulthandler
import mmap
import multiprocessing
import os
import random
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

OUTCOMES = ("accepted", "refused", "foreign", "hang", "memory", "crash", "code run")
FINE = OUTCOMES[:2]
HANG = 5.0  # seconds of processor time
ASLEEP = 60.0  # seconds in which next to none is used
MEMORY = 512 << 20
CANARY = "canary"
BETWEEN = -2
LONGEST_MESSAGE = 20_000  # a name in the file may be quoted, but not the file


class RefusedError(Exception):
    """What a reader raises that refuses an input by other means than an exception."""


class HangError(BaseException):
    """It takes too long; no reader catches this."""


@dataclass(frozen=True)
class Target:
    """A reader and what it is given.

    Attributes
    ----------
    name
        Of the reader, for the command line.
    about
        What is read, for the table.
    seeds
        Writes valid files into a folder.
    mutate
        Changes those files (their contents by name) by a random generator.
    read
        Reads the folder.
    names_file
        Whether an error has to name a file.
    weight
        How many inputs, beside those of others.
    """

    name: str
    about: str
    seeds: Callable[[Path], object]
    mutate: Callable[[random.Random, dict[str, bytes]], dict[str, bytes]]
    read: Callable[[Path], object]
    names_file: bool = True
    weight: float = 1.0


@dataclass
class Finding:
    """An input whose outcome is not documented."""

    target: str
    index: int
    outcome: str
    detail: str


@dataclass
class Tally:
    """What became of a reader's inputs."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    findings: list[Finding] = field(default_factory=list)
    undamaged: str = ""  # what became of the files that were not damaged

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def input_of(target: Target, valid: Mapping[str, bytes], seed: int, index: int) -> dict[str, bytes]:
    """Return the files of an input, always the same for its number; those of number -1 are undamaged."""
    if index < 0:
        return dict(valid)
    rng = random.Random(f"{seed}/{target.name}/{index}")
    return target.mutate(rng, dict(valid))


def valid_files(target: Target, folder: Path) -> dict[str, bytes]:
    """Write a reader's valid files and return their contents."""
    folder.mkdir(parents=True)
    target.seeds(folder)
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


def attempt(target: Target, folder: Path, files: Mapping[str, bytes], limit: float = HANG) -> tuple[str, str]:
    """Read files in a folder in this process; return the outcome, and what to say of it."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _at_most(limit), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(folder)
        outcome, detail = "accepted", ""
    except RefusedError as error:
        outcome, detail = "refused", str(error)
    except HangError:
        outcome, detail = "hang", f"more than {limit:g} s of processor time\n{traceback.format_exc()}"
    except BaseException as error:  # noqa: BLE001 - whatever comes is what is looked for
        outcome, detail = _judged(error, folder if target.names_file else None)
    if traps := [each for each in (Path(CANARY), folder / CANARY) if each.exists()]:
        for each in traps:
            each.unlink()
        outcome, detail = "code run", f"code in the file has run; {detail}"
    return outcome, detail


def _judged(error: BaseException, folder: Path | None) -> tuple[str, str]:
    """Return what an exception is: a documented refusal, memory, or foreign to the reader."""
    message = str(error)
    if isinstance(error, MemoryError) or "allocate memory" in message or "bad_alloc" in message:
        return "memory", traceback.format_exc()
    if isinstance(error, ValueError | OSError) or hasattr(error, "format_message"):
        said = error.format_message() if hasattr(error, "format_message") else message
        whole = said and "\n" not in said and len(said) <= LONGEST_MESSAGE
        if whole and (folder is None or str(folder) in said):
            return "refused", said
    return "foreign", traceback.format_exc()


@contextmanager
def _at_most(limit: float):
    def ring(*_):
        raise HangError

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


class _Shared:
    """What a worker and its parent both see: the input that is being read (BETWEEN, while it is none), and the counts."""

    LAYOUT = struct.Struct(f"<q{len(OUTCOMES)}q")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.LAYOUT.size)
        self.index, self.counts = BETWEEN, [0] * len(OUTCOMES)
        self.write()

    def write(self) -> None:
        self.LAYOUT.pack_into(self._memory, 0, self.index, *self.counts)

    def read(self) -> None:
        self.index, *self.counts = self.LAYOUT.unpack_from(self._memory, 0)


class Worker:
    """A process that reads some inputs of one reader."""

    def __init__(self, target, valid, seed, begin, end, folder, limit=HANG) -> None:
        self.target, self.valid, self.seed, self.end, self.folder, self.limit = target, valid, seed, end, folder, limit
        self.begin = begin
        self.shared = _Shared()
        self.pipe, theirs = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.get_context("fork").Process(target=self._run, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self._killed, self._received = "", []
        self._seen = (BETWEEN, 0.0, 0.0)  # the input that was being read, and both clocks then

    def _run(self, pipe) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work = self.folder / "work"
        shutil.rmtree(self.folder, ignore_errors=True)
        work.mkdir(parents=True)
        os.chdir(self.folder)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as this process
        faulthandler.disable()
        _limit_memory()
        for index in range(self.begin, self.end):
            files = input_of(self.target, self.valid, self.seed, index)
            self.shared.index = index
            self.shared.write()
            outcome, detail = attempt(self.target, work, files, self.limit)
            self.shared.counts[OUTCOMES.index(outcome)] += 1
            self.shared.index = BETWEEN
            self.shared.write()
            if outcome not in FINE:
                pipe.send((index, outcome, detail))
        os._exit(0)

    def poll(self) -> bool:
        """Return whether the worker has ended; one that is stuck in one input is ended."""
        self._receive()
        self.process.join(0)
        if self.process.exitcode is not None:
            return True
        self.shared.read()
        if self.shared.index != self._seen[0]:
            self._seen = (self.shared.index, _cpu_time(self.process.pid), time.monotonic())
        elif self.shared.index != BETWEEN:
            used, passed = _cpu_time(self.process.pid) - self._seen[1], time.monotonic() - self._seen[2]
            if used > self.limit + min(1, self.limit) or passed > max(ASLEEP, 20 * self.limit):
                self._killed = f"more than {used:.0f} s of processor time, {passed:.0f} s in all, in one call"
                self.process.kill()
        return False

    def result(self) -> tuple[Tally, int]:
        """Return what became of the inputs, and the number to go on from."""
        self.shared.read()
        tally = Tally(dict(zip(OUTCOMES, self.shared.counts, strict=True)))
        self._receive()
        tally.findings += [Finding(self.target.name, *each) for each in self._received]
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.process.exitcode == 0:
            return tally, self.end
        at = self.shared.index if self.shared.index != BETWEEN else self.begin + tally.total
        outcome = "hang" if self._killed else "crash"
        tally.counts[outcome] += 1
        why = self._killed or f"the process ended with {_ending(self.process.exitcode)}"
        tally.findings.append(Finding(self.target.name, at, outcome, why))
        return tally, at + 1

    def _receive(self) -> None:
        try:
            while self.pipe.poll():
                self._received.append(self.pipe.recv())
        except (EOFError, OSError):
            pass  # all is there


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"status {code}"


def _limit_memory() -> None:
    """Let this process have no more than `MEMORY` beyond what it has."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (OSError, ValueError):  # no Linux
        pass


def _cpu_time(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0
