"""The loop that trains groups of members: progress, the log, checkpoints that resume to the same weights, early stopping.

A run's folder, where it is given one, holds ``log.jsonl`` (a row every so many steps) and, until the run has ended,
``checkpoint.pt``; then ``run.json`` (settings, seeds, versions), written together with the SSAE. A folder that holds the
SSAE of another run is refused.
"""

import hashlib
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from cooper.optim.torch_optimizers.nupi_optimizer import nuPIInitType

from ssae_lens.base import files
from ssae_lens.base.progress import progress
from ssae_lens.base.versions import versions
from ssae_lens.training.data import Rows, Stream
from ssae_lens.training.training_group import TrainingGroup

LOG_ROWS = 100
RUN, CHECKPOINT = "run.json", "checkpoint.pt"
CHECKPOINT_SECONDS = 30.0
# A product of this many multiplications is worth handing out to threads.
THREADS_FROM = 1 << 24


class Run:
    """Groups in training on one data set (and some, perhaps, on parts of it), with what is kept of it."""

    def __init__(
        self, data: Rows | Stream, groups: Sequence[TrainingGroup], *, seed: int, about: dict[str, Any]
    ) -> None:
        self.data, self.groups, self.seed = data, groups, seed
        self.solver = groups[0].solver
        self.about = {**about, "data": data.fingerprint(), "versions": versions()}
        self.step = 0
        # The best objective of the log so far, and the step it was reached at.
        self.best, self.since = float("inf"), 0
        self.wandb: Any = None
        self.out: Path | None = None

    @contextmanager
    def holding(self, out: Path | None, *, overwrite: bool) -> Iterator[None]:
        """Hold the folder of this run: no other process trains there, and nothing of another run is lost.

        Raises
        ------
        FileExistsError
            If the folder holds the SSAE of another run and `overwrite` is False.
        """
        if out is None:
            yield
            return
        with files.locked(out / "run"):
            files.settle(out)
            self._claim(out, overwrite=overwrite)
            self.out = out
            yield
            (out / CHECKPOINT).unlink(missing_ok=True)

    def _claim(self, out: Path, *, overwrite: bool) -> None:
        if not (out / "cfg.json").exists():
            return
        try:
            begun = _identity(files.read_json(out / RUN, checksum=True))
        except (OSError, ValueError):
            begun = {}
        asked = _identity(self.about)
        if begun == asked:
            return
        differ = _differences(begun, asked) if begun else "it does not say which"
        files.require_free(out, overwrite=overwrite, what="it holds the SSAE of another run", hint=f" ({differ})")
        for name in (CHECKPOINT, "log.jsonl"):
            (out / name).unlink(missing_ok=True)

    def save(self, ssae: Any, **extra: Any) -> None:
        """Save an SSAE in the run's folder, together with ``run.json`` and what else belongs to it as JSON, by name."""
        if self.out is not None:
            texts = {f"{name}.json": files.json_text(value) for name, value in extra.items()}
            sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
            sums["log.jsonl"] = files.sha256_of(self.out / "log.jsonl")
            texts[RUN] = files.json_text({**self.about, "sha256": sums}, checksum=True)
            ssae.save_with(self.out, texts, overwrite=True)

    def go(self, *, quiet: bool, checkpoint_every: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Train to the end, from a checkpoint where there is one."""
        with _threads_for(self.groups, self.solver.batch_size):
            self._go(self.out, quiet=quiet, checkpoint_every=checkpoint_every, clock=clock)

    def _go(self, out: Path | None, *, quiet: bool, checkpoint_every: int | None, clock: Callable[[], float]) -> None:
        log_every = max(1, self.solver.steps // LOG_ROWS)
        if out is not None:
            self._resume(out)
        saved = clock()
        bar = progress(total=self.solver.steps, unit="step", about="training", quiet=quiet)
        bar.update(self.step)
        with bar, _interrupts_between_steps() as interrupted:
            while self.step < self.solver.steps:
                self._advance()
                bar.update()
                if self.step % log_every == 0 or self.step == self.solver.steps:
                    rows = [group.record(self.step) for group in self.groups]
                    rows = [row for row, group in zip(rows, self.groups, strict=True) if group.data is self.data]
                    self._note(rows, bar, out)
                    if self._ended(rows):
                        break
                due = self.step % checkpoint_every == 0 if checkpoint_every else clock() - saved > CHECKPOINT_SECONDS
                if out is not None and isinstance(self.data, Rows) and (due or interrupted()):
                    self._checkpoint(out)
                    saved = clock()
                if interrupted():
                    raise KeyboardInterrupt

    def _advance(self) -> None:
        """Take a step of every group on its data's batch, read once."""
        read: dict[tuple[int, bool], torch.Tensor] = {}
        for group in self.groups:
            key = id(group.data), group.holds_data
            if key not in read:
                get = group.data.pick if isinstance(group.data, Rows) and group.holds_data else group.data.batch
                read[key] = get(self.step, self.solver.batch_size, self.seed)
            group.step(self.step, read[key])
        self.step += 1

    def _ended(self, rows: list[dict[str, Any]]) -> bool:
        """Return whether training can stop: every loss has diverged, or the objective has not improved for `patience` steps.

        Steps count once annealing has ended, which changes what is measured, and while every member meets its bound:
        codes that have collapsed are the sparsest of all.
        """
        if not any(value < float("inf") for row in rows for value in row["loss"]):
            return True
        groups = [group for group in self.groups if group.data is self.data]
        pairs = zip(groups, rows, strict=True)
        if not all(group.problem.settled and group.meets_bounds(row) for group, row in pairs):
            self.since = self.step
            return False
        name = "sparsity" if groups[0].problem.by_budget else "loss"
        now = sum(sum(row[name]) for row in rows)
        if now < self.best * (1 - 1e-4):
            self.best, self.since = now, self.step
        return self.solver.patience is not None and self.step - self.since >= self.solver.patience

    def _note(self, rows: list[dict[str, Any]], bar: Any, out: Path | None) -> None:
        first = rows[0]
        bar.set_postfix(
            loss=f"{first['loss'][0]:.3g}",
            bound=f"{first['bound'][0]:.3g}",
            h=f"{first['mean_abs'][0]:.3g}",
            multiplier=f"{first['multiplier'][0]:.2g}",
            active=f"{first['active'][0]:.1f}",
            refresh=False,
        )
        if out is not None:
            with files.naming(out / "log.jsonl"), (out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.writelines(json.dumps(row) + "\n" for row in rows)
        if self.wandb is not None:
            self.wandb.log(_flat(rows), step=first["step"])

    def _rewrite_log(self, path: Path) -> None:
        """Write the log anew as the checkpoint knows it: rows after it are logged again, and damaged ones are whole."""
        histories = [group.history for group in self.groups if group.data is self.data]
        with files.writing(path) as temporary:
            temporary.write_text(
                "".join(json.dumps(row) + "\n" for rows in zip(*histories, strict=True) for row in rows),
                encoding="utf-8",
            )

    def _checkpoint(self, out: Path) -> None:
        state = {
            "about": json.dumps(_identity(self.about)),
            "step": self.step,
            "best": [self.best, self.since],
            "groups": [_state(group) for group in self.groups],
        }
        with files.writing(out / CHECKPOINT) as temporary:
            torch.save(state, temporary)
            files.seal(temporary)

    def _resume(self, out: Path) -> None:
        path = out / CHECKPOINT
        files.remove_abandoned(path)
        if not path.is_file():
            (out / "log.jsonl").unlink(missing_ok=True)
            return
        try:
            files.unseal(path)
            with torch.serialization.safe_globals([nuPIInitType]):
                state = torch.load(path, map_location=self.groups[0].device, weights_only=True)
        except Exception as error:  # noqa: BLE001  whatever a broken file makes torch raise
            raise ValueError(f"{path} cannot be read ({type(error).__name__}); delete it to begin again.") from None
        begun, asked = json.loads(state["about"]), _identity(self.about)
        if begun != asked:
            differ = _differences(begun, asked)
            raise ValueError(f"{path} is of another run ({differ}); give another folder, or delete it to begin again.")
        self.step, (self.best, self.since) = state["step"], state["best"]
        for group, kept in zip(self.groups, state["groups"], strict=True):
            _restore(group, kept)
        self._rewrite_log(out / "log.jsonl")


@contextmanager
def _threads_for(groups: Sequence[TrainingGroup], batch_size: int) -> Iterator[None]:
    """Keep small products on one thread: handing them out costs more than it saves, many times more on a busy machine."""
    before = torch.get_num_threads()
    if max(batch_size * group.members.W_enc.numel() for group in groups) < THREADS_FROM:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts_between_steps() -> Iterator[Callable[[], bool]]:
    """Hold a person's Ctrl-C back until a step is whole, but not a second one. Gives whether one came."""
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        if came:
            signal.default_int_handler(number, frame)
        came.append(number)

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ours &= threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(came)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _flat(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return a step's rows of the log as numbers by name, which is what Weights & Biases takes.

    Groups of one width (a sweep of top-k has one for each k) are counted through: they must not write over each other.
    """
    flat: dict[str, float] = {}
    before: Counter[int] = Counter()
    for row in rows:
        width = row["d_sae"]
        for name, values in row.items():
            if isinstance(values, list):
                flat |= {f"d_sae={width}/{name}/{before[width] + i}": each for i, each in enumerate(values)}
        before[width] += len(row["loss"])
    return flat


def _identity(about: dict[str, Any]) -> dict[str, Any]:
    """Return what must be the same for a run to go on: everything but the versions and the checksums of its files."""
    return json.loads(json.dumps({name: value for name, value in about.items() if name not in ("versions", "sha256")}))


def read_run(folder: Path) -> dict[str, Any]:
    """Return what a finished run's ``run.json`` states, once its log and its table match the checksums there.

    A folder of version 0.1.0 has no checksums, and nothing is verified.
    """
    about = files.read_json(folder / RUN)
    if isinstance(about, dict) and "sha256" in about:
        about = files.read_json(folder / RUN, checksum=True)
        for name, stated in about["sha256"].items():
            if not (folder / name).is_file() or files.sha256_of(folder / name) != stated:
                raise files.DamagedFileError(
                    f"{folder / name} is damaged or missing: it does not match {RUN}; run the training again."
                )
    return about


def _differences(begun: dict[str, Any], asked: dict[str, Any]) -> str:
    return "; ".join(f"{k}: {begun.get(k)!r} against {asked.get(k)!r}" for k in asked if begun.get(k) != asked.get(k))


def _state(group: TrainingGroup) -> dict[str, Any]:
    return {
        "members": group.members.state_dict(),
        "duals": group.problem.state_dict(),
        "scale": group.problem.scale,
        "optimizers": [each.state_dict() for each in _optimizers(group)],
        "history": json.dumps(group.history),
    }


def _restore(group: TrainingGroup, kept: dict[str, Any]) -> None:
    group.members.load_state_dict(kept["members"])
    group.problem.load_state_dict(kept["duals"])
    group.problem.scale = kept["scale"].to(group.device)
    for each, state in zip(_optimizers(group), kept["optimizers"], strict=True):
        each.load_state_dict(state)
    group.history[:] = json.loads(kept["history"])


def _optimizers(group: TrainingGroup) -> list[torch.optim.Optimizer]:
    return [*group.optimizer.primal_optimizers, *(getattr(group.optimizer, "dual_optimizers", None) or [])]
