"""Files of tensors: safetensors, with texts and a checksum in their header."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ssae_lens.base import checks, files, reading

CHECKSUM = "sha256"

T = TypeVar("T")


def save(
    path: str | Path, kind: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, overwrite: bool = False
) -> None:
    """Write tensors, their kind, and what is known of them as JSON; the file is whole or is not there.

    Raises
    ------
    FileExistsError
        If there is a file of other contents and `overwrite` is False.
    """
    from safetensors.torch import save_file

    header = {"format": kind, "about": json.dumps(about, ensure_ascii=False)}
    header[CHECKSUM] = digest(tensors, header)
    with files.writing(path, overwrite=overwrite) as temporary:
        save_file(dict(tensors), temporary, metadata=header)
        _sort_header(temporary)


def load(
    path: str | Path, kind: str, make: Callable[[dict[str, Tensor], dict[str, Any]], T], hint: str, where: str = ""
) -> T:
    """Return what `make` makes of a file's tensors and of what is known of them, once they match the checksum.

    Parameters
    ----------
    path, kind
        The file, and what it must hold.
    make
        Takes the tensors, on the CPU, and the dictionary that `save` was given. What it raises of contents that do not fit
        becomes a ValueError that names the file.
    hint, where
        What to do where the file cannot be used, and where there is none, for the error's last words.

    Warns
    -----
    UserWarning
        If the file carries no checksum, as those of version 0.1.0 do not.
    """
    tensors, header = _read(path, hint, where)
    if (found := header.get("format")) != kind:
        noun = kind.rpartition(".")[2].replace("_", " ")
        raise ValueError(f"{path} holds no {noun}, but {found or 'other tensors'}; {hint}.")
    checksum = header.pop(CHECKSUM, None)
    if checksum not in (None, digest(tensors, header)):
        raise files.DamagedFileError(f"{path} is damaged: its contents do not match its checksum; {hint}.")
    with reading.well_formed(path, hint):
        made = make(tensors, reading.parse_json(header["about"], f"The header of {path}", hint=hint))
    if checksum is None:
        warn_of_no_checksum(path)
    return made


def _read(path: str | Path, hint: str, where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    path = checks.existing_file(path, where)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, MemoryError) as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); {hint}.") from None


def warn_of_no_checksum(path: str | Path) -> None:
    """Say that a file cannot be verified."""
    checks.warn(
        f"{path} carries no checksum (files of version 0.1.0 do not): damage would go unseen. Save it again to add one."
    )


def digest(tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> str:
    """Return the SHA-256 of tensors (names, types, shapes, bytes) and of texts, whatever their order."""
    found = hashlib.sha256()
    for name, value in sorted((header or {}).items()):
        found.update(f"{len(name)} {len(value)} {name} {value}\n".encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{len(name)} {name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _sort_header(path: Path) -> None:
    """Put the header's texts in order: safetensors writes them in a random one, and equal files should be equal bytes."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(ordered) <= size:
            file.seek(8)
            file.write(ordered.ljust(size))
