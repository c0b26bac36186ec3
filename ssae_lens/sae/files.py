"""The folder an SSAE is kept in: written whole or not at all, and looked at before it is believed."""

import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ssae_lens.base import checks, files

ARCHITECTURE = "ssae"


def check_folder(path: str | Path, names: Iterable[str]) -> None:
    """Say in one line what is wrong with a folder, before SAELens reads it; `names` are the settings that are known."""
    folder = checks.existing_folder(path, "Give the folder that save_model wrote.")
    file = checks.existing_file(folder / "cfg.json", "save_model writes it beside the weights.")
    try:
        cfg = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not whole JSON ({error}); save or copy the SSAE again.") from None
    cfg = cfg if isinstance(cfg, dict) else {}
    architecture = cfg.get("architecture")
    if architecture != ARCHITECTURE:
        raise ValueError(
            f"{file} has the architecture {architecture!r}, not {ARCHITECTURE!r}; load it with sae_lens.SAE.load_from_disk."
        )
    # SAELens passes over a key it does not know: a setting that is not applied gives wrong codes without a word.
    if unknown := sorted(cfg.keys() - set(names) - {"architecture"}):
        raise ValueError(
            f"{file} has {unknown[0]!r}, which SSAEConfig does not know.{checks.did_you_mean(unknown[0], names)} A later "
            "version may know it; a TrainingSSAE is loaded with TrainingSSAE.load_from_disk."
        )
    if missing := {"d_in", "d_sae"} - cfg.keys():
        raise ValueError(f"{file} does not give {min(missing)}; save or copy the SSAE again.")
    if (kind := type(cfg.get("metadata", {}))) is not dict:
        raise ValueError(f"{file} has metadata of type {kind.__name__}; it must be an object.")
    checks.existing_file(folder / "sae_weights.safetensors", "save_model writes it beside cfg.json.")


def check_shapes(expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> None:
    """Raise if weights have other shapes than their configuration says."""
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"The weight {name} has shape {found.get(name, 'none')} where the configuration asks for "
                f"{expected.get(name, 'none')}; cfg.json and the weights are not of one SSAE."
            )


def move_in(save: Any, path: str | Path) -> tuple[Path, Path]:
    """Run a SAELens `save(folder)` in a folder of its own, then move each file to its place."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path, prefix=".saving-") as temporary:
        weights, cfg = save(temporary)
        files.readable(weights)
        return Path(shutil.move(weights, path / weights.name)), Path(shutil.move(cfg, path / cfg.name))
