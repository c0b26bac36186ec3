"""Files of SAE-TS: safetensors with a JSON header, matrices in half precision."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from ssae_lens.base import checks, tensor_files


def half(name: str, values: Tensor) -> Tensor:
    """Give values as half precision has them, in float32, or say that it cannot hold them."""
    rounded = values.half()
    if not rounded.isfinite().all():
        raise ValueError(
            f"{name} holds NaN or numbers beyond 65504, the largest in half precision; scale the SAE's features down."
        )
    return rounded.float()


def save(path: str | Path, kind: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors, those of two dimensions in half precision, and what is said of them."""
    stored = {name: (each.half() if each.ndim == 2 else each).contiguous() for name, each in tensors.items()}
    header = {"format": f"ssae_lens.sae_ts.{kind}", "about": json.dumps(about, ensure_ascii=False)}
    tensor_files.save(path, stored, header)


def load(path: str | Path, kind: str, shapes: Mapping[str, str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote, in float32 and on the CPU.

    Parameters
    ----------
    path, kind
        The file and what it must hold.
    shapes
        The tensors it must hold and their axes, as in ``{"effects": "n d_sae"}``; axes of one name are equally long.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not whole, or holds something else.
    """
    tensors, header = tensor_files.load(path, "make or copy it again")
    if header.get("format") != f"ssae_lens.sae_ts.{kind}":
        raise ValueError(f"{path} holds no SAE-TS {kind}, but {header.get('format') or 'other tensors'}.")
    with whole(path):
        about = json.loads(header["about"])
        sizes: dict[str, int] = {}
        for name, axes in shapes.items():
            tensors[name] = tensors[name].float()
            for axis, size in zip(axes.split(), tensors[name].shape, strict=True):
                if sizes.setdefault(axis, size) != size:
                    raise ValueError(f"{axis} is {size} in {name} and {sizes[axis]} before")
            checks.finite_rows(name, tensors[name])
    return {name: tensors[name] for name in shapes}, about


@contextmanager
def whole(path: str | Path) -> Iterator[None]:
    """Say of what fails in the block that the file is not whole."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not whole ({error}); make or copy it again.") from None
