"""Files of tensors: safetensors, with texts in their header."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ssae_lens.base import checks, files


def save(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and a header; the file is whole or is not there."""
    from safetensors.torch import save_file

    with files.writing(path) as temporary:
        save_file(dict(tensors), temporary, metadata=dict(header))


def load(path: str | Path, mend: str, where: str = "") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file's tensors, on the CPU, and its header.

    Parameters
    ----------
    path
        The file.
    mend, where
        What to do where it is not whole, and where there is none, for the error's last words.
    """
    from safetensors import SafetensorError, safe_open

    path = checks.existing_file(path, where)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
            return tensors, dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); {mend}.") from None
