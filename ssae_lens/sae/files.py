"""The folder of a saved SSAE: cfg.json and the weights, written together and verified on loading.

``cfg.json`` has, under ``metadata.checksum``, a hash of the weights and one of the configuration itself, so that damaged
files, and weights of one SSAE with the configuration of another, are errors.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ssae_lens.base import checks, checksums, files, reading
from ssae_lens.base.provenance import versions
from ssae_lens.base.tensor_files import digest, warn_of_no_checksum

ARCHITECTURE = "ssae"
CFG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
ATTEMPTS = 20

T = TypeVar("T")


@dataclass
class SavedSSAE:
    """The contents of a folder: the configuration, the weights, and their checksums, which `verify` compares."""

    path: Path
    cfg: dict[str, Any]
    weights: dict[str, Tensor]
    checksum: dict[str, str]

    @classmethod
    def read(cls, path: str | Path, names: Iterable[str]) -> "SavedSSAE":
        """Read a folder, or raise an error that says what is wrong with it; `names` are the known fields of cfg.json."""
        folder = checks.existing_folder(path, "Give the folder that save_model wrote.")
        cfg = _read_cfg(checks.existing_file(folder / CFG, "save_model writes it beside the weights."), names)
        file = checks.existing_file(folder / WEIGHTS, "save_model writes it beside cfg.json.")
        try:
            weights = _read_weights(file)
        except (SafetensorError, MemoryError) as error:
            raise ValueError(f"The weights {file} are damaged ({error}); save or copy the SSAE again.") from None
        return cls(folder, cfg, weights, checksum(cfg, weights))

    def components(self, device: str, overrides: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the configuration and the weights, as a SAELens ``converter=`` does."""
        from sae_lens.util import str_to_dtype

        # Without a version SAELens drops unknown fields, as from a configuration older than its version 6.
        metadata = {"sae_lens_version": versions()["sae-lens"], **self.cfg["metadata"]}
        cfg = {**self.cfg, "metadata": metadata, "device": device, **(overrides or {})}
        dtype = str_to_dtype(cfg["dtype"])
        return cfg, {name: value.to(device=device, dtype=dtype) for name, value in self.weights.items()}

    def verify(self) -> None:
        """Raise unless weights and configuration match the checksums; warn where there are none."""
        expected = self.cfg["metadata"].get("checksum")
        if expected is None:
            warn_of_no_checksum(self.path)
        elif expected != self.checksum:
            part = WEIGHTS if expected.get("weights") != self.checksum["weights"] else CFG
            hint = f", or remove metadata.checksum from {CFG} to accept your own change" if part == CFG else ""
            raise checksums.DamagedFileError(
                f"{self.path / part} is damaged or of another SSAE: it does not match the checksum in {CFG}; save or copy "
                f"the SSAE again{hint}."
            )


