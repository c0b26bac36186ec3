"""The constrained problem in Cooper's terms.

With a level: minimise the loss, subject to sparsity ≤ level. Without one: minimise sparsity, subject to loss ≤ budget; by
duality the solution also solves the first problem, at the level it reaches. Every member has its own multiplier.
"""

import cooper
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.training.config import ProblemConfig
from ssae_lens.training.ensemble import Ensemble
from ssae_lens.training.objective import Loss, Measure, Weights

# The smooth count's δ in units of the mean |code| at the start: from almost L1 to a count.
SMOOTH_FROM, SMOOTH_TO = 10.0, 1.0
# The fraction of training, after the warm-up, over which δ shrinks, k falls or a level tightens.
ANNEAL = 0.4


class ShiftProblem(cooper.ConstrainedMinimizationProblem):
    """Losses and sparsities of an ensemble as an objective and one inequality per member.

    `bounds` are each member's level, or its budget where there is no level. `fit_mean_abs` and `floor` describe the
    unconstrained fit: its mean ``|code|``, which multiplies a relative level, and its FVU, to which a budget is added.
    Bounds tighten after `warmup`, a fraction of training.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        problem: ProblemConfig,
        bounds: Float[Tensor, " m"],
        loss: Loss,
        fit_mean_abs: float,
        warmup: float = 0.0,
        floor: float = 0.0,
    ) -> None:
        super().__init__()
        self.ensemble, self.problem, self.loss = ensemble, problem, loss
        self.fit_mean_abs, self.warmup = fit_mean_abs, warmup
        self.by_budget = problem.level is None
        self.k = round(bounds[0].item()) if problem.kind == "topk" else None
        self.absolute = problem.level_unit == "absolute" and problem.kind == "l1" and not self.by_budget
        if self.by_budget:
            self.bounds = floor + bounds * (1 - floor)
        elif problem.kind == "l1":
            # The measure sums over latents; an L1 level is their mean.
            relative = problem.level_unit == "relative"
            self.bounds = bounds * problem.d_sae * (fit_mean_abs if relative else 1.0)
        else:
            self.bounds = bounds
        self.scale = torch.full_like(bounds, fit_mean_abs)
        self.progress = 0.0
        self.state: tuple[Tensor, Tensor] | None = None
        self.gradients: Weights | None = None
        if self.k is None:
            # With a budget, codes that start near zero and grow as the multiplier rises settle on concepts; a dense start
            # settles on mixtures of them.
            multiplier = cooper.multipliers.DenseMultiplier(init=torch.full_like(bounds, 0.0 if self.absolute else 1.0))
            self.sparsity_constraint = cooper.Constraint(
                constraint_type=cooper.ConstraintType.INEQUALITY,
                formulation_type=cooper.formulations.Lagrangian,
                multiplier=multiplier,
            )

    def reuse_gradients(self) -> None:
        """Overwrite the last step's gradients with every step's: for a solver that no longer needs them."""
        self.gradients = Weights(
            torch.empty_like(self.ensemble.W_enc), torch.empty_like(self.ensemble.W_dec), None, None
        )

    @property
    def max_multiplier(self) -> float:
        """The largest multiplier needed: with all codes at zero the loss is one, so no level has a higher price."""
        return 1e6 if self.by_budget else 1.0

    @property
    def annealed(self) -> float:
        """The progress of annealing, from 0 to 1."""
        return min(1.0, max(0.0, (self.progress - self.warmup) / ANNEAL))

    @property
    def measure(self) -> Measure:
        """The current sparsity measure."""
        if self.k is not None:
            begin, end = self.problem.d_sae, self.k
            # k falls from the first step on: a dense start would settle on principal directions.
            return Measure("l1", k=round(begin + (end - begin) * min(1.0, self.progress / ANNEAL)))
        if self.problem.kind == "smooth" and self.annealed > 0:
            return Measure("smooth", self.scale * SMOOTH_FROM * (SMOOTH_TO / SMOOTH_FROM) ** self.annealed)
        return Measure("l1")

    @property
    def bound(self) -> Float[Tensor, " m"]:
        """The current bounds: an L1 level tightens linearly after the warm-up, from one that does not bind."""
        if self.by_budget or self.problem.kind != "l1" or self.warmup == 0:
            return self.bounds
        dense = torch.full_like(self.bounds, self.problem.d_sae * self.fit_mean_abs)
        return dense + (self.bounds - dense) * self.annealed

    @property
    def multipliers_now(self) -> Float[Tensor, " m"]:
        """Each member's multiplier; zero without a constraint."""
        if self.k is not None:
            return torch.zeros_like(self.bounds)
        return next(iter(self.dual_parameters())).detach()

    def compute_cmp_state(self, shifts: Float[Tensor, "b r"]) -> cooper.CMPState:
        """Return the objective and the violations on a batch."""
        measure = self.measure
        loss, sparsity = self.ensemble.loss_and_sparsity(shifts, self.loss, measure, self.gradients)
        self.state = loss.detach(), sparsity.detach()
        if self.k is not None:
            return cooper.CMPState(loss=loss.sum())
        if measure.kind == "l1":
            self.scale = torch.lerp(self.scale, self.state[1] / self.problem.d_sae, 0.1)
        if self.by_budget:
            objective, violation = sparsity, loss - self.bounds
        elif self.absolute:
            # As in the reference code: the mean |code| less the level.
            objective, violation = loss, (sparsity - self.bound) / self.problem.d_sae
        else:
            objective, violation = loss, sparsity / self.bound - 1
        # The strict violation moves the multiplier. It is clamped: its size says little about the multiplier's error.
        strict_violation = violation.detach()
        if not self.absolute:
            relative = strict_violation / self.bounds if self.by_budget else strict_violation
            strict_violation = relative.clamp(-1, 1)
        state = cooper.ConstraintState(violation=violation, strict_violation=strict_violation)
        return cooper.CMPState(loss=objective.sum(), observed_constraints={self.sparsity_constraint: state})
