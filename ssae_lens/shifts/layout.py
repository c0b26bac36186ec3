"""Layout of a store in its HDF5 file.

====================================  ================  ==========================================================
``/source``, ``/target``              (n, d)            float32 or float16: activations of a pair's two sides
``/row_id``                           (n,)              int64: row of the pairs data set; repeats if a pair gives
                                                        several rows (one for each token)
``/labels``                           (n, n_concepts)   int8, optional: signed changes −1, 0, +1
``/source_text``, ``/target_text``    (bytes,)          uint8, optional: the UTF-8 of all texts, concatenated
``/source_end``, ``/target_end``      (n,)              int64: end of each text in those bytes
====================================  ================  ==========================================================

Root attributes: ``schema`` (a number), ``complete`` (written last), and as JSON the fields of `Metadata`.

Every byte is covered by a checksum, so that a damaged file is an error instead of a result. Data sets have chunks (of
activations, 64 to 1024 rows) with Fletcher-32 checksums. Strings of variable length have none, so texts are stored as bytes.
The 1.10 file format has checksums of its own structure, including attributes of fixed length. There is no compression, which
hardly reduces activations. They are never bfloat16: see `storable`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks, files
from ssae_lens.base.reading import well_formed
from ssae_lens.shifts import hdf5
from ssae_lens.shifts.contents import SIDES, TEXTS, Metadata
from ssae_lens.shifts.disk import allocate, release, require_room
from ssae_lens.shifts.hdf5 import damaged

SCHEMA = 1
BLOCK = 2048  # rows in memory while a store is read in order
STORABLE = ("float32", "float16")
CHECKSUMMED_FORMAT = ("v110", "v110")
# The types of each data set.
KINDS = {
    **dict.fromkeys(SIDES, STORABLE),
    "row_id": ("int64",),
    "labels": ("int8",),
    **dict.fromkeys(TEXTS, ("uint8",)),
    **dict.fromkeys(TEXTS.values(), ("int64",)),
}
# Nesting of merged stores.
MAX_MERGES = 8


def storable(dtype: Any) -> np.dtype:
    """Return the NumPy type to store activations in, or raise if it is not supported."""
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    name = name.removeprefix("torch.")
    if name == "bfloat16":
        raise ValueError(
            "dtype is 'bfloat16', whose rounding of each side spoils their difference (a shift of 5 % of the norm comes out "
            "wrong by 4.7 %); store 'float32', or 'float16' for half the size."
        )
    checks.one_of("dtype", name, STORABLE)
    return np.dtype(name)


def blocks(n_rows: int, size: int = BLOCK) -> Iterator[slice]:
    """Yield slices of at most `size` rows that cover `n_rows`."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def digest_of(values: Any) -> str:
    """Return a short hash of a data set, in memory or in a file."""
    digest = _new_digest(values)
    for rows in blocks(len(values)):
        digest.update(np.ascontiguousarray(values[rows]))
    return digest.hexdigest()[:16]


def write(path: str | Path, data: Mapping[str, Any], metadata: Metadata, *, overwrite: bool = False) -> None:
    """Write a store in blocks, atomically; the file is read back and compared before it gets its name.

    A value of `data` is anything with a shape, a type and rows by slice, or a virtual layout of rows in other files, whose
    digest is in `metadata`.
    """
    import h5py

    path = Path(path)
    stored = {name: values for name, values in data.items() if not isinstance(values, h5py.VirtualLayout)}
    size = sum(values.dtype.itemsize * int(np.prod(values.shape)) for values in stored.values())
    require_room(path, size)
    digests = dict(metadata.digests)
    with files.writing(path) as temporary:
        # Without a cache, each chunk is written, or fails, in order.
        with h5py.File(temporary, "w", libver=CHECKSUMMED_FORMAT, rdcc_nbytes=0) as file:
            allocate(temporary, size)
            for name, values in data.items():
                if name in stored:
                    digests[name] = _copy(values, file, name)
                else:
                    # If a shard is missing, HDF5 returns NaN, which cannot be taken for a shift.
                    file.create_virtual_dataset(name, values, fillvalue=np.nan)
            metadata = replace(metadata, digests=digests)
            file.attrs["schema"] = SCHEMA
            for name, value in metadata.to_json().items():
                file.attrs[name] = np.bytes_(value)
            file.flush()
            file.attrs["complete"] = True
        _read_back(temporary, digests)
        # Compared by digests: HDF5 does not always write the same data to the same bytes.
        if not overwrite and not _same(path, metadata):
            files.require_free(path, overwrite=False, what="a store of other contents, or no store")


def open_file(path: str | Path) -> tuple[Any, Metadata]:
    """Open a store's HDF5 file, and check everything that can be checked without reading its rows."""
    return _opened(Path(path), {})


def datasets(file: Any) -> dict[str, Any]:
    """Return the data sets of a file that `open_file` opened, by name."""
    return {name: file[name] for name in KINDS if name in file}


def _same(path: Path, metadata: Metadata) -> bool:
    """Return whether there is a store of the same data and metadata, apart from versions."""
    if not path.exists():
        return False
    try:
        file, existing = open_file(path)
    except (ValueError, OSError):
        return False
    file.close()
    return replace(existing, versions={}).to_json() == replace(metadata, versions={}).to_json()


def _read_back(path: Path, digests: dict[str, str]) -> None:
    file, _ = open_file(path)
    with file:
        for name, digest in digests.items():
            if not file[name].is_virtual and digest_of(file[name]) != digest:
                raise damaged(path, f"/{name} is not what was written")


