"""`sweep`: SSAEs of several widths, bounds and seeds in one program, and the choice among them without labels.

Members of one width share their input map and train side by side; all share every batch. The choice is by split-half
stability: every setting is also fitted to either half of the shifts, and latents that both fits have are reproduced.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssae_lens.base import checks
from ssae_lens.metrics import mcc_decoders, udr
from ssae_lens.training._train import (
    best_of,
    can_refine,
    check_level,
    check_wandb,
    training_device,
    warn_if_few_pairs,
)
from ssae_lens.training.config import ProblemConfig, SolverConfig, as_dict, settings
from ssae_lens.training.data import Rows, Stream, open_data
from ssae_lens.training.input_map import row_space
from ssae_lens.training.runs import Run
from ssae_lens.training.sweep_result import Setting, Sweep, chance_score
from ssae_lens.training.training_group import TrainingGroup

# The number of seeds whose best is taken in either half, and the fewest pairs that are halved.
HALF_SEEDS, MIN_PAIRS = 4, 8


def sweep(
    shifts: Any,
    *,
    d_sae: Sequence[int] | int,
    level: Sequence[float] | float | None = None,
    budget: Sequence[float] | float | None = None,
    seeds: Sequence[int] | int = 5,
    halves: bool = True,
    refine: bool | None = None,
    preset: str | None = None,
    out: str | Path | None = None,
    device: str | torch.device | None = None,
    wandb: Any = None,
    checkpoint_every: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Sweep:
    """Train an SSAE for every width, bound and seed, and choose among them without labels.

    Parameters
    ----------
    shifts
        As `train` takes them.
    d_sae, level, budget
        One or several widths, and levels or (without levels) budgets, to try.
    seeds
        The seeds, or their number.
    halves
        Fit every setting to either half of the shifts as well, from up to four of the seeds, and choose by split-half
        stability. The halves of a store share neither a pair nor, if possible, a text; rows of an array alternate. With
        False, or an iterator, the choice is by the agreement of seeds.
    refine
        Refine the best SSAE by sparse inference (`ssae_lens.training.refine`), which needs a budget and at least 20 shifts
        per latent of every width. None does so where it is possible; otherwise, split features are merged.
    out
        A folder for the log, the table and the best SSAE. Re-run the same call to resume an interrupted sweep.
    wandb
        A Weights & Biases run to log to: the log of each member by width and number, as in ``d_sae=16/loss/7`` (of one
        width, all seeds of the first bound, then those of the next).
    preset, device, checkpoint_every, overwrite, quiet
        As in `train`.
    **options
        Any other field of `ProblemConfig` and `SolverConfig`.

    Returns
    -------
    Sweep
        ``.best`` is the chosen SSAE with split features merged, or refined; ``.table()`` the numbers;
        ``.ssae(row, seed)`` any member as it was trained.

    Examples
    --------
    >>> codes = torch.randn(1000, 4) * (torch.rand(1000, 4) < 0.3)
    >>> swept = sweep(codes @ torch.randn(4, 8), d_sae=[2, 4], seeds=2, steps=200, quiet=True)
    >>> list(swept.table()["d_sae"]), swept.best.cfg.d_in
    ([2, 4], 8)
    """
    widths, levels, budgets = _as_list(d_sae), _as_list(level), _as_list(budget)
    seeds = _seed_list(seeds)
    if "restarts" in options:
        raise ValueError(f"A sweep has no restarts, got restarts={options['restarts']!r}; give seeds instead.")
    if not widths:
        raise ValueError("d_sae is empty; give at least one width.")
    if levels and budgets:
        raise ValueError(f"level is {level!r} and budget is {budget!r}; give only one of them.")
    check_wandb(wandb)
    torch_device, solver = training_device(device), SolverConfig()
    several = {"level": levels} if levels else {"budget": budgets} if budgets else {}
    # For each width (and each k of top-k): the group on all shifts, and those on the halves.
    trios: list[list[TrainingGroup]] = []
    parts: list[Rows | Stream] = []
    refines = True
    for width in widths:
        configs, solver = _configs(preset, {"d_sae": width, **options}, several)
        parts = parts or _with_halves(open_data(shifts, solver.batch_size), halves=halves)
        warn_if_few_pairs(parts[0], configs[0])
        refines = refines and can_refine(parts[0], configs[0], refine)
        trios += _training_groups(parts, configs, solver, seeds, torch_device)
    options = as_dict(trios[0][0].config, solver)
    about = {
        "settings": options,
        "d_sae": widths,
        "bounds": levels or budgets,
        "seeds": seeds,
        "halves": len(parts) > 1,
        "refine": refines,
    }
    run = Run(parts[0], [group for trio in trios for group in trio], seed=min(seeds), about=about)
    run.wandb = wandb
    with run.holding(None if out is None else Path(out), overwrite=overwrite):
        run.go(quiet=quiet, checkpoint_every=checkpoint_every)
        space = row_space(parts[0].sample()).numpy() if len(parts) > 1 else None
        result = Sweep([setting for trio in trios for setting in _settings_of(trio, len(seeds), space)], refines)
        if out is not None:
            run.save(result.best, sweep=result.table().to_dict(orient="records"))
    if result.chosen.reproducible is False:
        checks.warn(f"{result.chosen.stability} Capture more pairs, or another hook or position.")
    return result


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else np.atleast_1d(value).tolist()


def _seed_list(seeds: Any) -> list[int]:
    """Return the seeds, given as such or by their number."""
    seeds = list(seeds) if isinstance(seeds, Iterable) else seeds
    n_seeds = len(seeds) if isinstance(seeds, list) else seeds
    checks.integer("the number of seeds", n_seeds, 2, "UDR compares seeds; `train` fits one.")
    if not isinstance(seeds, list):
        return list(range(int(seeds)))
    for seed in seeds:
        checks.integer("a seed", seed, 0)
    return [int(seed) for seed in seeds]


def _configs(
    preset: str | None, options: dict[str, Any], several: dict[str, list[float]]
) -> tuple[list[ProblemConfig], SolverConfig]:
    """Return the configuration of each bound, and the solver's."""
    bounds = [{name: value} for name, values in several.items() for value in values] or [{}]
    pairs = [settings(preset, **options, **bound) for bound in bounds]
    return [config for config, _ in pairs], pairs[0][1]


