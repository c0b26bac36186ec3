"""Files of `torch.save` and `numpy.savez`, read as data without unpickling arbitrary objects.

Both are zip archives. The sizes that an archive declares are checked before anything is read: a few kilobytes can expand to
gigabytes, by compression or by a tensor that repeats one number.
"""

import io
import math
import pickletools
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.reading import MALFORMED

# The globals in the pickle of a state dict, and its storage types.
GLOBALS = {"torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "collections OrderedDict"}
STORAGES = {f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int")}
IMPORTING = {"GLOBAL", "INST", "OBJ", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "NEWOBJ", "NEWOBJ_EX"}
MAX_PICKLE_BYTES = 1 << 20
MAX_MEMBERS = 10_000
# Tensors may share storage, and arrays may be compressed, up to these factors.
MAX_SHARING, MAX_COMPRESSION = 4, 64

_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[fiu]\d)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), ?\} *\n", re.ASCII
)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict that `torch.save` wrote, on the CPU.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is truncated, holds anything but names of dense tensors, or declares more than it stores.
    """
    path = checks.existing_file(path)
    with _archive(path, "a file of tensors") as archive:
        members = _members(path, archive)
        if packed := next((member for member in members if member.compress_type != zipfile.ZIP_STORED), None):
            raise ValueError(
                f"{path} is not a file of tensors as torch.save writes it ({packed.filename[:80]!r} is compressed); nothing "
                "in it was run. Save it again with torch.save."
            )
        contents = {member.filename: archive.read(member) for member in members}
    _require_plain_pickle(path, contents)
    # PyTorch reads a fresh archive of the checked contents: readers of zip files differ.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as copy:
        for name, data in contents.items():
            copy.writestr(name, data)
    buffer.seek(0)
    try:
        weights = torch.load(buffer, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, AssertionError, *MALFORMED):
        raise _not_torch(path) from None
    _require_dense(path, weights, sum(map(len, contents.values())))
    return weights


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of numbers that `numpy.savez` or `numpy.savez_compressed` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is truncated, holds anything but numbers, or declares far more than it stores.
    """
    path = checks.existing_file(path)
    with _archive(path, "arrays") as archive:
        members = _members(path, archive)
        return {member.filename.removesuffix(".npy"): _array(path, archive, member) for member in members}


@contextmanager
def _archive(path: Path, what: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, RuntimeError, OSError, *MALFORMED) as error:
        # An error that does not name the file is about its contents.
        if str(path) in str(error):
            raise
        raise ValueError(
            f"{path} is not {what}: it is no whole zip archive ({' '.join(str(error).split())[:200]}); nothing in it was "
            "run. Copy or save it again."
        ) from None


def _members(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return an archive's members once their number and sizes are checked."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS or len({member.filename for member in members}) < len(members):
        raise ValueError(f"{path} holds too many members, or one name twice; copy or save it again.")
    if sum(member.compress_size for member in members) > path.stat().st_size:
        raise ValueError(f"{path} holds members that overlap or lie outside of it; copy or save it again.")
    for member in members:
        packed = member.compress_type != zipfile.ZIP_STORED
        if member.file_size > (MAX_COMPRESSION * member.compress_size + 1024 if packed else member.compress_size):
            raise ValueError(
                f"{path} holds {member.filename[:80]!r}, which declares {member.file_size} bytes and stores "
                f"{member.compress_size}; it was not read."
            )
    return members


def _require_plain_pickle(path: Path, contents: dict[str, bytes]) -> None:
    """Raise unless the archive has one pickle, which imports nothing but tensors and their storages."""
    pickles = [data for name, data in contents.items() if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1 or len(pickles[0]) > MAX_PICKLE_BYTES:
        raise ValueError(f"{path} is not a file of tensors: it holds no state dict of usual size; save it again.")
    try:
        imported = [
            f"{argument}" if opcode.name == "GLOBAL" else opcode.name
            for opcode, argument, _ in pickletools.genops(pickles[0])
            if opcode.name in IMPORTING
        ]
    except MALFORMED:
        raise _not_torch(path) from None
    if other := [name for name in imported if name not in GLOBALS | STORAGES]:
        raise ValueError(
            f"{path} is not a file of tensors (it names {ascii(other[0])[:200]}); nothing in it was run. Save a state dict "
            "with torch.save."
        )


def _not_torch(path: Path) -> ValueError:
    return ValueError(f"{path} is truncated, or no file that torch.save wrote; copy it again.")


def _require_dense(path: Path, weights: Any, stored: int) -> None:
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise ValueError(f"{path} holds no state dict (names of tensors); save model.state_dict() with torch.save.")
    total = 0
    for name, value in weights.items():
        size = math.prod(value.shape) * value.element_size()
        total += size
        if size > value.untyped_storage().nbytes() or total > MAX_SHARING * stored:
            raise ValueError(
                f"{path} holds {name[:80]!r} of shape {tuple(value.shape)[:8]}, which declares more numbers than are stored"
                "; save contiguous tensors."
            )


def _array(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    data, name = archive.read(member), member.filename[:80]
    # As numpy.save writes numbers: magic bytes, version, length of the header, header.
    skip = {b"\x01\x00": 10, b"\x02\x00": 12}.get(data[6:8], 0)
    header = _NPY_HEADER.match(data, skip) if skip and data[:6] == b"\x93NUMPY" else None
    if header is None:
        raise ValueError(f"{path} cannot be read as arrays ({name!r} is no array of numbers); copy it again.")
    dtype = np.dtype(header.group(1).decode())
    shape = tuple(int(size) for size in header.group(3).split(b",") if size.strip())
    if len(shape) > 8 or math.prod(shape) * dtype.itemsize != len(data) - header.end():
        raise ValueError(
            f"{path} cannot be read as arrays ({name!r} has another size than it declares); copy it again."
        )
    values = np.frombuffer(data, dtype, offset=header.end())
    return values.reshape(shape, order="F" if header.group(2) == b"True" else "C")
