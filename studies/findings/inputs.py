"""`FindingsInputs`: a model, an SAE of it, the measured effects of its decoder rows, and the map fitted to them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.base import assets
from ssae_lens.evals.shipped_sae import APPROXIMATOR
from ssae_lens.hooks.hook_points import layer_of, record_activations
from ssae_lens.methods.sae_ts import Approximator, Effects
from ssae_lens.methods.sae_ts.effects import ENORMOUS
from ssae_lens.methods.sae_ts.steered import Rollouts, feature_means, rollouts
from ssae_lens.metrics import bootstrap_interval
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

Numbers = dict[str, Any]
EFFECTS = "effects.safetensors"
BATCH_SIZE = 128
# The share of the features whose columns of the map are longest.
LONGEST = 0.25


@dataclass(frozen=True)
class FindingsSettings:
    """How much is measured for each question."""

    # Coherence: decoder rows to steer by, scales in mean norms of activations, and temperatures of the unsteered model.
    rows: int = 6
    scales: tuple[float, ...] = (0.1, 0.2)
    temperatures: tuple[float, ...] = (0.3, 0.5, 0.85, 1.0)
    # Later layers: blocks as fractions of the depth, and the number of vectors.
    layers: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    carried: int = 60
    # The pseudo-inverse: features to raise with each kind of vector.
    features: int = 8
    # The range of the map: held-out vectors, and multiples of their scales.
    held_out: int = 20
    multiples: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if 1.0 not in self.multiples:
            raise ValueError(f"multiples is {self.multiples}; it must contain 1, with which the others are compared.")


QUICK = FindingsSettings(4, (0.1,), (0.5, 1.0), (0.5, 0.75, 1.0), 16, features=3, held_out=6, multiples=(1.0, 4.0))


@dataclass(frozen=True, eq=False)
class FindingsInputs:
    """A model, an SAE of it with what SAE-TS measured for that SAE, and settings."""

    model: "Model"
    sae: Any
    effects: Effects
    approximator: Approximator
    settings: FindingsSettings = FindingsSettings()

    def __post_init__(self) -> None:
        if self.approximator.sae != self.effects.sae:
            raise ValueError(
                f"The approximator is of the SAE {self.approximator.sae} and the effects are of {self.effects.sae}; "
                "they must agree."
            )

    @classmethod
    def shipped(cls, model: "Model", settings: FindingsSettings) -> "FindingsInputs":
        """Load the SAE, effects and map that ship with the package for a model."""
        from sae_lens import SAE

        folder = _asset_folder(str(model.cfg.model_name))
        files = (Effects.load(folder / EFFECTS), Approximator.load(folder / APPROXIMATOR))
        return cls(model, SAE.load_from_disk(folder, dtype="float32"), *files, settings)

    @property
    def hook(self) -> str:
        """The hook of the SAE."""
        return self.effects.origin.hook_name

    @cached_property
    def held_out(self) -> Int[np.ndarray, " n"]:
        """Rows of the effects that the map was not fitted to."""
        return np.array(self.approximator.fitted["held_out"][: self.settings.held_out])

    @cached_property
    def fitted(self) -> Int[np.ndarray, " n"]:
        """Rows of the effects that the map was fitted to."""
        return np.setdiff1d(np.arange(len(self.effects)), self.approximator.fitted["held_out"])

    @cached_property
    def features(self) -> list[int]:
        """Features that fire without steering and whose column of the map is among the longest, in random order."""
        norms = self.approximator.M.norm(dim=0) * (self.effects.baseline > 0)
        longest = np.flatnonzero((norms >= norms[norms > 0].quantile(1 - LONGEST)).numpy())
        return np.random.default_rng(self.settings.seed).permutation(longest).tolist()

    @cached_property
    def hooks(self) -> list[str]:
        """The hook of the SAE, and the later hooks that the settings name."""
        blocks = [int(share * (self.model.cfg.n_layers - 1)) for share in self.settings.layers]
        own = layer_of(self.hook) or 0
        return list(dict.fromkeys([self.hook, *(f"blocks.{b}.hook_resid_post" for b in blocks if b > own)]))

    def vectors(self, units: Float[Tensor, "n d"]) -> list[SteeringVector]:
        """Return rows as vectors at the hook."""
        return [SteeringVector(row, self.hook) for row in units]

    def generate(self, units: Float[Tensor, "n d"], scales: Sequence[float], seed: int) -> Rollouts:
        """Generate steered continuations of SAE-TS's prompts, with the settings of the effects."""
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
            max_rows=BATCH_SIZE,
        )

    def effects_of(self, texts: Rollouts) -> Float[Tensor, "n d_sae"]:
        """Return the mean activations of the features over texts, less those without steering."""
        max_norm = ENORMOUS * self.effects.mean_norm
        return feature_means(self.model, self.sae, self.hook, texts, max_norm, BATCH_SIZE) - self.effects.baseline

    def mean_activations(self, texts: Rollouts) -> dict[str, Float[Tensor, "n d_model"]]:
        """Run the unsteered model on texts, and return the mean activation at each hook over the generated tokens."""
        tokens, generated = texts.tokens.flatten(0, 1), texts.generated.flatten(0, 1)
        means: dict[str, list[Tensor]] = {name: [] for name in self.hooks}
        with record_activations(self.model, self.hooks) as read:
            for rows, is_generated in zip(tokens.split(BATCH_SIZE), generated.split(BATCH_SIZE), strict=True):
                for name, values in read(rows.to(self.model.cfg.device)).items():
                    kept = is_generated.to(values.device)[..., None]
                    means[name].append((values.float() * kept).sum(1).cpu() / kept.sum(1).cpu())
        n = len(texts.tokens)
        return {name: torch.cat(rows).view(n, -1, rows[0].shape[-1]).mean(1) for name, rows in means.items()}


def unit(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Scale rows to length 1."""
    return rows / rows.norm(dim=-1, keepdim=True)


def estimate(rows: Float[np.ndarray, "n *m"], statistic: Callable[[np.ndarray], Any] = np.mean) -> dict[str, float]:
    """Return a statistic with its 95 % bootstrap interval."""
    interval = bootstrap_interval(np.asarray(rows, dtype=np.float64), statistic, resamples=1000)
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def rank_correlation(pairs: Float[np.ndarray, "n 2"]) -> float:
    """Return Spearman's correlation of two columns; 0 if one is constant."""
    from scipy.stats import rankdata

    first, other = (rankdata(column) for column in np.asarray(pairs).T)
    covariance = float(((first - first.mean()) * (other - other.mean())).mean())
    return ratio(covariance, float(first.std() * other.std()))


def ratio(part: float, whole: float) -> float:
    """Divide; return 0 for 0/0, as in a resample that repeats one row."""
    return part / whole if whole > 0 else 0.0


def _asset_folder(model_name: str) -> Path:
    """Return the folder of the SAE, effects and map that ship for a model."""
    name = Path(model_name).name.lower().removesuffix("-instruct")
    for release, ids in assets.shipped().items():
        for sae_id in ids:
            folder = assets.asset_path(release, sae_id)
            if (folder / EFFECTS).is_file() and release.startswith(name):
                return folder
    raise ValueError(
        f"No effects of {model_name!r} ship with the package; use smollm2-135m, or FindingsInputs of your own."
    )
