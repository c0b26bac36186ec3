"""A group of SSAEs in training: an ensemble of one width with its problem, its solver, its steps and its outcomes.

`train` runs one group, `sweep` one for each width.
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
from ssae_lens.training.input_map import fit_input
from ssae_lens.training.merge import refit_decoder
from ssae_lens.training.objective import Loss
from ssae_lens.training.outcome import Outcome, active_codes, measure_fit
from ssae_lens.training.problem import ShiftProblem
from ssae_lens.training.solvers import make_optimizer

# The most shifts whose codes are computed for outcomes, and for rows of the log.
OUTCOME_SHIFTS, LOG_SHIFTS = 8192, 512
# The most numbers in the codes of all members together.
MAX_CODES = 1 << 26
# A bound is met when it is exceeded by less than this fraction of it.
TOLERANCE = 0.1
# A bound is slack at a multiplier below the first; below the second, if sparsity is well below it too. (A falling multiplier
# takes its time.)
NO_PRICE, LOW_PRICE = 1e-3, 0.1


class TrainingGroup:
    """An ensemble of one width in training."""

    def __init__(
        self,
        data: Rows | Stream,
        config: ProblemConfig,
        solver: SolverConfig,
        seeds: Sequence[int],
        bounds: Sequence[float],
        device: torch.device,
    ) -> None:
        self.config, self.solver, self.seeds, self.bounds = config, solver, list(seeds), list(bounds)
        self.data, self.device = data, device
        sample = data.sample().to(device)
        self.input_map = fit_input(sample, config)
        inputs = self.input_map.apply(sample)
        self.loss = Loss(config.loss, inputs.square().sum(1).mean().item())
        self.ensemble = Ensemble(self.input_map.width(data.d_in), config, seeds).to(device)
        self.problem = ShiftProblem(
            self.ensemble,
            config,
            torch.tensor(bounds, dtype=torch.float32, device=device),
            self.loss,
            self.input_map.fit_mean_abs,
            solver.warmup,
            self.input_map.floor,
        )
        self.optimizer = make_optimizer(self.problem, solver)
        self.history: list[dict[str, Any]] = []
        self._inputs: Tensor | None = None
        if isinstance(data, Rows) and not data.path_backed and data.n * inputs.shape[1] * 4 <= HOLD_BYTES:
            # Applying the map once is cheaper than at every step, wherever the result fits.
            self._inputs = torch.cat([self.input_map.apply(block.to(device)) for block in data.blocks()])
        n_rows = min(OUTCOME_SHIFTS, MAX_CODES // (len(seeds) * max(config.d_sae, inputs.shape[1])))
        self._sample = inputs[:: max(1, -(-len(inputs) // max(1, n_rows)))]

    @property
    def holds_data(self) -> bool:
        """Whether `step` takes row numbers instead of shifts."""
        return self._inputs is not None

    def step(self, number: int, batch: Tensor) -> None:
        """Take one step on a batch: row numbers where the group holds its data, shifts elsewhere."""
        batch = batch.to(self.device)
        inputs = self.input_map.apply(batch) if self._inputs is None else self._inputs.index_select(0, batch)
        self.problem.progress = number / self.solver.steps
        self._set_learning_rates(number)
        self.optimizer.roll(compute_cmp_state_kwargs={"shifts": inputs})
        self.ensemble.renormalise()

    def _set_learning_rates(self, number: int) -> None:
        remaining = (self.solver.steps - number) / max(1.0, self.solver.decay * self.solver.steps)
        # Both decay: a multiplier that moved while the weights stand still would not be the one that shaped them.
        for optimizers, lr in (
            (self.optimizer.primal_optimizers, self.solver.lr),
            (self.optimizer.dual_optimizers or [], self.solver.dual_lr),
        ):
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = lr * min(1.0, remaining)

    @torch.no_grad()
    def record(self, step: int) -> dict[str, Any]:
        """Add a row to the log, and return it."""
        state = self.problem.state
        assert state is not None
        codes = self.codes(LOG_SHIFTS)
        row = {
            "step": step,
            "d_sae": self.config.d_sae,
            "loss": state[0].tolist(),
            "sparsity": state[1].tolist(),
            "bound": self.problem.bound.tolist(),
            "mean_abs": codes.abs().mean((1, 2)).tolist(),
            "active": [active_codes(of_member) for of_member in codes],
            "multiplier": self.problem.multipliers_now.tolist(),
        }
        self.history.append(row)
        return row

    @torch.no_grad()
    def codes(self, n_rows: int = OUTCOME_SHIFTS) -> Float[Tensor, "m b h"]:
        """Return every member's codes of a fixed sample of the shifts."""
        self.ensemble.eval()
        codes = self.ensemble.codes(self._sample[:n_rows], self.problem.measure)
        self.ensemble.train()
        return codes

    @cached_property
    @torch.no_grad()
    def decoders(self) -> Float[Tensor, "m h d"]:
        """Every member's decoder rows in residual units, of any norm; valid when training has ended."""
        rows = self.input_map.restore(self.ensemble.W_dec.detach())
        if not self.config.has_active_mask:
            return rows
        shifts = self.data.sample().to(self.device)
        n_rows = max(1, MAX_CODES // (len(self.seeds) * self.config.d_sae))
        shifts = shifts[:: -(-len(shifts) // n_rows)]
        codes = self.ensemble.codes(self.input_map.apply(shifts), self.problem.measure)
        return torch.stack([refit_decoder(codes[i], shifts, rows[i]) for i in range(len(rows))])

    def outcomes(self) -> list[Outcome]:
        """Return the outcome of every member, with its fit as an SSAE."""
        return [self.with_fit(member, outcome) for member, outcome in enumerate(self.solutions())]

    @torch.no_grad()
    def with_fit(self, member: int, outcome: Outcome) -> Outcome:
        """Return a member's outcome with its fit as an SSAE."""
        if outcome.status == "diverged":
            return outcome
        fit = measure_fit(self.ssae(member, {}).to(self.device), self.data.measured())
        return outcome.with_fit(fit, self.data.n)

    @torch.no_grad()
    def solutions(self) -> list[Outcome]:
        """Return the outcome of every member's constrained problem, without the fit."""
        self.problem.progress = 1.0
        self.ensemble.eval()
        losses, sparsities = self.ensemble.loss_and_sparsity(self._sample, self.loss, self.problem.measure)
        # Solvers oscillate about the right multiplier: its mean over the log's last third is nearer than the last value.
        logged = [row["multiplier"] for row in self.history[-max(1, len(self.history) // 3) :]]
        multipliers = torch.tensor(logged or [self.problem.multipliers_now.tolist()]).mean(0)
        outcomes = []
        for i, seed in enumerate(self.seeds):
            loss, sparsity, multiplier = losses[i].item(), sparsities[i].item(), multipliers[i].item()
            status, details = self._status(loss, sparsity, multiplier, self.problem.bounds[i].item())
            outcomes.append(
                Outcome(
                    seed,
                    self.bounds[i],
                    status,
                    loss=loss,
                    sparsity=sparsity,
                    multiplier=multiplier,
                    objective=sparsity if self.problem.by_budget and status == "binding" else loss,
                    details=details,
                    history=[{k: v[i] if isinstance(v, list) else v for k, v in row.items()} for row in self.history],
                )
            )
        return outcomes

    def _status(self, loss: float, sparsity: float, multiplier: float, bound: float) -> tuple[str, str]:
        """Return the status of a member's bound, and a remark on it."""
        if not (loss < float("inf") and sparsity < float("inf")):
            return "diverged", f"Training diverged: the loss is {loss}. Lower lr={self.solver.lr}."
        if self.problem.k is not None:
            return "binding", ""
        if self.problem.by_budget:
            if loss <= bound * (1 + 5 * TOLERANCE):
                return "binding", ""
            return "infeasible", (
                f"The loss in the encoder's space is {loss:.3g}, above the allowed {bound:.3g} (it is at least "
                f"{self.input_map.floor:.3g} with d_sae={self.config.d_sae}). Raise the steps or the budget."
            )
        if sparsity > bound * (1 + TOLERANCE):
            return "infeasible", (
                f"The sparsity is {sparsity:.4g}, above the allowed {bound:.4g}. Raise the level, the steps or dual_lr."
            )
        # The price of the bound, relative to it, in a loss that is one where all codes are zero.
        price = multiplier * (bound / self.config.d_sae if self.problem.absolute else 1)
        if price < (LOW_PRICE if sparsity < bound * (1 - TOLERANCE) else NO_PRICE):
            return "slack", (
                f"The constraint has no effect: the sparsity is {sparsity:.4g} at a level of {bound:.4g}, with a multiplier "
                f"of {multiplier:.2g}. Lower the level."
            )
        return "binding", ""

    @torch.no_grad()
    def ssae(self, member: int, metadata: dict[str, Any]) -> SSAE:
        """Return a member as an SSAE in residual units, with everything linear folded into its weights."""
        k = round(self.bounds[member]) if self.config.kind == "topk" else None
        return self.ensemble.to_ssae(member, self.input_map, metadata, k, self.decoders[member])
