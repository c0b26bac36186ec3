"""HDF5 files that mean harm, or are damaged where HDF5 does not look: refused before HDF5 reads what they declare."""

import json
import struct

import h5py
import numpy as np
import pytest

from ssae_lens.shifts import ShiftStore, merge, open_shifts, read_reference, write_reference
from ssae_lens.shifts.raw import DamagedHeaderError, RawFile, heap_objects, layout_of

N, D = 150, 16


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shifts.h5"


@pytest.fixture
def store(sides, known, path):
    ShiftStore.from_arrays(*sides, **known, path=path).close()
    return path


@pytest.fixture
def merged(sides, tmp_path):
    for number, rows in enumerate((slice(0, 80), slice(80, N))):
        ShiftStore.from_arrays(
            sides[0, rows], sides[1, rows], row_ids=np.arange(N)[rows], path=tmp_path / f"{number}.h5"
        ).close()
    merge([tmp_path / "0.h5", tmp_path / "1.h5"], tmp_path / "all.h5").close()
    return tmp_path / "all.h5"


def everything(path):
    with ShiftStore.open(path) as store:
        return store.source, store.target, store.labels, store.row_ids, store.texts


def refused(path, match, read=everything):
    with pytest.raises(ValueError, match=match) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def replaced(file, name, **how):
    del file[name]
    return file.create_dataset(name, **how)


class TestAttributes:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("origin", 3),
            ("origin", np.bytes_(b"[1]")),
            ("origin", np.bytes_(b'{"hook_name": "h"}')),
            ("origin", np.bytes_(b'{"hook_name": ["h"], "d_model": 16}')),
            ("origin", np.bytes_(b'{"hook_name": "h", "d_model": "16"}')),
            ("origin", np.bytes_(b'{"hook_name": "h", "d_model": 17}')),
            ("origin", np.bytes_(b'{"hook_name": "h", "d_model": 16, "processing": []}')),
            ("origin", np.bytes_(b"[" * 5000)),
            ("origin", np.bytes_(b"\xff")),
            ("origin", "of variable length"),
            ("concepts", np.bytes_(b'"abc"')),
            ("concepts", np.bytes_(b"[1, 2, 3]")),
            ("concepts", np.bytes_(b"[]")),
            ("pairs", np.bytes_(b"[]")),
            ("digests", np.bytes_(b"[]")),
            ("digests", np.bytes_(b'{"source": 1}')),
            ("versions", np.bytes_(b"3")),
            ("shards", np.bytes_(b"[]")),
            ("shards", np.bytes_(b'["a.h5"]')),
            ("shards", np.bytes_(b'{"a.h5": 1}')),
            ("schema", np.bytes_(b"one")),
            ("schema", 0.5),
            ("schema", [1, 1]),
            ("complete", np.zeros((2, 2))),
        ],
    )
    def test_of_another_type_or_shape(self, store, name, value):
        with h5py.File(store, "r+") as file:
            del file.attrs[name]
            file.attrs[name] = value
        refused(store, "damaged|copy it again|upgrade|nested deeper")

    def test_others_are_not_read(self, store):
        """One of variable length could hang HDF5."""
        with h5py.File(store, "r+") as file:
            file.attrs["note"] = "of variable length"
        everything(store)


