"""HDF5 files from untrusted sources, opened with every size and every reference checked first.

A data set is read only if its numbers are in the file itself and as many as it declares: not behind a link, not in another
file, not left out to be filled in, not behind an unknown filter. The one exception are the virtual data sets of a merged
store, whose files the store names.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssae_lens.base import checks
from ssae_lens.base.reading import MALFORMED
from ssae_lens.shifts.raw import RawFile, heap_objects, heap_texts, layout_of

# h5py's error for a wrong bit depends on where the bit is.
DAMAGE = (OSError, RuntimeError, *MALFORMED)
MAX_ATTRIBUTE = 64 << 20
MAX_SOURCES = 20_000
# HDF5's numbers of filters.
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
HARD_LINK = 0
# The largest believable compression of measured numbers.
MAX_COMPRESSION = 64


def damaged(path: str | Path, reason: object) -> ValueError:
    """Return the error for a file that is not as it was written."""
    reason = " ".join(str(reason).split())[:300]
    return ValueError(
        f"{path} is truncated or damaged ({reason}); copy it again from an intact copy, or capture it again."
    )


def open_file(path: str | Path, hint: str = "") -> Any:
    """Open an HDF5 file for reading, or raise a ValueError that names it."""
    import h5py

    path = checks.existing_file(path, hint)
    if not h5py.is_hdf5(path):
        raise ValueError(
            f"{path} is not an HDF5 file, or its head is damaged; a store of shifts is made by capture_shifts."
        )
    try:
        file = h5py.File(path, "r")
        created = file.id.get_create_plist()
        if created.get_sizes() != (8, 8) or created.get_userblock():
            file.close()
            raise damaged(path, "it has a user block, or addresses of another size than 8 bytes")
    except DAMAGE as error:
        raise _named(path, error) from error
    return file


def names_in(path: Path, file: Any) -> set[str]:
    """Return the names at the root of an HDF5 file."""
    try:
        return set(file)
    except DAMAGE as error:
        raise damaged(path, error) from error


def attribute(path: Path, file: Any, name: str) -> Any:
    """Return an attribute that is a number or a text of fixed length, or None if there is none."""
    import h5py

    try:
        if not h5py.h5a.exists(file.id, name.encode()):
            return None
        stored = h5py.h5a.open(file.id, name.encode())
        kind = stored.get_type()
        text = isinstance(kind, h5py.h5t.TypeStringID) and not kind.is_variable_str()
        number = isinstance(kind, h5py.h5t.TypeIntegerID | h5py.h5t.TypeEnumID)
        if not (text or number) or stored.shape != () or stored.get_storage_size() > MAX_ATTRIBUTE:
            raise damaged(path, f"the attribute {name} is neither a number nor a text of fixed length")
        value = file.attrs[name]
        return bytes(value).decode() if text else int(value)
    except DAMAGE as error:
        raise _named(path, error) from error


def dataset(path: Path, file: Any, name: str, *, sources: Mapping[str, str] | None = None) -> Any:
    """Return a data set at the root of an open file that is in the file itself, as large as it declares.

    `sources` are the files that a virtual data set may take its rows from; None if it must not be virtual.
    """
    import h5py

    try:
        link = file.id.links.get_info(name.encode())
        if link.type != HARD_LINK:
            raise damaged(path, f"/{name} is a link, which is not followed")
        with RawFile(path) as raw:
            layout = layout_of(raw, link.u)
            if layout.external:
                raise damaged(path, f"/{name} lies in another file, which is not read")
            if layout.virtual and sources is None:
                raise damaged(path, f"/{name} takes its rows from other files, which are not read")
            if layout.heap is not None:
                heap_objects(raw, layout.heap)
        values = file[name]
        if not isinstance(values, h5py.Dataset):
            raise damaged(path, f"/{name} is a {type(values).__name__.lower()} and no data set")
        if layout.virtual:
            _require_sources(path, name, values, sources or {})
        else:
            _require_stored(path, name, values)
    except DAMAGE as error:
        raise _named(path, error) from error
    return values


def texts(path: Path, values: Any) -> list[bytes]:
    """Return the strings of a one-dimensional data set, of fixed or of variable length."""
    import h5py

    if values.dtype.kind == "S":
        return values[:].tolist()
    if h5py.check_string_dtype(values.dtype) is None:
        raise ValueError(f"it holds {values.dtype} and no texts")
    n_bytes = 16 * values.shape[0]
    references = b""
    with RawFile(path) as raw:
        if values.chunks is None:
            references = raw.read(values.id.get_offset() or 0, n_bytes) if n_bytes else b""
        elif values.id.get_create_plist().get_nfilters():
            raise ValueError("its texts are compressed; save them without compression")
        else:
            for chunk in range(values.id.get_num_chunks()):
                info = values.id.get_chunk_info(chunk)
                references += raw.read(info.byte_offset, min(info.size, max(0, n_bytes - 16 * info.chunk_offset[0])))
        if len(references) != n_bytes:
            raise ValueError(f"it stores {len(references) // 16} of {values.shape[0]} texts")
        return heap_texts(raw, references)


def _require_stored(path: Path, name: str, values: Any) -> None:
    """Raise unless a data set stores as much as it declares."""
    created = values.id.get_create_plist()
    filters = {created.get_filter(number)[0] for number in range(created.get_nfilters())}
    if unknown := filters - {DEFLATE, SHUFFLE, FLETCHER32}:
        raise damaged(path, f"/{name} is packed by the unknown filter {min(unknown)}")
    # Python integers do not overflow.
    declared = math.prod(map(int, values.shape)) * values.dtype.itemsize
    chunk = math.prod(map(int, values.chunks or ())) * values.dtype.itemsize if declared else 0
    stored = values.id.get_storage_size()
    compression = MAX_COMPRESSION if DEFLATE in filters else 1
    if max(declared, chunk) > compression * stored or stored > path.stat().st_size:
        raise damaged(path, f"/{name} declares {declared} bytes and stores {stored}")


def _require_sources(path: Path, name: str, values: Any, sources: Mapping[str, str]) -> None:
    """Raise unless a virtual data set takes its rows from data sets of its own name in known files."""
    if values.id.get_create_plist().get_virtual_count() > MAX_SOURCES:
        raise damaged(path, f"/{name} takes its rows from too many places")
    for source in values.virtual_sources():
        if source.file_name not in sources or source.dset_name.lstrip("/") != name:
            unknown = f"/{source.dset_name[:80]} of {source.file_name[:200]!r}"
            raise damaged(path, f"/{name} takes rows from {unknown}, which the store does not name")


def _named(path: Path, error: BaseException) -> ValueError:
    return error if type(error) is ValueError and str(path) in str(error) else damaged(path, error)
