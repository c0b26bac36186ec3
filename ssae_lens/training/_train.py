"""`train`: one SSAE from shifts."""

import warnings
from pathlib import Path
from typing import Any

import torch

from ssae_lens.base import checks
from ssae_lens.base.versions import versions
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore
from ssae_lens.training.config import ProblemConfig, as_dict, settings
from ssae_lens.training.data import Rows, Stream, open_data, opened
from ssae_lens.training.outcome import Outcome
from ssae_lens.training.runs import Run
from ssae_lens.training.training_group import TrainingGroup

# With fewer pairs for each latent, training warns.
MIN_PAIRS_PER_LATENT = 5


def train(
    shifts: Any,
    *,
    d_sae: int,
    seed: int = 0,
    preset: str | None = None,
    out: str | Path | None = None,
    device: str | torch.device | None = None,
    wandb: Any = None,
    checkpoint_every: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **given: Any,
) -> SSAE:
    """Learn steering vectors from shifts in which several unknown concepts change at once.

    Parameters
    ----------
    shifts
        A `ShiftStore` or the path of one, an (N, d) array, tensor or nested list of shifts, or an iterator of (n, d)
        batches.
    d_sae
        The number of latents. A few more than there are concepts is a good start; `sweep` chooses without labels.
    seed
        Of the weights and of the order of shifts.
    preset
        ``"v1"`` or ``"v2"``: the reference code's settings (a level of the data set's is given beside ``"v1"``).
    out
        A folder for the log, the checkpoint and the SSAE. A run that was interrupted goes on when called again.
    device
        Where to train; None takes a GPU if there is one.
    wandb
        A Weights & Biases run to log to as well: what the log has of each restart, as in ``d_sae=16/loss/0``.
    checkpoint_every
        Steps between checkpoints; None writes one about every half minute.
    overwrite
        Whether `out` may hold the SSAE of another run, which is then replaced.
    quiet
        Show no progress.
    **given
        Any field of `ProblemConfig` and `SolverConfig`.

    Returns
    -------
    SSAE
        With ``ssae.outcome`` (an `Outcome`: how the bound stands, the FVU of the shifts, and the log) and the same numbers
        in its metadata.

    Examples
    --------
    >>> import torch
    >>> codes = torch.randn(2000, 5) * (torch.rand(2000, 5) < 0.3)
    >>> ssae = train(codes @ torch.randn(5, 16), d_sae=5, steps=500, quiet=True)
    >>> ssae.W_dec.shape
    torch.Size([5, 16])
    """
    checks.integer("seed", seed, 0)
    seed = int(seed)
    check_wandb(wandb)
    problem, solver = settings(preset, d_sae=d_sae, **given)
    shifts = opened(shifts)
    data = open_data(shifts, solver.batch_size)
    warn_of_few(data, problem)
    place = check_device(device)
    restarts = solver.restarts_for(d_sae)
    group = TrainingGroup(
        data, problem, solver, [seed + 1000 * i for i in range(restarts)], [problem.bound] * restarts, place
    )
    check_level(problem, group)
    about = {"settings": as_dict(problem, solver), "seed": seed}
    run = Run(data, [group], seed=seed, about=about)
    run.wandb = wandb
    with run.holding(None if out is None else Path(out), overwrite=overwrite):
        run.go(quiet=quiet, checkpoint_every=checkpoint_every)
        solutions = group.solutions()
        best = best_of(solutions)
        outcome = group.with_fit(best, solutions[best])
        ssae = finished(group, best, shifts, about["settings"], outcome)
        warn_if_not_converged(outcome)
        run.save(ssae)
    return ssae


def best_of(outcomes: list[Outcome]) -> int:
    """Return the restart that solved the problem best: one that met its bound, and of those the lowest objective."""
    order = {"binding": 0, "slack": 0, "infeasible": 1, "diverged": 2}
    return min(range(len(outcomes)), key=lambda i: (order[outcomes[i].status], outcomes[i].objective))


def finished(group: TrainingGroup, member: int, shifts: Any, used: dict[str, Any], outcome: Outcome) -> SSAE:
    """Return a member as an SSAE that says where it came from and how its training ended."""
    store = shifts if isinstance(shifts, ShiftStore) else None
    metadata: dict[str, Any] = {"training": {**used, **outcome.to_metadata()}, "versions": versions()}
    if store is not None:
        origin = store.origin
        metadata |= {"origin": origin.to_dict(), "pairs": store.pairs, "concepts": list(store.concepts)}
        metadata |= {"shifts_fingerprint": store.fingerprint, "position": origin.position}
        named = {"model_name": origin.model_name, "model_class_name": origin.model_class, "hook_name": origin.hook_name}
        metadata |= {name: value for name, value in named.items() if value}
    ssae = group.ssae(member, metadata)
    ssae.outcome = outcome
    return ssae


def warn_if_not_converged(outcome: Outcome) -> None:
    """Warn of an outcome that its user would want to know of."""
    if outcome.status == "diverged":
        raise ValueError(outcome.message)
    if outcome.status != "binding":
        warnings.warn(f"The constraint is {outcome.status}. {outcome.message}", stacklevel=3)


def warn_of_few(data: Rows | Stream, problem: ProblemConfig) -> None:
    """Warn where there are too few pairs for the latents."""
    if data.n_pairs is None or data.n_pairs >= MIN_PAIRS_PER_LATENT * problem.d_sae:
        return
    what = "shifts" if data.n_pairs == data.n else "pairs"
    warnings.warn(
        f"There are {data.n_pairs} {what} and d_sae={problem.d_sae} latents, fewer than {MIN_PAIRS_PER_LATENT} for each: "
        "latents follow single pairs, and not concepts. Capture more pairs or lower d_sae.",
        stacklevel=3,
    )


def check_level(problem: ProblemConfig, group: TrainingGroup) -> None:
    """Raise if an absolute level on linear codes is above what could bind."""
    if problem.level is None or problem.kind != "l1" or problem.level_unit == "relative" or not problem.linear:
        return
    most = group.map.fit_mean_abs
    if problem.level >= most:
        raise ValueError(
            f"level is {problem.level}, above the mean |code| of the unconstrained fit ({most:.4g}): it cannot bind. "
            "Give less, or a relative level."
        )


def check_wandb(run: Any) -> None:
    """Raise if what should be a run of Weights & Biases takes no log, as a name does not."""
    if run is not None and not callable(getattr(run, "log", None)):
        raise ValueError(f"wandb is {run!r}; give the run itself, as wandb.init(project=…) gives it.")


def check_device(device: str | torch.device | None) -> torch.device:
    """Return the device to train on."""
    kind = str(device or "cpu").split(":")[0]
    checks.one_of("device", kind, ["cpu", "cuda", "mps"])
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not torch.backends.mps.is_available()):
        raise ValueError(
            f"device is {str(device)!r} and this machine has none that PyTorch can use; leave it out or give 'cpu'."
        )
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
