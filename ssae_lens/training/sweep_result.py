"""`Sweep`: what a sweep gave, and the choice among its settings that needs no labels."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ssae_lens.metrics import UDR, control_rotated, mcc_decoders
from ssae_lens.sae import SSAE
from ssae_lens.training._train import best_of, finished
from ssae_lens.training.merge import merge_split_latents
from ssae_lens.training.outcome import Outcome
from ssae_lens.training.training_group import TrainingGroup

if TYPE_CHECKING:
    import pandas as pd


# A latent is reproduced from this |cosine| on.
REPRODUCED = 0.7
# Of the random turns: not one that synthetic shifts are likely to be drawn from.
CONTROL_SEED = 71_828_182


def split_half_sum(cosines: Float[np.ndarray, " k"]) -> float:
    """Return Σ cos² − (1 − cos²): how many latents are found in both halves less those that are not."""
    return float((2 * cosines**2 - 1).sum())


def chance_sum(
    first: Float[np.ndarray, "k d"], second: Float[np.ndarray, "k d"], space: Float[np.ndarray, "d r"], draws: int = 100
) -> float:
    """Return the largest split-half score of one half's decoder with the other's, turned at random.

    In isotropic noise the directions of either half are uniform and independent: one in a hundred such sweeps passes this.

    Parameters
    ----------
    first, second
        Decoder rows of the fits to the two halves.
    space
        Orthonormal columns that span what shifts vary in: turns stay within.
    draws
        How often to turn, for widths whose matching takes no time.
    """
    control = control_rotated(
        lambda rows, turned: split_half_sum(mcc_decoders(rows, turned).per_factor),
        first @ space,
        second @ space,
        repeats=max(5, min(draws, 128 * draws // len(first))),
        seed=CONTROL_SEED,
    )
    return float(control.scores.max())


@dataclass(frozen=True)
class Setting:
    """One width and bound of a sweep.

    Attributes
    ----------
    outcomes, udr
        Of its seeds, and how far they agree.
    again
        For each latent of the fit to one half of the shifts, its |cosine| with its match in the fit to the other.
    chance
        The largest `split_half_score` of a hundred random turns of one half's directions.
    """

    d_sae: int
    level: float | None
    budget: float | None
    outcomes: list[Outcome]
    udr: UDR
    _group: TrainingGroup = field(repr=False)
    _members: range = field(repr=False)
    again: Float[np.ndarray, " k"] | None = field(default=None, repr=False)
    chance: float | None = None

    @property
    def split_half_score(self) -> float:
        """How many latents are found again less those that are not, Σ cos² − (1 − cos²). NaN without halves."""
        return float("nan") if self.again is None else split_half_sum(self.again)

    @property
    def reproduced(self) -> int | None:
        """The number of latents with a |cosine| of at least 0.7 with their match in the fit to the other half."""
        return None if self.again is None else int((self.again >= REPRODUCED).sum())

    @property
    def reproducible(self) -> bool | None:
        """Whether fits to the two halves agree: in a latent at least, and more than random directions do."""
        return None if self.chance is None else bool(self.reproduced) and self.split_half_score > self.chance

    @property
    def stability(self) -> str:
        """What the fits to the two halves say, in words."""
        if self.again is None:
            return ""
        if self.reproducible is not False:
            return f"{self.reproduced} of {self.d_sae} latents are reproduced in both halves of the shifts."
        why = (
            "random directions agree as well"
            if self.reproduced
            else f"the largest is {self.again.max():.2f}, and {REPRODUCED} counts as reproduced"
        )
        return (
            "No reproducible structure was found: fits to the halves of the shifts have |cosines| of "
            f"{self.again.mean():.2f} in the mean ({why})."
        )


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
        """The setting of which most is `split_half_score`, of those that met their bound; no label is looked at.

        Latents too few merge concepts, in other ways in each half; of latents too many, some follow what only one half has.
        Where halves were not fitted it is the setting on whose directions the seeds agree most. Agreement within half a
        percent counts as equal, and then the wider setting is taken.
        """
        met = [each for each in self.settings if any(one.status == "binding" for one in each.outcomes)] or self.settings
        if all(each.again is not None for each in met):
            return max(met, key=lambda each: each.split_half_score)
        most = max(each.udr.decoders for each in met)
        return max(
            (each for each in met if each.udr.decoders >= most - 0.005),
            key=lambda each: (each.d_sae, each.udr.decoders),
        )

    @cached_property
    def best(self) -> SSAE:
        """The SSAE of the chosen setting whose seed solved the problem best, with wordings of one concept joined."""
        chosen = self.chosen
        return self.merged(chosen, best_of(chosen.outcomes))

    def merged(self, setting: Setting | int, seed: int = 0) -> SSAE:
        """Return a member as `ssae` does, with latents joined that are wordings of one concept (`merge_split_latents`).

        Where codes do not come to stand out, as under an L1 level, nothing says which are, and it is the same as `ssae`.
        """
        setting = self.settings[setting] if isinstance(setting, int) else setting
        ssae, group = self.ssae(setting, seed), setting._group
        return merge_split_latents(ssae, group.data) if group.problem_config.has_active_mask else ssae

    def ssae(self, setting: Setting | int, seed: int = 0) -> SSAE:
        """Return a member by its setting (or its row in the table) and the number of its seed."""
        setting = self.settings[setting] if isinstance(setting, int) else setting
        used = {**self._used, "d_sae": setting.d_sae, "level": setting.level, "budget": setting.budget}
        outcome = setting.outcomes[seed]
        if outcome.status != "diverged":
            outcome = outcome.adding(setting.stability)
        return finished(setting._group, setting._members[seed], self._shifts, used, outcome)

    def table(self) -> "pd.DataFrame":
        """Return a row for each setting: agreement of codes and of decoders, and the outcomes' means over seeds."""
        import pandas as pd

        return pd.DataFrame([self._row(each) for each in self.settings])

    def heat_map(self) -> Any:
        """Return a plotly figure of UDR (decoders) over widths and bounds."""
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
            "budget": each.budget,
            "udr_codes": each.udr.codes,
            "udr_decoders": each.udr.decoders,
            "split_half_score": each.split_half_score,
            "reproduced": each.reproduced,
            **{name: mean(name) for name in ("fvu", "loss", "sparsity", "mean_abs", "active", "multiplier")},
            "status": ", ".join(sorted({one.status for one in each.outcomes})),
        }
