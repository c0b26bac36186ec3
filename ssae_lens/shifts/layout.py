"""How a store lies in its HDF5 file: the one place that knows.

====================================  ================  ==========================================================
``/source``, ``/target``              (n, d)            float32 or float16: activations of a pair's two sides
``/row_id``                           (n,)              int64: row of the pairs data set; repeats where a pair gives
                                                        several rows (one for each token)
``/labels``                           (n, n_concepts)   int8, optional: signed changes −1, 0, +1
``/source_text``, ``/target_text``    (bytes,)          uint8, optional: the UTF-8 of all texts, one after another
``/source_end``, ``/target_end``      (n,)              int64: where in those bytes each text ends
====================================  ================  ==========================================================

Root attributes: ``schema`` (a number), ``complete`` (written last), and as JSON ``origin``, ``concepts`` (names of the
labels' columns), ``pairs`` (what is known of the pairs data set), ``digests`` (a hash of each data set), ``versions``, and
``shards`` (of a merged store: the files its activations lie in).

Every byte is under a checksum, so that a damaged file is an error and not a result. Data sets are cut in chunks (of
activations, 64 to 1024 rows) with Fletcher-32 checksums. HDF5 has none for strings of variable length, and one wrong bit
among those can hang it: so texts are bytes. The 1.10 file format checksums its own bookkeeping, and attributes are of fixed
length to lie within that. There is no compression: it makes hardly smaller files of activations. They are never bfloat16:
see `storable`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks, files
from ssae_lens.base.origin import Origin
from ssae_lens.base.reading import parse_json, well_formed
from ssae_lens.base.versions import versions
from ssae_lens.shifts import hdf5
from ssae_lens.shifts.disk import allocate, release, require_room
from ssae_lens.shifts.hdf5 import damaged

SCHEMA = 1
SIDES = ("source", "target")
TEXTS = {"source_text": "source_end", "target_text": "target_end"}
BLOCK = 2048  # rows held at a time by whatever passes over a whole store
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
# How often a merged store may itself be merged.
MAX_MERGES = 8
# Characters of a shard's name, with the folders before it.
MAX_NAME = 1000


@dataclass(frozen=True)
class About:
    """What a store says of itself, apart from its rows."""

    origin: Origin
    concepts: tuple[str, ...] = ()
    pairs: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)
    shards: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Return a short hash of everything in the store's data sets."""
        return files.fingerprint(sorted(self.digests.items()))

    def to_json(self) -> dict[str, str]:
        """Return each field as JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["origin"] = self.origin.to_dict()
        return {name: json.dumps(value) for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, str], source: object = "what a store says of itself") -> "About":
        """Read what `to_json` returned; `source` is what errors call it."""
        read = {each.name: parse_json(values[each.name], f"{each.name} of {source}") for each in fields(cls)}
        kinds = {"concepts": list, "pairs": dict, "digests": dict, "versions": dict, "shards": dict}
        for name, kind in kinds.items():
            if type(read[name]) is not kind:
                raise ValueError(f"{name} is of type {type(read[name]).__name__}")
        for name in ("concepts", "digests", "versions", "shards"):
            texts = read[name] if name == "concepts" else read[name].values()
            if not all(isinstance(each, str) for each in texts):
                raise ValueError(f"{name} holds something else than texts")
        if any(len(name) > MAX_NAME for name in read["shards"]):
            raise ValueError("shards holds a name that no file has")
        read["origin"] = Origin.from_dict(read["origin"])
        read["concepts"] = tuple(read["concepts"])
        return cls(**read)


def storable(dtype: Any) -> np.dtype:
    """Return the NumPy type to store activations in, or say why it cannot be that one."""
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
    """Cut `n_rows` in slices of at most `size`."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def digest_of(values: Any) -> str:
    """Return a short hash of one data set, whichever way it is held."""
    digest = _started(values)
    for rows in blocks(len(values)):
        digest.update(np.ascontiguousarray(values[rows]))
    return digest.hexdigest()[:16]


