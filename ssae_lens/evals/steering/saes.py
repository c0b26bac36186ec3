"""An SAE of a model's residual stream and, perhaps, the map of what vectors do to its features: what ships, or one's own."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base import assets
from ssae_lens.base.files import fingerprint
from ssae_lens.base.reading import read_json, well_formed
from ssae_lens.methods._sae_feature import hook_of_sae
from ssae_lens.methods.sae_ts import Approximator
from ssae_lens.models.identity import weights_fingerprint

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

APPROXIMATOR = "approximator.safetensors"


@dataclass(frozen=True, eq=False)
class Features:
    """An SAE, the hook that it reads, and SAE-TS's map of effects on its features, if there is one."""

    sae: Any
    hook_name: str
    approximator: Approximator | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of the SAE's weights, and of the map's."""
        mapped = "" if self.approximator is None else fingerprint(self.approximator.b.tolist())
        return f"{weights_fingerprint(self.sae)} {mapped}".strip()


def shipped_features(model: "Model") -> Features | None:
    """Return the SAE that ships with the package for a model, one with a map of effects first; None where none does."""
    folders = [assets.asset_path(release, sae_id) for release, ids in assets.shipped().items() for sae_id in ids]
    folders = [each for each in folders if _is_of(each, model)]
    if not folders:
        return None
    folder = max(folders, key=lambda each: (each / APPROXIMATOR).is_file())
    from sae_lens import SAE

    sae = SAE.load_from_disk(folder, dtype="float32")
    mapped = folder / APPROXIMATOR
    return Features(sae, hook_of_sae(model, sae).hook_name, Approximator.load(mapped) if mapped.is_file() else None)


def _is_of(folder: Any, model: "Model") -> bool:
    """Whether a folder holds an SAE of activations (an SSAE reads shifts) of this model."""
    with well_formed(folder / "cfg.json"):
        about = read_json(folder / "cfg.json")
        name = str(about.get("metadata", {}).get("model_name", ""))
    return about.get("architecture") != "ssae" and Path(name).name == Path(str(model.cfg.model_name)).name
