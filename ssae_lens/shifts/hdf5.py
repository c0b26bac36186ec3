"""HDF5 files that others may have written, opened with every size and every reference checked first.

A data set is taken only where its numbers lie in the file itself and are as many as it declares: not behind a link, not in
another file, not left out to be filled in, not behind a filter that is not known. The one exception are the virtual data
sets of a merged store, whose files the store names.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ssae_lens.base import checks
from ssae_lens.base.reading import MALFORMED
from ssae_lens.shifts.raw import RawFile, heap_objects, heap_texts, layout_of

# What h5py raises for a wrong bit depends on where the bit lies.
DAMAGE = (OSError, RuntimeError, *MALFORMED)
MAX_ATTRIBUTE = 64 << 20
MAX_SOURCES = 20_000
# HDF5's numbers of filters: deflate and shuffle, and the checksum that stores have.
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
HARD_LINK = 0
# How much smaller compression can make numbers that are not made up.
MAX_COMPRESSION = 64


def damaged(path: str | Path, why: object) -> ValueError:
    """Return the error for a file that is not what was written."""
    why = " ".join(str(why).split())[:300]
    return ValueError(
        f"{path} is truncated or damaged ({why}); copy it again from where it is whole, or capture it again."
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
    """Return the names of what an HDF5 file holds at its root."""
    try:
        return set(file)
    except DAMAGE as error:
        raise damaged(path, error) from error


def attribute(path: Path, file: Any, name: str) -> Any:
    """Return a number or a text of fixed length that a file has as an attribute, or None where it has none."""
    import h5py

    try:
        if not h5py.h5a.exists(file.id, name.encode()):
            return None
        found = h5py.h5a.open(file.id, name.encode())
        kind = found.get_type()
        text = isinstance(kind, h5py.h5t.TypeStringID) and not kind.is_variable_str()
        number = isinstance(kind, h5py.h5t.TypeIntegerID | h5py.h5t.TypeEnumID)
        if not (text or number) or found.shape != () or found.get_storage_size() > MAX_ATTRIBUTE:
            raise damaged(path, f"the attribute {name} is neither a number nor a text of fixed length")
        value = file.attrs[name]
        return bytes(value).decode() if text else int(value)
    except DAMAGE as error:
        raise _named(path, error) from error


def dataset(path: Path, file: Any, name: str, *, sources: Mapping[str, str] | None = None) -> Any:
    """Return a data set that lies in the file itself, as large as it says.

    Parameters
    ----------
    path, file, name
        The file, open, and the data set's name at its root.
    sources
        The files that a virtual data set may take its rows from; None where it must not be virtual.
    """
    import h5py

    try:
        link = file.id.links.get_info(name.encode())
        if link.type != HARD_LINK:
            raise damaged(path, f"/{name} is a link to another place, which is not followed")
        with RawFile(path) as raw:
            layout = layout_of(raw, link.u)
            if layout.external:
                raise damaged(path, f"/{name} lies in another file, which is not read")
            if layout.virtual and sources is None:
                raise damaged(path, f"/{name} takes its rows from other files, which are not read")
            if layout.heap is not None:
                heap_objects(raw, layout.heap)
        found = file[name]
        if not isinstance(found, h5py.Dataset):
            raise damaged(path, f"/{name} is a {type(found).__name__.lower()} and no data set")
        if layout.virtual:
            _require_sources(path, name, found, sources or {})
        else:
            _require_stored(path, name, found)
    except DAMAGE as error:
        raise _named(path, error) from error
    return found


def texts(path: Path, found: Any) -> list[bytes]:
    """Return the strings of a one-dimensional data set, of fixed or of variable length."""
    import h5py

    if found.dtype.kind == "S":
        return found[:].tolist()
    if h5py.check_string_dtype(found.dtype) is None:
        raise ValueError(f"it holds {found.dtype} and no texts")
    n_bytes = 16 * found.shape[0]
    references = b""
    with RawFile(path) as raw:
        if found.chunks is None:
            references = raw.read(found.id.get_offset() or 0, n_bytes) if n_bytes else b""
        elif found.id.get_create_plist().get_nfilters():
            raise ValueError("its texts are compressed; save them without compression")
        else:
            for chunk in range(found.id.get_num_chunks()):
                info = found.id.get_chunk_info(chunk)
                references += raw.read(info.byte_offset, min(info.size, max(0, n_bytes - 16 * info.chunk_offset[0])))
        if len(references) != n_bytes:
            raise ValueError(f"it stores {len(references) // 16} of {found.shape[0]} texts")
        return heap_texts(raw, references)


def _require_stored(path: Path, name: str, found: Any) -> None:
    """Raise unless a data set stores as much as it declares."""
    created = found.id.get_create_plist()
    filters = {created.get_filter(each)[0] for each in range(created.get_nfilters())}
    if unknown := filters - {DEFLATE, SHUFFLE, FLETCHER32}:
        raise damaged(path, f"/{name} is packed by the unknown filter {min(unknown)}")
    times = MAX_COMPRESSION if DEFLATE in filters else 1
    declared = _product(found.shape) * found.dtype.itemsize
    chunk = _product(found.chunks or ()) * found.dtype.itemsize if declared else 0
    stored = found.id.get_storage_size()
    if max(declared, chunk) > times * stored or stored > path.stat().st_size:
        raise damaged(path, f"/{name} declares {declared} bytes and stores {stored}")


def _require_sources(path: Path, name: str, found: Any, sources: Mapping[str, str]) -> None:
    """Raise unless a virtual data set takes its rows from data sets of its own name in known files."""
    if found.id.get_create_plist().get_virtual_count() > MAX_SOURCES:
        raise damaged(path, f"/{name} takes its rows from too many places")
    for source in found.virtual_sources():
        if source.file_name not in sources or source.dset_name.lstrip("/") != name:
            place = f"/{source.dset_name[:80]} of {source.file_name[:200]!r}"
            raise damaged(path, f"/{name} takes rows from {place}, which the store does not name")


def _product(sizes: Iterable[int]) -> int:
    """Multiply in Python's integers, which do not overflow."""
    product = 1
    for size in sizes:
        product *= int(size)
    return product


def _named(path: Path, error: BaseException) -> ValueError:
    return error if type(error) is ValueError and str(path) in str(error) else damaged(path, error)
