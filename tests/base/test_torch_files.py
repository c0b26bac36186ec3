"""Files of torch.save and numpy.savez that others wrote: nothing runs, and what they declare is checked."""

import io
import pathlib
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from ssae_lens.base.torch_files import read_arrays, read_tensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def refused(read, path, match):
    with pytest.raises(ValueError, match=match) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 500


def rewritten(path, change, compression=zipfile.ZIP_STORED):
    """Write a zip archive anew, each member as `change` gives it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))


class TestTensors:
    def test_a_state_dict_is_read_as_torch_reads_it(self, path):
        state = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).state_dict()
        state["half"], state["sixteen"] = torch.ones(2, dtype=torch.float16), torch.ones(2, dtype=torch.bfloat16)
        torch.save(state, path)
        found = read_tensors(path)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], state[name]) and found[name].dtype == state[name].dtype for name in state)

    def test_views_transposes_parameters_and_one_storage_for_two(self, path):
        matrix = torch.randn(4, 6)
        state = {"a": matrix.T, "b": matrix[1:3], "c": torch.nn.Parameter(torch.randn(3)), "d": matrix}
        torch.save(OrderedDict(state), path)
        found = read_tensors(path)
        assert all(torch.equal(found[name], state[name]) for name in state)

    @pytest.mark.parametrize(
        ("make", "match"),
        [
            (
                lambda: torch.zeros(1).expand(1_600_000_000),
                r"shape \(1600000000,\), which declares more numbers than are stored",
            ),
            (lambda: torch.zeros(1, 1).expand(40_000, 40_000), "more numbers than are stored"),
            (lambda: torch.zeros(1000).as_strided((900, 100), (1, 1)), "more numbers than are stored"),
            (lambda: torch.eye(3).to_sparse(), "nothing in it was run"),
            (lambda: torch.eye(3).to_sparse_csr(), "nothing in it was run"),
            (lambda: torch.empty(3, device="meta"), "nothing in it was run"),
            (lambda: torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8), "nothing in it was run"),
            (lambda: torch.zeros(3, dtype=torch.complex64), "nothing in it was run"),
            (lambda: torch.zeros(3, dtype=torch.float8_e4m3fn), "nothing in it was run"),
        ],
        ids=["expanded", "expanded twice", "overlapping", "sparse", "csr", "meta", "quantised", "complex", "float8"],
    )
    @pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's own, of kinds of tensors that are new or old
    def test_tensors_that_are_not_plain(self, path, make, match):
        torch.save({"a": make()}, path)
        assert path.stat().st_size < 20_000
        refused(read_tensors, path, match)

    def test_many_names_of_one_storage(self, path):
        one = torch.zeros(10_000)
        torch.save({f"{i}": one for i in range(100)}, path)
        refused(read_tensors, path, "more numbers than are stored")

    def test_compressed_members(self, path):
        torch.save({"a": torch.zeros(1_000_000)}, path)
        rewritten(path, lambda _, data: data, zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 10_000
        refused(read_tensors, path, "declares 4000000 bytes and stores")
        torch.save({"a": torch.randn(10)}, path)
        rewritten(path, lambda _, data: data, zipfile.ZIP_DEFLATED)
        refused(read_tensors, path, "is compressed")

    def test_a_storage_larger_than_its_record(self, path):
        torch.save({"a": torch.zeros(4)}, path)
        grown = {"data.pkl": lambda data: data.replace(b"K\x04tq", b"J\x00\x00\x00\x10tq")}
        rewritten(path, lambda name, data: grown.get(name.rpartition("/")[2], bytes)(data))
        refused(read_tensors, path, "truncated|more numbers")

    @pytest.mark.parametrize(
        "pickled",
        [
            b"cbuiltins\nbytearray\n(J\x00\x00\x00\x7ftR.",
            b"ctorch\nTensor\n(J\x00\x00\x00\x7ftR.",
            b"cos\nsystem\n(Vtrue\ntR.",
            b"(i__main__\nX\n.",
            b"\x82\x01.",
            b"(" * 100,
            b"",
            b"}",
            b"\xff",
        ],
    )
    def test_other_pickles(self, path, pickled):
        torch.save({"a": torch.zeros(4)}, path)
        rewritten(path, lambda name, data: pickled if name.endswith("data.pkl") else data)
        refused(read_tensors, path, "nothing in it was run|truncated|no state dict")

    def test_a_huge_pickle(self, path):
        torch.save({"a": torch.zeros(4)}, path)
        rewritten(path, lambda name, data: b"N0" * (1 << 20) + data if name.endswith("data.pkl") else data)
        refused(read_tensors, path, "no state dict of usual size")

    def test_a_file_of_before_zip_archives(self, path):
        torch.save({"a": torch.zeros(4)}, path, _use_new_zipfile_serialization=False)
        refused(read_tensors, path, "no whole zip archive.*nothing in it was run. Copy or save it again")

    @pytest.mark.parametrize("held", [[1], {"a": 3}, {3: torch.zeros(1)}, torch.zeros(3), None])
    def test_no_state_dict(self, path, held):
        torch.save(held, path)
        refused(read_tensors, path, "holds no state dict")

    def test_nothing_runs(self, path, tmp_path):
        class Trap:
            def __reduce__(self):
                return pathlib.Path.touch, (tmp_path / "ran",)

        for protocol in (2, 4):
            torch.save({"a": Trap()}, path, pickle_protocol=protocol)
            refused(read_tensors, path, "nothing in it was run")
        assert not (tmp_path / "ran").exists()
        pickle.loads(pickle.dumps(Trap()))
        assert (tmp_path / "ran").exists()

    def test_truncated(self, path):
        torch.save({"a": torch.zeros(400)}, path)
        whole = path.read_bytes()
        for keep in range(0, len(whole), 97):
            path.write_bytes(whole[:keep])
            refused(read_tensors, path, "zip archive|truncated|members")


class TestArrays:
    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_arrays_are_read_as_numpy_reads_them(self, path, save):
        held = {
            "mean": np.arange(6.0).reshape(1, 6),
            "matrix": np.asfortranarray(np.random.default_rng(0).normal(size=(6, 5))),
            "epsilon": np.float64(1e-5),
            "half": np.ones(3, dtype=np.float16),
            "whole": np.arange(3),
        }
        with path.open("wb") as file:
            save(file, **held)
        found = read_arrays(path)
        assert found.keys() == held.keys()
        for name, value in held.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == np.asarray(value).dtype

    @pytest.mark.parametrize(
        "array",
        [
            np.array([object()], dtype=object),
            np.array(["a"]),
            np.array([1j]),
            np.zeros(2, dtype=[("a", "f4")]),
            np.array([True]),
        ],
        ids=["objects", "text", "complex", "records", "truth values"],
    )
    def test_other_arrays(self, path, array):
        with path.open("wb") as file:
            np.savez(file, a=array)
        refused(read_arrays, path, "no array of numbers")

    def test_a_compressed_bomb(self, path):
        with path.open("wb") as file:
            np.savez_compressed(file, a=np.zeros(4_000_000))
        assert path.stat().st_size < 100_000
        refused(read_arrays, path, "declares 32000128 bytes and stores")

    @pytest.mark.parametrize(
        "header",
        [
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000000000000), }",
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, -2), }",
            b"{'descr': '|O', 'fortran_order': False, 'shape': (4,), }",
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"(" * 500 + b", }",
            b"{'descr': '<f3', 'fortran_order': False, 'shape': (4,), }",
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"1," * 40 + b"4), }",
            b"-" * 5000 + b"1",
            b"",
        ],
    )
    def test_headers_that_say_too_much(self, path, header):
        member = io.BytesIO()
        np.save(member, np.zeros(4))
        data = member.getvalue()
        header += b" " * (117 - len(header)) + b"\n"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", data[:8] + len(header).to_bytes(2, "little") + header + data[128:])
        refused(read_arrays, path, "cannot be read as arrays|not arrays")
