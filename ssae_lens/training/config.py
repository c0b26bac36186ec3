"""What is solved and how: two small configurations, checked where they are made.

`ProblemConfig` states the constrained problem, `SolverConfig` the way to its solution; `settings` sorts keyword arguments
into the two. `PRESETS` holds the reference code's settings by name.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ssae_lens.base import checks

Sparsity = Literal["smooth", "l1", "step", "topk"]
BUDGET = 0.02
BUDGET_MEANS = f"It is a share of energy in the encoder's space, such as {BUDGET}."
SOLVERS = ("alternating", "simultaneous", "extragradient", "nupi", "augmented")


@dataclass(frozen=True)
class ProblemConfig:
    """The problem: latents, what is small, what is bounded, and what happens to shifts before the encoder.

    Parameters
    ----------
    d_sae
        The number of latents to learn.
    level
        The bound on sparsity. For ``sparsity="l1"`` the mean ``|code|`` (see `level_unit`); for ``"step"`` and ``"topk"``
        the number of active codes of a shift. None turns the problem round: sparsity is minimised, subject to `budget`.
    level_unit
        ``"relative"`` takes an L1 level as a share of the mean ``|code|`` of the unconstrained fit (the leading principal
        directions), so that one number means the same on every data set; ``"absolute"`` takes it as it is.
    budget
        The bound without a level: how much of the shifts' sum of squares reconstruction may lose in the encoder's space
        (see `input`), beyond what so few latents must lose there. None is 0.02. It is not the FVU of the shifts: the
        encoder reads their leading directions, scaled. `Outcome.fvu` is measured on the shifts themselves.
    sparsity
        ``"l1"`` is the mean ``|code|``. ``"smooth"`` starts as L1 and anneals into a count of active codes,
        Σ ``|h| / (1 + |h|/δ)`` with δ shrinking. ``"step"`` counts codes beyond a small threshold, with the gradient
        of that smooth count for its own. ``"topk"`` keeps the k largest ``|codes|``, k annealed down to `level`. None is
        ``"smooth"`` without a level and ``"l1"`` with one.
    loss
        ``"fvu"`` is the lost share of a batch's energy, ``"relative"`` the mean over shifts of each one's lost share,
        ``"absolute"`` the mean squared error.
    input
        ``"balanced"`` reads the leading principal directions of the shifts, each scaled by the inverse square root of its
        size (half a whitening); ``"subspace"`` reads them unscaled, ``"whiten"`` scaled to one size; ``"zca"`` whitens all
        directions; ``"standardise"`` scales each dimension; ``"none"`` reads shifts as they are. All are folded into the
        saved weights. None is ``"balanced"``, but ``"subspace"`` with ``"topk"``, whose choice of codes a scaling would
        change, and ``"none"`` with a `sample_norm`, which no map can be folded through.
    directions
        How many leading directions. None takes half as many again as latents (a weak concept lies partly beyond the
        strongest directions), but as many as latents with ``"whiten"``, to which all directions are as strong.
    sample_norm
        ``"layer"`` standardises each shift before the encoder with a learned scale and offset (the reference code's second
        version); ``"standardise"`` does so without them and scales the output back (its first version).
    code_norm
        ``"layer"`` or ``"batch"`` normalise the codes, as the reference code does.
    bias
        Learn the encoder's and decoder's offsets. Off, the zero shift has the zero code.
    """

    d_sae: int
    level: float | None = None
    level_unit: Literal["relative", "absolute"] = "relative"
    budget: float | None = None
    sparsity: Sparsity | None = None
    loss: Literal["fvu", "relative", "absolute"] = "fvu"
    input: Literal["balanced", "subspace", "whiten", "zca", "standardise", "none"] | None = None
    directions: int | None = None
    sample_norm: Literal["none", "layer", "standardise"] = "none"
    code_norm: Literal["none", "layer", "batch"] = "none"
    bias: bool = False

    def __post_init__(self) -> None:
        checks.python_numbers(self)
        checks.integer("d_sae", self.d_sae, hint="It is the number of latents to learn.")
        checks.one_of("sparsity", self.sparsity, [None, "smooth", "l1", "step", "topk"])
        checks.one_of("level_unit", self.level_unit, ["relative", "absolute"])
        checks.one_of("loss", self.loss, ["fvu", "relative", "absolute"])
        checks.one_of("input", self.input, [None, "balanced", "subspace", "whiten", "zca", "standardise", "none"])
        if self.sample_norm != "none" and self.input not in (None, "none"):
            raise ValueError(
                f"input is {self.input!r} with sample_norm={self.sample_norm!r}: one cannot be folded through the other; "
                "leave one out."
            )
        if self.kind == "topk" and self.input not in (None, "subspace", "none"):
            raise ValueError(
                f"input is {self.input!r} with sparsity='topk': folding its scales would change which codes are largest; "
                "use 'subspace' or 'none'."
            )
        checks.one_of("sample_norm", self.sample_norm, ["none", "layer", "standardise"])
        checks.one_of("code_norm", self.code_norm, ["none", "layer", "batch"])
        if self.directions is not None:
            checks.integer("directions", self.directions)
        self._check_bound()

    def _check_bound(self) -> None:
        if self.level is not None and self.budget is not None:
            raise ValueError(
                f"level is {self.level!r} and budget {self.budget!r}; one of them bounds the problem: leave the other out."
            )
        if self.level is None:
            if self.budget is None:
                object.__setattr__(self, "budget", BUDGET)
            checks.above("budget", self.bound, 0, BUDGET_MEANS)
            if self.bound >= 1:
                raise ValueError(f"budget is {self.budget!r}; it must be less than 1. {BUDGET_MEANS}")
            if self.sparsity in ("step", "topk"):
                raise ValueError(f"sparsity={self.sparsity!r} needs a level: the number of active codes of a shift.")
            return
        checks.above("level", self.level, 0, "Leave it out to let the budget choose it.")
        if self.sparsity == "smooth":
            raise ValueError(
                f"level is {self.level} with sparsity='smooth', which has no level; give a budget, or sparsity='l1'."
            )
        if self.kind == "topk" and self.level != round(self.level):
            raise ValueError(
                f"level is {self.level} with sparsity='topk'; it is the number of codes a shift keeps: give a whole number."
            )
        if self.kind in ("step", "topk") and self.level > self.d_sae:
            raise ValueError(
                f"level is {self.level} active codes and d_sae only {self.d_sae}: it cannot bind; lower it."
            )
        if self.kind == "l1" and self.level_unit == "relative" and self.level >= 1:
            raise ValueError(
                f"level is {self.level} times the mean |code| of the unconstrained fit, which cannot bind; give less than 1."
            )

    @property
    def bound(self) -> float:
        """The level, or the budget where there is no level."""
        bound = self.budget if self.level is None else self.level
        assert bound is not None
        return bound

    @property
    def kind(self) -> Sparsity:
        """The sparsity that is meant."""
        return self.sparsity or ("smooth" if self.level is None else "l1")

    @property
    def reading(self) -> str:
        """The input map that is meant."""
        if self.input is not None:
            return self.input
        return "none" if self.sample_norm != "none" else ("subspace" if self.kind == "topk" else "balanced")

    @property
    def in_own_units(self) -> bool:
        """Whether shifts are read in their own units: a standardisation adds an ε to them, or a level is in them."""
        return self.reading == "none" and (self.sample_norm != "none" or self.level_unit == "absolute")

    @property
    def linear(self) -> bool:
        """Whether the model is affine, but for the choice of the largest codes."""
        return self.sample_norm == "none" and self.code_norm == "none"

    @property
    def has_active_mask(self) -> bool:
        """Whether codes come to stand out, so that rows are fitted anew to those that do, and wordings are joined."""
        return self.kind == "smooth" and self.linear and not self.bias


@dataclass(frozen=True)
class SolverConfig:
    """The way to the solution.

    Parameters
    ----------
    solver
        One of Cooper's: ``"alternating"`` (dual, then primal), ``"simultaneous"``, ``"extragradient"`` (the paper's:
        ExtraAdam with extrapolation), ``"nupi"`` (alternating, the multiplier by a PI controller), ``"augmented"``
        (alternating, with a quadratic penalty).
    steps, batch_size
        Steps of training, and shifts a step.
    lr, dual_lr
        Rates of Adam on the weights and of the multiplier.
    warmup
        The share of the steps before the bound tightens (level schedules, ``"topk"``) or L1 begins to anneal
        (``"smooth"``).
    decay
        The share of the steps, the last ones, over which the rate falls to zero.
    restarts
        Fits from so many seeds at once, of which the one that solves the problem best is kept. None is 4 up to 128
        latents and 1 beyond.
    patience
        Stop when the objective has not improved for so many steps, counted after annealing and while bounds are met. None
        never stops early.
    precision
        ``"bfloat16"`` runs the matrix products in it; weights and optimiser stay float32.
    compile
        Run the forward and backward pass through `torch.compile`.
    """

    solver: Literal["alternating", "simultaneous", "extragradient", "nupi", "augmented"] = "alternating"
    steps: int = 2500
    batch_size: int = 256
    lr: float = 1e-2
    dual_lr: float = 0.05
    warmup: float = 0.3
    decay: float = 0.4
    restarts: int | None = None
    patience: int | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False

    def __post_init__(self) -> None:
        checks.python_numbers(self)
        checks.one_of("solver", self.solver, SOLVERS)
        checks.one_of("precision", self.precision, ["float32", "bfloat16"])
        for name in ("steps", "batch_size", "restarts", "patience"):
            if getattr(self, name) is not None:
                checks.integer(name, getattr(self, name))
        checks.above("lr", self.lr, 0)
        checks.above("dual_lr", self.dual_lr, 0)
        for name in ("warmup", "decay"):
            checks.at_least(name, getattr(self, name), 0)
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it is a share of the steps, between 0 and 1.")

    def restarts_for(self, d_sae: int) -> int:
        """Return the number of fits for a width."""
        return self.restarts or (4 if d_sae <= 128 else 1)


# The reference code's two versions. A level (v1: 5 to 23, v2: 0.1) is the data set's, and is given beside the preset.
PRESETS: dict[str, dict[str, Any]] = {
    "v1": {
        "sparsity": "l1",
        "level_unit": "absolute",
        "loss": "relative",
        "input": "none",
        "sample_norm": "standardise",
        "code_norm": "batch",
        "bias": True,
        "solver": "extragradient",
        "lr": 5e-3,
        "dual_lr": 2.5e-3,
        "batch_size": 32,
        "warmup": 0.0,
        "decay": 0.0,
        "restarts": 1,
    },
    "v2": {
        "sparsity": "l1",
        "level": 0.1,
        "level_unit": "absolute",
        "loss": "relative",
        "input": "none",
        "sample_norm": "layer",
        "code_norm": "layer",
        "bias": True,
        "solver": "extragradient",
        "lr": 5e-4,
        "dual_lr": 2.5e-4,
        "batch_size": 32,
        "warmup": 0.13,
        "decay": 0.0,
        "restarts": 1,
    },
}


def settings(preset: str | None = None, **given: Any) -> tuple[ProblemConfig, SolverConfig]:
    """Sort keyword arguments into the two configurations, over those of a preset."""
    if preset is not None:
        checks.one_of("preset", preset, PRESETS)
        if given.get("budget") is not None and PRESETS[preset].get("level") is not None and "level" not in given:
            raise ValueError(
                f"budget is {given['budget']!r} with preset={preset!r}, which has level={PRESETS[preset]['level']}; "
                "one of them bounds the problem: leave one out."
            )
        given = {**PRESETS[preset], **given}
    problem = {each.name for each in fields(ProblemConfig)}
    solver = {each.name for each in fields(SolverConfig)}
    for name in given:
        if name not in problem | solver:
            raise ValueError(
                f"{name!r} is no setting of training.{checks.did_you_mean(name, sorted(problem | solver))}"
            )
    return (
        ProblemConfig(**{name: value for name, value in given.items() if name in problem}),
        SolverConfig(**{name: value for name, value in given.items() if name in solver}),
    )


def as_dict(problem: ProblemConfig, solver: SolverConfig) -> dict[str, Any]:
    """Return both as one JSON-able dictionary, as `settings` takes them."""
    return {**asdict(problem), **asdict(solver)}
