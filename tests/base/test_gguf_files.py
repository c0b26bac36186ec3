"""GGUF files that others wrote: read as llama.cpp's own reader does, or refused before they cost memory or time."""

import struct

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter

from ssae_lens.base.control_vectors import read
from ssae_lens.base.gguf_files import read_gguf


@pytest.fixture
def path(tmp_path):
    return tmp_path / "v.gguf"


def write(path, tensors=None, architecture="controlvector", **fields):
    writer = GGUFWriter(path, architecture)
    writer.add_string("controlvector.model_hint", "llama")
    for name, value in fields.items():
        getattr(writer, f"add_{name}")(f"a.{name}", value)
    for name, numbers in (tensors or {"direction.1": [1.0, 2.0], "direction.3": [3.0, 4.0]}).items():
        writer.add_tensor(name, np.array(numbers, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def text(value):
    return struct.pack("<Q", len(value)) + value


def built(fields=b"", tensors=b"", n_fields=0, n_tensors=0, version=3):
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_fields) + fields + tensors


def refused(path, data, match="not a whole GGUF file"):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=match) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_it_reads_what_the_reader_of_llama_cpp_reads(path):
    write(
        path,
        {"direction.1": np.random.default_rng(0).normal(size=7), "other": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]},
        uint8=1,
        int64=-5,
        float64=0.5,
        bool=True,
        array=["a", "bc"],
        string="é",
        uint32=7,
    )
    found, theirs = read_gguf(path), GGUFReader(path)
    assert found.texts["a.string"] == "é"
    assert found.texts["general.architecture"] == "controlvector"
    assert [each.name for each in found.tensors] == [each.name for each in theirs.tensors]
    for mine, other in zip(found.tensors, theirs.tensors, strict=True):
        np.testing.assert_array_equal(mine.values, other.data)


def test_arrays_and_other_types_are_passed_over(path):
    writer = GGUFWriter(path, "controlvector")
    writer.add_array("numbers", [1, 2, 3])
    writer.add_array("nested", [[1, 2], [3]])
    writer.add_tensor("half", np.zeros(4, np.float16), raw_dtype=GGMLQuantizationType.F16)
    writer.add_tensor("direction.1", np.ones(3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    half, direction = read_gguf(path).tensors
    assert half.values is None
    assert direction.values.tolist() == [1, 1, 1]


def test_a_truncated_file_at_every_byte(path):
    whole = write(path)
    for keep in range(len(whole) - 24):  # what fills up the last tensor is not needed
        refused(path, whole[:keep])


def test_every_single_byte_changed(path):
    """Whatever comes of it is a vector or a ValueError."""
    whole = bytearray(write(path))
    for at in range(len(whole)):
        for value in (0, 0x80, 0xFF):
            before, whole[at] = whole[at], value
            path.write_bytes(whole)
            try:
                read(path)
            except ValueError as error:
                assert str(path) in str(error)  # noqa: PT017
            whole[at] = before


HUGE = 1 << 60


@pytest.mark.parametrize(
    "data",
    [
        built(n_fields=HUGE),
        built(n_tensors=HUGE),
        built(text(b"a") + struct.pack("<IIQ", 9, 0, HUGE), n_fields=1),
        built(text(b"a") + struct.pack("<IIQ", 9, 8, HUGE), n_fields=1),
        built(text(b"a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 3000, n_fields=1),
        built(struct.pack("<Q", HUGE), n_fields=1),
        built(text(b"\xff\xfe") + struct.pack("<IB", 0, 0), n_fields=1),
        built(text(b"a") + struct.pack("<I", 8) + text(b"\xff"), n_fields=1),
        built(text(b"a") + struct.pack("<IB", 99, 0), n_fields=1),
        built((text(b"a") + struct.pack("<IB", 0, 0)) * 2, n_fields=2),
        built(text(b"general.alignment") + struct.pack("<II", 4, 0), n_fields=1),
        built(text(b"general.alignment") + struct.pack("<II", 4, 3), n_fields=1),
        built(tensors=text(b"direction.1") + struct.pack("<IQIQ", 1, HUGE, 0, 0), n_tensors=1),
        built(tensors=text(b"direction.1") + struct.pack("<IQQIQ", 2, 1 << 40, 1 << 40, 0, 0), n_tensors=1),
        built(tensors=text(b"direction.1") + struct.pack("<IQIQ", 1, 1, 0, HUGE), n_tensors=1),
        built(tensors=text(b"direction.1") + struct.pack("<I", 1 << 31), n_tensors=1),
        built(version=0x03000000),
        built(version=1),
        b"",
        b"GGUF",
    ],
    ids=range(20),
)
def test_counts_and_sizes_that_are_not_there(path, data):
    refused(path, data)


def test_tensors_that_overlap_do_not_multiply(path):
    """A file of a few hundred kilobytes would otherwise stand for gigabytes."""
    n, size = 5000, 50_000
    infos = b"".join(text(b"direction.%d" % i) + struct.pack("<IQIQ", 1, size, 0, 0) for i in range(1, n + 1))
    head = built(text(b"general.architecture") + struct.pack("<I", 8) + text(b"controlvector"), infos, 1, n)
    refused(path, head + bytes(4 * size + 64), "it ends within the tensor")


@pytest.mark.parametrize("name", ["direction.01", "direction.١", "direction.1 ", "direction.9999999999", "direction."])
def test_numbers_that_are_written_otherwise(path, name):
    write(path, {name: [1.0]})
    with pytest.raises(ValueError, match=r"a control vector's are 'direction\.1' and up"):
        read(path)


def test_a_direction_without_numbers(path):
    write(path, {"direction.1": np.zeros(0)})
    with pytest.raises(ValueError, match=r"'direction.1' as F32 of shape \(0,\); a row of F32 is expected"):
        read(path)
