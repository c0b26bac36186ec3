"""Effects: by how much steering with a vector changes each feature of an SAE in what a model writes."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.checksums import fingerprint
from ssae_lens.base.files import locked, tidy
from ssae_lens.base.progress_bars import progress
from ssae_lens.base.provenance import Origin
from ssae_lens.hooks.shards import Shards, folder_of
from ssae_lens.methods._sae_feature import hook_of_sae
from ssae_lens.methods.sae_ts.settings import Settings, TensorRecord, half, unit_rows
from ssae_lens.methods.sae_ts.steered import TOLERANCE, Losses, feature_means, rollouts, search
from ssae_lens.models.hooked import laid_out_for_generation
from ssae_lens.models.identity import weights_fingerprint
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

# In mean norms of the activations: where tokens are of another kind, in which features mean nothing.
ENORMOUS = 10.0
# A part's columns before those of the features.
SCALE, RISE, FEATURES = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Effects(TensorRecord):
    """The effects that `measure_effects` measured.

    Attributes
    ----------
    vectors
        The directions, of length 1.
    effects
        For each, the mean activation of each feature over what the model writes under it, less `baseline`.
    scales, rises
        The length of each that was added, and by how much that raised the mean loss.
    baseline
        The features' mean activations over what the model writes without steering.
    origin
        The model and the hook.
    sae
        The fingerprint of the SAE.
    mean_norm
        The mean norm of the activations at the hook.
    settings
        How they were measured.
    call
        What was measured, as a flat dictionary, by which another call's file is recognised.
    """

    KIND: ClassVar = "effects"
    SHAPES: ClassVar = {"vectors": "n d_model", "effects": "n d_sae", "scales": "n", "rises": "n", "baseline": "d_sae"}

    vectors: Float[Tensor, "n d_model"]
    effects: Float[Tensor, "n d_sae"]
    scales: Float[Tensor, "n"]
    rises: Float[Tensor, "n"]
    baseline: Float[Tensor, "d_sae"]
    origin: Origin
    sae: str
    mean_norm: float
    settings: Settings
    call: dict[str, Any]

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def reached(self) -> Bool[Tensor, "n"]:
        """Which vectors raise the loss by the target; the others were added at the largest scale tried."""
        return self.rises >= (1 - TOLERANCE) * self.settings.target


def measure_effects(
    model: "Model",
    sae: Any,
    vectors: Float[Tensor, "n d_model"],
    settings: Settings | None = None,
    *,
    path: str | Path | None = None,
    max_rows: int = 128,
    quiet: bool = False,
) -> Effects:
    """Measure by how much steering with each of many vectors changes the features of what a model writes.

    Each vector is scaled to raise the model's loss by a target. The model continues short prompts under it, and reads what
    it wrote again, without steering; the effect is the features' mean activation over the generated tokens, less that over
    what it writes without steering. Prompts, and with them the first tokens, have no part in the means, nor have tokens
    whose activation is enormous, as that of first tokens is.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge with its tokenizer.
    sae
        Any SAELens SAE of this model's residual stream; it names its hook, where the vectors are added.
    vectors
        Directions; their lengths do not matter.
    settings
        By default `Settings()`, which a laptop can do for hundreds of vectors.
    path
        The file to write. A call that was interrupted or killed is completed by the same call, to the same numbers. By
        default nothing is written.
    max_rows
        How many texts to generate or read at once, at most.
    quiet
        Whether to show no progress.

    Returns
    -------
    Effects

    Raises
    ------
    ValueError
        If an argument cannot be used, or what is at `path` was made for something else.

    Examples
    --------
    >>> from sae_lens import StandardSAE, StandardSAEConfig
    >>> from ssae_lens.models import tiny_model
    >>> sae = StandardSAE(StandardSAEConfig(d_in=32, d_sae=64))
    >>> sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    >>> settings = Settings(target=0.1, max_new_tokens=4)
    >>> measure_effects(tiny_model("gpt2"), sae, sae.W_dec[:3], settings).effects.shape
    torch.Size([3, 64])
    """
    settings = settings or Settings()
    checks.integer("max_rows", max_rows)
    origin = hook_of_sae(model, sae)
    # Rounded before they are used, so that the file holds what was steered by.
    units = half("vectors", unit_rows(vectors, origin.d_model))
    call = _call(origin, sae, units, settings, max_rows)
    path = Path(path) if path else None
    if path is None:
        return _measured(model, sae, units, settings, call, None, max_rows, quiet)
    if not path.exists():
        with locked(path):
            if not path.exists():  # another process may have finished while this one waited
                parts = Shards.of(path, call, 2 * 4 * len(units) * (sae.cfg.d_sae + FEATURES))
                _measured(model, sae, units, settings, call, parts, max_rows, quiet).save(path)
                parts.remove()
    effects = Effects.load(path)
    checks.made_for(path, effects.call, call)
    tidy(path, folder_of(path))
    return effects


def _measured(
    model: "Model",
    sae: Any,
    units: Float[Tensor, "n d_model"],
    settings: Settings,
    call: dict[str, Any],
    parts: Shards | None,
    max_rows: int,
    quiet: bool,
) -> Effects:
    """Measure the parts that are not there, and put all together."""
    parts = parts or Shards(None)
    origin = hook_of_sae(model, sae)
    measurement = _Measurement(model, sae, origin.hook_name, settings, max_rows)
    batches = units.split(measurement.vectors_at_once)
    with (
        laid_out_for_generation(model),
        progress(total=len(units), unit="vectors", desc="Steering", quiet=quiet) as bar,
    ):
        # The first part is the baseline.
        if 0 not in parts:
            parts.put(0, measurement.unsteered(units[0]).numpy())
        for number, batch in enumerate(batches, start=1):
            if number not in parts:
                parts.put(number, measurement.steered(batch).numpy())
            bar.update(len(batch))
    baseline = torch.from_numpy(np.array(parts.get(0)[0]))
    rows = torch.from_numpy(np.concatenate([parts.get(number + 1) for number in range(len(batches))]))
    return Effects(
        units,
        half("effects", rows[:, FEATURES:] - baseline),
        scales=rows[:, SCALE].clone(),
        rises=rows[:, RISE].clone(),
        baseline=baseline,
        origin=origin,
        sae=call["sae"],
        mean_norm=measurement.losses.mean_norm,
        settings=settings,
        call=call,
    )


class _Measurement:
    """Measures the vectors of one part."""

    def __init__(self, model: "Model", sae: Any, hook_name: str, settings: Settings, max_rows: int) -> None:
        self.model, self.sae, self.hook_name, self.settings, self.max_rows = model, sae, hook_name, settings, max_rows
        self.losses = Losses(model, hook_name, settings.texts)
        self.vectors_at_once = max(1, max_rows // (len(settings.prompts) * settings.n_samples))

    def unsteered(self, unit: Float[Tensor, "d_model"]) -> Float[Tensor, "1 d_sae"]:
        return self._means(unit[None], torch.zeros(1), self.settings.n_baseline)

    def steered(self, units: Float[Tensor, "n d_model"]) -> Float[Tensor, "n columns"]:
        searched = search(self.losses, units, self.settings.target, self.max_rows)
        means = self._means(units, searched.scales, self.settings.n_samples)
        return torch.cat([searched.scales[:, None], searched.rises[:, None], means], dim=1)

    def _means(self, units: Tensor, scales: Tensor, n_samples: int) -> Float[Tensor, "n d_sae"]:
        vectors = [SteeringVector(unit, self.hook_name) for unit in units]
        texts = rollouts(
            self.model,
            vectors,
            scales.tolist(),
            self.settings.prompts,
            self.settings.sampler(),
            max_new_tokens=self.settings.max_new_tokens,
            n_samples=n_samples,
            seed=self.settings.seed,
            max_rows=self.max_rows,
        )
        longest = ENORMOUS * self.losses.mean_norm
        return feature_means(self.model, self.sae, self.hook_name, texts, longest, self.max_rows)


def _call(origin: Origin, sae: Any, units: Tensor, settings: Settings, max_rows: int) -> dict[str, Any]:
    """Return what is measured as a flat dictionary for JSON; long lists by their fingerprints."""
    hashed = asdict(settings) | {name: fingerprint(getattr(settings, name)) for name in ("texts", "prompts")}
    return {
        **{f"origin.{name}": value for name, value in origin.to_dict().items()},
        "sae": weights_fingerprint(sae),
        "vectors": fingerprint([*units.shape, units.numpy().tobytes().hex()]),
        **hashed,
        # Numbers differ in their last digits by what is read together.
        "max_rows": max_rows,
    }
