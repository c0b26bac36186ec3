"""Readers of HDF5: stores of shifts, merged ones, and the reference code's files."""

import io
import json
from contextlib import suppress

import numpy as np

from ssae_lens.base.reading import MALFORMED

from .engine import Target
from .mutate import INTERESTING, mutated_bytes, mutated_json

N, D = 6, 4
ATTRIBUTES = ("origin", "concepts", "pairs", "digests", "versions", "shards", "schema", "complete")


def _arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, N, D)).astype(np.float32)


def _store(folder, name="shifts.h5", rows=slice(0, N)):
    from ssae_lens.base.provenance import Origin
    from ssae_lens.shifts import ShiftStore

    source, target = _arrays()[:, rows]
    n = len(source)
    ShiftStore.from_arrays(
        source,
        target,
        origin=Origin("blocks.1.hook_resid_post", D, "m", processing={"fold_ln": True}),
        labels=np.ones((n, 2), int),
        concepts=["tense", "größe"],
        texts=(["he is"] * n, ["he was é"] * n),
        row_ids=np.arange(N)[rows],
        path=folder / name,
    ).close()


def _merged(folder):
    from ssae_lens.shifts import merge

    _store(folder, "0.h5", slice(0, 2))
    _store(folder, "1.h5", slice(2, N))
    merge([folder / "0.h5", folder / "1.h5"], folder / "all.h5").close()


def _reference(folder):
    from ssae_lens.shifts import ShiftStore, write_reference

    source, target = _arrays()
    store = ShiftStore.from_arrays(source, target, labels=np.ones((N, 2), int), concepts=["a", "b"])
    write_reference(folder / "reference.h5", store, store.subset([0, 1]))


def _read(name):
    def read(folder):
        from ssae_lens.shifts import open_shifts

        with open_shifts(folder / name) as store:
            _ = store.source, store.target, store.shifts, store.labels, store.row_ids, store.texts
            _ = store.fingerprint, store.origin.to_dict(), store.concepts, store.pairs, store.versions

    return read


def hdf5_of(*names):
    """Return a mutation of an HDF5 file: of an attribute, a data set or a link by HDF5 itself, or of its bytes."""

    def mutate(rng, files):
        name = rng.choice(names)
        data = files[name]
        if rng.random() < 0.5:
            # Most of the bytes that matter come first.
            head = len(data) if rng.random() < 0.5 else min(len(data), 1500)
            return {**files, name: mutated_bytes(rng, data[:head]) + data[head:]}
        return {**files, name: _edited(rng, data)}

    return mutate


def _edited(rng, data):
    import h5py

    made = io.BytesIO(data)
    with h5py.File(made, "r+", libver=rng.choice(("earliest", ("v110", "v110"), "latest"))) as file:
        for _ in range(rng.choice((1, 1, 2))):
            with suppress(*MALFORMED, OSError, RuntimeError):  # HDF5 does not make such a thing
                _edit(rng, file)
    return made.getvalue()


def _edit(rng, file):
    names = list(file)
    if rng.random() < 0.35:
        _edit_attribute(rng, file)
    elif names:
        name = rng.choice(names)
        kind = rng.randrange(8)
        if kind == 0:
            del file[name]
        elif kind == 1:
            _link(rng, file, name)
        elif kind == 2:
            file.move(name, rng.choice((name + "x", *names)))
        else:
            _remake(rng, file, name)


def _edit_attribute(rng, file):
    name = rng.choice(ATTRIBUTES)
    value = file.attrs.get(name)
    if name in file.attrs:
        del file.attrs[name]
    kind = rng.randrange(6)
    if kind == 0:
        return
    if kind <= 3 and isinstance(value, bytes):
        text = mutated_json(rng, json.loads(value)).encode("utf-8", "surrogatepass")
        file.attrs[name] = np.bytes_(mutated_bytes(rng, text) if rng.random() < 0.2 else text)
    else:
        odd = ("of variable length", np.bytes_(b"{}"), 1, -1, 0.5, [1, 2], np.zeros((2, 2)), True, 1 << 40, ["a", "b"])
        file.attrs[name] = rng.choice(odd)


def _link(rng, file, name):
    import h5py

    del file[name]
    links = (
        h5py.SoftLink("/" + rng.choice(("source", "target", name, "nowhere"))),
        h5py.ExternalLink(rng.choice(("0.h5", "/etc/hostname", "all.h5", "shifts.h5")), "source"),
    )
    if rng.random() < 0.4:
        file.create_group(name)
    elif rng.random() < 0.2:
        file[name] = np.dtype("f4")
    else:
        file[name] = rng.choice(links)


def _remake(rng, file, name):
    import h5py

    found = file[name]
    shape, dtype = found.shape, found.dtype
    values = found[()] if dtype.kind != "O" and not found.is_virtual and found.size < 10_000 else None
    del file[name]
    kind = rng.randrange(8)
    types = (
        "f4",
        "f2",
        "f8",
        "i8",
        "i1",
        "u1",
        "u8",
        "S3",
        "c8",
        bool,
        h5py.string_dtype(),
        h5py.vlen_dtype("i4"),
        ">f4",
    )
    other = np.dtype(rng.choice(types))
    if kind == 0:
        big = tuple(rng.choice((*INTERESTING[:18], 6)) for _ in range(rng.choice((len(shape), 1, 2, 3))))
        file.create_dataset(name, big, dtype, chunks=rng.choice((None, tuple(min(max(each, 1), 64) for each in big))))
    elif kind == 1:
        file.create_dataset(
            name, shape, dtype, external=[(rng.choice(("/etc/hostname", "0.h5")), 0, h5py.h5f.UNLIMITED)]
        )
    elif kind == 2:
        virtual = h5py.VirtualLayout(rng.choice((shape, (1 << 40, D), (3, D))), dtype)
        source = h5py.VirtualSource(rng.choice(("0.h5", "1.h5", "shifts.h5", "%b.h5", ".")), name, (2, D))
        virtual[:2] = source
        file.create_virtual_dataset(name, virtual)
    elif kind == 3:
        file.create_dataset(name, shape, other)
    elif kind == 4 and values is not None and dtype.kind in "fiu":
        file.create_dataset(name, data=np.full_like(values, rng.choice((0, 1, -1, 7, 100))))
    elif kind == 5 and values is not None:
        how = rng.choice(({"compression": "gzip"}, {"compression": "lzf"}, {"fletcher32": True}, {"scaleoffset": 0}))
        file.create_dataset(name, data=values, chunks=True, **how)
    elif kind == 6 and values is not None and values.ndim:
        file.create_dataset(
            name, data=rng.choice((values[:-1], values[:0], values[..., None], np.concatenate([values] * 2)))
        )
    else:
        file.create_dataset(
            name, data=[rng.choice(("{}", '{"a": 1}', "", "[" * 3000, "é"))] * N, dtype=h5py.string_dtype()
        )


def targets():
    """Return the readers of HDF5."""
    return [
        Target("store", "a store of shifts, HDF5", _store, hdf5_of("shifts.h5"), _read("shifts.h5")),
        Target(
            "merged store",
            "a merged store and its shards, HDF5",
            _merged,
            hdf5_of("all.h5", "all.h5", "0.h5"),
            _read("all.h5"),
            weight=0.7,
        ),
        Target(
            "reference file", "HDF5 of the reference code", _reference, hdf5_of("reference.h5"), _read("reference.h5")
        ),
    ]