class TestDataSets:
    def test_a_group_is_none(self, store):
        with h5py.File(store, "r+") as file:
            del file["source"]
            file.create_group("source")
        refused(store, "is no data set")

    def test_a_link_is_not_followed(self, store, tmp_path):
        other = tmp_path / "other.h5"
        with h5py.File(other, "w") as file:
            file["source"] = np.zeros((N, D), np.float32)
        for link in (h5py.ExternalLink(other, "source"), h5py.SoftLink("/target"), h5py.SoftLink("/nowhere")):
            with h5py.File(store, "r+") as file:
                del file["source"]
                file["source"] = link
            refused(store, "/source is a link, which is not followed")

    def test_external_storage_is_not_read(self, store, tmp_path):
        secret = tmp_path / "secret"
        secret.write_bytes(bytes(N * D * 4))
        with h5py.File(store, "r+") as file:
            replaced(file, "source", shape=(N, D), dtype="f4", external=[(secret, 0, N * D * 4)])
        refused(store, "/source lies in another file")

    def test_a_virtual_data_set_of_a_store_that_is_not_merged(self, store, tmp_path):
        other = tmp_path / "other.h5"
        with h5py.File(other, "w") as file:
            file["source"] = np.zeros((N, D), np.float32)
        virtual = h5py.VirtualLayout((N, D), np.float32)
        virtual[:] = h5py.VirtualSource(other, "source", (N, D))
        with h5py.File(store, "r+", libver=("v110", "v110")) as file:
            del file["source"]
            file.create_virtual_dataset("source", virtual)
        refused(store, "/source takes its rows from other files")

    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("source_text", {"shape": (1 << 48,), "dtype": "u1", "chunks": (1 << 20,)}),
            ("source_text", {"shape": (1 << 48,), "dtype": "u1"}),
            ("source", {"shape": (N, D), "dtype": "f4", "chunks": (64, D)}),
            ("source", {"shape": (N, D), "dtype": "f4"}),
            ("row_id", {"shape": (N,), "dtype": "i8", "chunks": (1 << 24,), "maxshape": (None,)}),
        ],
    )
    def test_numbers_that_are_declared_and_not_stored(self, store, name, how):
        with h5py.File(store, "r+") as file:
            replaced(file, name, **how)
        refused(store, rf"/{name} declares \d+ bytes and stores")

    def test_a_compressed_bomb(self, store):
        with h5py.File(store, "r+") as file:
            zeros = replaced(file, "source_text", shape=(1 << 27,), dtype="u1", chunks=(1 << 27,), compression="gzip")
            zeros[-1:] = 0
        assert store.stat().st_size < 1_000_000
        refused(store, "/source_text declares 134217728 bytes and stores")

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("source", np.zeros((N, D), np.float64)),
            ("source", np.zeros((N, D), np.int32)),
            ("target", np.zeros((N, D), np.float16)),
            ("source", np.zeros((N, D), "S4")),
            ("source", np.zeros((N, D), np.complex64)),
            ("row_id", np.zeros(N, np.float64)),
            ("labels", np.zeros((N, 3), np.float32)),
            ("source_end", np.zeros(N, np.uint64)),
            ("source_text", np.zeros(9, np.int64)),
        ],
    )
    def test_numbers_of_another_type(self, store, name, data):
        with h5py.File(store, "r+") as file:
            replaced(file, name, data=data)
        refused(store, rf"/{'target' if name == 'source' and data.dtype == np.float64 else ''}\w* holds|holds")

    def test_texts_of_variable_length(self, store):
        with h5py.File(store, "r+") as file:
            replaced(file, "source_text", data=["a"] * 9, dtype=h5py.string_dtype())
        refused(store, "/source_text holds object")

    def test_an_unknown_filter(self, store):
        with h5py.File(store, "r+") as file:
            replaced(file, "row_id", data=np.arange(N), chunks=(N,), compression="lzf")
        refused(store, "/row_id is packed by the unknown filter 32000")

    @pytest.mark.parametrize(
        "ends", [np.full(N, -1), np.full(N, 1 << 60), np.arange(N)[::-1], np.arange(N), np.zeros(N), np.full(N, 7)]
    )
    def test_texts_that_end_elsewhere(self, store, ends):
        with h5py.File(store, "r+") as file:
            replaced(file, "source_end", data=ends.astype(np.int64))
        refused(store, "ends of texts")

    def test_texts_that_are_no_characters(self, store):
        with h5py.File(store, "r+") as file:
            size = len(file["source_text"])
            replaced(file, "source_text", data=np.full(size, 255, np.uint8))
        refused(store, "damaged .*can't decode")

    def test_one_half_of_texts(self, store):
        with h5py.File(store, "r+") as file:
            del file["source_end"]
        refused(store, "/source_end has shape None")

    def test_labels_that_are_no_changes(self, store):
        with h5py.File(store, "r+") as file:
            replaced(file, "labels", data=np.full((N, 3), 5, np.int8))
        refused(store, "/labels holds values other")

    def test_what_else_a_file_holds_is_left_alone(self, store, tmp_path):
        """A link among it is not followed either when the store is saved."""
        with h5py.File(store, "r+") as file:
            file["other"] = h5py.ExternalLink("/etc/passwd", "x")
            file.create_group("group")
        before = everything(store)
        with ShiftStore.open(store) as opened, opened.save(tmp_path / "again.h5") as again:
            np.testing.assert_array_equal(again.source, before[0])


