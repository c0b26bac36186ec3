"""What a steering vector's files hold: safetensors or GGUF, with a text in JSON that says what the numbers do not."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ssae_lens.base import control_vectors, tensor_files
from ssae_lens.base.origin import Origin

if TYPE_CHECKING:
    from ssae_lens.vector.vector import SteeringVector

FORMAT = "ssae_lens.steering_vector"


def save(vector: "SteeringVector", path: str | Path) -> None:
    """Write a vector as safetensors."""
    tensor_files.save(path, vector.directions, {"format": FORMAT, "about": _about(vector)})


def load(kind: type["SteeringVector"], path: str | Path) -> "SteeringVector":
    """Read what `save` wrote, as a vector of that class."""
    # The order of the file is its own; that of the header is the order they were given in.
    directions, header = tensor_files.load(path, "save or copy it again", "Give a file that SteeringVector.save wrote.")
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} holds no steering vector, but other tensors; give a file that SteeringVector.save wrote."
        )
    return _made(kind, header["about"], directions, path)


def to_gguf(vector: "SteeringVector", path: str | Path, model_hint: str) -> None:
    """Write a vector as a control vector for llama.cpp."""
    directions = {control_vectors.block_after(hook): values.numpy() for hook, values in vector.directions.items()}
    if len(directions) < len(vector.directions):
        raise ValueError(
            f"{', '.join(vector.hook_names)} are not all different places: what comes out of a block goes into the next. "
            "Add them into one."
        )
    control_vectors.write(path, directions, model_hint or vector.origin.model_name, _about(vector))


def from_gguf(kind: type["SteeringVector"], path: str | Path) -> "SteeringVector":
    """Read a control vector, as a vector of that class; only ours say more than directions."""
    arrays, hint, about = control_vectors.read(path)
    directions = {f"blocks.{block}.hook_resid_post": torch.from_numpy(each) for block, each in arrays.items()}
    if not about:
        return kind(directions, method=f"control vector ({hint})" if hint else "control vector")
    with _whole(path):
        own = {control_vectors.block_after(hook): hook for hook in json.loads(about)["hook_names"]}
        directions = {own[block]: torch.from_numpy(each) for block, each in arrays.items()}
    return _made(kind, about, directions, path)


def _about(vector: "SteeringVector") -> str:
    about = {
        "hook_names": vector.hook_names,
        "origin": vector.origin.to_dict(),
        "method": vector.method,
        "concept": vector.concept,
        "norms": {hook: vector.at(hook).norms for hook in vector.hook_names},
    }
    return json.dumps(about, ensure_ascii=False)


def _made(
    kind: type["SteeringVector"], about: str, directions: Mapping[str, Tensor], path: str | Path
) -> "SteeringVector":
    """Make a vector of its directions and of what `_about` said."""
    with _whole(path):
        said = json.loads(about)
        ordered = {hook: directions[hook] for hook in said["hook_names"]}
        origin = Origin.from_dict(said["origin"])
        texts = {key: str(said[key]) for key in ("method", "concept")}
        return kind(ordered, origin=origin, norms=said["norms"], **texts)


@contextmanager
def _whole(path: str | Path) -> Iterator[None]:
    """Say of a file that its header does not say what ours do."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"The header of {path} is not whole ({error!r}); save or copy the vector again.") from None
