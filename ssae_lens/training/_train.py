"""`train`: one SSAE from shifts, and what it shares with `sweep`: checks, the choice of the best restart, metadata."""

from pathlib import Path
from typing import Any

import torch

from ssae_lens.base import checks
from ssae_lens.base.provenance import versions
from ssae_lens.sae import SSAE
from ssae_lens.training import infer
from ssae_lens.training.config import ProblemConfig, as_dict, settings
from ssae_lens.training.data import Rows, Stream, open_data
from ssae_lens.training.outcome import Outcome, record_sizes
from ssae_lens.training.runs import Run
from ssae_lens.training.training_group import TrainingGroup

# Training warns of fewer pairs per latent.
MIN_PAIRS_PER_LATENT = 5


def train(
    shifts: Any,
    *,
    d_sae: int,
    seed: int = 0,
    preset: str | None = None,
    refine: bool | None = False,
    out: str | Path | None = None,
    device: str | torch.device | None = None,
    wandb: Any = None,
    checkpoint_every: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **options: Any,
) -> SSAE:
    """Train a Sparse Shift Autoencoder on shifts in which several unknown concepts change at once.

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
        ``"v1"`` or ``"v2"``: the reference code's settings. ``"v1"`` needs a level, which depends on the data set.
    refine
        Refine the SSAE by sparse inference (`ssae_lens.training.refine`); None does so where it is possible, as in `sweep`.
    out
        A folder for the log, the checkpoint and the SSAE. Re-run the same call to resume an interrupted run.
    device
        The device to train on; None takes a GPU if there is one.
    wandb
        A Weights & Biases run to log to: the log of each restart, as in ``d_sae=16/loss/0``.
    checkpoint_every
        Steps between checkpoints; None writes one about every 30 seconds.
    overwrite
        Whether to replace the SSAE of another run in `out`.
    quiet
        Show no progress bar.
    **options
        Any field of `ProblemConfig` and `SolverConfig`.

    Returns
    -------
    SSAE
        With ``ssae.outcome`` (an `Outcome`: the status of the constraint, the FVU of the shifts, and the log) and the same
        numbers in its metadata.

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
    config, solver = settings(preset, d_sae=d_sae, **options)
    data = open_data(shifts, solver.batch_size)
    warn_if_few_pairs(data, config)
    refine = can_refine(data, config, refine)
    restarts = solver.restarts_for(d_sae)
    seeds, bounds = [seed + 1000 * i for i in range(restarts)], [config.bound] * restarts
    group = TrainingGroup(data, config, solver, seeds, bounds, training_device(device))
    check_level(config, group)
    about = {"settings": as_dict(config, solver), "seed": seed, **({"refine": True} if refine else {})}
    run = Run(data, [group], seed=seed, about=about)
    run.wandb = wandb
    with run.holding(None if out is None else Path(out), overwrite=overwrite):
        run.go(quiet=quiet, checkpoint_every=checkpoint_every)
        solutions = group.solutions()
        best = best_of(solutions)
        outcome = group.with_fit(best, solutions[best])
        ssae = trained_ssae(group, best, about["settings"], outcome)
        if outcome.status == "diverged":
            raise ValueError(outcome.message)
        if outcome.status != "binding":
            checks.warn(f"The constraint is {outcome.status}. {outcome.message}")
        if refine:
            ssae = infer.refine(ssae, data)
        run.save(ssae)
    return ssae


def best_of(outcomes: list[Outcome]) -> int:
    """Return the number of the best outcome: one that met its bound, and among those the lowest objective."""
    order = {"binding": 0, "slack": 0, "infeasible": 1, "diverged": 2}
    return min(range(len(outcomes)), key=lambda i: (order[outcomes[i].status], outcomes[i].objective))


def trained_ssae(group: TrainingGroup, member: int, options: dict[str, Any], outcome: Outcome) -> SSAE:
    """Return a member as an SSAE whose metadata have its origin, its options and its outcome."""
    metadata: dict[str, Any] = {"training": {**options, **outcome.to_metadata()}, "versions": versions()}
    store = group.data.store
    if store is not None:
        origin = store.origin
        metadata |= {"origin": origin.to_dict(), "pairs": store.pairs, "concepts": list(store.concepts)}
        metadata |= {"shifts_fingerprint": store.fingerprint, "position": origin.position}
        names = {"model_name": origin.model_name, "model_class_name": origin.model_class, "hook_name": origin.hook_name}
        metadata |= {key: name for key, name in names.items() if name}
    ssae = group.ssae(member, metadata)
    ssae.outcome = outcome
    record_sizes(ssae, outcome.typical, group.data.norms)
    return ssae


def warn_if_few_pairs(data: Rows | Stream, config: ProblemConfig) -> None:
    """Warn where there are too few pairs for the latents."""
    if data.n_pairs is None or data.n_pairs >= MIN_PAIRS_PER_LATENT * config.d_sae:
        return
    unit = "shifts" if data.n_pairs == data.n else "pairs"
    checks.warn(
        f"There are {data.n_pairs} {unit} and d_sae={config.d_sae} latents, fewer than {MIN_PAIRS_PER_LATENT} for each: "
        "latents will follow single pairs instead of concepts. Capture more pairs or lower d_sae."
    )


def can_refine(data: Rows | Stream, config: ProblemConfig, refine: bool | None) -> bool:
    """Return whether to refine; None asks for it where it is possible, and True raises where it is not."""
    if refine is not False:
        try:
            _check_can_refine(data, config)
        except ValueError:
            if refine:
                raise
            return False
    return refine is not False


def _check_can_refine(data: Rows | Stream, config: ProblemConfig) -> None:
    """Raise unless an SSAE of this problem can be refined on these data."""
    if not config.has_active_mask:
        raise ValueError("refine is True; it must be False with a level, a bias or normalised codes. Give a budget.")
    infer.check_refinable(len(data.sample()) if data.n is None else data.n, config.d_sae)


def check_level(config: ProblemConfig, group: TrainingGroup) -> None:
    """Raise if an absolute level on linear codes is too high to bind."""
    if config.level is None or config.kind != "l1" or config.level_unit == "relative" or not config.linear:
        return
    fit_mean_abs = group.input_map.fit_mean_abs
    if config.level >= fit_mean_abs:
        raise ValueError(
            f"level is {config.level}, above the mean |code| of the unconstrained fit ({fit_mean_abs:.4g}): it cannot bind. "
            "Give a lower one, or a relative level."
        )


def check_wandb(run: Any) -> None:
    """Raise unless `run` is None or can log, as a Weights & Biases run can and a project's name cannot."""
    if run is not None and not callable(getattr(run, "log", None)):
        raise ValueError(f"wandb must be a run, as wandb.init(project=…) returns it, got {run!r}.")


def training_device(device: str | torch.device | None) -> torch.device:
    """Return the device to train on: a GPU if there is one and `device` is None."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    checks.device(device)
    return torch.device(device)
