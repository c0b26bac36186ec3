"""The SAE that ships with the package for a model, with SAE-TS's map of effects, and the choice of one of its features."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssae_lens.base import assets
from ssae_lens.base.checksums import fingerprint
from ssae_lens.base.reading import read_json, well_formed
from ssae_lens.evals.local_judges import mean_activations
from ssae_lens.methods import features_by_output
from ssae_lens.methods._sae_feature import hook_of_sae
from ssae_lens.methods.sae_ts import Approximator
from ssae_lens.models.identity import weights_fingerprint
from ssae_lens.pairs.schema import TEXTS
from ssae_lens.sae.codes import codes_of

if TYPE_CHECKING:
    from datasets import Dataset

    from ssae_lens.models.identity import Model

APPROXIMATOR = "approximator.safetensors"
# The number of features, those that differ most between two kinds of texts, that are tried for their effect on the output.
CANDIDATES = 20


@dataclass(frozen=True, eq=False)
class ModelSAE:
    """An SAE of a model's residual stream, the hook it reads, and SAE-TS's map of effects on its features, if any."""

    sae: Any
    hook_name: str
    approximator: Approximator | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of the weights of the SAE and of the map."""
        mapped = "" if self.approximator is None else fingerprint(self.approximator.b.tolist())
        return f"{weights_fingerprint(self.sae)} {mapped}".strip()


def load_shipped_sae(model: "Model") -> ModelSAE | None:
    """Return the SAE that ships with the package for a model, preferably one with a map of effects, or None."""
    folders = [assets.asset_path(release, sae_id) for release, ids in assets.shipped().items() for sae_id in ids]
    folders = [folder for folder in folders if _is_sae_of(folder, model)]
    if not folders:
        return None
    folder = max(folders, key=lambda path: (path / APPROXIMATOR).is_file())
    from sae_lens import SAE

    sae = SAE.load_from_disk(folder, dtype="float32")
    path = folder / APPROXIMATOR
    return ModelSAE(sae, hook_of_sae(model, sae).hook_name, Approximator.load(path) if path.is_file() else None)


def choose_feature(model: "Model", of: ModelSAE, contrasts: "Dataset") -> int:
    """Return the feature with the most effect on the output, of those that differ most between the sides of contrasts."""
    firing = [
        mean_activations(model, contrasts[side][:], of.hook_name, lambda rows: codes_of(of.sae, rows)).mean(0)
        for side in TEXTS
    ]
    candidates = np.argsort(firing[0] - firing[1], kind="stable")[:CANDIDATES].tolist()
    return int(features_by_output(model, of.sae, candidates, n=1, quiet=True)["latent"].iloc[0])


def _is_sae_of(folder: Path, model: "Model") -> bool:
    """Whether a folder holds an SAE of activations (an SSAE reads shifts) of this model."""
    with well_formed(folder / "cfg.json"):
        about = read_json(folder / "cfg.json")
        name = str(about.get("metadata", {}).get("model_name", ""))
    return about.get("architecture") != "ssae" and Path(name).name == Path(str(model.cfg.model_name)).name
