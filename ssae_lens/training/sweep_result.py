"""The result of a sweep: its settings, their split-half stability, and the choice among them without labels."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ssae_lens.metrics import UDR, control_rotated, cosines, mcc_decoders
from ssae_lens.sae import SSAE
from ssae_lens.training._train import best_of, trained_ssae
from ssae_lens.training.config import as_dict
from ssae_lens.training.infer import refine
from ssae_lens.training.merge import merge_split_latents
from ssae_lens.training.outcome import Outcome
from ssae_lens.training.training_group import TrainingGroup

if TYPE_CHECKING:
    import pandas as pd

# A row of one decoder matches a row of another from this |cosine| on.
ROW_MATCH = 0.7
# Agreements of seeds that differ by less count as equal.
UDR_TOLERANCE = 0.005
# The seed of the random rotations, unlikely to be one that synthetic shifts are drawn from.
CONTROL_SEED = 71_828_182


def sum_of_matches(cosines: Float[np.ndarray, " k"]) -> float:
    """Return Σ cos² − (1 − cos²): the number of latents reproduced in both halves less the number that are not."""
    return float((2 * cosines**2 - 1).sum())


def chance_score(
    first: Float[np.ndarray, "k d"], second: Float[np.ndarray, "k d"], space: Float[np.ndarray, "d r"], draws: int = 100
) -> float:
    """Return the largest split-half score of one half's decoder with the other's under random rotations.

    In isotropic noise the directions of the halves are uniform and independent: one in a hundred such sweeps exceeds it.
    Rotations stay within `space`, an orthonormal basis (as columns) of what shifts vary in. There are `draws` of them at
    widths where matching is fast.
    """
    control = control_rotated(
        lambda rows, rotated: sum_of_matches(mcc_decoders(rows, rotated).per_factor),
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
        Of its seeds, and their agreement.
    split_half_cosines
        For each latent of the fit to one half of the shifts, its |cosine| with its match in the fit to the other.
    chance
        The largest `split_half_score` of a hundred random rotations of one half's directions.
    """

    d_sae: int
    level: float | None
    budget: float | None
    outcomes: list[Outcome]
    udr: UDR
    _group: TrainingGroup = field(repr=False)
    _members: range = field(repr=False)
    split_half_cosines: Float[np.ndarray, " k"] | None = field(default=None, repr=False)
    chance: float | None = None
    _half_decoders: list[Float[np.ndarray, "k d"]] = field(default_factory=list, repr=False)

    @property
    def split_half_score(self) -> float:
        """The number of latents reproduced in both halves less that of the others, Σ 2cos² − 1. NaN without halves."""
        return float("nan") if self.split_half_cosines is None else sum_of_matches(self.split_half_cosines)

    @property
    def reproduced(self) -> int | None:
        """The number of latents with a |cosine| of at least 0.7 with their match in the fit to the other half."""
        return None if self.split_half_cosines is None else int((self.split_half_cosines >= ROW_MATCH).sum())

    @property
    def reproducible(self) -> bool | None:
        """Whether fits to the two halves agree: in at least one latent, and more than random directions do."""
        return None if self.chance is None else bool(self.reproduced) and self.split_half_score > self.chance

    @property
    def stability(self) -> str:
        """The agreement of the halves in a sentence."""
        if self.split_half_cosines is None:
            return ""
        if self.reproducible is not False:
            return f"{self.reproduced} of {self.d_sae} latents are reproduced in both halves of the shifts."
        reason = (
            "random directions agree as well"
            if self.reproduced
            else f"the largest is {self.split_half_cosines.max():.2f}, and {ROW_MATCH} counts as reproduced"
        )
        return (
            "No reproducible structure was found: fits to the halves of the shifts have |cosines| of "
            f"{self.split_half_cosines.mean():.2f} in the mean ({reason})."
        )


