"""Files of `torch.save` and of `numpy.savez`, read as data: nothing in them runs, and no more is read than they declare.

Both are zip archives. What an archive declares is checked before any of it is read: a few kilobytes can stand for gigabytes,
by compression or by a tensor that repeats one number.
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

# What the pickle of a state dict names, and its storages.
GLOBALS = {"torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "collections OrderedDict"}
STORAGES = {f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int")}
MAX_PICKLE_BYTES = 1 << 20
MAX_MEMBERS = 10_000
# Tensors may share storages, and arrays may be compressed; but not without bounds.
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
        If it is not whole, holds anything but names of dense tensors, or declares more than it stores.
    """
    path = checks.existing_file(path)
    with _archive(path, "a file of tensors") as archive:
        members = _members(path, archive)
        if packed := next((each for each in members if each.compress_type != zipfile.ZIP_STORED), None):
            raise ValueError(
                f"{path} is not a file of tensors as torch.save writes it ({packed.filename[:80]!r} is compressed); nothing "
                "in it was run. Save it again with torch.save."
            )
        held = {each.filename: archive.read(each) for each in members}
    _require_plain_pickle(path, held)
    # Written anew, so that PyTorch reads what was checked: readers of zip files differ.
    again = io.BytesIO()
    with zipfile.ZipFile(again, "w") as copy:
        for name, data in held.items():
            copy.writestr(name, data)
    again.seek(0)
    try:
        weights = torch.load(again, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, AssertionError, *MALFORMED):
        raise ValueError(f"{path} is not whole, or no file that torch.save wrote; copy it again.") from None
    _require_dense(path, weights, sum(map(len, held.values())))
    return weights


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of numbers that `numpy.savez` or `numpy.savez_compressed` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not whole, holds anything but numbers, or declares far more than it stores.
    """
    path = checks.existing_file(path)
    with _archive(path, "arrays") as archive:
        return {each.filename.removesuffix(".npy"): _array(path, archive, each) for each in _members(path, archive)}


@contextmanager
def _archive(path: Path, what: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zipfile.error, EOFError, RuntimeError, *MALFORMED) as error:
        if type(error) is ValueError and str(path) in str(error):
            raise
        raise ValueError(
            f"{path} is not {what}: it is no whole zip archive ({' '.join(str(error).split())[:200]}); nothing in it was "
            "run. Copy or save it again."
        ) from None


def _members(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return an archive's members, or raise unless they are as large as is believable."""
    members = archive.infolist()
    stored = path.stat().st_size
    if len(members) > MAX_MEMBERS or len({each.filename for each in members}) < len(members):
        raise ValueError(f"{path} holds too many members, or one name twice; copy or save it again.")
    if sum(each.compress_size for each in members) > stored:
        raise ValueError(f"{path} holds members that overlap or lie outside of it; copy or save it again.")
    for each in members:
        packed = each.compress_type != zipfile.ZIP_STORED
        if each.file_size > (MAX_COMPRESSION * each.compress_size + 1024 if packed else each.compress_size):
            raise ValueError(
                f"{path} holds {each.filename[:80]!r}, which declares {each.file_size} bytes and stores {each.compress_size}"
                "; nothing of it was read."
            )
    return members


def _require_plain_pickle(path: Path, held: dict[str, bytes]) -> None:
    pickles = [data for name, data in held.items() if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1 or len(pickles[0]) > MAX_PICKLE_BYTES:
        raise ValueError(f"{path} is not a file of tensors: it holds no state dict of usual size; save it again.")
    try:
        named = [
            f"{argument}" if opcode.name == "GLOBAL" else opcode.name
            for opcode, argument, _ in pickletools.genops(pickles[0])
            if opcode.name in {"GLOBAL", "INST", "OBJ", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "NEWOBJ", "NEWOBJ_EX"}
        ]
    except MALFORMED:
        raise ValueError(f"{path} is not whole, or no file that torch.save wrote; copy it again.") from None
    if other := [each for each in named if each not in GLOBALS | STORAGES]:
        raise ValueError(
            f"{path} is not a file of tensors (it names {ascii(other[0])[:200]}); nothing in it was run. Save a state dict "
            "with torch.save."
        )


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
    data = archive.read(member)
    name = member.filename[:80]
    # Magic, version, the length of the header, the header: as numpy.save writes numbers.
    skip = {b"\x01\x00": 10, b"\x02\x00": 12}.get(data[6:8], 0)
    header = _NPY_HEADER.match(data, skip) if skip and data[:6] == b"\x93NUMPY" else None
    if header is None:
        raise ValueError(f"{path} cannot be read as arrays ({name!r} is no array of numbers); copy it again.")
    dtype = np.dtype(header.group(1).decode())
    shape = tuple(int(each) for each in header.group(3).split(b",") if each.strip())
    if len(shape) > 8 or math.prod(shape) * dtype.itemsize != len(data) - header.end():
        raise ValueError(f"{path} cannot be read as arrays ({name!r} is not as large as it says); copy it again.")
    values = np.frombuffer(data, dtype, offset=header.end())
    return values.reshape(shape, order="F" if header.group(2) == b"True" else "C")
