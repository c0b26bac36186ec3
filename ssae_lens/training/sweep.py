"""`sweep`: many SSAEs in one program, and the choice among them that needs no labels.

Members of one width share their input map and run side by side; all share every batch. UDR, the agreement of seeds,
chooses width and level: a setting at which every seed finds the same directions has found something that is there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ssae_lens.base import checks
from ssae_lens.base.files import write_json
from ssae_lens.metrics import udr
from ssae_lens.metrics.udr import UDR
from ssae_lens.sae import SSAE
from ssae_lens.training.config import ProblemConfig, SolverConfig, as_dict, settings
from ssae_lens.training.data import open_data
from ssae_lens.training.fit import Group, Outcome
from ssae_lens.training.runs import Run
from ssae_lens.training.train import best_of, check_device, check_level, finished, warn_of_few

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Setting:
    """One width and bound of a sweep, with its seeds' outcomes and how far they agree."""

    d_sae: int
    level: float | None
    budget: float
    outcomes: list[Outcome]
    udr: UDR
    _group: Group = field(repr=False)
    _members: range = field(repr=False)


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
        """The setting on whose directions the seeds agree most, of those that met their bound; no label is looked at.

        Agreement within half a percent counts as equal, and then the wider setting is taken: a few latents too many
        split nothing while the seeds still agree, too few must merge.
        """
        met = [each for each in self.settings if any(one.status == "binding" for one in each.outcomes)] or self.settings
        most = max(each.udr.decoders for each in met)
        return max(
            (each for each in met if each.udr.decoders >= most - 0.005),
            key=lambda each: (each.d_sae, each.udr.decoders),
        )

    @cached_property
    def best(self) -> SSAE:
        """The SSAE of the chosen setting whose seed solved the problem best."""
        chosen = self.chosen
        return self.ssae(chosen, best_of(chosen.outcomes))

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
    preset: str | None = None,
    out: str | Path | None = None,
    device: str | torch.device | None = None,
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
    out
        A folder for the log, the table and the best SSAE; an interrupted sweep goes on when called again.
    **given
        Any other field of `ProblemConfig` and `SolverConfig`.

    Returns
    -------
    Sweep
        ``.best`` is the chosen SSAE, ``.table()`` the numbers, ``.heat_map()`` a figure, ``.ssae(row, seed)`` any member.
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
    place, groups, solver = check_device(device), [], SolverConfig()
    data = None
    for width in widths:
        several = {"level": levels} if levels else ({"budget": budgets} if budgets else {})
        problems = list(_problems(preset, {"d_sae": width, **given}, several))
        solver = problems[0][1]
        data = data or open_data(shifts, solver.batch_size)
        warn_of_few(data, problems[0][0])
        for part, bounds in _parts(problems, seeds):
            groups.append(Group(data, part[0], solver, seeds * len(part), bounds, place))
            for problem in part:
                check_level(problem, groups[-1])
    assert data is not None
    used = as_dict(groups[0].problem_config, solver)
    run = Run(
        data,
        groups,
        seed=min(seeds),
        about={"settings": used, "d_sae": widths, "bounds": levels or budgets, "seeds": seeds},
    )
    run.go(None if out is None else Path(out), quiet=quiet, checkpoint_every=checkpoint_every)
    result = Sweep([each for group in groups for each in _settings_of(group, len(seeds))], shifts, used)
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


def _parts(
    problems: list[tuple[ProblemConfig, SolverConfig]], seeds: list[int]
) -> Iterator[tuple[list[ProblemConfig], list[float]]]:
    """Give what runs side by side: every bound at once, but for top-k, whose k is one for all members."""
    configs = [problem for problem, _ in problems]
    together = [[each] for each in configs] if configs[0].kind == "topk" else [configs]
    for part in together:
        yield part, [_bound(each) for each in part for _ in seeds]


def _bound(problem: ProblemConfig) -> float:
    return problem.budget if problem.level is None else problem.level


def _settings_of(group: Group, n_seeds: int) -> Iterator[Setting]:
    """Give a group's settings with the agreement of their seeds."""
    outcomes = group.outcomes()
    codes = group.codes()
    decoders = group.members.W_dec.detach()
    if group.map.decode is not None:
        decoders = decoders @ group.map.decode
    for begin in range(0, len(outcomes), n_seeds):
        members = range(begin, begin + n_seeds)
        problem = group.problem_config
        bound = group.bounds[begin]
        problem = replace(problem, level=bound) if problem.level is not None else replace(problem, budget=bound)
        agreement = udr([codes[i] for i in members], [decoders[i] for i in members])
        yield Setting(
            problem.d_sae, problem.level, problem.budget, outcomes[begin : begin + n_seeds], agreement, group, members
        )