def _opened(path: Path, seen: dict[Path, tuple[str, tuple[int, ...], Any] | None]) -> tuple[Any, Metadata]:
    """Open a store; `seen` holds fingerprint, shape and type of its shards, None while one is open."""
    file = hdf5.open_file(path, "Shifts are written there by capture_shifts and by ShiftStore.save.")
    try:
        metadata = _metadata(path, file)
        source = _checked_datasets(path, file, metadata)["source"]
        if metadata.shards:
            _require_shards(path, source, metadata, seen)
        seen[path.resolve()] = (metadata.fingerprint, source.shape, source.dtype)
    except BaseException:
        file.close()
        raise
    return file, metadata


def _metadata(path: Path, file: Any) -> Metadata:
    names = hdf5.names_in(path, file)
    schema = hdf5.attribute(path, file, "schema")
    if schema is None:
        if names & {"cfc_train", "cfc_test"}:
            raise ValueError(f"{path} is a file of the reference code; read it with read_reference.")
        listed = f"{sorted(names)[:8]}"[:400] if names else "nothing"
        raise ValueError(f"{path} is an HDF5 file but no store of shifts: it holds {listed}.")
    if schema != SCHEMA:
        raise ValueError(
            f"{path} has schema {str(schema)[:80]}, and this version of ssae-lens reads {SCHEMA}; upgrade ssae-lens."
        )
    if not hdf5.attribute(path, file, "complete"):
        raise ValueError(f"{path} was never finished; run the capture that made it again.")
    values = {each.name: hdf5.attribute(path, file, each.name) for each in fields(Metadata)}
    if wrong := [name for name, value in values.items() if not isinstance(value, str)]:
        raise damaged(path, f"the attribute {wrong[0]} is missing, or no text")
    with well_formed(path, "copy it again, or capture it again"):
        return Metadata.from_json(values, path)


def _checked_datasets(path: Path, file: Any, metadata: Metadata) -> dict[str, Any]:
    data, names = {}, hdf5.names_in(path, file)
    for name in KINDS:
        if name in names:
            sources = metadata.shards if name in SIDES and metadata.shards else None
            data[name] = hdf5.dataset(path, file, name, sources=sources)
    _require_shapes(path, {name: values.shape for name, values in data.items()}, metadata)
    kinds = {**KINDS, "target": (data["source"].dtype.name,)}
    for name, values in data.items():
        if values.dtype.name not in kinds[name]:
            raise damaged(path, f"/{name} holds {values.dtype} where {' or '.join(kinds[name])} is expected")
    return data


def _require_shapes(path: Path, shapes: dict[str, tuple[int, ...]], metadata: Metadata) -> None:
    source = shapes.get("source", ())
    if len(source) != 2:
        raise damaged(path, f"/source has shape {source or None} where (n, d) is expected")
    n_rows, d_model = source
    if not n_rows or not d_model or metadata.origin.d_model != d_model:
        raise damaged(path, f"/source has shape {source} and its origin is {metadata.origin.d_model} wide")
    expected = {"source": source, "target": source, "row_id": (n_rows,)}
    if "labels" in shapes:
        expected["labels"] = (n_rows, len(metadata.concepts))
    elif metadata.concepts:
        raise damaged(path, "it has concepts and no labels")
    for name, end in TEXTS.items():
        if name in shapes or end in shapes:
            expected |= {name: shapes.get(name, ())[:1] or (0,), end: (n_rows,)}
    for name, shape in expected.items():
        if shapes.get(name) != shape:
            raise damaged(path, f"/{name} has shape {shapes.get(name)} where {shape} is expected")


def _require_shards(path: Path, source: Any, metadata: Metadata, seen: dict[Path, Any]) -> None:
    """Check every shard of a merged store: HDF5 silently reads rows of a missing file as fill values."""
    seen[path.resolve()] = None
    if sum(shard is None for shard in seen.values()) > MAX_MERGES:
        raise damaged(path, f"it is merged of merged stores, more than {MAX_MERGES} deep")
    n_rows = 0
    for name, fingerprint in metadata.shards.items():
        shard = path.parent / name
        if shard.resolve() not in seen:
            try:
                _opened(shard, seen)[0].close()
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{path} is merged from {shard}, which is gone; move them together.") from error
        if (known := seen[shard.resolve()]) is None:
            raise damaged(path, "it is merged from itself")
        if known[0] != fingerprint:
            raise ValueError(f"{path} is merged from {shard}, which has changed since; merge again.")
        if known[1][1:] != source.shape[1:] or known[2] != source.dtype:
            raise damaged(path, f"it is merged from {shard}, whose activations are of another shape or type")
        n_rows += known[1][0]
    if n_rows != source.shape[0]:
        raise damaged(path, f"/source has {source.shape[0]} rows, and the files that it is merged from {n_rows}")


def _copy(values: Any, file: Any, name: str) -> str:
    n_rows, *width = values.shape
    row_bytes = values.dtype.itemsize * int(np.prod(width))
    # A power of two, so that blocks end where chunks do; about a megabyte.
    rows_in_chunk = 1 << max(6, 20 - int(np.log2(row_bytes)))
    rows_in_chunk = min(n_rows, rows_in_chunk, 1024 if name in SIDES else 1 << 20)
    chunked = {"chunks": (rows_in_chunk, *width), "fletcher32": True} if n_rows else {}
    into = file.create_dataset(name, values.shape, values.dtype, **chunked)
    digest = _new_digest(values)
    for rows in blocks(n_rows, max(BLOCK, rows_in_chunk)):
        block = np.ascontiguousarray(values[rows])
        into[rows] = block
        digest.update(block)
        release(values)
    return digest.hexdigest()[:16]


def _new_digest(values: Any) -> Any:
    return hashlib.sha256(f"{values.dtype.str}{tuple(values.shape)}".encode())
