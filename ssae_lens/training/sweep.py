"""`sweep`: many SSAEs in one program, and the choice among them that needs no labels.

Members of one width share their input map and run side by side; all share every batch. What is chosen is the setting of
which most is found again: each is also fitted to either half of the shifts, and a latent that both halves give is there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from ssae_lens.base import checks
from ssae_lens.base.files import write_json
from ssae_lens.metrics import mcc_decoders, udr
from ssae_lens.metrics.udr import UDR
from ssae_lens.sae import SSAE
from ssae_lens.training.config import ProblemConfig, SolverConfig, as_dict, settings
from ssae_lens.training.data import Rows, Stream, open_data
from ssae_lens.training.fit import Group, Outcome
from ssae_lens.training.runs import Run
from ssae_lens.training.train import best_of, check_device, check_level, check_wandb, finished, warn_of_few
from ssae_lens.training.wordings import merge_wordings

if TYPE_CHECKING:
    import pandas as pd


# Of how many seeds the best is taken in either half, and the least shifts that are worth halving.
HALF_SEEDS, LEAST_ROWS = 4, 8


@dataclass(frozen=True)
class Setting:
    """One width and bound of a sweep.

    Attributes
    ----------
    outcomes, udr
        Of its seeds, and how far they agree.
    again
        For each latent of the fit to one half of the shifts, its |cosine| with its match in the fit to the other.
    """

    d_sae: int
    level: float | None
    budget: float
    outcomes: list[Outcome]
    udr: UDR
    _group: Group = field(repr=False)
    _members: range = field(repr=False)
    again: Float[np.ndarray, " k"] | None = field(default=None, repr=False)

    @property
    def recurring(self) -> float:
        """How many latents are found again less those that are not, Σ cos² − (1 − cos²). NaN without halves."""
        return float("nan") if self.again is None else float((2 * self.again**2 - 1).sum())


@dataclass(frozen=True)
class Sweep:
    """What a sweep gave: a table of settings, and any member as an SSAE.

    Attributes
    ----------
    settings
        Every width and bound, in the order asked for.
    """

    settings: list[Setting]
    _shifts: Any = field(repr=False)
    _used: dict[str, Any] = field(repr=False)

    @property
    def chosen(self) -> Setting:
        """The setting of which most is `recurring`, of those that met their bound; no label is looked at.

        Latents too few merge concepts, in other ways in each half; of latents too many, some follow what only one half has.
        Where halves were not fitted it is the setting on whose directions the seeds agree most. Agreement within half a
        percent counts as equal, and then the wider setting is taken.
        """
        met = [each for each in self.settings if any(one.status == "binding" for one in each.outcomes)] or self.settings
        if all(each.again is not None for each in met):
            return max(met, key=lambda each: each.recurring)
        most = max(each.udr.decoders for each in met)
        return max(
            (each for each in met if each.udr.decoders >= most - 0.005),
            key=lambda each: (each.d_sae, each.udr.decoders),
        )

    @cached_property
    def best(self) -> SSAE:
        """The SSAE of the chosen setting whose seed solved the problem best, with wordings of one concept joined."""
        chosen = self.chosen
        return self.joined(chosen, best_of(chosen.outcomes))

    def joined(self, setting: Setting | int, seed: int = 0) -> SSAE:
        """Give a member as `ssae` does, with latents joined that are wordings of one concept (`merge_wordings`).

        Where codes do not come to stand out, as under an L1 level, nothing says which are, and it is the same as `ssae`.
        """
        setting = self.settings[setting] if isinstance(setting, int) else setting
        ssae, group = self.ssae(setting, seed), setting._group
        return merge_wordings(ssae, group.data.sample()) if group.problem_config.stands_out else ssae

    def ssae(self, setting: Setting | int, seed: int = 0) -> SSAE:
        """Give a member by its setting (or its row in the table) and the number of its seed."""
        setting = self.settings[setting] if isinstance(setting, int) else setting
        used = {**self._used, "d_sae": setting.d_sae, "level": setting.level, "budget": setting.budget}
        return finished(setting._group, setting._members[seed], self._shifts, used, setting.outcomes[seed])

    def table(self) -> "pd.DataFrame":
        """Give a row for each setting: agreement of codes and of decoders, and the outcomes' means over seeds."""
        import pandas as pd

        return pd.DataFrame([self._row(each) for each in self.settings])

    def heat_map(self) -> Any:
        """Give a plotly figure of UDR (decoders) over widths and bounds."""
        import plotly.graph_objects as go

        table = self.table()
        bound = "level" if table["level"].notna().any() else "budget"
        grid = table.pivot_table(index=bound, columns="d_sae", values="udr_decoders")
        figure = go.Figure(
            go.Heatmap(
                z=grid.to_numpy(),
                x=[str(each) for each in grid.columns],
                y=[f"{each:g}" for each in grid.index],
                zmin=0,
                zmax=1,
                colorscale="Viridis",
                texttemplate="%{z:.3f}",
                colorbar={"title": "UDR"},
            )
        )
        return figure.update_layout(
            title="Agreement of seeds (UDR of decoders)", xaxis_title="d_sae", yaxis_title=bound
        )

    @staticmethod
    def _row(each: Setting) -> dict[str, Any]:
        def mean(name: str) -> float:
            return sum(getattr(one, name) for one in each.outcomes) / len(each.outcomes)

        return {
            "d_sae": each.d_sae,
            "level": each.level,
            "budget": each.budget if each.level is None else None,
            "udr_codes": each.udr.codes,
            "udr_decoders": each.udr.decoders,
            "recurring": each.recurring,
            **{name: mean(name) for name in ("loss", "sparsity", "mean_abs", "active", "multiplier")},
            "status": ", ".join(sorted({one.status for one in each.outcomes})),
        }


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
        again. False (and an iterator, which has no halves) leaves the choice to the agreement of seeds.
    out
        A folder for the log, the table and the best SSAE; an interrupted sweep goes on when called again.
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
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if "restarts" in given:
        raise ValueError(f"restarts is {given['restarts']!r}; in a sweep the seeds are the restarts: give seeds.")
    if not widths:
        raise ValueError("d_sae is empty; give one width or several.")
    checks.whole("the number of seeds", len(seeds), 2, "UDR compares seeds; `train` fits one.")
    if levels and budgets:
        raise ValueError(f"level is {level!r} and budget {budget!r}; a sweep bounds one of them: leave the other out.")
    check_wandb(wandb)
    place, solver = check_device(device), SolverConfig()
    groups: list[list[Group]] = []
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
    run.go(None if out is None else Path(out), quiet=quiet, checkpoint_every=checkpoint_every)
    result = Sweep([each for trio in groups for each in _settings_of(trio, len(seeds))], shifts, used)
    if out is not None:
        write_json(Path(out) / "sweep.json", result.table().to_dict(orient="records"))
        result.best.save_model(out)
    return result


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return np.atleast_1d(value).tolist()


