"""The loop that trains groups of members: progress, the log, checkpoints that resume to the same weights, early stopping.

A run's folder, where it is given one, holds ``run.json`` (settings, seeds, versions), ``log.jsonl`` (a row every so many
steps) and, until the run has ended, ``checkpoint.pt``.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ssae_lens.base.files import write_json, writing
from ssae_lens.base.progress import progress
from ssae_lens.base.versions import versions
from ssae_lens.training.data import Rows, Stream
from ssae_lens.training.fit import Group

LOG_ROWS = 100
CHECKPOINT_SECONDS = 30.0


class Run:
    """Groups in training on one data set, with what is kept of it."""

    def __init__(self, data: Rows | Stream, groups: Sequence[Group], *, seed: int, about: dict[str, Any]) -> None:
        self.data, self.groups, self.seed = data, groups, seed
        self.solver = groups[0].solver
        self.about = {**about, "data": data.fingerprint(), "versions": versions()}
        self.step = 0
        self.wandb: Any = None

    def go(
        self,
        out: Path | None,
        *,
        quiet: bool,
        checkpoint_every: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Train to the end, from a checkpoint where there is one."""
        log_every = max(1, self.solver.steps // LOG_ROWS)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            self._resume(out)
            write_json(out / "run.json", self.about)
        best, since, saved = float("inf"), 0, clock()
        bar = progress(total=self.solver.steps, unit="step", about="training", quiet=quiet)
        bar.update(self.step)
        with bar:
            while self.step < self.solver.steps:
                self._advance()
                bar.update()
                if self.step % log_every == 0 or self.step == self.solver.steps:
                    rows = [group.record(self.step) for group in self.groups]
                    self._note(rows, bar, out)
                    if not any(value < float("inf") for row in rows for value in row["loss"]):
                        break
                    now = self._objective()
                    best, since = (now, self.step) if now < best * (1 - 1e-4) else (best, since)
                    if self.solver.patience is not None and self.step - since >= self.solver.patience:
                        break
                due = self.step % checkpoint_every == 0 if checkpoint_every else clock() - saved > CHECKPOINT_SECONDS
                if out is not None and due and isinstance(self.data, Rows):
                    self._checkpoint(out)
                    saved = clock()
        if out is not None:
            (out / "checkpoint.pt").unlink(missing_ok=True)

    def _advance(self) -> None:
        """Take a step of every group on one batch, read once."""
        solver = self.solver
        if isinstance(self.data, Rows):
            pick = self.data.pick(self.step, solver.batch_size, self.seed)
            batch = None
            for group in self.groups:
                if not group.holds_data and batch is None:
                    batch = self.data.batch(self.step, solver.batch_size, self.seed)
                group.step(self.step, pick if group.holds_data else batch)  # pyright: ignore[reportArgumentType]
        else:
            batch = self.data.batch(self.step, solver.batch_size, self.seed)
            for group in self.groups:
                group.step(self.step, batch)
        self.step += 1

    def _objective(self) -> float:
        state = [group.problem.state for group in self.groups]
        return sum(
            float((s[1] if g.problem.by_budget else s[0]).sum()) for g, s in zip(self.groups, state, strict=True) if s
        )

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
            with (out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.writelines(json.dumps(row) + "\n" for row in rows)
        if self.wandb is not None:
            for row in rows:
                flat = {f"{k}/{i}": x for k, v in row.items() if isinstance(v, list) for i, x in enumerate(v)}
                self.wandb.log({f"d_sae={row['d_sae']}/{k}": v for k, v in flat.items()}, step=row["step"])

    def _checkpoint(self, out: Path) -> None:
        state = {
            "about": json.dumps(_identity(self.about)),
            "step": self.step,
            "groups": [_state(group) for group in self.groups],
        }
        with writing(out / "checkpoint.pt") as temporary:
            torch.save(state, temporary)

    def _resume(self, out: Path) -> None:
        path = out / "checkpoint.pt"
        if not path.is_file():
            (out / "log.jsonl").unlink(missing_ok=True)
            return
        try:
            state = torch.load(path, weights_only=True)
        except Exception as error:  # noqa: BLE001  whatever a broken file makes torch raise
            raise ValueError(f"{path} cannot be read ({type(error).__name__}); delete it to begin again.") from None
        begun, asked = json.loads(state["about"]), _identity(self.about)
        if begun != asked:
            differ = [f"{k}: {begun.get(k)!r} against {asked.get(k)!r}" for k in asked if begun.get(k) != asked.get(k)]
            raise ValueError(
                f"{path} is of another run ({'; '.join(differ)}); give another folder, or delete it to begin again."
            )
        self.step = state["step"]
        for group, kept in zip(self.groups, state["groups"], strict=True):
            _restore(group, kept)
        _cut_log(out / "log.jsonl", self.step)


def _identity(about: dict[str, Any]) -> dict[str, Any]:
    """Give what must be the same for a run to go on: everything but the versions."""
    return json.loads(json.dumps({name: value for name, value in about.items() if name != "versions"}))


def _state(group: Group) -> dict[str, Any]:
    return {
        "members": group.members.state_dict(),
        "duals": group.problem.state_dict(),
        "scale": group.problem.scale,
        "optimizers": [each.state_dict() for each in _optimizers(group)],
        "history": json.dumps(group.history),
    }


def _restore(group: Group, kept: dict[str, Any]) -> None:
    group.members.load_state_dict(kept["members"])
    group.problem.load_state_dict(kept["duals"])
    group.problem.scale = kept["scale"].to(group.device)
    for each, state in zip(_optimizers(group), kept["optimizers"], strict=True):
        each.load_state_dict(state)
    group.history[:] = json.loads(kept["history"])


def _optimizers(group: Group) -> list[torch.optim.Optimizer]:
    return [*group.optimizer.primal_optimizers, *(getattr(group.optimizer, "dual_optimizers", None) or [])]


def _cut_log(path: Path, step: int) -> None:
    """Drop what was logged after the checkpoint: those steps are taken again."""
    if path.is_file():
        rows = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
        with writing(path) as temporary:
            temporary.write_text("".join(line + "\n" for line in rows), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return float("inf")  # a line that a kill cut short
