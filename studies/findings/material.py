"""`Material`: the model, the SAE that ships with it, the measured effects of its decoder rows, and the map of them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.base import assets
from ssae_lens.evals.steering.saes import APPROXIMATOR
from ssae_lens.hooks.hook_points import reading
from ssae_lens.methods.sae_ts import Approximator, Effects
from ssae_lens.methods.sae_ts.effects import ENORMOUS
from ssae_lens.methods.sae_ts.rollouts import Rollouts, feature_means, rollouts
from ssae_lens.steering_vector import SteeringVector
from studies.findings.settings import Settings

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

EFFECTS = "effects.safetensors"
MAX_ROWS = 128
# Of the features that vectors move: the share of those that they move most, by the length of their columns of the map.
BEST = 0.25


class Material:
    """What the open questions are asked of.

    Parameters
    ----------
    model
        The model.
    sae, effects, approximator
        An SAE of it with what SAE-TS measured of it.
    settings
        How much is measured.
    """

    def __init__(
        self, model: "Model", sae: Any, effects: Effects, approximator: Approximator, settings: Settings | None = None
    ) -> None:
        self.model, self.sae, self.effects, self.approximator = model, sae, effects, approximator
        self.settings = settings or Settings()
        self.hook = effects.origin.hook_name
        if approximator.sae != effects.sae:
            raise ValueError(
                f"The approximator is of the SAE {approximator.sae} and the effects are of {effects.sae}; give both of one."
            )

    @classmethod
    def shipped(cls, model: "Model", settings: Settings | None = None) -> "Material":
        """Take what ships with the package for a model."""
        from sae_lens import SAE

        folder = folder_of(str(model.cfg.model_name))
        files = (Effects.load(folder / EFFECTS), Approximator.load(folder / APPROXIMATOR))
        return cls(model, SAE.load_from_disk(folder, dtype="float32"), *files, settings)

    @cached_property
    def held_out(self) -> Int[np.ndarray, " n"]:
        """Rows of the effects that the map was not fitted to."""
        return np.array(self.approximator.fitted["held_out"][: self.settings.held_out])

    @cached_property
    def fitted(self) -> Int[np.ndarray, " n"]:
        """Rows of the effects that it was fitted to."""
        return np.setdiff1d(np.arange(len(self.effects)), self.approximator.fitted["held_out"])

    @cached_property
    def raised(self) -> list[int]:
        """Features that fire unsteered and that the map knows best how to raise (a quarter), in an order drawn at random."""
        sizes = self.approximator.M.norm(dim=0) * (self.effects.baseline > 0)
        found = np.flatnonzero((sizes >= sizes[sizes > 0].quantile(1 - BEST)).numpy())
        return np.random.default_rng(self.settings.seed).permutation(found).tolist()

    def vectors(self, units: Float[Tensor, "n d"]) -> list[SteeringVector]:
        """Return rows as vectors at the hook."""
        return [SteeringVector(each, self.hook) for each in units]

    def written(self, units: Float[Tensor, "n d"], scales: Sequence[float], seed: int) -> Rollouts:
        """Let the model continue SAE-TS's prompts under each vector at its scale, as the effects were measured."""
        settings = self.effects.settings
        return rollouts(
            self.model,
            self.vectors(units),
            list(scales),
            settings.prompts,
            settings.sampler(),
            max_new_tokens=settings.max_new_tokens,
            n_samples=settings.n_samples,
            seed=seed,
            max_rows=MAX_ROWS,
        )

    def effects_of(self, texts: Rollouts) -> Float[Tensor, "n d_sae"]:
        """Return the features' means over what was written, less those without steering."""
        longest = ENORMOUS * self.effects.mean_norm
        return feature_means(self.model, self.sae, self.hook, texts, longest, MAX_ROWS) - self.effects.baseline

    def means_at(self, texts: Rollouts, hooks: Sequence[str]) -> dict[str, Float[Tensor, "n d_model"]]:
        """Read what was written, without steering, and give the mean activation at each hook over its tokens."""
        n = len(texts.tokens)
        tokens, generated = texts.tokens.flatten(0, 1), texts.generated.flatten(0, 1)
        sums: dict[str, list[Tensor]] = {name: [] for name in hooks}
        with reading(self.model, list(hooks)) as read:
            for rows, where in zip(tokens.split(MAX_ROWS), generated.split(MAX_ROWS), strict=True):
                for name, values in read(rows.to(self.model.cfg.device)).items():
                    kept = where.to(values.device)[..., None]
                    sums[name].append((values.float() * kept).sum(1).cpu() / kept.sum(1).cpu())
        return {name: torch.cat(rows).view(n, -1, rows[0].shape[-1]).mean(1) for name, rows in sums.items()}


def folder_of(model_name: str) -> Path:
    """Return the folder of what ships for a model: an SAE, effects and a map."""
    name = Path(model_name).name
    for release, ids in assets.shipped().items():
        for sae_id in ids:
            folder = assets.asset_path(release, sae_id)
            if (folder / EFFECTS).is_file() and release.startswith(name.lower().removesuffix("-instruct")):
                return folder
    raise ValueError(
        f"No effects of {model_name!r} ship with the package; make Material of your own, or use smollm2-135m."
    )


def unit(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Make rows of length 1."""
    return rows / rows.norm(dim=-1, keepdim=True)
