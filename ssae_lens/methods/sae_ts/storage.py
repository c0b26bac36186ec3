"""Files of SAE-TS: safetensors with a JSON header, matrices in half precision."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from ssae_lens.base import checks, tensor_files

FORMAT = "ssae_lens.sae_ts."

T = TypeVar("T")


def half(name: str, values: Tensor) -> Tensor:
    """Return values as half precision has them, in float32, or say that it cannot hold them."""
    rounded = values.half()
    if not rounded.isfinite().all():
        raise ValueError(
            f"{name} holds NaN or numbers beyond 65504, the largest in half precision; scale the SAE's features down."
        )
    return rounded.float()


def save(
    path: str | Path, kind: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write tensors, those of two dimensions in half precision, and what is known of them."""
    stored = {name: (each.half() if each.ndim == 2 else each).contiguous() for name, each in tensors.items()}
    tensor_files.save(path, FORMAT + kind, stored, about, overwrite=overwrite)


def load(
    path: str | Path,
    kind: str,
    shapes: Mapping[str, str],
    make: Callable[[dict[str, Tensor], dict[str, Any]], T],
) -> T:
    """Return what `make` makes of what `save` wrote: tensors in float32 on the CPU, and what is known of them.

    Parameters
    ----------
    path, kind
        The file and what it must hold.
    shapes
        The tensors it must hold and their axes, as in ``{"effects": "n d_sae"}``; axes of one name are equally long.
    make
        See `tensor_files.load`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not whole, or holds something else.
    """

    def checked(tensors: dict[str, Tensor], about: dict[str, Any]) -> T:
        sizes: dict[str, int] = {}
        for name, axes in shapes.items():
            tensors[name] = tensors[name].float()
            for axis, size in zip(axes.split(), tensors[name].shape, strict=True):
                if sizes.setdefault(axis, size) != size:
                    raise ValueError(f"{axis} is {size} in {name} and {sizes[axis]} before")
            checks.finite_rows(name, tensors[name])
        return make({name: tensors[name] for name in shapes}, about)

    return tensor_files.load(path, FORMAT + kind, checked, "make or copy it again")