class TestMerged:
    def test_it_is_read(self, merged, sides):
        source, target, *_ = everything(merged)
        np.testing.assert_array_equal(source, sides[0])
        np.testing.assert_array_equal(target, sides[1])

    def rewired(self, merged, shape, sources, name="source"):
        with h5py.File(merged, "r+", libver=("v110", "v110")) as file:
            del file[name]
            virtual = h5py.VirtualLayout(shape, np.float32)
            for rows, source in sources:
                virtual[rows] = source
            file.create_virtual_dataset(name, virtual)

    def test_rows_of_a_file_that_it_does_not_name(self, merged, tmp_path):
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["source"] = np.zeros((N, D), np.float32)
        self.rewired(merged, (N, D), [(slice(0, N), h5py.VirtualSource("other.h5", "source", (N, D)))])
        refused(merged, "/source takes rows from /source of 'other.h5', which the store does not name")

    def test_another_data_set_of_a_file_that_it_names(self, merged):
        self.rewired(merged, (N, D), [(slice(0, 80), h5py.VirtualSource("0.h5", "target", (80, D)))])
        refused(merged, "/source takes rows from /target of '0.h5'")

    def test_rows_that_nothing_holds(self, merged):
        for shape, said in (
            ((1 << 40, D), "/row_id has shape"),
            ((N, 1 << 40), "/source has shape"),
            ((N - 1, D), "/source has 149 rows, and the files that it is merged from 150"),
        ):
            for name in ("source", "target"):
                rows = h5py.VirtualSource("0.h5", name, (80, D))[:2]
                self.rewired(merged, shape, [((slice(0, 2), slice(0, D)), rows)], name)
            with h5py.File(merged, "r+") as file:
                replaced(file, "row_id", data=np.arange(min(shape[0], N)))
            refused(merged, said)

    def attribute(self, merged, name, value):
        with h5py.File(merged, "r+") as file:
            del file.attrs[name]
            file.attrs[name] = np.bytes_(json.dumps(value).encode())

    def test_it_is_merged_from_itself(self, merged):
        with h5py.File(merged) as file:
            shards = json.loads(file.attrs["shards"])
        self.attribute(merged, "shards", {**shards, "all.h5": "x"})
        refused(merged, "it is merged from itself")

    def test_a_merged_store_of_merged_stores(self, merged, tmp_path, sides):
        merge([merged], tmp_path / "twice.h5").close()
        np.testing.assert_array_equal(everything(tmp_path / "twice.h5")[0], sides[0])
        last = tmp_path / "twice.h5"
        for number in range(10):
            try:
                merge([last], tmp_path / f"m{number}.h5").close()
            except ValueError as error:
                assert "merged of merged stores" in str(error)  # noqa: PT017
                return
            last = tmp_path / f"m{number}.h5"
        pytest.fail("there is no end to it")

    def test_a_heap_that_hdf5_would_never_leave(self, merged):
        """HDF5 reads a virtual data set's heap when it is opened, and has no end where a size in it is 0."""
        whole = merged.read_bytes()
        heap = whole.index(b"GCOL")
        free = heap + 16
        while struct.unpack_from("<H", whole, free)[0]:
            free += 16 + -(-struct.unpack_from("<Q", whole, free + 8)[0] // 8) * 8
        for at in (heap + 24, free + 8):
            for size in (0, 1, 15, (1 << 64) - 16, (1 << 64) - 8, 1 << 40):
                data = bytearray(whole)
                struct.pack_into("<Q", data, at, size)
                merged.write_bytes(data)
                refused(merged, "damaged")


class TestReference:
    @pytest.fixture
    def reference(self, sides, known, tmp_path):
        path = tmp_path / "reference.h5"
        write_reference(path, ShiftStore.from_arrays(*sides, **known))
        return path

    def read(self, path):
        with read_reference(path) as store:
            return store.source, store.target, store.labels

    def test_labels_are_read_as_hdf5_reads_them(self, reference, known):
        with h5py.File(reference) as file:
            rows = [json.loads(text) for text in file["cfc_train_labels"].asstr()[:]]
        assert [list(row.values()) for row in rows] == self.read(reference)[2].tolist()
        assert self.read(reference)[2].tolist() == known["labels"].tolist()

    @pytest.mark.parametrize("how", [{"dtype": "S40"}, {"dtype": h5py.string_dtype(), "chunks": (7,)}])
    def test_labels_of_fixed_length_and_in_chunks(self, reference, how):
        before = self.read(reference)[2]
        with h5py.File(reference, "r+") as file:
            texts = file["cfc_train_labels"].asstr()[:]
            texts = [json.dumps(dict(zip("abc", json.loads(text).values(), strict=True))).encode() for text in texts]
            replaced(file, "cfc_train_labels", data=np.array(texts) if how["dtype"] == "S40" else texts, **how)
        np.testing.assert_array_equal(self.read(reference)[2], before)

    def test_compressed_texts_are_refused(self, reference):
        with h5py.File(reference, "r+") as file:
            replaced(
                file, "cfc_train_labels", data=["{}"] * N, dtype=h5py.string_dtype(), chunks=(N,), compression="gzip"
            )
        refused(reference, "texts are compressed; save them without", self.read)

    @pytest.mark.parametrize(
        "label", ["[1]", "3", '{"a": 2}', '{"a": 0.5}', '{"a": "x"}', "[" * 5000, '{"a": NaN}', ""]
    )
    def test_labels_that_are_no_changes(self, reference, label):
        with h5py.File(reference, "r+") as file:
            replaced(file, "cfc_train_labels", data=[label] * N, dtype=h5py.string_dtype())
        refused(reference, "cfc_train_labels", self.read)

    def test_a_heap_that_hdf5_would_never_leave(self, reference):
        """Every size and number in the heap, and every reference into it, one wrong byte at a time."""
        whole = reference.read_bytes()
        heap = whole.index(b"GCOL")
        with h5py.File(reference) as file:
            begin = file["cfc_train_labels"].id.get_offset()
        changes = [heap + at for at in range(40)] + [begin + at for at in range(32)]
        for at in changes:
            for value in (0, 0x10, 0x80, 0xFF):
                data = bytearray(whole)
                data[at] = value
                reference.write_bytes(data)
                try:
                    self.read(reference)
                except ValueError as error:
                    assert str(reference) in str(error)  # noqa: PT017

    def test_one_string_for_all(self, reference):
        """It would stand for more characters than the file has."""
        texts = [json.dumps({"a" * 1_000_000: 1})] + ["{}"] * (N - 1)
        with h5py.File(reference, "r+") as file:
            replaced(file, "cfc_train_labels", data=texts, dtype=h5py.string_dtype())
            begin = file["cfc_train_labels"].id.get_offset()
        data = bytearray(reference.read_bytes())
        data[begin : begin + 16 * N] = data[begin : begin + 16] * N
        reference.write_bytes(data)
        refused(reference, "a string refers to object", self.read)

    def test_links_and_other_files(self, reference, tmp_path):
        secret = tmp_path / "secret"
        secret.write_bytes(bytes(N * 2 * D * 4))
        for change in (
            lambda file: file.__setitem__("cfc_train", h5py.ExternalLink(reference, "cfc_test")),
            lambda file: file.__setitem__("cfc_train", h5py.SoftLink("/cfc_test")),
            lambda file: file.create_dataset(
                "cfc_train", shape=(N, 2, D), dtype="f4", external=[(secret, 0, N * 2 * D * 4)]
            ),
            lambda file: file.create_dataset("cfc_train", shape=(1 << 40, 2, D), dtype="f4", chunks=(1, 2, D)),
            lambda file: file.create_group("cfc_train"),
        ):
            with h5py.File(reference, "r+") as file:
                del file["cfc_train"]
                change(file)
            refused(reference, "is a link|another file|declares|no data set", self.read)
            refused(reference, "is a link|another file|declares|no data set", open_shifts)

    @pytest.mark.parametrize("compression", [None, "gzip"])
    def test_compressed_activations_are_read(self, path, sides, compression):
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "cfc_train", data=sides.transpose(1, 0, 2), chunks=(10, 2, D), compression=compression, shuffle=True
            )
        np.testing.assert_array_equal(self.read(path)[0], sides[0])