def checksum(cfg: Mapping[str, Any], weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the hashes of the weights and of a configuration."""
    metadata = {name: value for name, value in cfg["metadata"].items() if name != "checksum"}
    return {
        "weights": digest(weights),
        "dtype": ", ".join(sorted({str(value.dtype).removeprefix("torch.") for value in weights.values()})),
        "config": checksums.fingerprint([{**cfg, "metadata": metadata}]),
    }


def save(
    write: Callable[[Path], tuple[Path, Path]], path: str | Path, extra: Mapping[str, str], *, overwrite: bool
) -> tuple[Path, Path]:
    """Save what a SAELens `write(folder)` writes to `path`, with checksums and `extra` texts by file name: all or nothing.

    Raises
    ------
    FileExistsError
        If `path` holds another SSAE and `overwrite` is False.
    """
    path = Path(path)
    with files.together(path) as staging:
        weights, cfg = write(staging)
        config = json.loads(cfg.read_text(encoding="utf-8"))
        config["metadata"]["checksum"] = checksum(config, _read_weights(weights))
        cfg.write_text(json.dumps(config), encoding="utf-8")
        for name, text in extra.items():
            (staging / name).write_text(text, encoding="utf-8")
        if _checksum_at(path) != config["metadata"]["checksum"]:
            files.require_free(path / CFG, overwrite=overwrite, what="the folder holds another SSAE")
    return path / weights.name, path / cfg.name


def consistently(path: str | Path, load: Callable[[], T]) -> T:
    """Return `load()` of a folder, repeated where another process has written the folder in between."""
    for _ in range(ATTEMPTS):
        with suppress(files.UnwritableError):  # a folder that cannot be settled fails its checksum
            files.settle(path)
        before = _stamp(path)
        try:
            return load()
        except (ValueError, OSError):
            with suppress(files.UnwritableError):
                files.settle(path)
            if _stamp(path) == before:
                raise
    return load()


def check_shapes(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Raise unless weights have the names and shapes of `expected`."""
    for name in sorted(expected.keys() | weights.keys()):
        have, need = (tuple(side[name].shape) if name in side else "none" for side in (weights, expected))
        if have != need:
            raise ValueError(
                f"The weight {name} has shape {have} where the configuration asks for {need}; cfg.json and the weights "
                "belong to different SSAEs."
            )


def check_weights(metadata: Any, weights: Mapping[str, Tensor], dtype: str) -> None:
    """Verify weights that are loaded in the type they were saved in, and remove the checksum from the metadata.

    All of SAELens's loaders call this; `SSAE.load_from_disk` verifies the configuration as well.
    """
    expected = metadata.get("checksum")
    if expected is None:
        return
    del metadata.checksum
    if expected.get("dtype") == dtype and expected.get("weights") != digest(weights):
        raise checksums.DamagedFileError(
            f"The weights do not match the checksum in {CFG}: {WEIGHTS} is damaged or of another SSAE; copy it again."
        )


def _read_cfg(file: Path, names: Iterable[str]) -> dict[str, Any]:
    cfg = reading.read_json(file, hint="save or copy the SSAE again")
    cfg = cfg if isinstance(cfg, dict) else {}
    architecture = cfg.get("architecture")
    if architecture != ARCHITECTURE:
        raise ValueError(
            f"{file} has the architecture {architecture!r}, not {ARCHITECTURE!r}; load it with sae_lens.SAE.load_from_disk."
        )
    names = set(names)
    # SAELens ignores a key it does not know, but a setting that is not applied gives wrong codes.
    if unknown := sorted(cfg.keys() - names - {"architecture"}):
        raise ValueError(
            f"{file} has {unknown[0]!r}, which SSAEConfig does not know.{checks.did_you_mean(unknown[0], names)} A later "
            "version may know it; a TrainingSSAE is loaded with TrainingSSAE.load_from_disk."
        )
    if missing := {"d_in", "d_sae", "dtype"} - cfg.keys():
        raise ValueError(f"{file} does not give {min(missing)}; save or copy the SSAE again.")
    metadata = cfg.setdefault("metadata", {})
    if type(metadata) is not dict:
        raise ValueError(f"{file} has metadata of type {type(metadata).__name__}; it must be an object.")
    for name in ("checksum", "origin"):
        if type(metadata.get(name, {})) is not dict:
            raise ValueError(
                f"{file} has metadata.{name} of type {type(metadata[name]).__name__}; it must be an object."
            )
    _check_version(file, metadata.get("sae_lens_version"))
    return cfg


def _read_weights(file: Path) -> dict[str, Tensor]:
    with safe_open(file, framework="pt") as tensors:
        return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - not a dictionary


def _check_version(file: Path, version: Any) -> None:
    from packaging.version import InvalidVersion, Version

    try:
        Version("0" if version is None else version)
    except (InvalidVersion, TypeError):
        raise ValueError(
            f"{file} has sae_lens_version {version!r}, which is no version; save or copy the SSAE again."
        ) from None


def _checksum_at(path: Path) -> Any:
    """Return the checksum in a folder's cfg.json, or None."""
    try:
        return checksums.read_json(path / CFG)["metadata"]["checksum"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stamp(path: str | Path) -> list[Any]:
    """Return values that change when one of the files does."""
    stamps = []
    for name in (CFG, WEIGHTS):
        with suppress(OSError):
            stat = Path(path, name).stat()
            stamps.append((name, stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return stamps
