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
from ssae_lens.base.versions import versions
from ssae_lens.shifts.disk import allocate, release, require_room

SCHEMA = 1
SIDES = ("source", "target")
TEXTS = {"source_text": "source_end", "target_text": "target_end"}
BLOCK = 2048  # rows held at a time by whatever passes over a whole store
STORABLE = ("float32", "float16")
CHECKSUMMED_FORMAT = ("v110", "v110")
# What h5py raises for one wrong bit depends on where the bit lies.
DAMAGE = (OSError, RuntimeError, KeyError, ValueError)


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
        """Give a short hash of everything in the store's data sets."""
        return files.fingerprint(sorted(self.digests.items()))

    def to_json(self) -> dict[str, str]:
        """Give each field as JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["origin"] = self.origin.to_dict()
        return {name: json.dumps(value) for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, str | bytes]) -> "About":
        """Read what `to_json` gave."""
        read = {each.name: json.loads(values[each.name]) for each in fields(cls)}
        read["origin"] = Origin.from_dict(read["origin"])
        read["concepts"] = tuple(read["concepts"])
        return cls(**read)


def storable(dtype: Any) -> np.dtype:
    """Give the NumPy type to store activations in, or say why it cannot be that one."""
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
    """Give a short hash of one data set, whichever way it is held."""
    digest = _started(values)
    for rows in blocks(len(values)):
        digest.update(np.ascontiguousarray(values[rows]))
    return digest.hexdigest()[:16]


def joined(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Give the UTF-8 of texts, one after another, and where each ends."""
    encoded = [text.encode() for text in texts]
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum([len(each) for each in encoded], dtype=np.int64)


def parted(characters: np.ndarray, ends: np.ndarray) -> list[str]:
    """Give the texts that `joined` made one."""
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
    with files.writing(path, overwrite=overwrite) as temporary:
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


def open_file(path: str | Path) -> tuple[Any, About]:
    """Open a store's HDF5 file for reading, once everything that can be checked without reading its rows is right."""
    import h5py

    path = checks.existing_file(path, "Shifts are written there by capture_shifts and by ShiftStore.save.")
    if not h5py.is_hdf5(path):
        raise ValueError(
            f"{path} is not an HDF5 file, or its head is damaged; a store of shifts is made by capture_shifts."
        )
    try:
        file = h5py.File(path, "r")
    except DAMAGE as error:
        raise damaged(path, error) from error
    try:
        about = _checked(path, file)
    except BaseException:
        file.close()
        raise
    return file, about


def _read_back(path: Path, digests: dict[str, str]) -> None:
    file, _ = open_file(path)
    with file:
        for name, digest in digests.items():
            if not file[name].is_virtual and digest_of(file[name]) != digest:
                raise damaged(path, f"/{name} is not what was written")


def damaged(path: str | Path, why: object) -> ValueError:
    """Give the error for a file that is not what was written."""
    why = " ".join(str(why).split())
    return ValueError(
        f"{path} is truncated or damaged ({why}); copy it again from where it is whole, or capture it again."
    )


def _checked(path: Path, file: Any) -> About:
    try:
        names, attributes = set(file), dict(file.attrs)
    except DAMAGE as error:
        raise damaged(path, error) from error
    if "schema" not in attributes:
        if names & {"cfc_train", "cfc_test"}:
            raise ValueError(f"{path} is a file of the reference code; read it with read_reference.")
        raise ValueError(f"{path} is an HDF5 file but no store of shifts: it holds {sorted(names) or 'nothing'}.")
    if attributes["schema"] != SCHEMA:
        raise ValueError(
            f"{path} has schema {attributes['schema']}, and this version of ssae-lens reads {SCHEMA}; upgrade ssae-lens."
        )
    if not attributes.get("complete"):
        raise ValueError(f"{path} was never finished; run the capture that made it again.")
    try:
        about = About.from_json(attributes)
        shapes = {name: file[name].shape for name in names}
    except DAMAGE as error:
        raise damaged(path, error) from error
    _require_shapes(path, shapes, len(about.concepts))
    for shard, fingerprint in about.shards.items():
        _check_shard(path, path.parent / shard, fingerprint)
    return about


def _require_shapes(path: Path, shapes: dict[str, tuple[int, ...]], n_concepts: int) -> None:
    source = shapes.get("source", ())
    if len(source) != 2:
        raise damaged(path, f"/source has shape {source or None} where (n, d) is due")
    n_rows, d_model = source
    wanted = {"source": (n_rows, d_model), "target": (n_rows, d_model), "row_id": (n_rows,)}
    if "labels" in shapes:
        wanted["labels"] = (n_rows, n_concepts)
    wanted |= {end: (n_rows,) for name, end in TEXTS.items() if name in shapes}
    for name, shape in wanted.items():
        if shapes.get(name) != shape:
            raise damaged(path, f"/{name} has shape {shapes.get(name)} where {shape} is due")


def _check_shard(path: Path, shard: Path, fingerprint: str) -> None:
    """HDF5 reads rows of a shard that is gone as fill values without a word, so each is opened here."""
    try:
        file, about = open_file(shard)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is merged from {shard}, which is gone; move them together.") from error
    file.close()
    if about.fingerprint != fingerprint:
        raise ValueError(f"{path} is merged from {shard}, which has changed since; merge again.")


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