class TestRaw:
    @pytest.mark.parametrize("libver", ["earliest", "v108", "v110", "latest"])
    @pytest.mark.parametrize("how", [{}, {"chunks": (2,)}, {"chunks": (2,), "compression": "gzip"}])
    def test_the_layout_is_found_in_every_version(self, path, libver, how):
        with h5py.File(path, "w", libver=libver) as file:
            made = file.create_dataset("a", data=np.arange(9.0), **how)
            for number in range(20):  # so many that the header goes on elsewhere
                made.attrs[f"attribute {number}"] = "x" * 100
        with h5py.File(path) as file, RawFile(path) as raw:
            found = layout_of(raw, file.id.links.get_info(b"a").u)
        assert (found.external, found.virtual, found.heap) == (False, False, None)

    def test_external_and_virtual_ones_are_told(self, path, tmp_path):
        with h5py.File(path, "w", libver="v110") as file:
            file.create_dataset("a", shape=(4,), dtype="f4", external=[(tmp_path / "x", 0, 16)])
            virtual = h5py.VirtualLayout((4,), np.float32)
            virtual[:] = h5py.VirtualSource("other.h5", "b", (4,))
            file.create_virtual_dataset("b", virtual)
        with h5py.File(path) as file, RawFile(path) as raw:
            external, virtual = (layout_of(raw, file.id.links.get_info(name).u) for name in (b"a", b"b"))
            assert (external.external, virtual.external, virtual.virtual) == (True, False, True)
            assert len(heap_objects(raw, virtual.heap)) == 1

    def test_a_header_that_goes_on_for_ever(self, path):
        """Its continuation is itself."""
        message = struct.pack("<HHB3xQQ", 0x10, 16, 0, 16, 24)
        path.write_bytes(struct.pack("<BxHII4x", 1, 1, 1, 24) + message)
        with RawFile(path) as raw, pytest.raises(DamagedHeaderError, match="has no end"):
            layout_of(raw, 0)

    def test_places_outside_of_the_file(self, path):
        path.write_bytes(b"\x01" + bytes(200))
        with RawFile(path) as raw:
            for at in (-1, 300, 1 << 63):
                with pytest.raises(DamagedHeaderError):
                    layout_of(raw, at)
                with pytest.raises(DamagedHeaderError):
                    heap_objects(raw, at)
