"""GGUF files, read with every count and size checked against the file first; `gguf.GGUFReader` checks none.

Only text fields and 32-bit float tensors, of which a control vector consists, are returned; the rest is skipped.
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
# Bytes of a field's value by its type; texts and arrays declare their own length.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
UINT32, TEXT, ARRAY = 4, 8, 9
MAX_TEXT = 16 << 20
MAX_NESTING = 4
MAX_DIMENSIONS = 8


@dataclass(frozen=True)
class GGUFTensor:
    """A tensor of a GGUF file; `values` is None unless its type is F32 (`kind` 0)."""

    name: str
    kind: int
    shape: tuple[int, ...]
    values: np.ndarray | None


@dataclass
class GGUF:
    """The contents of a GGUF file: `texts` by field name, and `tensors` in their order."""

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
    """A position in a file that never moves past its end."""

    def __init__(self, data: Any) -> None:
        self.data, self.at = data, 0

    def skip(self, size: int) -> int:
        """Move on by a number of bytes and return the old position."""
        start = self.at
        if size > len(self.data) - start:
            raise ValueError(f"it ends within what it declares at byte {start}")
        self.at += size
        return start

    def number(self, format_: str) -> int:
        return struct.unpack_from(f"<{format_}", self.data, self.skip(struct.calcsize(format_)))[0]

    def count(self, min_size: int) -> int:
        """Return the number of items that follow, each of at least `min_size` bytes."""
        start, count = self.at, self.number("Q")
        if count > (len(self.data) - self.at) // min_size:
            raise ValueError(f"it declares {count} items at byte {start}, more than it has room for")
        return count

    def text(self) -> str:
        size = self.count(1)
        if size > MAX_TEXT:
            raise ValueError(f"it holds a text of {size} bytes")
        start = self.skip(size)
        try:
            return self.data[start : start + size].decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"the text at byte {start} is not UTF-8: {error.reason}") from None


def _read(cursor: _Cursor) -> GGUF:
    if cursor.data[: cursor.skip(4) + 4] != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    version = cursor.number("I")
    if version not in VERSIONS:
        big = ", or big-endian" if version and version & 0xFFFF == 0 else ""
        raise ValueError(f"it is of version {version}{big}; versions 2 and 3, little-endian, can be read")
    n_tensors, n_fields = cursor.count(24), cursor.count(13)
    contents, alignment = _fields(cursor, n_fields)
    headers: dict[str, tuple[int, tuple[int, ...], int]] = {}
    for _ in range(n_tensors):
        name, n_dimensions = cursor.text(), cursor.number("I")
        if n_dimensions > MAX_DIMENSIONS:
            raise ValueError(f"it declares {n_dimensions} dimensions")
        shape = tuple(cursor.number("Q") for _ in range(n_dimensions))
        if name in headers:
            raise ValueError(f"it holds the tensor {name[:80]!r} twice")
        headers[name] = (cursor.number("I"), shape, cursor.number("Q"))
    start = -(-cursor.at // alignment) * alignment
    remaining = len(cursor.data) - start
    for name, (kind, shape, offset) in headers.items():
        values = None
        if kind == F32:
            size = 4 * math.prod(shape)
            # Tensors that overlap could hold more numbers than the file.
            remaining -= size
            if remaining < 0 or start + offset + size > len(cursor.data):
                raise ValueError(f"it ends within the tensor {name[:80]!r}")
            flat = np.frombuffer(cursor.data[start + offset : start + offset + size], "<f4")
            values = flat.astype(np.float32).reshape(shape[::-1])
        contents.tensors.append(GGUFTensor(name, kind, shape[::-1], values))
    return contents


def _fields(cursor: _Cursor, count: int) -> tuple[GGUF, int]:
    """Return the text fields, and the alignment of tensors."""
    contents, names, alignment = GGUF(), set(), 32
    for _ in range(count):
        name, kind = cursor.text(), cursor.number("I")
        if name in names:
            raise ValueError(f"it holds the field {name[:80]!r} twice")
        names.add(name)
        if kind == TEXT:
            contents.texts[name] = cursor.text()
        elif kind == UINT32 and name == "general.alignment":
            alignment = cursor.number("I")
            if not 0 < alignment <= 1 << 16 or alignment & (alignment - 1):
                raise ValueError(f"its alignment is {alignment}")
        else:
            _skip_value(cursor, kind, MAX_NESTING)
    return contents, alignment


def _skip_value(cursor: _Cursor, kind: int, nesting: int) -> None:
    if kind in SIZES:
        cursor.skip(SIZES[kind])
    elif kind == TEXT:
        cursor.skip(cursor.count(1))
    elif kind == ARRAY and nesting:
        item = cursor.number("I")
        if item in SIZES:
            cursor.skip(cursor.count(SIZES[item]) * SIZES[item])
        else:
            for _ in range(cursor.count(8 if item == TEXT else 12)):
                _skip_value(cursor, item, nesting - 1)
    else:
        raise ValueError(f"it holds a field of the unknown type {kind}, or arrays in arrays")
