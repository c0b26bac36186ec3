"""Configuration of training: the constrained problem (`ProblemConfig`) and its solver (`SolverConfig`).

`settings` sorts keyword arguments into the two; `PRESETS` holds the reference code's settings by name.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ssae_lens.base import checks

Sparsity = Literal["smooth", "l1", "topk"]
BUDGET = 0.02
SOLVERS = ("alternating", "extragradient")


@dataclass(frozen=True)
class ProblemConfig:
    """The constrained problem: its objective, its bound, and the normalisation of its input.

    Parameters
    ----------
    d_sae
        The number of latents.
    level
        The bound on sparsity. For ``sparsity="l1"`` the mean ``|code|`` (see `level_unit`); for ``"topk"`` the number of
        active codes of a shift. With None sparsity is minimised instead, subject to `budget`.
    level_unit
        ``"relative"``: an L1 level is a fraction of the mean ``|code|`` of the unconstrained fit (the leading principal
        directions), so that one number means the same on every data set. ``"absolute"``: it is the mean ``|code|`` itself.
    budget
        The bound on the loss where there is no level: the fraction of the shifts' sum of squares that reconstruction may
        lose in the encoder's space (see `input`), beyond what this number of latents must lose there. None is 0.02. The
        FVU of the shifts themselves is `Outcome.fvu`.
    sparsity
        ``"l1"``: the mean ``|code|``. ``"smooth"``: L1 that anneals into a count of active codes, Σ ``|h| / (1 + |h|/δ)``
        with δ shrinking. ``"topk"``: the k largest ``|codes|`` are kept, k annealed down to `level`. None is ``"smooth"``
        without a level and ``"l1"`` with one.
    loss
        ``"fvu"``: the squared error of a batch over its sum of squares. ``"relative"``: the mean over shifts of each
        shift's own ratio, as in the reference code.
    input
        The linear map before the encoder, folded into the saved weights. ``"balanced"``: the leading principal directions
        of the shifts, each scaled by the inverse square root of its size (half a whitening). ``"subspace"``: the same
        directions, unscaled. ``"whiten"``: as many as latents, scaled to one size. ``"none"``: the shifts as they are.
        None is ``"balanced"``, but ``"subspace"`` with ``"topk"`` (a scaling would change which codes are largest) and
        ``"none"`` with a `sample_norm` (through which no map can be folded).
    sample_norm
        ``"layer"``: standardise each shift before the encoder, with a learned scale and offset (the reference code's
        second version). ``"standardise"``: without them, and scale the output back (its first version).
    code_norm
        ``"layer"`` or ``"batch"``: normalise the codes, as the reference code does.
    bias
        Learn the offsets of encoder and decoder. Without them the zero shift has the zero code.
    """

    d_sae: int
    level: float | None = None
    level_unit: Literal["relative", "absolute"] = "relative"
    budget: float | None = None
    sparsity: Sparsity | None = None
    loss: Literal["fvu", "relative"] = "fvu"
    input: Literal["balanced", "subspace", "whiten", "none"] | None = None
    sample_norm: Literal["none", "layer", "standardise"] = "none"
    code_norm: Literal["none", "layer", "batch"] = "none"
    bias: bool = False

    def __post_init__(self) -> None:
        checks.python_numbers(self)
        checks.integer("d_sae", self.d_sae, hint="It is the number of latents to learn.")
        checks.one_of("sparsity", self.sparsity, [None, "smooth", "l1", "topk"])
        checks.one_of("level_unit", self.level_unit, ["relative", "absolute"])
        checks.one_of("loss", self.loss, ["fvu", "relative"])
        checks.one_of("input", self.input, [None, "balanced", "subspace", "whiten", "none"])
        checks.one_of("sample_norm", self.sample_norm, ["none", "layer", "standardise"])
        checks.one_of("code_norm", self.code_norm, ["none", "layer", "batch"])
        if self.sample_norm != "none" and self.input not in (None, "none"):
            raise ValueError(
                f"input={self.input!r} cannot be folded through sample_norm={self.sample_norm!r}; leave one out."
            )
        if self.kind == "topk" and self.input not in (None, "subspace", "none"):
            raise ValueError(
                f"input={self.input!r} with sparsity='topk' would change which codes are largest; "
                "use 'subspace' or 'none'."
            )
        if self.level is None:
            self._check_budget()
        else:
            self._check_level(self.level)

    def _check_budget(self) -> None:
        if self.sparsity == "topk":
            raise ValueError("sparsity='topk' needs a level: the number of active codes of a shift.")
        if self.budget is None:
            object.__setattr__(self, "budget", BUDGET)
        hint = f"It is a fraction of variance, such as {BUDGET}."
        checks.above("budget", self.bound, 0, hint)
        if self.bound >= 1:
            raise ValueError(f"budget is {self.budget!r}; it must be less than 1. {hint}")

    def _check_level(self, level: float) -> None:
        if self.budget is not None:
            raise ValueError(f"level is {level!r} and budget is {self.budget!r}; give only one of them.")
        checks.above("level", level, 0, "Leave it out to use a budget instead.")
        if self.sparsity == "smooth":
            raise ValueError(
                f"level is {level} with sparsity='smooth', which has none; give a budget, or sparsity='l1'."
            )
        if self.kind == "topk" and level != round(level):
            raise ValueError(
                f"level is {level} with sparsity='topk'; it must be an integer, the number of codes kept per shift."
            )
        if self.kind == "topk" and level > self.d_sae:
            raise ValueError(f"level is {level} active codes but d_sae is only {self.d_sae}: it cannot bind; lower it.")
        if self.kind == "l1" and self.level_unit == "relative" and level >= 1:
            raise ValueError(
                f"level is {level} times the mean |code| of the unconstrained fit, which cannot bind; give less than 1."
            )

    @property
    def bound(self) -> float:
        """The level, or the budget where there is no level."""
        bound = self.budget if self.level is None else self.level
        assert bound is not None
        return bound

    @property
    def kind(self) -> Sparsity:
        """The sparsity, with None resolved."""
        return self.sparsity or ("smooth" if self.level is None else "l1")

    @property
    def input_map(self) -> str:
        """The input map, with None resolved."""
        if self.input is not None:
            return self.input
        return "none" if self.sample_norm != "none" else ("subspace" if self.kind == "topk" else "balanced")

    @property
    def in_own_units(self) -> bool:
        """Whether the encoder's input has the shifts' units: a standardisation adds an ε to them, or a level is in them."""
        return self.input_map == "none" and (self.sample_norm != "none" or self.level_unit == "absolute")

    @property
    def linear(self) -> bool:
        """Whether the model is affine, but for the choice of the largest codes."""
        return self.sample_norm == "none" and self.code_norm == "none"

    @property
    def has_active_mask(self) -> bool:
        """Whether codes separate into active and inactive ones, so that rows are refitted and split features merged."""
        return self.kind == "smooth" and self.linear and not self.bias


@dataclass(frozen=True)
class SolverConfig:
    """The solver and its schedule.

    Parameters
    ----------
    solver
        One of Cooper's: ``"alternating"`` (dual, then primal) or ``"extragradient"`` (the paper's: ExtraAdam with
        extrapolation).
    steps, batch_size
        Training steps, and shifts per step.
    lr, dual_lr
        Learning rate of Adam on the weights, and of the multiplier.
    warmup
        The fraction of the steps before the bound tightens (an L1 level) or L1 begins to anneal (``"smooth"``).
    decay
        The fraction of the steps, the last ones, over which the learning rate falls to zero.
    restarts
        The number of seeds fitted side by side, of which the one that solves the problem best is kept. None is 4 up to 128
        latents and 1 beyond.
    """

    solver: Literal["alternating", "extragradient"] = "alternating"
    steps: int = 2500
    batch_size: int = 256
    lr: float = 1e-2
    dual_lr: float = 0.05
    warmup: float = 0.3
    decay: float = 0.4
    restarts: int | None = None

    def __post_init__(self) -> None:
        checks.python_numbers(self)
        checks.one_of("solver", self.solver, SOLVERS)
        for name in ("steps", "batch_size", "restarts"):
            if getattr(self, name) is not None:
                checks.integer(name, getattr(self, name))
        checks.above("lr", self.lr, 0)
        checks.above("dual_lr", self.dual_lr, 0)
        for name in ("warmup", "decay"):
            checks.at_least(name, getattr(self, name), 0)
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be a fraction of the steps, from 0 to 1.")

    def restarts_for(self, d_sae: int) -> int:
        """Return the number of seeds for a width."""
        return self.restarts or (4 if d_sae <= 128 else 1)


_REFERENCE: dict[str, Any] = {
    "sparsity": "l1",
    "level_unit": "absolute",
    "loss": "relative",
    "input": "none",
    "bias": True,
    "solver": "extragradient",
    "batch_size": 32,
    "decay": 0.0,
    "restarts": 1,
}
# The reference code's two versions. The level of v1 (5 to 23 there) depends on the data set and has no default.
PRESETS: dict[str, dict[str, Any]] = {
    "v1": {
        **_REFERENCE,
        "sample_norm": "standardise",
        "code_norm": "batch",
        "lr": 5e-3,
        "dual_lr": 2.5e-3,
        "warmup": 0.0,
    },
    "v2": {
        **_REFERENCE,
        "level": 0.1,
        "sample_norm": "layer",
        "code_norm": "layer",
        "lr": 5e-4,
        "dual_lr": 2.5e-4,
        "warmup": 0.13,
    },
}


def settings(preset: str | None = None, **options: Any) -> tuple[ProblemConfig, SolverConfig]:
    """Sort keyword arguments into the two configurations; they override those of a preset."""
    if preset is not None:
        checks.one_of("preset", preset, PRESETS)
        level = PRESETS[preset].get("level")
        if options.get("budget") is not None and level is not None and "level" not in options:
            raise ValueError(
                f"budget is {options['budget']!r} but preset={preset!r} has level={level}; leave one of them out."
            )
        options = {**PRESETS[preset], **options}
    of_problem = {field.name for field in fields(ProblemConfig)}
    of_solver = {field.name for field in fields(SolverConfig)}
    for name in options:
        if name not in of_problem | of_solver:
            suggestion = checks.did_you_mean(name, sorted(of_problem | of_solver))
            raise ValueError(f"{name!r} is an unknown training option.{suggestion}")
    return (
        ProblemConfig(**{name: value for name, value in options.items() if name in of_problem}),
        SolverConfig(**{name: value for name, value in options.items() if name in of_solver}),
    )


def as_dict(problem: ProblemConfig, solver: SolverConfig) -> dict[str, Any]:
    """Return both configurations as one JSON-able dictionary, which `settings` accepts."""
    return {**asdict(problem), **asdict(solver)}
