"""One group of members in training: their problem, their solver, one step, and what came out.

A `TrainingGroup` holds members of one width that share every batch. `train` runs one group, `sweep` one for each width.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.sae import SSAE
from ssae_lens.training.config import ProblemConfig, SolverConfig
from ssae_lens.training.data import HOLD_BYTES, Rows, Stream
from ssae_lens.training.ensemble import Ensemble
from ssae_lens.training.folding import fold
from ssae_lens.training.input_map import fit_input
from ssae_lens.training.objective import Loss
from ssae_lens.training.outcome import Outcome, active_codes, measure_fit
from ssae_lens.training.problem import ShiftProblem
from ssae_lens.training.refit import refitted
from ssae_lens.training.solvers import formulation_for, make_optimizer

# Results are measured on at most so many shifts, and the rows of the log on fewer.
MEASURE_ROWS, LOG_ROWS = 8192, 512
# Codes of all members together are kept to so many numbers.
MEASURE_CODES = 1 << 26
# A bound is met when it is passed by less than this share of it.
SLACK = 0.1
# A bound does nothing at a multiplier below the first; below the second, if sparsity is less than it as well. (A falling
# multiplier takes its time.)
NO_PRICE, LOW_PRICE = 1e-3, 0.1


class TrainingGroup:
    """Ensemble of one width in training."""

    def __init__(
        self,
        data: Rows | Stream,
        problem: ProblemConfig,
        solver: SolverConfig,
        seeds: Sequence[int],
        bounds: Sequence[float],
        device: torch.device,
    ) -> None:
        self.problem_config, self.solver, self.seeds, self.bounds = problem, solver, list(seeds), list(bounds)
        self.data, self.device = data, device
        sample = data.sample().to(device)
        self.map = fit_input(sample, problem)
        read = self.map.apply(sample)
        self.loss = Loss(problem.loss, read.square().sum(1).mean().item())
        self.members = Ensemble(self.map.width(data.d_in), problem, seeds).to(device)
        self.problem = ShiftProblem(
            self.members,
            problem,
            torch.tensor(bounds, dtype=torch.float32, device=device),
            self.loss,
            self.map.fit_mean_abs,
            solver.warmup,
            formulation_for(solver),
            torch.bfloat16 if solver.precision == "bfloat16" else torch.float32,
            self.map.floor,
        )
        if solver.compile:
            self.members.loss_and_sparsity = torch.compile(self.members.loss_and_sparsity)
        self.optimizer = make_optimizer(self.problem, solver)
        self.history: list[dict[str, Any]] = []
        # Reading through the map once is cheaper than at every step, wherever the result fits.
        fits = isinstance(data, Rows) and not data.path_backed and data.n * read.shape[1] * 4 <= HOLD_BYTES
        self._read = self._apply_to_all() if fits else None
        rows = max(1, min(MEASURE_ROWS, MEASURE_CODES // (len(seeds) * max(problem.d_sae, read.shape[1]))))
        self._sample = read[:: max(1, -(-len(read) // rows))]

    def _apply_to_all(self) -> Float[Tensor, "n r"]:
        assert isinstance(self.data, Rows)
        return torch.cat([self.map.apply(block.to(self.device)) for block in self.data.blocks()])

    @property
    def holds_data(self) -> bool:
        """Whether steps are fed by row numbers rather than by batches of shifts."""
        return self._read is not None

    def step(self, number: int, batch: Tensor) -> None:
        """Take one step: `batch` is row numbers where the group holds its data, shifts elsewhere."""
        shifts = (
            self._read.index_select(0, batch.to(self.device))
            if self._read is not None
            else self.map.apply(batch.to(self.device))
        )
        self.problem.progress = number / self.solver.steps
        self._set_rate(number)
        self.optimizer.roll(compute_cmp_state_kwargs={"shifts": shifts})
        self.members.renormalise()

    def _set_rate(self, number: int) -> None:
        left = (self.solver.steps - number) / max(1.0, self.solver.decay * self.solver.steps)
        # A multiplier that went on while the weights stood still would say nothing of what shaped them.
        for optimizers, rate in (
            (self.optimizer.primal_optimizers, self.solver.lr),
            (self.optimizer.dual_optimizers or [], self.solver.dual_lr),
        ):
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate * min(1.0, left)

    @torch.no_grad()
    def record(self, step: int) -> dict[str, Any]:
        """Note where training stands: one row of the log."""
        state = self.problem.state
        assert state is not None
        codes = self.codes(LOG_ROWS)
        row = {
            "step": step,
            "d_sae": self.problem_config.d_sae,
            "loss": state[0].tolist(),
            "sparsity": state[1].tolist(),
            "bound": self.problem.bound.tolist(),
            "mean_abs": codes.abs().mean((1, 2)).tolist(),
            "active": [active_codes(each) for each in codes],
            "multiplier": self.problem.multipliers_now.tolist(),
        }
        self.history.append(row)
        return row

    @torch.no_grad()
    def codes(self, rows: int = MEASURE_ROWS) -> Float[Tensor, "m b h"]:
        """Return every member's codes of a fixed sample of the shifts."""
        self.members.eval()
        codes = self.members.codes(self._sample[:rows], self.problem.measure)
        self.members.train()
        return codes

    @cached_property
    @torch.no_grad()
    def decoders(self) -> Float[Tensor, "m h d"]:
        """Ensemble' decoder rows as they read in residual units, of any length. Asked for when training has ended."""
        rows = self.map.restore(self.members.W_dec.detach())
        if not self.problem_config.has_active_mask:
            return rows
        shifts = self.data.sample().to(self.device)
        most = max(1, MEASURE_CODES // (len(self.seeds) * self.problem_config.d_sae))
        shifts = shifts[:: -(-len(shifts) // most)]
        codes = self.members.codes(self.map.apply(shifts), self.problem.measure)
        return torch.stack([refitted(each, shifts, own) for each, own in zip(codes, rows, strict=True)])

    @torch.no_grad()
    def outcomes(self) -> list[Outcome]:
        """Return how every member's problem ended, and how well it fits the shifts as an SSAE."""
        return [self.with_fit(i, each) for i, each in enumerate(self.solutions())]

    @torch.no_grad()
    def with_fit(self, member: int, solution: Outcome) -> Outcome:
        """Return how a member's problem ended, and how well it fits the shifts as an SSAE."""
        if solution.status == "diverged":
            return solution
        fit = measure_fit(self.ssae(member, {}).to(self.device), self.data.measured())
        return solution.of_fit(fit, self.data.n)

    @torch.no_grad()
    def solutions(self) -> list[Outcome]:
        """Return how every member's constrained problem ended, without the fit."""
        self.problem.progress = 1.0
        self.members.eval()
        loss, sparsity = self.members.loss_and_sparsity(self._sample, self.loss, self.problem.measure)
        final = self.problem.bounds
        # Solvers swing about the right multiplier: its mean over the last third of the log is nearer than its last value.
        logged = [row["multiplier"] for row in self.history[-max(1, len(self.history) // 3) :]]
        multipliers = torch.tensor(logged or [self.problem.multipliers_now.tolist()]).mean(0)
        found = []
        for i, seed in enumerate(self.seeds):
            lost, used, price = loss[i].item(), sparsity[i].item(), multipliers[i].item()
            status, details = self._judge(lost, used, price, final[i].item())
            found.append(
                Outcome(
                    seed,
                    self.bounds[i],
                    status,
                    details,
                    loss=lost,
                    sparsity=used,
                    mean_abs=float("nan"),
                    active=float("nan"),
                    multiplier=price,
                    objective=used if self.problem.by_budget and status == "binding" else lost,
                    history=[{k: v[i] if isinstance(v, list) else v for k, v in row.items()} for row in self.history],
                    details=details,
                )
            )
        return found

    def meets_bounds(self, row: dict[str, Any]) -> bool:
        """Say whether every member met its bound in a row of the log. Top-k has none."""
        if self.problem.k is not None:
            return True
        return all(map(self._meets, row["loss"], row["sparsity"], self.problem.bounds.tolist()))

    def _meets(self, loss: float, sparsity: float, bound: float) -> bool:
        return loss <= bound * (1 + 5 * SLACK) if self.problem.by_budget else sparsity <= bound * (1 + SLACK)

    def _judge(self, loss: float, sparsity: float, multiplier: float, bound: float) -> tuple[str, str]:
        """Return how a member's bound stands, in a word, and what is to be said of it."""
        if not (loss < float("inf") and sparsity < float("inf")):
            return "diverged", f"The loss is {loss}: training diverged. Lower lr={self.solver.lr}."
        if self.problem_config.kind == "topk":
            return "binding", ""
        if not self._meets(loss, sparsity, bound):
            if self.problem.by_budget:
                return "infeasible", (
                    f"In the encoder's space the loss is {loss:.3g} where the budget allows {bound:.3g} (with "
                    f"d_sae={self.problem_config.d_sae} it is at least {self.map.floor:.3g}): that was not reached. "
                    "Raise the steps or the budget."
                )
            return "infeasible", (
                f"Sparsity is {sparsity:.4g} where the level allows {bound:.4g}: it was not reached. "
                "Raise the level, the steps or dual_lr."
            )
        if self.problem.by_budget:
            return "binding", ""
        # The price of the bound, relative to it, in a loss that is one where all codes are zero.
        price = multiplier * (bound / self.problem_config.d_sae if self.problem.absolute else 1)
        if price < (LOW_PRICE if sparsity < bound * (1 - SLACK) else NO_PRICE):
            return "slack", (
                f"Sparsity is {sparsity:.4g} at a level of {bound:.4g}, with a multiplier of {multiplier:.2g}: the "
                "constraint does nothing. Lower the level."
            )
        return "binding", ""

    @torch.no_grad()
    def ssae(self, member: int, metadata: dict[str, Any]) -> SSAE:
        """Return a member as an SSAE in residual units, with everything linear folded into its weights."""
        k = round(self.bounds[member]) if self.problem_config.kind == "topk" else None
        return fold(self.members, member, self.map, metadata, k, self.decoders[member])
