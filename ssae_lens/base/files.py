"""Files: written whole or not at all, one writer at a time, never over something finished, and checked before use.

- `writing(path)` writes one file, `together(folder)` several that belong together; both under temporary names first.
- `require_free(path)` and ``overwrite=False`` refuse to replace a file of other contents.
- `locked(path)` keeps a second process waiting that would write the same.
- `seal(path)` appends a checksum to a file, `unseal(path)` verifies it; `write_json` and `read_json` do so for JSON.
- `sha256_of(path)` and `fingerprint(rows)` are short names of contents.
"""

import errno
import filecmp
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ssae_lens.base import checks, reading

COMMIT = ".commit"
SEAL = re.compile(rb"\nssae-lens-seal sha256=([0-9a-f]{64}) owner=([0-9a-f]{0,64})\n\Z")
SEAL_BYTES = 256  # at most, with room to spare
# What a disk that is full, or may not be written to, answers.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNWRITABLE = FULL | {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
HOST = re.sub(r"\W", "", socket.gethostname())[:16]


class DamagedFileError(ValueError):
    """A file is not what was written: it fails its checksum, or ends before its checksum."""


class UnwritableError(OSError):
    """The disk does not take a file; the message names the file."""


@contextmanager
def writing(path: str | Path, *, overwrite: bool = True, tidy: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` if the block succeeds.

    A reader sees the old file or the whole new one, also after a crash of the machine. A block that raises leaves nothing
    behind, and what a killed process left is removed.

    Parameters
    ----------
    path
        The file to write.
    overwrite
        Whether a file of other contents may be replaced.
    tidy
        Look for what killed processes left. Off where a folder gets very many files.

    Raises
    ------
    FileExistsError
        If there is a file of other contents and `overwrite` is False.
    OSError
        If the disk does not take the file; the message names it.
    """
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if tidy:
            remove_abandoned(path)
        handle, name = tempfile.mkstemp(prefix=_temporary_prefix(path.name), suffix=path.suffix, dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with naming(path):
            yield temporary
            make_readable(temporary)
            _sync(temporary)
            _put(temporary, path, overwrite=overwrite)
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def together(folder: str | Path) -> Iterator[Path]:
    """Yield an empty folder; the files that the block writes into it move to `folder` together or not at all.

    When the block ends, the new files are renamed as one folder and then moved one by one. If the process is killed between
    two moves, `settle` moves the rest: whoever reads or writes such a folder calls it first.
    """
    folder = Path(folder)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder / ".saving")
        staging = Path(tempfile.mkdtemp(prefix=_temporary_prefix(".saving"), dir=folder))
    try:
        with naming(folder):
            yield staging
            for file in staging.iterdir():
                make_readable(file)
                _sync(file)
            _sync(staging)
            while True:
                settle(folder)
                try:
                    staging.rename(folder / COMMIT)
                    break
                except OSError as error:  # another process has just committed
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
            settle(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def settle(folder: str | Path) -> None:
    """Finish a move of files into `folder` that was begun by `together` and interrupted."""
    commit = Path(folder) / COMMIT
    while commit.is_dir():
        # Another process may do the same at the same time, or begin the next move.
        with naming(commit), suppress(FileNotFoundError):
            for file in sorted(commit.iterdir()):
                with suppress(FileNotFoundError):
                    file.replace(commit.parent / file.name)
            _sync(commit.parent)
            try:
                commit.rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise


def require_free(path: str | Path, *, overwrite: bool, what: str = "a file", hint: str = "") -> None:
    """Raise FileExistsError if something stands at `path` and may not be replaced."""
    path = Path(path)
    if not overwrite and path.exists():
        raise FileExistsError(_taken(path, what, hint))


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the lock of `path` against other processes; one that waits for it says so in a warning.

    The lock goes with the process that holds it, however that ends. The lock file, ``.<name>.lock``, is removed at the end.
    """
    from filelock import FileLock, Timeout

    path = checks.writable(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.parent / f".{path.name}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            warnings.warn(f"Another process is writing {path}; waiting for it to end.", stacklevel=3)
            lock.acquire()
    try:
        yield
    finally:
        # Removed while it is held: a process that waits for the removed file notices, and locks the new one.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def seal(path: str | Path, owner: str = "") -> None:
    """Append the SHA-256 of a file's contents to it, and the hash that names whom it belongs to."""
    path = Path(path)
    digest = sha256_of(path)
    with path.open("ab") as file:
        file.write(b"\nssae-lens-seal sha256=%s owner=%s\n" % (digest.encode(), owner.encode()))


def unseal(path: str | Path, owner: str | None = None) -> int:
    """Return the number of bytes before the seal of a file, once its contents and, if one is given, its owner are verified.

    Raises
    ------
    DamagedFileError
        If the file has no seal, or is not what was sealed, or belongs to another owner.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - SEAL_BYTES))
        found = SEAL.search(file.read())
        if found is None:
            raise DamagedFileError(f"{path} is damaged or was never finished: its checksum is missing.")
        content = size - len(found.group())
        file.seek(0)
        if _digest_of(file, content) != found.group(1).decode():
            raise DamagedFileError(f"{path} is damaged: its contents do not match its checksum.")
    if owner not in (None, found.group(2).decode()):
        raise DamagedFileError(f"{path} belongs to another run.")
    return content


def write_json(path: str | Path, value: Any, *, checksum: bool = False, overwrite: bool = True) -> None:
    """Write `value` as readable JSON, whole or not at all; see `json_text` for `checksum`."""
    with writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(json_text(value, checksum=checksum), encoding="utf-8")


def json_text(value: Any, *, checksum: bool = False) -> str:
    """Return `value` as readable JSON; with `checksum`, an object has its own hash beside its values."""
    if checksum:
        value = {**value, "checksum": fingerprint([value])}
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_json(path: str | Path, *, checksum: bool = False) -> Any:
    """Return what `write_json` wrote, without the checksum, which is verified.

    Raises
    ------
    DamagedFileError
        If the file is not JSON, or an object that should carry a checksum does not match it.
    """
    path = Path(path)
    try:
        value = reading.read_json(path)
    except ValueError as error:
        raise DamagedFileError(str(error)) from None
    if checksum:
        stated = value.pop("checksum", None) if isinstance(value, dict) else None
        if stated != fingerprint([value]):
            raise DamagedFileError(f"{path} is damaged: its contents do not match its checksum.")
    return value


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as file:
        return _digest_of(file)


def fingerprint(rows: Iterable[Any]) -> str:
    """Return a short hash of JSON-able rows: the same rows in the same order, the same fingerprint."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder for what can be made again: `$SSAE_LENS_CACHE`, or `ssae-lens` in the user's cache."""
    if named := os.environ.get("SSAE_LENS_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssae-lens"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn the error of a disk that does not take a file into an OSError that names the file."""
    try:
        yield
    except Exception as error:
        number = None if isinstance(error, UnwritableError) else _errno_of(error)
        if number is None:
            raise
        hint = "make room, or give another path" if number in FULL else "give a path that can be written"
        raise UnwritableError(
            number, f"{path} could not be written ({os.strerror(number)}{_room(path)}); {hint}"
        ) from error


def make_readable(path: Path) -> None:
    """Return a file the mode of any that the user writes: mkstemp and safetensors make theirs for their owner alone."""
    path.chmod(0o666 & ~_umask())


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files and folders for `path` of processes of this machine that have ended."""
    if not path.parent.is_dir():
        return
    pattern = re.compile(re.escape(f".{path.name}.") + rf"(\d+)-{re.escape(HOST)}-")
    for each in path.parent.iterdir():
        if (found := pattern.match(each.name)) and not _alive(int(found.group(1))):
            shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink(missing_ok=True)


def tidy(path: Path, parts: Path) -> None:
    """Remove what a process killed on its last steps left of a file that is finished: parts, their remains, the lock."""
    lock = path.parent / f".{path.name}.lock"
    with suppress(OSError):
        remove_abandoned(parts)
        if parts.exists():
            discard(parts)
        if lock.exists():
            with locked(path):
                pass


def discard(folder: Path) -> None:
    """Remove a folder: it loses its name at once, so that a kill on the way leaves nothing that looks whole."""
    with suppress(FileNotFoundError):
        doomed = folder.rename(folder.with_name(f"{_temporary_prefix(folder.name)}removed"))
        shutil.rmtree(doomed, ignore_errors=True)


def _temporary_prefix(name: str) -> str:
    return f".{name}.{os.getpid()}-{HOST}-"


def _put(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        if path.is_dir() or not filecmp.cmp(temporary, path, shallow=False):
            raise FileExistsError(_taken(path, "a file of other contents")) from None
    except OSError:  # a file system without hard links
        if path.exists() and (path.is_dir() or not filecmp.cmp(temporary, path, shallow=False)):
            raise FileExistsError(_taken(path, "a file of other contents")) from None
        temporary.replace(path)


def _taken(path: Path, what: str, hint: str = "") -> str:
    return f"{path} exists already: {what}{hint}. Give another path, or overwrite=True to replace it."


def _sync(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk."""
    folder = path.is_dir()
    if os.name == "nt" and folder:
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (folder and error.errno == errno.EINVAL):  # a file system that syncs names by itself
            raise
    finally:
        os.close(handle)


def _digest_of(file: Any, size: int | None = None) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20 if size is None else min(1 << 20, size)):
        digest.update(block)
        size = None if size is None else size - len(block)
    return digest.hexdigest()


def _errno_of(error: Exception) -> int | None:
    """Return the system's error number behind an error of writing, or None if it is another error."""
    if isinstance(error, FileExistsError | FileNotFoundError):
        return None
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        return error.errno
    # HDF5, safetensors and PyTorch pass it on as text.
    stated = re.search(r"errno = (\d+)|os error (\d+)", str(error))
    if stated and (number := int(stated.group(1) or stated.group(2))) in UNWRITABLE:
        return number
    by_torch = isinstance(error, RuntimeError) and re.search(
        r"failed writing file|inline_container|iostream", str(error)
    )
    return errno.ENOSPC if by_torch else None


def _room(path: Path) -> str:
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    with suppress(OSError):
        return f", {shutil.disk_usage(folder).free / 1e9:.2f} GB free"
    return ""


def _alive(pid: int) -> bool:
    if os.name == "nt":  # signal 0 would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
