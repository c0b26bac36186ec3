"""GGUF files, read with every count and size held against the file before it is believed.

Only what a control vector consists of is returned: texts among the fields, and tensors of 32-bit floats. Other fields and
tensors are passed over by their sizes.
"""

import math
import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks

VERSIONS = (2, 3)
F32 = 0
# Bytes of a field's value by its type; texts and arrays have a length of their own.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
UINT32, TEXT, ARRAY = 4, 8, 9
MAX_TEXT = 16 << 20
MAX_NESTING = 4
MAX_DIMENSIONS = 8


@dataclass(frozen=True)
class GGUFTensor:
    """A tensor of a GGUF file: `values` are None unless its type is F32 (`kind` 0)."""

    name: str
    kind: int
    shape: tuple[int, ...]
    values: np.ndarray | None


@dataclass
class GGUF:
    """What a GGUF file holds: `texts` by the names of their fields, and `tensors` in their order."""

    texts: dict[str, str] = field(default_factory=dict)
    tensors: list[GGUFTensor] = field(default_factory=list)


def read_gguf(path: str | Path) -> GGUF:
    """Return the texts and the tensors of a GGUF file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a whole GGUF file.
    """
    path = checks.existing_file(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(_Cursor(data))
    except (ValueError, struct.error) as error:
        raise ValueError(f"{path} is not a whole GGUF file ({error}); write or fetch it again.") from None


class _Cursor:
    """A place in a file, which never passes its end."""

    def __init__(self, data: Any) -> None:
        self.data, self.at = data, 0

    def pass_over(self, size: int) -> int:
        """Go on by a number of bytes and return where they begin."""
        begin = self.at
        if size > len(self.data) - begin:
            raise ValueError(f"it ends within what it declares at byte {begin}")
        self.at += size
        return begin

    def number(self, layout: str) -> int:
        return struct.unpack_from(f"<{layout}", self.data, self.pass_over(struct.calcsize(layout)))[0]

    def count(self, least_size: int) -> int:
        """Return a number of things that follow, each of at least some bytes."""
        begin, count = self.at, self.number("Q")
        if count > (len(self.data) - self.at) // least_size:
            raise ValueError(f"it declares {count} items at byte {begin}, more than it has room for")
        return count

    def text(self) -> str:
        size = self.count(1)
        if size > MAX_TEXT:
            raise ValueError(f"it holds a text of {size} bytes")
        begin = self.pass_over(size)
        try:
            return self.data[begin : begin + size].decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"the text at byte {begin} is not UTF-8: {error.reason}") from None


def _read(cursor: _Cursor) -> GGUF:
    if cursor.data[: cursor.pass_over(4) + 4] != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    version = cursor.number("I")
    if version not in VERSIONS:
        big = ", or big-endian" if version and version & 0xFFFF == 0 else ""
        raise ValueError(f"it is of version {version}{big}; versions 2 and 3, little-endian, can be read")
    n_tensors, n_fields = cursor.count(24), cursor.count(13)
    found, alignment = _fields(cursor, n_fields)
    named: dict[str, tuple[int, tuple[int, ...], int]] = {}
    for _ in range(n_tensors):
        name = cursor.text()
        shape = tuple(cursor.number("Q") for _ in range(_few(cursor.number("I"), MAX_DIMENSIONS, "dimensions")))
        if name in named:
            raise ValueError(f"it holds the tensor {name[:80]!r} twice")
        named[name] = (cursor.number("I"), shape, cursor.number("Q"))
    begin = -(-cursor.at // alignment) * alignment
    left = len(cursor.data) - begin
    for name, (kind, shape, offset) in named.items():
        values = None
        if kind == F32:
            size = math.prod(shape)
            # Tensors that overlap would stand for more numbers than the file holds.
            left -= 4 * size
            if left < 0 or begin + offset + 4 * size > len(cursor.data):
                raise ValueError(f"it ends within the tensor {name[:80]!r}")
            flat = np.frombuffer(cursor.data[begin + offset : begin + offset + 4 * size], "<f4")
            values = flat.astype(np.float32).reshape(shape[::-1])
        found.tensors.append(GGUFTensor(name, kind, shape[::-1], values))
    return found


def _fields(cursor: _Cursor, count: int) -> tuple[GGUF, int]:
    """Return the fields that are texts, and the alignment of tensors."""
    found, seen, alignment = GGUF(), set(), 32
    for _ in range(count):
        name, kind = cursor.text(), cursor.number("I")
        if name in seen:
            raise ValueError(f"it holds the field {name[:80]!r} twice")
        seen.add(name)
        if kind == TEXT:
            found.texts[name] = cursor.text()
        elif kind == UINT32 and name == "general.alignment":
            alignment = cursor.number("I")
            if not 0 < alignment <= 1 << 16 or alignment & (alignment - 1):
                raise ValueError(f"its alignment is {alignment}")
        else:
            _pass_over(cursor, kind, MAX_NESTING)
    return found, alignment


def _pass_over(cursor: _Cursor, kind: int, nesting: int) -> None:
    if kind in SIZES:
        cursor.pass_over(SIZES[kind])
    elif kind == TEXT:
        cursor.pass_over(cursor.count(1))
    elif kind == ARRAY and nesting:
        of = cursor.number("I")
        if of in SIZES:
            cursor.pass_over(cursor.count(SIZES[of]) * SIZES[of])
        else:
            for _ in range(cursor.count(8 if of == TEXT else 12)):
                _pass_over(cursor, of, nesting - 1)
    else:
        raise ValueError(f"it holds a field of the unknown type {kind}, or arrays in arrays")


def _few(count: int, largest: int, what: str) -> int:
    if count > largest:
        raise ValueError(f"it declares {count} {what}")
    return count
