"""Safetensors files with metadata and a checksum in their header."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ssae_lens.base import checks, files, reading
from ssae_lens.base.checksums import DamagedFileError

CHECKSUM = "sha256"

T = TypeVar("T")


def save(
    path: str | Path, kind: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], *, overwrite: bool = False
) -> None:
    """Write tensors, their kind and JSON-able metadata, atomically, over other contents only with `overwrite`."""
    from safetensors.torch import save_file

    header = {"format": kind, "about": json.dumps(metadata, ensure_ascii=False)}
    header[CHECKSUM] = digest(tensors, header)
    with files.writing(path, overwrite=overwrite) as temporary:
        save_file(dict(tensors), temporary, metadata=header)
        _sort_header(temporary)


def load(
    path: str | Path, kind: str, make: Callable[[dict[str, Tensor], dict[str, Any]], T], hint: str, missing: str = ""
) -> T:
    """Verify a file of a kind that `save` wrote, and return ``make(tensors, metadata)``; the tensors are on the CPU.

    Errors of `make` about unexpected contents become a ValueError that names the file. `hint` and `missing` are what to do
    if the file cannot be used, and if there is none, for the end of the error. Warn if the file has no checksum, as those of
    version 0.1.0.
    """
    tensors, header = _read(path, hint, missing)
    if (stored := header.get("format")) != kind:
        noun = kind.rpartition(".")[2].replace("_", " ")
        raise ValueError(f"{path} holds no {noun}, but {stored or 'other tensors'}; {hint}.")
    checksum = header.pop(CHECKSUM, None)
    if checksum not in (None, digest(tensors, header)):
        raise DamagedFileError(f"{path} is damaged: its contents do not match its checksum; {hint}.")
    with reading.well_formed(path, hint):
        result = make(tensors, reading.parse_json(header["about"], f"The header of {path}", hint=hint))
    if checksum is None:
        warn_of_no_checksum(path)
    return result


def kind_of(path: str | Path) -> str:
    """Return the kind of a safetensors file that `save` wrote, or "" for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(checks.existing_file(path), framework="pt") as file:
            return (file.metadata() or {}).get("format", "")
    except (SafetensorError, MemoryError):
        return ""


def warn_of_no_checksum(path: str | Path) -> None:
    """Warn that a file cannot be verified."""
    checks.warn(
        f"{path} carries no checksum (files of version 0.1.0 do not): damage would not be noticed. Save it again to add one."
    )


def digest(tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> str:
    """Return the SHA-256 of tensors (names, types, shapes, bytes) and texts, independent of their order."""
    sha256 = hashlib.sha256()
    for name, value in sorted((header or {}).items()):
        sha256.update(f"{len(name)} {len(value)} {name} {value}\n".encode())
    for name, tensor in sorted(tensors.items()):
        sha256.update(f"{len(name)} {name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha256.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def _read(path: str | Path, hint: str, missing: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    path = checks.existing_file(path, missing)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, MemoryError) as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); {hint}.") from None


def _sort_header(path: Path) -> None:
    """Sort the header's texts: safetensors writes them in random order, and equal files should have equal bytes."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(ordered) <= size:
            file.seek(8)
            file.write(ordered.ljust(size))
