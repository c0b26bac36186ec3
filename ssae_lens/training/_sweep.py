"""`sweep`: many SSAEs in one program, and the choice among them that needs no labels.

Ensemble of one width share their input map and run side by side; all share every batch. What is chosen is the setting of
which most is found again: each is also fitted to either half of the shifts, and a latent that both halves give is there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssae_lens.base import checks
from ssae_lens.metrics import mcc_decoders, udr
from ssae_lens.training._train import best_of, check_device, check_level, check_wandb, warn_of_few
from ssae_lens.training.config import ProblemConfig, SolverConfig, as_dict, settings
from ssae_lens.training.data import Rows, Stream, open_data, opened
from ssae_lens.training.input_map import row_space
from ssae_lens.training.runs import Run
from ssae_lens.training.sweep_result import Setting, Sweep, chance_sum
from ssae_lens.training.training_group import TrainingGroup

# Of how many seeds the best is taken in either half, and the fewest pairs that are worth halving.
HALF_SEEDS, MIN_PAIRS = 4, 8


def sweep(
    shifts: Any,
    *,
    d_sae: Sequence[int] | int,
    level: Sequence[float] | float | None = None,
    budget: Sequence[float] | float | None = None,
    seeds: Sequence[int] | int = 5,
    halves: bool = True,
    preset: str | None = None,
    out: str | Path | None = None,
    device: str | torch.device | None = None,
    wandb: Any = None,
    checkpoint_every: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **given: Any,
) -> Sweep:
    """Train an SSAE for every width, bound and seed, each batch read once, and choose among them without labels.

    Parameters
    ----------
    shifts
        As `train` takes them.
    d_sae, level, budget
        The widths, and the levels or (without levels) the budgets, to try: one or several of each.
    seeds
        The seeds, or how many.
    halves
        Fit every setting to either half of the shifts as well, from up to four of the seeds, and choose by what is found
        again. The halves of a store share neither a pair nor a text, where that can be; rows of an array alternate. False
        (and an iterator, which has no halves) leaves the choice to the agreement of seeds.
    out
        A folder for the log, the table and the best SSAE; an interrupted sweep goes on when called again.
    overwrite
        Whether `out` may hold the SSAE of another run, which is then replaced.
    wandb
        A Weights & Biases run to log to as well. What the log has of members is there by width and number, as in
        ``d_sae=16/loss/7``: of one width, all seeds of the first bound, then those of the next.
    **given
        Any other field of `ProblemConfig` and `SolverConfig`.

    Returns
    -------
    Sweep
        ``.best`` is the chosen SSAE, wordings of one concept joined; ``.table()`` the numbers, ``.heat_map()`` a figure,
        ``.ssae(row, seed)`` any member as it was trained.

    Examples
    --------
    >>> codes = torch.randn(1000, 4) * (torch.rand(1000, 4) < 0.3)
    >>> swept = sweep(codes @ torch.randn(4, 8), d_sae=[2, 4], seeds=2, steps=200, quiet=True)
    >>> list(swept.table()["d_sae"]), swept.best.cfg.d_in
    ([2, 4], 8)
    """
    widths, levels, budgets = _listed(d_sae), _listed(level), _listed(budget)
    seeds = _numbers_of(seeds)
    if "restarts" in given:
        raise ValueError(f"restarts is {given['restarts']!r}; in a sweep the seeds are the restarts: give seeds.")
    if not widths:
        raise ValueError("d_sae is empty; give one width or several.")
    if levels and budgets:
        raise ValueError(f"level is {level!r} and budget {budget!r}; a sweep bounds one of them: leave the other out.")
    check_wandb(wandb)
    shifts = opened(shifts)
    place, solver = check_device(device), SolverConfig()
    groups: list[list[TrainingGroup]] = []
    parts: list[Rows | Stream] = []
    for width in widths:
        several = {"level": levels} if levels else ({"budget": budgets} if budgets else {})
        problems = list(_problems(preset, {"d_sae": width, **given}, several))
        solver = problems[0][1]
        parts = parts or _data(open_data(shifts, solver.batch_size), halves=halves)
        warn_of_few(parts[0], problems[0][0])
        for together in _together(problems):
            groups.append([_group(each, together, solver, seeds, place, half=each is not parts[0]) for each in parts])
            for problem in together:
                check_level(problem, groups[-1][0])
    used = as_dict(groups[0][0].problem_config, solver)
    about = {"settings": used, "d_sae": widths, "bounds": levels or budgets, "seeds": seeds, "halves": len(parts) > 1}
    run = Run(parts[0], [each for trio in groups for each in trio], seed=min(seeds), about=about)
    run.wandb = wandb
    with run.holding(None if out is None else Path(out), overwrite=overwrite):
        run.go(quiet=quiet, checkpoint_every=checkpoint_every)
        space = row_space(parts[0].sample()).numpy() if len(parts) > 1 else None
        result = Sweep([each for trio in groups for each in _settings_of(trio, len(seeds), space)], shifts, used)
        if out is not None:
            run.save(result.best, sweep=result.table().to_dict(orient="records"))
    if result.chosen.reproducible is False:
        checks.warn(f"{result.chosen.stability} Capture more pairs, or another hook or position.")
    return result


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return np.atleast_1d(value).tolist()


def _numbers_of(seeds: Any) -> list[int]:
    """Return the seeds, given as such or as how many."""
    if not isinstance(seeds, Iterable):
        checks.integer("the number of seeds", seeds, 2, "UDR compares seeds; `train` fits one.")
        return list(range(int(seeds)))
    several = list(seeds)
    checks.integer("the number of seeds", len(several), 2, "UDR compares seeds; `train` fits one.")
    for each in several:
        checks.integer("a seed", each, 0)
    return [int(each) for each in several]


def _problems(
    preset: str | None, given: dict[str, Any], several: dict[str, list[float]]
) -> Iterator[tuple[ProblemConfig, SolverConfig]]:
    """Return the configuration of each bound."""
    for name, values in several.items():
        for value in values:
            yield settings(preset, **given, **{name: value})
    if not several:
        yield settings(preset, **given)


def _data(data: Rows | Stream, *, halves: bool) -> list[Rows | Stream]:
    """Return the data and, where they are wanted and can be had, its halves."""
    return (
        [data, *data.halves(stacklevel=4)]
        if halves and isinstance(data, Rows) and data.n_pairs >= MIN_PAIRS
        else [data]
    )


def _together(problems: list[tuple[ProblemConfig, SolverConfig]]) -> list[list[ProblemConfig]]:
    """Return what runs side by side: every bound at once, but for top-k, whose k is one for all members."""
    configs = [problem for problem, _ in problems]
    return [[each] for each in configs] if configs[0].kind == "topk" else [configs]


def _group(
    data: Rows | Stream,
    problems: list[ProblemConfig],
    solver: SolverConfig,
    seeds: list[int],
    place: torch.device,
    *,
    half: bool,
) -> TrainingGroup:
    seeds = seeds[:HALF_SEEDS] if half else seeds
    bounds = [each.bound for each in problems for _ in seeds]
    return TrainingGroup(data, problems[0], solver, seeds * len(problems), bounds, place)


def _settings_of(groups: list[TrainingGroup], n_seeds: int, space: np.ndarray | None) -> Iterator[Setting]:
    """Return the settings of a group and its halves, with what agrees; shifts vary in `space`."""
    group = groups[0]
    outcomes = group.outcomes()
    codes = group.codes()
    halves = [(each, each.solutions(), min(n_seeds, HALF_SEEDS)) for each in groups[1:]]
    for number, begin in enumerate(range(0, len(outcomes), n_seeds)):
        members = range(begin, begin + n_seeds)
        problem = group.problem_config
        bound = group.bounds[begin]
        problem = replace(problem, level=bound) if problem.level is not None else replace(problem, budget=bound)
        agreement = udr([codes[i] for i in members], [group.decoders[i] for i in members])
        best = [
            half.decoders[number * few + best_of(found[number * few : (number + 1) * few])].cpu().numpy()
            for half, found, few in halves
        ]
        yield Setting(
            problem.d_sae,
            problem.level,
            problem.budget,
            outcomes[begin : begin + n_seeds],
            agreement,
            group,
            members,
            mcc_decoders(best[0], best[1]).per_factor if best else None,
            chance_sum(best[0], best[1], space) if space is not None else None,
        )
