"""What a steering vector's files hold: safetensors or GGUF, with a text in JSON that says what the numbers do not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ssae_lens.base import control_vectors, files, reading, tensor_files
from ssae_lens.base.origin import Origin

if TYPE_CHECKING:
    from ssae_lens.vector.vector import SteeringVector

FORMAT = "ssae_lens.steering_vector"


def save(vector: "SteeringVector", path: str | Path, *, overwrite: bool) -> None:
    """Write a vector as safetensors."""
    tensor_files.save(path, FORMAT, vector.directions, _about(vector), overwrite=overwrite)


def load(kind: type["SteeringVector"], path: str | Path) -> "SteeringVector":
    """Read what `save` wrote, as a vector of that class."""

    def make(directions: dict[str, Tensor], about: dict[str, Any]) -> "SteeringVector":
        return _made(kind, about, directions)

    hint = "give a file that SteeringVector.save wrote, whole"
    return tensor_files.load(path, FORMAT, make, hint, "Give a file that SteeringVector.save wrote.")


def to_gguf(vector: "SteeringVector", path: str | Path, model_hint: str, *, overwrite: bool) -> None:
    """Write a vector as a control vector for llama.cpp."""
    directions = {control_vectors.block_after(hook): values.numpy() for hook, values in vector.directions.items()}
    if len(directions) < len(vector.directions):
        raise ValueError(
            f"{', '.join(vector.hook_names)} are not all different places: what comes out of a block goes into the next. "
            "Add them into one."
        )
    about = _about(vector)
    about[tensor_files.CHECKSUM] = _gguf_digest(directions, about)
    text = json.dumps(about, ensure_ascii=False)
    control_vectors.write(path, directions, model_hint or vector.origin.model_name, text, overwrite=overwrite)


def from_gguf(kind: type["SteeringVector"], path: str | Path) -> "SteeringVector":
    """Read a control vector, as a vector of that class; only ours say more than directions."""
    arrays, hint, about = control_vectors.read(path)
    directions = {f"blocks.{block}.hook_resid_post": torch.from_numpy(each) for block, each in arrays.items()}
    if not about:
        return kind(directions, method=f"control vector ({hint})" if hint else "control vector")
    hint = "save or copy it again"
    with reading.well_formed(path, hint):
        stated = reading.parse_json(about, f"The header of {path}", hint=hint)
        checksum = stated.pop(tensor_files.CHECKSUM, None)
        if checksum not in (None, _gguf_digest(arrays, stated)):
            raise files.DamagedFileError(f"{path} is damaged: its contents do not match its checksum; {hint}.")
        own = {control_vectors.block_after(hook): hook for hook in stated["hook_names"]}
        made = _made(kind, stated, {own[block]: torch.from_numpy(each) for block, each in arrays.items()})
    if checksum is None:
        tensor_files.warn_of_no_checksum(path)
    return made


def _about(vector: "SteeringVector") -> dict[str, Any]:
    return {
        "hook_names": vector.hook_names,
        "origin": vector.origin.to_dict(),
        "method": vector.method,
        "concept": vector.concept,
        "norms": {hook: vector.at(hook).norms for hook in vector.hook_names},
    }


def _made(kind: type["SteeringVector"], about: dict[str, Any], directions: Mapping[str, Tensor]) -> "SteeringVector":
    """Make a vector of its directions and of what `_about` gave, which has them in the order they were given in."""
    ordered = {hook: directions[hook] for hook in about["hook_names"]}
    texts = {key: str(about[key]) for key in ("method", "concept")}
    return kind(ordered, origin=Origin.from_dict(about["origin"]), norms=about["norms"], **texts)


def _gguf_digest(directions: Mapping[int, np.ndarray], about: dict[str, Any]) -> str:
    tensors = {str(block): torch.from_numpy(np.ascontiguousarray(each)) for block, each in directions.items()}
    return tensor_files.digest(tensors, {"about": json.dumps(about, sort_keys=True)})
