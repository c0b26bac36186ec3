"""Files: written whole or not at all, and known by their content.

`writing(path)` hands out a temporary name beside `path` and renames it when the block ends well.
`sha256_of(path)` and `fingerprint(rows)` say whether two contents are the same.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`, and rename it to `path` if the block succeeds.

    A reader sees the old file or the whole new one, never half of one; a block that raises leaves nothing behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        readable(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def readable(path: Path) -> None:
    """Let a file be read as any that the user writes: mkstemp and safetensors make theirs for their owner alone."""
    path.chmod(0o666 & ~_umask())


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256_of(path: str | Path) -> str:
    """Give the SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(rows: Iterable[Any]) -> str:
    """Give a short hash of JSON-able rows: the same rows in the same order, the same fingerprint."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Give the folder for what can be made again: `$SSAE_LENS_CACHE`, or `ssae-lens` in the user's cache."""
    if named := os.environ.get("SSAE_LENS_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssae-lens"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
