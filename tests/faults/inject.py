"""Faults, and what comes of a job under one: right, a clear error, a deep error, silently wrong, or a hang.

A job runs in a process of its own, forked when everything is imported. Moments are counted in the calls by which files are
made, renamed and removed and steps are taken: before and after each, a process can be ended.
"""

import os
import pickle
import random
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.jobs import Job, quietly, started
from ssae_lens.hooks.capture_job import BatchPlan
from ssae_lens.training.runs import Run

PATIENCE = 60.0
MOMENTS = [
    *((os, name) for name in ("fsync", "replace", "rename", "unlink", "link", "rmdir", "mkdir")),
    (BatchPlan, "tokens"),
    (Run, "_advance"),
]
OUTCOMES = ("right", "clear error", "deep error", "silently wrong", "hang")


@dataclass(frozen=True)
class Ended:
    """How a process ended: by a signal, with an error (its type and words), or whole with what it returned."""

    signal: int = 0
    error: str = ""
    clear: bool = True
    value: Any = None
    hung: bool = False


def in_a_process(work: Callable[[], Any]) -> Ended:
    """Run `work` in a forked process and return how it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            ended = Ended(value=work())
        except BaseException as error:  # noqa: BLE001  whatever a fault makes of it
            ended = Ended(error=f"{type(error).__name__}: {error}", clear=is_clear(error))
        try:
            said = pickle.dumps(ended)
        except Exception:  # noqa: BLE001  a value that no other process wants
            said = pickle.dumps(Ended())
        os.write(writing, said)
        os._exit(0)
    os.close(writing)
    said, ended_by = b"", time.monotonic() + PATIENCE
    while select.select([reading], [], [], max(0.0, ended_by - time.monotonic()))[0]:
        if not (more := os.read(reading, 1 << 20)):
            break
        said += more
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        return Ended(hung=True)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Ended(signal=os.WTERMSIG(status))
    return pickle.loads(said)


def is_clear(error: BaseException) -> bool:
    """Whether an error is one that a person can act on: of a documented type, in one line, naming something."""
    if isinstance(error, KeyboardInterrupt):
        return True
    return isinstance(error, ValueError | OSError) and "\n" not in str(error) and ("/" in str(error))


def moments(work: Callable[[], Any]) -> int:
    """Return how many moments there are in some work."""
    return in_a_process(lambda: counted(work, None)).value


def counted(work: Callable[[], Any], at: int | None, how: int = signal.SIGKILL) -> int:
    """Do the work, and send this process a signal at a moment; return the number of moments."""
    count = [0]

    def moment() -> None:
        if count[0] == at:
            os.kill(os.getpid(), how)
        count[0] += 1

    def watched(function: Any) -> Any:
        def watching(*args: Any, **kwargs: Any) -> Any:
            moment()
            result = function(*args, **kwargs)
            moment()
            return result

        return watching

    for where, name in MOMENTS:
        setattr(where, name, watched(getattr(where, name)))
    work()
    return count[0]


def verdict(job: Job, folder: Path, right: dict[str, str], before: dict[str, str] | None = None) -> str:
    """Say what became of a job: read what is there now if it may be read at all times, then do it again and compare."""
    if job.either:
        seen = in_a_process(lambda: quietly(job.read, folder))
        if seen.hung:
            return "hang"
        if seen.error and not seen.clear:
            return "deep error"
        if not seen.error and seen.value not in (right, before):
            return "silently wrong"
    ended = in_a_process(lambda: (quietly(job.run, folder), quietly(job.read, folder))[1])
    return outcome_of(ended, right)


def outcome_of(ended: Ended, right: dict[str, str]) -> str:
    if ended.hung or ended.signal:
        return "hang" if ended.hung else "deep error"
    if ended.error:
        return "clear error" if ended.clear else "deep error"
    return "right" if ended.value == right else "silently wrong"


def kill(job: Job, folder: Path, truth: dict[str, Any], dice: random.Random, how: int) -> str:
    """End a job by a signal at a moment, then do it again; a second kill may meet the second try."""
    started(job, folder)
    for _ in range(dice.choice((1, 1, 2))):
        at = dice.randrange(truth["moments"])
        ended = in_a_process(lambda at=at: counted(lambda: quietly(job.run, folder), at, how))
        if ended.hung or (ended.error and not ended.clear):
            return "hang" if ended.hung else "deep error"
    outcome = verdict(job, folder, truth["right"], truth["before"])
    left = [each.name for each in folder.rglob("*") if each.name.startswith(".") or each.name.endswith(".partial")]
    return outcome if not left or outcome != "right" else "silently wrong"


def full_disk(job: Job, folder: Path, truth: dict[str, Any], dice: random.Random) -> str:
    """Run a job under a limit on the size of files, then without it."""
    started(job, folder)
    limit = dice.randrange(1, truth["largest"])

    def starved() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        quietly(job.run, folder)

    return first_clear(job, folder, truth, in_a_process(starved))


def small_disk(job: Job, folder: Path, truth: dict[str, Any], dice: random.Random) -> str | None:
    """Run a job on a small file system, then on a larger one; None where none can be mounted."""
    size = 4096 * dice.randrange(1, max(2, 2 * truth["bytes"] // 4096))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        return None
    try:
        quietly(job.prepare, folder)
        used = sum(each.stat().st_blocks * 512 for each in folder.rglob("*") if each.is_file())
        subprocess.run(["mount", "-o", f"remount,size={used + size}", folder], check=True, capture_output=True)
        ended = in_a_process(lambda: quietly(job.run, folder))
        subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True, capture_output=True)
        return first_clear(job, folder, truth, ended)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)


def read_only(job: Job, folder: Path, truth: dict[str, Any], dice: random.Random) -> str:
    """Run a job as a user who may not write there, then as one who may."""
    started(job, folder)

    def forbidden() -> None:
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        quietly(job.run, folder)

    for each in [folder, *folder.rglob("*")]:
        each.chmod(0o555 if each.is_dir() else 0o444)
    ended = in_a_process(forbidden)
    for each in [folder, *folder.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)
    return first_clear(job, folder, truth, ended)


def first_clear(job: Job, folder: Path, truth: dict[str, Any], ended: Ended) -> str:
    """Say what became of a job whose first try met a fault that it can see, and whose second meets none."""
    if ended.hung or ended.signal:
        return "hang" if ended.hung else "deep error"
    if ended.error and not ended.clear:
        return "deep error"
    return verdict(job, folder, truth["right"], truth["before"])


def damage(job: Job, folder: Path, truth: dict[str, Any], dice: random.Random, *, cut: bool, finished: bool) -> str:
    """Flip a bit in, or cut, a file of a finished job or of one that was killed on the way; then read it or do it again."""
    started(job, folder)
    if finished:
        in_a_process(lambda: quietly(job.run, folder))
    else:
        at = dice.randrange(truth["moments"])
        in_a_process(lambda: counted(lambda: quietly(job.run, folder), at))
    files = sorted(each for each in folder.rglob("*") if each.is_file() and each.stat().st_size)
    if not files:
        return verdict(job, folder, truth["right"], truth["before"])
    file = dice.choice(files)
    contents = bytearray(file.read_bytes())
    place = dice.randrange(len(contents))
    if cut:
        del contents[place:]
    else:
        contents[place] ^= 1 << dice.randrange(8)
    file.write_bytes(contents)
    if finished:
        ended = in_a_process(lambda: quietly(job.read, folder))
        return outcome_of(ended, truth["right"])
    return verdict(job, folder, truth["right"], truth["before"])


def two_at_once(job: Job, folder: Path, truth: dict[str, Any], dice: random.Random) -> str:
    """Run a job in two processes on one path, each starting at a moment of its own, and compare both with the truth."""
    started(job, folder)
    other = os.fork()
    if other == 0:
        ended = in_a_process(lambda: quietly(job.run, folder))
        os._exit(0 if not ended.error and not ended.hung else 1)
    ended = in_a_process(lambda: quietly(job.run, folder))
    _, status = os.waitpid(other, 0)
    if ended.hung:
        return "hang"
    if ended.error or status:
        return "clear error" if ended.clear and not status else "deep error"
    return outcome_of(in_a_process(lambda: quietly(job.read, folder)), truth["right"])


def read_during(job: Job, folder: Path, truth: dict[str, Any], dice: random.Random) -> str:
    """Read while a job writes, again and again: what is read is whole, of before or after, or not there yet."""
    started(job, folder)
    writer = os.fork()
    if writer == 0:
        for _ in range(5):
            in_a_process(lambda: quietly(job.run, folder))
        os._exit(0)
    outcomes = []
    while True:
        ended = in_a_process(lambda: quietly(job.read, folder))
        if ended.hung or (ended.error and not ended.clear):
            outcomes.append("hang" if ended.hung else "deep error")
        elif not ended.error:
            outcomes.append("right" if ended.value in (truth["right"], truth["before"]) else "silently wrong")
        elif job.either:
            outcomes.append("clear error")  # what was there before must be readable at all times
        if os.waitpid(writer, os.WNOHANG)[0]:
            break
    bad = [each for each in outcomes if each != "right"]
    return bad[0] if bad else "right"


FAULTS: dict[str, Callable[..., str | None]] = {
    "SIGKILL": lambda *given: kill(*given, signal.SIGKILL),
    "SIGTERM": lambda *given: kill(*given, signal.SIGTERM),
    "SIGINT": lambda *given: kill(*given, signal.SIGINT),
    "limit on a file's size": full_disk,
    "full disk": small_disk,
    "read-only folder": read_only,
    "bit flipped, finished": lambda *given: damage(*given, cut=False, finished=True),
    "bit flipped, half done": lambda *given: damage(*given, cut=False, finished=False),
    "cut short, finished": lambda *given: damage(*given, cut=True, finished=True),
    "cut short, half done": lambda *given: damage(*given, cut=True, finished=False),
    "two at once": two_at_once,
    "read during writes": read_during,
}


def truth_of(job: Job, folder: Path) -> dict[str, Any]:
    """Return what undisturbed work comes to, and its size in moments and bytes."""
    started(job, folder)
    before = in_a_process(lambda: quietly(job.read, folder)).value if job.either else None
    count = moments(lambda: quietly(job.run, folder))
    started(job, folder)
    ended = in_a_process(lambda: (quietly(job.run, folder), quietly(job.read, folder))[1])
    assert not ended.error, f"{job.name}: {ended.error}"
    assert count, job.name
    sizes = [each.stat().st_size for each in folder.rglob("*") if each.is_file()]
    return {"right": ended.value, "before": before, "moments": count, "largest": max(sizes), "bytes": sum(sizes)}


@contextmanager
def workplace() -> Iterator[Path]:
    """Yield a folder that any user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