def _with_halves(data: Rows | Stream, *, halves: bool) -> list[Rows | Stream]:
    """Return the data and, if wanted and possible, its halves."""
    if halves and isinstance(data, Rows) and data.n_pairs >= MIN_PAIRS:
        return [data, *data.halves()]
    return [data]


def _training_groups(
    parts: list[Rows | Stream],
    configs: list[ProblemConfig],
    solver: SolverConfig,
    seeds: list[int],
    device: torch.device,
) -> Iterator[list[TrainingGroup]]:
    """Return the groups of a width, on the data and its halves: one for all bounds, but one for each k of top-k."""
    for together in [[config] for config in configs] if configs[0].kind == "topk" else [configs]:
        trio = []
        for part in parts:
            part_seeds = seeds if part is parts[0] else seeds[:HALF_SEEDS]
            bounds = [config.bound for config in together for _ in part_seeds]
            trio.append(TrainingGroup(part, together[0], solver, part_seeds * len(together), bounds, device))
        for config in together:
            check_level(config, trio[0])
        yield trio


def _settings_of(trio: list[TrainingGroup], n_seeds: int, space: np.ndarray | None) -> Iterator[Setting]:
    """Return the settings of a group, with their agreement over seeds and over halves; shifts vary in `space`."""
    group, halves = trio[0], trio[1:]
    n_half_seeds = min(n_seeds, HALF_SEEDS)
    outcomes, codes = group.outcomes(), group.codes()
    half_outcomes = [half.solutions() for half in halves]
    for number, begin in enumerate(range(0, len(outcomes), n_seeds)):
        members = range(begin, begin + n_seeds)
        bound = group.bounds[begin]
        field = "budget" if group.config.level is None else "level"
        config = replace(group.config, **{field: bound})
        half_decoders = []
        for half, of_half in zip(halves, half_outcomes, strict=True):
            half_begin = number * n_half_seeds
            best = half_begin + best_of(of_half[half_begin : half_begin + n_half_seeds])
            half_decoders.append(half.decoders[best].cpu().numpy())
        yield Setting(
            config.d_sae,
            config.level,
            config.budget,
            outcomes[begin : begin + n_seeds],
            udr([codes[i] for i in members], [group.decoders[i] for i in members]),
            group,
            members,
            mcc_decoders(half_decoders[0], half_decoders[1]).per_factor if half_decoders else None,
            chance_score(half_decoders[0], half_decoders[1], space) if space is not None else None,
            half_decoders,
        )