def joined(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the UTF-8 of texts, one after another, and where each ends."""
    encoded = [text.encode() for text in texts]
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum([len(each) for each in encoded], dtype=np.int64)


def parted(characters: np.ndarray, ends: np.ndarray) -> list[str]:
    """Return the texts that `joined` made one."""
    if (len(ends) and (ends[0] < 0 or ends[-1] != len(characters))) or (np.diff(ends) < 0).any():
        raise ValueError("the ends of texts are not in order, or not those of the characters")
    whole = characters.tobytes()
    starts = [0, *ends[:-1].tolist()]
    return [whole[start:end].decode() for start, end in zip(starts, ends.tolist(), strict=True)]


def write(path: str | Path, data: Mapping[str, Any], about: About, *, overwrite: bool = False) -> None:
    """Write a store in blocks, whole or not at all; it is read back before it gets its name.

    A value of `data` is anything with a shape, a type and rows by slice, or a virtual layout of rows that lie elsewhere,
    whose digest `about` must bring.
    """
    import h5py

    path = Path(path)
    size = sum(_size(values) for values in data.values())
    require_room(path, size)
    digests = dict(about.digests)
    with files.writing(path) as temporary:
        # Without a cache of chunks each is written, or fails, in its turn.
        with h5py.File(temporary, "w", libver=CHECKSUMMED_FORMAT, rdcc_nbytes=0) as file:
            allocate(temporary, size)
            for name, values in data.items():
                if isinstance(values, h5py.VirtualLayout):
                    # NaN, not nought, where a shard is gone: no one mistakes it for a shift.
                    file.create_virtual_dataset(name, values, fillvalue=np.nan)
                else:
                    digests[name] = _copy(values, file, name)
            file.attrs["schema"] = SCHEMA
            for name, value in replace(about, digests=digests).to_json().items():
                file.attrs[name] = np.bytes_(value)
            file.flush()
            file.attrs["complete"] = True
        _read_back(temporary, digests)
        # Not by their bytes: HDF5 does not write the same data to the same bytes every time.
        if not overwrite and not _same(path, replace(about, digests=digests)):
            files.require_free(path, overwrite=False, what="a store of other contents, or no store")


def open_file(path: str | Path) -> tuple[Any, About]:
    """Open a store's HDF5 file for reading, once everything that can be checked without reading its rows is right."""
    return _opened(Path(path), {})


def datasets(file: Any) -> dict[str, Any]:
    """Return the data sets of a file that `open_file` opened, by name."""
    return {name: file[name] for name in KINDS if name in file}


def _same(path: Path, about: About) -> bool:
    """Whether there is a store that states the same of itself and of its rows, whichever versions wrote it."""
    if not path.exists():
        return False
    try:
        file, found = open_file(path)
    except (ValueError, OSError):
        return False
    file.close()
    return replace(found, versions={}).to_json() == replace(about, versions={}).to_json()


def _read_back(path: Path, digests: dict[str, str]) -> None:
    file, _ = open_file(path)
    with file:
        for name, digest in digests.items():
            if not file[name].is_virtual and digest_of(file[name]) != digest:
                raise damaged(path, f"/{name} is not what was written")


def _opened(path: Path, seen: dict[Path, tuple[str, tuple[int, ...], Any] | None]) -> tuple[Any, About]:
    """Open a store; `seen` holds fingerprint, shape and type of those that it is merged from, None while one is open."""
    file = hdf5.open_file(path, "Shifts are written there by capture_shifts and by ShiftStore.save.")
    try:
        about = _about(path, file)
        found = _datasets(path, file, about)
        if about.shards:
            _require_shards(path, found["source"], about, seen)
        seen[path.resolve()] = (about.fingerprint, found["source"].shape, found["source"].dtype)
    except BaseException:
        file.close()
        raise
    return file, about


def _about(path: Path, file: Any) -> About:
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
    values = {each.name: hdf5.attribute(path, file, each.name) for each in fields(About)}
    if wrong := [name for name, value in values.items() if not isinstance(value, str)]:
        raise damaged(path, f"the attribute {wrong[0]} is missing, or no text")
    with well_formed(path, "copy it again, or capture it again"):
        return About.from_json(values, path)


def _datasets(path: Path, file: Any, about: About) -> dict[str, Any]:
    found, names = {}, hdf5.names_in(path, file)
    for name in KINDS:
        if name in names:
            sources = about.shards if name in SIDES and about.shards else None
            found[name] = hdf5.dataset(path, file, name, sources=sources)
    _require_shapes(path, {name: each.shape for name, each in found.items()}, about)
    kinds = {**KINDS, "target": (found["source"].dtype.name,)}
    for name, each in found.items():
        if each.dtype.name not in kinds[name]:
            raise damaged(path, f"/{name} holds {each.dtype} where {' or '.join(kinds[name])} is expected")
    return found


def _require_shapes(path: Path, shapes: dict[str, tuple[int, ...]], about: About) -> None:
    source = shapes.get("source", ())
    if len(source) != 2:
        raise damaged(path, f"/source has shape {source or None} where (n, d) is expected")
    n_rows, d_model = source
    if not n_rows or not d_model or about.origin.d_model != d_model:
        raise damaged(path, f"/source has shape {source} and its origin is {about.origin.d_model} wide")
    wanted = {"source": (n_rows, d_model), "target": (n_rows, d_model), "row_id": (n_rows,)}
    if "labels" in shapes:
        wanted["labels"] = (n_rows, len(about.concepts))
    elif about.concepts:
        raise damaged(path, "it has concepts and no labels")
    for name, end in TEXTS.items():
        if name in shapes or end in shapes:
            wanted |= {name: shapes.get(name, ())[:1] or (0,), end: (n_rows,)}
    for name, shape in wanted.items():
        if shapes.get(name) != shape:
            raise damaged(path, f"/{name} has shape {shapes.get(name)} where {shape} is expected")


def _require_shards(path: Path, source: Any, about: About, seen: dict[Path, Any]) -> None:
    """Open every file that a store is merged from: HDF5 reads rows of one that is gone as fill values, without a word."""
    seen[path.resolve()] = None
    if sum(each is None for each in seen.values()) > MAX_MERGES:
        raise damaged(path, f"it is merged of merged stores, more than {MAX_MERGES} deep")
    n_rows = 0
    for name, fingerprint in about.shards.items():
        shard = path.parent / name
        key = shard.resolve()
        if key not in seen:
            try:
                _opened(shard, seen)[0].close()
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{path} is merged from {shard}, which is gone; move them together.") from error
        if (known := seen[key]) is None:
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
    digest = _started(values)
    for rows in blocks(n_rows, max(BLOCK, rows_in_chunk)):
        block = np.ascontiguousarray(values[rows])
        into[rows] = block
        digest.update(block)
        release(values)
    return digest.hexdigest()[:16]


def _started(values: Any) -> Any:
    return hashlib.sha256(f"{values.dtype.str}{tuple(values.shape)}".encode())


def _size(values: Any) -> int:
    import h5py

    if isinstance(values, h5py.VirtualLayout):
        return 0
    return values.dtype.itemsize * int(np.prod(values.shape))
