"""HDF5 object headers and heaps, checked before the HDF5 library reads them.

The library loops forever in a global heap whose sizes are wrong, and reads one as soon as a virtual data set is opened or a
string of variable length is read. Heaps have no checksum, so one wrong bit is enough. This module reads headers and heaps
without the library and checks every size against the file. Their format is in the HDF5 File Format Specification.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import Self

LAYOUT, EXTERNAL_FILES, CONTINUATION = 0x08, 0x07, 0x10
VIRTUAL = 3
UNDEFINED = (1 << 64) - 1
MAX_BLOCKS, MAX_BLOCK = 64, 1 << 24
MAX_HEAP = 1 << 30


class DamagedHeaderError(ValueError):
    """An invalid object header or heap."""


@dataclass(frozen=True)
class Layout:
    """The storage of a data set: whether it has external files, and the heap of a virtual one."""

    external: bool = False
    virtual: bool = False
    heap: int | None = None


class RawFile:
    """The bytes of a file by position."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size = path.stat().st_size

    def read(self, at: int, size: int) -> bytes:
        """Return `size` bytes from `at` on, or raise if the file has fewer."""
        if not 0 <= at <= at + size <= self.size:
            raise DamagedHeaderError(f"it refers to bytes {at} to {at + size} of {self.size}")
        self._file.seek(at)
        return self._file.read(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def layout_of(raw: RawFile, address: int) -> Layout:
    """Return the storage of the data set whose object header is at an address."""
    external, stored = False, None
    for kind, data in _messages(raw, address):
        external |= kind == EXTERNAL_FILES
        if kind == LAYOUT and len(data) >= 2:
            # Versions 1 and 2 have the number of dimensions first.
            layout = data[2] if data[0] < 3 and len(data) > 2 else data[1]
            heap = struct.unpack_from("<Q", data, 2)[0] if layout == VIRTUAL and len(data) >= 10 else None
            stored = Layout(False, layout == VIRTUAL, None if heap == UNDEFINED else heap)
    if stored is None:
        raise DamagedHeaderError(f"the object at byte {address} is no data set")
    return Layout(external, stored.virtual, stored.heap)


def heap_objects(raw: RawFile, address: int) -> dict[int, tuple[int, int]]:
    """Return the position and length of each object of a global heap, by its number, once the heap is checked."""
    head = raw.read(address, 16)
    size = struct.unpack_from("<Q", head, 8)[0]
    if head[:8] != b"GCOL\x01\0\0\0" or not 16 <= size <= MAX_HEAP:
        raise DamagedHeaderError(f"there is no heap at byte {address}")
    heap = raw.read(address, size)
    objects: dict[int, tuple[int, int]] = {}
    at = 16
    while at + 16 <= size:
        number, length = struct.unpack_from("<H6xQ", heap, at)
        # Number 0 is free space, whose length includes its own head.
        need = length if number == 0 else 16 + -(-length // 8) * 8
        if need < 16 or need > size - at or number in objects:
            raise DamagedHeaderError(f"the heap at byte {address} is damaged at byte {address + at}")
        if number:
            objects[number] = (address + at + 16, length)
        at += need
    return objects


def heap_texts(raw: RawFile, references: bytes) -> list[bytes]:
    """Return strings of variable length from a data set's references: their lengths, heaps and numbers."""
    heaps: dict[int, dict[int, tuple[int, int]]] = {}
    texts, total = [], 0
    for length, address, number in struct.iter_unpack("<IQI", references):
        if not length and address in (0, UNDEFINED):
            texts.append(b"")
            continue
        objects = heaps[address] if address in heaps else heaps.setdefault(address, heap_objects(raw, address))
        at, stored = objects.get(number, (0, -1))
        total += length
        # Each string is stored once; repeated references could exceed the size of the file.
        if length > stored or total > raw.size:
            raise DamagedHeaderError(f"a string refers to object {number} of the heap at byte {address}")
        texts.append(raw.read(at, length))
    return texts


def _messages(raw: RawFile, address: int) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the contents of each message of an object header, version 1 or 2."""
    head = raw.read(address, min(32, raw.size - address) if address < raw.size else 32)
    if head[:4] == b"OHDR":
        flags = head[5]
        at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(raw.read(at, width), "little")
        layout, frame, at = ("<BHB", 6 if flags & 4 else 4, at + width)
    elif head[0] == 1:
        size = struct.unpack_from("<I", head, 8)[0]
        layout, frame, at = ("<HHB", 8, address + 16)
    else:
        raise DamagedHeaderError(f"there is no object header at byte {address}")
    blocks = [(at, size)]
    for block, (start, length) in enumerate(blocks):
        if block >= MAX_BLOCKS or length > MAX_BLOCK:
            raise DamagedHeaderError(f"the object header at byte {address} has no end")
        data, at = raw.read(start, length), 0
        while at + frame <= len(data):
            kind, size, _ = struct.unpack_from(layout, data, at)
            contents = data[at + frame : at + frame + size]
            if kind == CONTINUATION and len(contents) >= 16:
                where, more = struct.unpack_from("<QQ", contents)
                # In the second version a continuation begins with a signature and ends with a checksum.
                blocks.append((where + 4, more - 8) if frame < 8 else (where, more))
            yield kind, contents
            at += frame + size
