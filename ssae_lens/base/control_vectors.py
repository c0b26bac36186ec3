"""llama.cpp's control vectors: GGUF files of directions by block.

Direction N is added to the output of block N, counted from 0. llama.cpp adds nothing after block 0, so N is at least 1.
`save` and `load` take directions by hook, with metadata and a checksum; `write` and `read` are the bare format.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ssae_lens.base import files, reading, tensor_files
from ssae_lens.base.checksums import DamagedFileError
from ssae_lens.base.gguf_files import F32, read_gguf

ARCHITECTURE = "controlvector"
PREFIX = "direction."

T = TypeVar("T")


def save(
    path: str | Path, directions: Mapping[str, Tensor], model_hint: str, metadata: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write directions by hook, and metadata as JSON with a checksum."""
    by_block = {block_after(hook): values.numpy() for hook, values in directions.items()}
    if len(by_block) < len(directions):
        raise ValueError(
            f"{', '.join(directions)} are not all different places: the output of a block is the input of the next. "
            "Add them into one."
        )
    header = {**metadata, tensor_files.CHECKSUM: _digest(by_block, metadata)}
    write(path, by_block, model_hint, json.dumps(header, ensure_ascii=False), overwrite=overwrite)


def load(
    path: str | Path,
    make: Callable[[dict[str, Tensor], dict[str, Any]], T],
    make_foreign: Callable[[dict[str, Tensor], str], T],
) -> T:
    """Return ``make(directions by hook, metadata)`` of a file that `save` wrote.

    For a file of other software, which has no metadata, return ``make_foreign(directions by hook, model hint)``.
    """
    arrays, model_hint, text = read(path)
    directions = {block: torch.from_numpy(array) for block, array in arrays.items()}
    if not text:
        by_hook = {f"blocks.{block}.hook_resid_post": direction for block, direction in directions.items()}
        with reading.well_formed(path, "write or fetch it again"):
            return make_foreign(by_hook, model_hint)
    hint = "save or copy it again"
    with reading.well_formed(path, hint):
        metadata = reading.parse_json(text, f"The header of {path}", hint=hint)
        checksum = metadata.pop(tensor_files.CHECKSUM, None)
        if checksum not in (None, _digest(arrays, metadata)):
            raise DamagedFileError(f"{path} is damaged: its contents do not match its checksum; {hint}.")
        hooks = {block_after(hook): hook for hook in metadata["hook_names"]}
        result = make({hooks[block]: direction for block, direction in directions.items()}, metadata)
    if checksum is None:
        tensor_files.warn_of_no_checksum(path)
    return result


def block_after(hook_name: str) -> int:
    """Return the block, as llama.cpp counts, whose output a hook of the residual stream reads."""
    match = re.fullmatch(r"blocks\.(\d+)\.hook_(resid_pre|in|resid_post|out)", hook_name)
    block = int(match.group(1)) - (match.group(2) in ("resid_pre", "in")) if match else None
    if block is None or block < 1:
        raise ValueError(
            f"A control vector of llama.cpp cannot hold {hook_name!r}; it holds what is added between blocks, from "
            "'blocks.1.hook_resid_post' (or 'blocks.2.hook_resid_pre') on."
        )
    return block


def write(
    path: str | Path, directions: Mapping[int, Any], model_hint: str, metadata: str = "", *, overwrite: bool = True
) -> None:
    """Write directions by block, as float32.

    `model_hint` names the model for people and tools; llama.cpp does not read it. `read` returns `metadata` again.
    """
    from gguf import GGUFWriter

    with files.writing(path, overwrite=overwrite) as temporary:
        writer = GGUFWriter(temporary, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", model_hint)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(directions))
        if metadata:
            writer.add_string(f"{ARCHITECTURE}.ssae_lens", metadata)
        for block, direction in sorted(directions.items()):
            writer.add_tensor(f"{PREFIX}{block}", np.ascontiguousarray(direction, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def read(path: str | Path) -> tuple[dict[int, np.ndarray], str, str]:
    """Return the directions by block, the model hint and the metadata ("" in files of other software)."""
    contents = read_gguf(path)
    architecture = contents.texts.get("general.architecture", "")
    if architecture != ARCHITECTURE:
        raise ValueError(
            f"{path} is a GGUF of the architecture {architecture[:80]!r}, not {ARCHITECTURE!r}: it holds a model or "
            "something else. Give a control vector, as `to_gguf`, repeng and llama.cpp's cvector-generator write them."
        )
    directions: dict[int, np.ndarray] = {}
    for tensor in contents.tensors:
        number = re.fullmatch(rf"{re.escape(PREFIX)}([1-9][0-9]{{0,5}})", tensor.name)
        if number is None:
            raise ValueError(
                f"{path} holds a tensor {tensor.name[:80]!r}; a control vector's are 'direction.1' and up."
            )
        if tensor.values is None or tensor.values.ndim != 1 or not tensor.values.size:
            kind = "F32" if tensor.kind == F32 else f"type {tensor.kind}"
            raise ValueError(
                f"{path} holds {tensor.name!r} as {kind} of shape {tensor.shape}; a row of F32 is expected."
            )
        directions[int(number.group(1))] = tensor.values
    if not directions:
        raise ValueError(f"{path} holds no direction; write it again.")
    hint, metadata = (contents.texts.get(f"{ARCHITECTURE}.{name}", "") for name in ("model_hint", "ssae_lens"))
    return directions, hint, metadata


def _digest(directions: Mapping[int, np.ndarray], metadata: Mapping[str, Any]) -> str:
    tensors = {str(block): torch.from_numpy(np.ascontiguousarray(array)) for block, array in directions.items()}
    return tensor_files.digest(tensors, {"about": json.dumps(metadata, sort_keys=True)})