def _problems(
    preset: str | None, given: dict[str, Any], several: dict[str, list[float]]
) -> Iterator[tuple[ProblemConfig, SolverConfig]]:
    """Give the configuration of each bound."""
    for name, values in several.items():
        for value in values:
            yield settings(preset, **given, **{name: value})
    if not several:
        yield settings(preset, **given)


def _data(data: Rows | Stream, *, halves: bool) -> list[Rows | Stream]:
    """Give the data and, where they are wanted and can be had, its halves."""
    return [data, *data.halves()] if halves and isinstance(data, Rows) and data.n >= LEAST_ROWS else [data]


def _together(problems: list[tuple[ProblemConfig, SolverConfig]]) -> list[list[ProblemConfig]]:
    """Give what runs side by side: every bound at once, but for top-k, whose k is one for all members."""
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
) -> Group:
    seeds = seeds[:HALF_SEEDS] if half else seeds
    bounds = [_bound(each) for each in problems for _ in seeds]
    return Group(data, problems[0], solver, seeds * len(problems), bounds, place)


def _bound(problem: ProblemConfig) -> float:
    return problem.budget if problem.level is None else problem.level


def _settings_of(groups: list[Group], n_seeds: int) -> Iterator[Setting]:
    """Give the settings of a group and its halves, with what agrees."""
    group = groups[0]
    outcomes = group.outcomes()
    codes = group.codes()
    halves = [(each, each.outcomes(), min(n_seeds, HALF_SEEDS)) for each in groups[1:]]
    for number, begin in enumerate(range(0, len(outcomes), n_seeds)):
        members = range(begin, begin + n_seeds)
        problem = group.problem_config
        bound = group.bounds[begin]
        problem = replace(problem, level=bound) if problem.level is not None else replace(problem, budget=bound)
        agreement = udr([codes[i] for i in members], [group.decoders[i] for i in members])
        best = [
            half.decoders[number * few + best_of(found[number * few : (number + 1) * few])]
            for half, found, few in halves
        ]
        again = mcc_decoders(best[0], best[1]).per_factor if best else None
        yield Setting(
            problem.d_sae,
            problem.level,
            problem.budget,
            outcomes[begin : begin + n_seeds],
            agreement,
            group,
            members,
            again,
        )
