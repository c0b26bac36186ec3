"""A training run: the loop over steps, progress, the log, and checkpoints that resume to the same weights.

A run's folder, if it has one, holds ``log.jsonl`` (a row every hundredth of the steps) and, until the run has ended,
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

from ssae_lens.base import checksums, files
from ssae_lens.base.progress_bars import progress
from ssae_lens.base.provenance import versions
from ssae_lens.training.data import Rows, Stream
from ssae_lens.training.training_group import TrainingGroup

LOG_ROWS = 100
RUN, CHECKPOINT, LOG = "run.json", "checkpoint.pt", "log.jsonl"
CHECKPOINT_SECONDS = 30.0
# The multiplications in a matrix product from which threads pay.
THREADS_FROM = 1 << 24


class Run:
    """Groups that train on one data set (and some on parts of it), and the folder that is kept of them."""

    def __init__(
        self, data: Rows | Stream, groups: Sequence[TrainingGroup], *, seed: int, about: dict[str, Any]
    ) -> None:
        self.data, self.groups, self.seed = data, groups, seed
        # The groups on all of the data. The others, on its halves, are not logged.
        self.logged = [group for group in groups if group.data is data]
        self.solver = groups[0].solver
        self.about = {**about, "data": data.fingerprint, "versions": versions()}
        self.step = 0
        self.wandb: Any = None
        self.out: Path | None = None

    @contextmanager
    def holding(self, out: Path | None, *, overwrite: bool) -> Iterator[None]:
        """Lock the run's folder: no other process trains there, and another run's SSAE is not overwritten.

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

    def save(self, ssae: Any, **extra: Any) -> None:
        """Save an SSAE in the run's folder, together with ``run.json`` and `extra` values as JSON files by name."""
        if self.out is not None:
            texts = {f"{name}.json": checksums.json_text(value) for name, value in extra.items()}
            sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
            sums[LOG] = checksums.sha256_of(self.out / LOG)
            texts[RUN] = checksums.json_text({**self.about, "sha256": sums}, checksum=True)
            ssae.save_with(self.out, texts, overwrite=True)

    def go(self, *, quiet: bool, checkpoint_every: int | None) -> None:
        """Train to the end, from a checkpoint where there is one."""
        log_every = max(1, self.solver.steps // LOG_ROWS)
        if self.out is not None:
            self._resume(self.out)
        saved = time.monotonic()
        bar = progress(total=self.solver.steps, unit="step", desc="training", quiet=quiet)
        bar.update(self.step)
        with _threads_for(self.groups, self.solver.batch_size), bar, _interrupts_between_steps() as interrupted:
            while self.step < self.solver.steps:
                self._advance()
                bar.update()
                if self.step % log_every == 0 or self.step == self.solver.steps:
                    for group in self.groups:
                        group.record(self.step)
                    rows = [group.history[-1] for group in self.logged]
                    self._log(rows, bar)
                    if not any(loss < float("inf") for row in rows for loss in row["loss"]):
                        break  # every member has diverged
                due = (
                    self.step % checkpoint_every == 0
                    if checkpoint_every
                    else time.monotonic() - saved > CHECKPOINT_SECONDS
                )
                if self.out is not None and isinstance(self.data, Rows) and (due or interrupted()):
                    self._checkpoint(self.out)
                    saved = time.monotonic()
                if interrupted():
                    raise KeyboardInterrupt

    def _claim(self, out: Path, *, overwrite: bool) -> None:
        if not (out / "cfg.json").exists():
            return
        try:
            there = _identity(checksums.read_json(out / RUN, checksum=True))
        except (OSError, ValueError):
            there = {}
        now = _identity(self.about)
        if there == now:
            return
        hint = _differences(there, now) if there else f"it has no readable {RUN}"
        files.require_free(out, overwrite=overwrite, what="it holds the SSAE of another run", hint=f" ({hint})")
        for name in (CHECKPOINT, LOG):
            (out / name).unlink(missing_ok=True)

    def _advance(self) -> None:
        """Take a step of every group; a batch that several groups share is read once."""
        batches: dict[tuple[int, bool], torch.Tensor] = {}
        for group in self.groups:
            key = id(group.data), group.holds_data
            if key not in batches:
                get = group.data.pick if isinstance(group.data, Rows) and group.holds_data else group.data.batch
                batches[key] = get(self.step, self.solver.batch_size, self.seed)
            group.step(self.step, batches[key])
        self.step += 1

    def _log(self, rows: list[dict[str, Any]], bar: Any) -> None:
        first = rows[0]
        bar.set_postfix(
            loss=f"{first['loss'][0]:.3g}",
            bound=f"{first['bound'][0]:.3g}",
            h=f"{first['mean_abs'][0]:.3g}",
            multiplier=f"{first['multiplier'][0]:.2g}",
            active=f"{first['active'][0]:.1f}",
            refresh=False,
        )
        if self.out is not None:
            with files.naming(self.out / LOG), (self.out / LOG).open("a", encoding="utf-8") as log:
                log.writelines(json.dumps(row) + "\n" for row in rows)
        if self.wandb is not None:
            self.wandb.log(_flat(rows), step=first["step"])

    def _checkpoint(self, out: Path) -> None:
        state = {
            "about": json.dumps(_identity(self.about)),
            "step": self.step,
            "groups": [_state(group) for group in self.groups],
        }
        with files.writing(out / CHECKPOINT) as temporary:
            torch.save(state, temporary)
            checksums.seal(temporary)

    def _resume(self, out: Path) -> None:
        path = out / CHECKPOINT
        files.remove_abandoned(path)
        if not path.is_file():
            (out / LOG).unlink(missing_ok=True)
            return
        try:
            checksums.unseal(path)
            state = torch.load(path, map_location=self.groups[0].device, weights_only=True)
        except Exception as error:  # noqa: BLE001  whatever a damaged file makes torch raise
            raise ValueError(f"{path} cannot be read ({type(error).__name__}); delete it to start again.") from None
        there, now = json.loads(state["about"]), _identity(self.about)
        if there != now:
            differences = _differences(there, now)
            raise ValueError(
                f"{path} belongs to another run ({differences}); give another folder, or delete it to start again."
            )
        self.step = state["step"]
        for group, group_state in zip(self.groups, state["groups"], strict=True):
            _restore(group, group_state)
        # The log restarts from the checkpoint: later rows are logged again.
        histories = [group.history for group in self.logged]
        with files.writing(out / LOG) as temporary:
            lines = [json.dumps(row) + "\n" for rows in zip(*histories, strict=True) for row in rows]
            temporary.write_text("".join(lines), encoding="utf-8")


def read_run(folder: Path) -> dict[str, Any]:
    """Return a finished run's ``run.json``, once its log and its table match the checksums there.

    A folder of version 0.1.0 has no checksums and is not verified.
    """
    about = checksums.read_json(folder / RUN)
    if isinstance(about, dict) and "sha256" in about:
        about = checksums.read_json(folder / RUN, checksum=True)
        for name, expected in about["sha256"].items():
            if not (folder / name).is_file() or checksums.sha256_of(folder / name) != expected:
                raise checksums.DamagedFileError(
                    f"{folder / name} is damaged or missing: it does not match {RUN}; run the training again."
                )
    return about


@contextmanager
def _threads_for(groups: Sequence[TrainingGroup], batch_size: int) -> Iterator[None]:
    """Keep small matrix products on one thread: distributing them costs more than it saves, above all on a busy machine."""
    before = torch.get_num_threads()
    if max(batch_size * group.ensemble.W_enc.numel() for group in groups) < THREADS_FROM:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts_between_steps() -> Iterator[Callable[[], bool]]:
    """Delay a Ctrl-C until a step is complete, but not a second one. Yields a function that returns whether one came."""
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        if came:
            signal.default_int_handler(number, frame)
        came.append(number)

    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    default &= threading.current_thread() is threading.main_thread()
    if default:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(came)
    finally:
        if default:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _flat(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return a step's rows of the log as numbers by name, for Weights & Biases.

    Groups of one width (a sweep of top-k has one for each k) are numbered through, so that names are unique.
    """
    flat: dict[str, float] = {}
    before: Counter[int] = Counter()
    for row in rows:
        width = row["d_sae"]
        for name, values in row.items():
            if isinstance(values, list):
                flat |= {f"d_sae={width}/{name}/{before[width] + i}": value for i, value in enumerate(values)}
        before[width] += len(row["loss"])
    return flat


def _identity(about: dict[str, Any]) -> dict[str, Any]:
    """Return what must be equal for a run to resume: everything but the versions and the checksums of its files."""
    return json.loads(json.dumps({name: value for name, value in about.items() if name not in ("versions", "sha256")}))


def _differences(there: dict[str, Any], now: dict[str, Any]) -> str:
    return "; ".join(
        f"{name}: {there.get(name)!r} there, {now[name]!r} now" for name in now if there.get(name) != now[name]
    )


def _state(group: TrainingGroup) -> dict[str, Any]:
    return {
        "members": group.ensemble.state_dict(),
        "duals": group.problem.state_dict(),
        "scale": group.problem.scale,
        "optimizers": [optimizer.state_dict() for optimizer in _optimizers(group)],
        "history": json.dumps(group.history),
    }


def _restore(group: TrainingGroup, state: dict[str, Any]) -> None:
    group.ensemble.load_state_dict(state["members"])
    group.problem.load_state_dict(state["duals"])
    group.problem.scale = state["scale"].to(group.device)
    for optimizer, optimizer_state in zip(_optimizers(group), state["optimizers"], strict=True):
        optimizer.load_state_dict(optimizer_state)
    group.history[:] = json.loads(state["history"])


def _optimizers(group: TrainingGroup) -> list[torch.optim.Optimizer]:
    return [*group.optimizer.primal_optimizers, *(getattr(group.optimizer, "dual_optimizers", None) or [])]
