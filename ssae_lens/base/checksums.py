"""Checksums of files: hashes of contents, seals at the end of a file, and JSON that carries its own hash.

- `sha256_of(path)` and `fingerprint(rows)` return hashes of contents.
- `seal(path)` appends a checksum to a file, and `unseal(path)` verifies it.
- `write_json` and `read_json` do the same for JSON.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ssae_lens.base import files, reading

SEAL = re.compile(rb"\nssae-lens-seal sha256=([0-9a-f]{64}) owner=([0-9a-f]{0,64})\n\Z")
MAX_SEAL_BYTES = 256


class DamagedFileError(ValueError):
    """A file that fails its checksum, or ends before it."""


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as file:
        return _digest(file)


def fingerprint(rows: Iterable[Any]) -> str:
    """Return a short hash of JSON-able rows in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:16]


def seal(path: str | Path, owner: str = "") -> None:
    """Append the SHA-256 of a file's contents to it, and a hash that identifies the owner."""
    path = Path(path)
    digest = sha256_of(path)
    with path.open("ab") as file:
        file.write(b"\nssae-lens-seal sha256=%s owner=%s\n" % (digest.encode(), owner.encode()))


def unseal(path: str | Path, owner: str | None = None) -> int:
    """Verify a sealed file, and its owner unless that is None; return the number of bytes before the seal.

    Raises
    ------
    DamagedFileError
        If the file has no seal, has changed since it was sealed, or belongs to another owner.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_SEAL_BYTES))
        match = SEAL.search(file.read())
        if match is None:
            raise DamagedFileError(f"{path} is damaged or was never finished: its checksum is missing.")
        content = size - len(match.group())
        file.seek(0)
        if _digest(file, content) != match.group(1).decode():
            raise DamagedFileError(f"{path} is damaged: its contents do not match its checksum.")
    if owner not in (None, match.group(2).decode()):
        raise DamagedFileError(f"{path} belongs to another run.")
    return content


def write_json(path: str | Path, value: Any, *, checksum: bool = False, overwrite: bool = True) -> None:
    """Write `value` as readable JSON, atomically; see `json_text` for `checksum`."""
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(json_text(value, checksum=checksum), encoding="utf-8")


def json_text(value: Any, *, checksum: bool = False) -> str:
    """Return `value` as readable JSON; with `checksum`, an object gets its own hash as a key."""
    if checksum:
        value = {**value, "checksum": fingerprint([value])}
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_json(path: str | Path, *, checksum: bool = False) -> Any:
    """Return what `write_json` wrote; with `checksum`, verify the hash and leave it out.

    Raises
    ------
    DamagedFileError
        If the file is not JSON, or does not match its checksum.
    """
    try:
        value = reading.read_json(path)
    except ValueError as error:
        raise DamagedFileError(str(error)) from None
    if checksum:
        stored = value.pop("checksum", None) if isinstance(value, dict) else None
        if stored != fingerprint([value]):
            raise DamagedFileError(f"{path} is damaged: its contents do not match its checksum.")
    return value


def _digest(file: Any, size: int | None = None) -> str:
    """Return the SHA-256 of the next `size` bytes of an open file, or of all of them."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20 if size is None else min(1 << 20, size)):
        digest.update(block)
        size = None if size is None else size - len(block)
    return digest.hexdigest()