@dataclass(frozen=True)
class Sweep:
    """A table of settings, and any member as an SSAE.

    Attributes
    ----------
    settings
        Every width and bound, in the order asked for.
    refines
        Whether `best` is refined by sparse inference.
    """

    settings: list[Setting]
    refines: bool = False

    @property
    def chosen(self) -> Setting:
        """The setting with the largest `split_half_score`, among those that met their bound; no label is used.

        Too few latents merge concepts, differently in each half; of too many, some follow what only one half has. If the
        best is refined, it is the setting with the most latents reproduced in both halves: spare latents are no loss then,
        but a concept without a latent is. Where halves were not fitted it is the setting with the best agreement of seeds
        (UDR of decoders). Agreements within half a percent count as equal, and then the wider setting is taken.
        """
        feasible = [
            setting for setting in self.settings if any(outcome.status == "binding" for outcome in setting.outcomes)
        ] or self.settings
        if all(setting.split_half_cosines is not None for setting in feasible):
            if self.refines:
                return max(feasible, key=lambda s: (s.reproducible is not False, s.reproduced, s.split_half_score))
            return max(feasible, key=lambda setting: setting.split_half_score)
        lowest = max(setting.udr.decoders for setting in feasible) - UDR_TOLERANCE
        return max(
            (setting for setting in feasible if setting.udr.decoders >= lowest),
            key=lambda setting: (setting.d_sae, setting.udr.decoders),
        )

    @cached_property
    def best(self) -> SSAE:
        """The SSAE of the chosen setting from the seed that solved the problem best: refined, or split features merged."""
        return self.finished(self.chosen, best_of(self.chosen.outcomes))

    def finished(self, setting: Setting | int, seed: int = 0) -> SSAE:
        """Return a member as `ssae` does, refined by sparse inference (`refine`), or with split features merged.

        Under an L1 level, where codes do not separate into active and inactive ones, it is not merged. The metadata have
        `split_half`, the smaller |cosine| of each row with the best matching row in the fits to the two halves.
        """
        setting = self.settings[setting] if isinstance(setting, int) else setting
        ssae, group = self.ssae(setting, seed), setting._group
        if self.refines:
            ssae = refine(ssae, group.data)
        elif group.config.has_active_mask:
            ssae = merge_split_latents(ssae, group.data)
        if setting._half_decoders:
            rows = ssae.W_dec.detach().cpu().numpy()
            halves = [abs(cosines(rows, half)).max(axis=1) for half in setting._half_decoders]
            ssae.cfg.metadata.split_half = np.round(np.min(halves, axis=0), 4).tolist()
        return ssae

    def ssae(self, setting: Setting | int, seed: int = 0) -> SSAE:
        """Return a member by its setting (or its row in the table) and the number of its seed."""
        setting = self.settings[setting] if isinstance(setting, int) else setting
        group, outcome = setting._group, setting.outcomes[seed]
        options = {**as_dict(group.config, group.solver), "level": setting.level, "budget": setting.budget}
        if outcome.status != "diverged":
            outcome = outcome.with_details(setting.stability)
        return trained_ssae(group, setting._members[seed], options, outcome)

    def table(self) -> "pd.DataFrame":
        """Return a row for each setting: agreement of codes and of decoders, and the outcomes' means over seeds."""
        import pandas as pd

        return pd.DataFrame([_table_row(setting) for setting in self.settings])


def _table_row(setting: Setting) -> dict[str, Any]:
    def mean(name: str) -> float:
        return sum(getattr(outcome, name) for outcome in setting.outcomes) / len(setting.outcomes)

    return {
        "d_sae": setting.d_sae,
        "level": setting.level,
        "budget": setting.budget,
        "udr_codes": setting.udr.codes,
        "udr_decoders": setting.udr.decoders,
        "split_half_score": setting.split_half_score,
        "reproduced": setting.reproduced,
        **{name: mean(name) for name in ("fvu", "loss", "sparsity", "mean_abs", "active", "multiplier")},
        "status": ", ".join(sorted({outcome.status for outcome in setting.outcomes})),
    }
