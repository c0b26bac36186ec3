"""Files: written atomically, one writer at a time, and never over finished work without `overwrite`.

- `writing(path)` writes one file, `together(folder)` several that belong together; both under temporary names first.
- `require_free(path)` and ``overwrite=False`` refuse to replace a file of other contents.
- `locked(path)` makes a second process that would write the same file wait.
- `discard(folder)` and `tidy(path, parts)` remove what finished or killed processes leave behind.
"""

import errno
import filecmp
import os
import re
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ssae_lens.base import checks

COMMIT = ".commit"
# Error numbers of a disk that is full, or cannot be written to.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNWRITABLE = FULL | {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
HOST = re.sub(r"\W", "", socket.gethostname())[:16]


class UnwritableError(OSError):
    """A file that could not be written; the message names it."""


@contextmanager
def writing(path: str | Path, *, overwrite: bool = True, tidy: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the same folder, and rename it to `path` if the block succeeds.

    A reader sees the old file or the complete new one, also after a crash of the machine. A block that raises leaves nothing
    behind, and leftovers of killed processes are removed unless `tidy` is False (for folders of very many files).

    Raises
    ------
    FileExistsError
        If there is a file of other contents and `overwrite` is False.
    OSError
        If the file cannot be written; the message names it.
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
    """Yield an empty folder whose files move to `folder` together, or not at all, when the block ends.

    The new files are renamed as one folder and then moved one by one. If the process is killed between two moves, `settle`
    moves the rest: code that reads or writes such a folder calls it first.
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
    """Finish a move of files into `folder` that `together` started and did not finish."""
    commit = Path(folder) / COMMIT
    while commit.is_dir():
        # Another process may do the same at the same time, or start the next move.
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
    """Raise FileExistsError if `path` exists and must not be replaced."""
    path = Path(path)
    if not overwrite and path.exists():
        raise FileExistsError(_taken(path, what, hint))


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the lock of `path` against other processes; a process that has to wait for it warns.

    The lock is released when its process ends, however that happens. The lock file, ``.<name>.lock``, is removed at the end.
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
        # Removed while held: a process that waits for the removed file notices, and locks the new one.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def cache_folder() -> Path:
    """Return the cache folder: `$SSAE_LENS_CACHE`, or `ssae-lens` in the user's cache folder."""
    if named := os.environ.get("SSAE_LENS_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssae-lens"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an error of writing, raised by any library, into an OSError that names the file."""
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
    """Give a file the user's default mode: mkstemp and safetensors create files readable by the owner only."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def remove_abandoned(path: Path) -> None:
    """Remove temporary files and folders for `path` left by processes of this machine that have ended."""
    if not path.parent.is_dir():
        return
    pattern = re.compile(re.escape(f".{path.name}.") + rf"(\d+)-{re.escape(HOST)}-")
    for temporary in path.parent.iterdir():
        if (match := pattern.match(temporary.name)) and not _alive(int(match.group(1))):
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)


def tidy(path: Path, parts: Path) -> None:
    """Remove what is left beside a finished file if its process was killed in its last steps: its parts and its lock."""
    lock = path.parent / f".{path.name}.lock"
    with suppress(OSError):
        remove_abandoned(parts)
        if parts.exists():
            discard(parts)
        if lock.exists():
            with locked(path):
                pass


def discard(folder: Path) -> None:
    """Remove a folder, renaming it first: if the process is killed halfway, nothing is left that looks complete."""
    with suppress(FileNotFoundError):
        removed = folder.rename(folder.with_name(f"{_temporary_prefix(folder.name)}removed"))
        shutil.rmtree(removed, ignore_errors=True)


def _temporary_prefix(name: str) -> str:
    return f".{name}.{os.getpid()}-{HOST}-"


def _put(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)
    except OSError:
        if not path.exists():  # a file system without hard links
            temporary.replace(path)
        elif path.is_dir() or not filecmp.cmp(temporary, path, shallow=False):
            raise FileExistsError(_taken(path, "a file of other contents")) from None


def _taken(path: Path, what: str, hint: str = "") -> str:
    return f"{path} exists already: {what}{hint}. Give another path, or overwrite=True to replace it."


def _sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    folder = path.is_dir()
    if os.name == "nt" and folder:
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (folder and error.errno == errno.EINVAL):  # a file system that syncs names on its own
            raise
    finally:
        os.close(handle)


def _errno_of(error: Exception) -> int | None:
    """Return the system's error number behind an error of writing, or None for any other error."""
    if isinstance(error, FileExistsError | FileNotFoundError):
        return None
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        return error.errno
    # HDF5, safetensors and PyTorch report it as text.
    match = re.search(r"errno = (\d+)|os error (\d+)", str(error))
    if match and (number := int(match.group(1) or match.group(2))) in UNWRITABLE:
        return number
    by_torch = isinstance(error, RuntimeError) and re.search(
        r"failed writing file|inline_container|iostream", str(error)
    )
    return errno.ENOSPC if by_torch else None


def _room(path: Path) -> str:
    with suppress(OSError):
        return f", {shutil.disk_usage(checks.nearest_folder(path)).free / 1e9:.2f} GB free"
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
