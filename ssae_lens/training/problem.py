"""The constrained problem, as Cooper states problems.

With a level: minimise the loss, subject to sparsity ≤ level. Without one: minimise sparsity, subject to loss ≤ budget; by
duality the solution is also that of the first problem, at the level it reaches. Every member has its own multiplier.
"""

import cooper
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.training.config import ProblemConfig
from ssae_lens.training.ensemble import Ensemble
from ssae_lens.training.measures import Measure
from ssae_lens.training.objective import Loss, Weights

# The smooth count's δ, from where it is almost L1 to where it counts, in units of the mean |code| at the start.
SMOOTH_FROM, SMOOTH_TO = 10.0, 1.0
# A code counts for the step beyond this share of the unconstrained fit's mean |code|: more than Adam's steps move it by.
STEP_THRESHOLD = 0.3
# The share of training, after the warm-up, over which δ shrinks, k falls or a level tightens.
ANNEAL = 0.4


class ShiftProblem(cooper.ConstrainedMinimizationProblem):
    """Ensemble' losses and sparsities, as an objective and one inequality a member.

    Parameters
    ----------
    members
        The weights.
    problem
        What is solved.
    bounds
        Each member's level, or its budget where there is no level.
    loss
        How residuals become a loss.
    fit_mean_abs, floor
        Of the unconstrained fit: the mean ``|code|``, which a relative level is a share of, and the share of the energy
        that it loses, which a budget is added to.
    warmup
        The share of training before bounds tighten.
    """

    def __init__(
        self,
        members: Ensemble,
        problem: ProblemConfig,
        bounds: Float[Tensor, " m"],
        loss: Loss,
        fit_mean_abs: float,
        warmup: float = 0.0,
        formulation: type[cooper.formulations.Formulation] = cooper.formulations.Lagrangian,
        dtype: torch.dtype = torch.float32,
        floor: float = 0.0,
    ) -> None:
        super().__init__()
        self.members, self.problem, self.loss, self.dtype = members, problem, loss, dtype
        self.fit_mean_abs, self.warmup = fit_mean_abs, warmup
        self.by_budget = problem.level is None
        relative = problem.kind == "l1" and problem.level_unit == "relative" and not self.by_budget
        # Measures sum over latents; an L1 level is the mean.
        per_code = problem.d_sae if problem.kind == "l1" and not self.by_budget else 1
        self.bounds = bounds * per_code * (fit_mean_abs if relative else 1.0)
        if self.by_budget:
            self.bounds = floor + bounds * (1 - floor)
            if loss.kind == "absolute":
                # A budget is a share of the energy, which this loss spreads over dimensions.
                self.bounds = self.bounds * loss.energy / members.W_enc.shape[1]
        self.k = round(bounds[0].item()) if problem.kind == "topk" else None
        self.absolute = problem.level_unit == "absolute" and problem.kind == "l1" and not self.by_budget
        self.scale = torch.full_like(bounds, fit_mean_abs)
        self.progress = 0.0
        self.state: tuple[Tensor, Tensor] | None = None
        self.gradients: Weights | None = None
        if self.k is None:
            # By budget, the sparse side is the side to come from: codes that start near zero and grow as the multiplier
            # rises settle on concepts, where a dense start settles on mixtures of them.
            begin = torch.full_like(bounds, 0.0 if self.absolute else 1.0)
            penalty = (
                cooper.penalty_coefficients.DensePenaltyCoefficient(init=torch.ones_like(bounds))
                if formulation.expects_penalty_coefficient
                else None
            )
            self.sparsity_constraint = cooper.Constraint(
                constraint_type=cooper.ConstraintType.INEQUALITY,
                formulation_type=formulation,
                multiplier=cooper.multipliers.DenseMultiplier(init=begin.clone()),
                penalty_coefficient=penalty,
            )

    def reuse_gradients(self) -> None:
        """Write every step's gradients where the last one's were: for a solver that has done with them by then."""
        own = self.members
        self.gradients = Weights(torch.empty_like(own.W_enc), torch.empty_like(own.W_dec), None, None)

    @property
    def max_multiplier(self) -> float:
        """The most that a multiplier need be: all codes at zero lose everything, and so price a level at a loss of one."""
        return 1e6 if self.by_budget else 1.0

    @property
    def annealed(self) -> float:
        """How far annealing has come, from 0 to 1."""
        return min(1.0, max(0.0, (self.progress - self.warmup) / ANNEAL))

    @property
    def settled(self) -> bool:
        """Whether the measure of sparsity and the bounds stay as they are until training ends."""
        if self.k is not None:
            return self.progress >= ANNEAL
        tightens = self.problem.kind == "l1" and not self.by_budget and self.warmup > 0
        return self.annealed == 1 or not (tightens or self.problem.kind in ("smooth", "step"))

    @property
    def measure(self) -> Measure:
        """The sparsity measure at this moment."""
        kind = self.problem.kind
        if kind == "topk":
            assert self.k is not None
            begin, end = self.problem.d_sae, self.k
            # k falls from the first step on: a dense start would settle on principal directions.
            return Measure("l1", k=round(begin + (end - begin) * min(1.0, self.progress / ANNEAL)))
        width = self.scale * SMOOTH_FROM * (SMOOTH_TO / SMOOTH_FROM) ** self.annealed
        if kind == "step":
            return Measure("step", width, STEP_THRESHOLD * self.fit_mean_abs)
        return Measure("smooth", width) if kind == "smooth" and self.annealed > 0 else Measure("l1")

    @property
    def bound(self) -> Float[Tensor, " m"]:
        """The bounds at this moment: an L1 level tightens linearly after the warm-up from what binds nothing."""
        if self.by_budget or self.problem.kind != "l1" or self.warmup == 0:
            return self.bounds
        dense = torch.full_like(self.bounds, self.problem.d_sae * self.fit_mean_abs)
        return dense + (self.bounds - dense) * self.annealed

    def compute_cmp_state(self, shifts: Float[Tensor, "b r"]) -> cooper.CMPState:
        """Return Cooper the objective and the violations on a batch."""
        measure = self.measure
        loss, sparsity = self.members.loss_and_sparsity(shifts, self.loss, measure, self.dtype, self.gradients)
        self.state = loss.detach(), sparsity.detach()
        if self.k is not None:
            return cooper.CMPState(loss=loss.sum())
        if measure.kind == "l1":
            self.scale = torch.lerp(self.scale, self.state[1] / self.problem.d_sae, 0.1)
        if self.by_budget:
            objective, violation = sparsity, loss - self.bounds
        elif self.absolute:
            # As the reference has it: the mean |code| less the level.
            objective, violation = loss, (sparsity - self.bound) / self.problem.d_sae
        else:
            objective, violation = loss, sparsity / self.bound - 1
        # How far a bound is passed says little of how far its multiplier is from right.
        heard = violation.detach()
        if not self.absolute:
            heard = (heard / self.bounds if self.by_budget else heard).clamp(-1, 1)
        state = cooper.ConstraintState(violation=violation, strict_violation=heard)
        return cooper.CMPState(loss=objective.sum(), observed_constraints={self.sparsity_constraint: state})

    @property
    def multipliers_now(self) -> Float[Tensor, " m"]:
        """Each member's multiplier; zero where nothing is bounded."""
        if self.k is not None:
            return torch.zeros_like(self.bounds)
        return next(iter(self.dual_parameters())).detach()
