"""A store gives back what it was made of, from memory and from a file, and a damaged file is an error."""

import ast
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ssae_lens import shifts
from ssae_lens.base.provenance import Origin
from ssae_lens.shifts import ShiftStore, layout
from ssae_lens.shifts.contents import Metadata
from ssae_lens.shifts.layout import BLOCK

N, D = 150, 16


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shifts.h5"


@pytest.fixture
def store(sides, known, path):
    with ShiftStore.from_arrays(*sides, **known, path=path) as store:
        yield store


def same(store, other):
    for name in ("source", "target", "shifts", "labels", "row_ids"):
        np.testing.assert_array_equal(getattr(store, name), getattr(other, name), err_msg=name)
    for name in ("texts", "concepts", "origin", "pairs", "fingerprint"):
        assert getattr(store, name) == getattr(other, name), name


def test_round_trip(store, sides, known):
    source, target = sides
    assert store.source.tobytes() == source.tobytes()
    assert store.target.tobytes() == target.tobytes()
    np.testing.assert_array_equal(store.shifts, target - source)
    np.testing.assert_array_equal(store.labels, known["labels"])
    assert store.labels.dtype == np.int8
    np.testing.assert_array_equal(store.row_ids, known["row_ids"])
    assert store.texts == known["texts"]
    assert (store.concepts, store.origin, store.pairs) == (known["concepts"], known["origin"], known["pairs"])
    assert (len(store), store.d_model, store.dtype) == (N, D, np.float32)
    assert "torch" in store.versions


def test_memory_and_file_are_the_same(store, sides, known):
    same(store, ShiftStore.from_arrays(*sides, **known))


def test_saved_again(store, tmp_path):
    with store.save(tmp_path / "again.h5") as again:
        same(store, again)


def test_tensors_of_any_type_are_taken(sides, path):
    source, target = map(torch.from_numpy, sides)
    with ShiftStore.from_arrays(source.bfloat16().requires_grad_(), target.double(), path=path) as store:
        np.testing.assert_array_equal(store.source, source.bfloat16().float().numpy())
        np.testing.assert_array_equal(store.target, sides[1])
        assert store.labels is None
        assert store.texts is None
        assert store.origin == Origin("", D)
        np.testing.assert_array_equal(store.row_ids, np.arange(N))


def test_half_precision(sides, path):
    with ShiftStore.from_arrays(*sides, dtype="float16", path=path) as store:
        assert store.dtype == np.float16
        assert store.source.dtype == store.shifts.dtype == np.float32
        np.testing.assert_allclose(store.source, sides[0], rtol=2**-11, atol=1e-7)
        # The difference is taken of the stored sides in float32, not rounded once more.
        halves = sides.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(store.shifts, halves[1] - halves[0])


def test_empty_texts_and_more_rows_than_a_block(path):
    n = BLOCK + 70
    source = np.arange(n * 2, dtype=np.float32).reshape(n, 2)
    with ShiftStore.from_arrays(source, source * 3, texts=([""] * n, [""] * n), path=path) as store:
        np.testing.assert_array_equal(store.shifts, 2 * source)
        assert store.texts == ([""] * n, [""] * n)
        starts = [rows.start for rows, *_ in store.blocks(1000)]
        assert starts == [0, 1000, 2000]
        last = store.read(slice(n - 3, n))
        np.testing.assert_array_equal(last[1], 3 * source[-3:])


def test_file_can_be_read_without_this_package(store, sides, known, path):
    store.close()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["source"][:], sides[0])
        assert file["source"].fletcher32
        assert file["source"].compression is None
        assert 64 <= file["source"].chunks[0] <= 1024
        assert file["row_id"].dtype == np.int64
        assert Origin.from_dict(json.loads(file.attrs["origin"])) == known["origin"]
        start, end = file["source_end"][6:8]
        assert file["source_text"][start:end].tobytes().decode() == known["texts"][0][7]


def test_subset(store, sides, known):
    rows = np.array([140, 3, 3, 77])
    part = store.subset(rows)
    np.testing.assert_array_equal(part.source, sides[0][rows])
    np.testing.assert_array_equal(part.shifts, (sides[1] - sides[0])[rows])
    np.testing.assert_array_equal(part.labels, known["labels"][rows])
    np.testing.assert_array_equal(part.row_ids, known["row_ids"][rows])
    assert part.texts[1] == [known["texts"][1][row] for row in rows]
    assert part.origin == store.origin
    mask = np.zeros(N, dtype=bool)
    mask[[2, 5]] = True
    np.testing.assert_array_equal(store.subset(mask).source, sides[0][[2, 5]])


def test_split_keeps_a_pair_together(store):
    train, test = store.split(0.2, seed=1)
    assert sorted([*train, *test]) == list(range(N))
    assert not set(store.row_ids[train]) & set(store.row_ids[test])
    assert len(test) == 30
    np.testing.assert_array_equal(store.split(0.2, seed=1)[1], test)
    assert list(store.split(0.2, seed=2)[1]) != list(test)
    with pytest.raises(ValueError, match=r"held_out is 1\.5"):
        store.split(1.5)
    with pytest.raises(ValueError, match="leaves one part empty"):
        store.split(0.001)


def test_fingerprint_follows_the_contents(sides, known):
    one = ShiftStore.from_arrays(*sides, **known)
    changed = sides.copy()
    changed[1, 100, 3] += 1e-3
    other_labels = known | {"labels": -np.asarray(known["labels"])}
    prints = {
        each.fingerprint
        for each in (one, ShiftStore.from_arrays(*changed, **known), ShiftStore.from_arrays(*sides, **other_labels))
    }
    assert len(prints) == 3


def test_closed(store):
    kept = store.source
    store.close()
    assert store.source is kept
    with pytest.raises(ValueError, match="is closed"):
        _ = store.target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "bfloat16"}, r"bfloat16.*spoils their difference.*float16"),
        ({"dtype": torch.bfloat16}, "bfloat16"),
        ({"dtype": "float64"}, "dtype is 'float64'; it must be one of 'float32', 'float16'"),
        ({"labels": np.full((N, 3), 2)}, r"labels hold \[2, 2, 2\] in row 0; changes are -1, 0 or 1"),
        ({"labels": np.zeros((N, 2))}, r"labels has shape \(150, 2\)"),
        ({"labels": np.full((N, 3), 0.5)}, "not integers"),
        ({"labels": None}, "there are no labels"),
        ({"concepts": ["a", "a", "b"]}, "its own name"),
        ({"row_ids": [1, 2]}, r"row_ids has shape \(2,\); \(150,\) is expected"),
        ({"texts": (["a"], ["b"] * N)}, "source_text has 1 texts for 150 rows"),
        ({"texts": (["a"] * N, ["b"] * (N - 1) + ["\ud83d"])}, r"target_text holds '\\ud83d' in row 149"),
        ({"texts": (["a"] * N,)}, "texts have 1 members"),
        ({"origin": Origin("h", D + 1)}, "16 wide and their origin says 17"),
    ],
)
def test_refused(sides, known, path, change, message):
    with pytest.raises(ValueError, match=message):
        ShiftStore.from_arrays(*sides, **known | change, path=path)
    assert not list(path.parent.iterdir())


def test_activations_refused(sides, path):
    source, target = sides
    with pytest.raises(ValueError, match=r"source has shape \(150, 16\) and target \(149, 16\)"):
        ShiftStore.from_arrays(source, target[1:])
    with pytest.raises(ValueError, match=r"source has shape \(16,\)"):
        ShiftStore.from_arrays(source[0], target[0])
    with pytest.raises(ValueError, match="source has no rows"):
        ShiftStore.from_arrays(source[:0], target[:0])
    target[[7, 9], 2] = np.nan
    with pytest.raises(ValueError, match="target holds NaN or infinite values in row 7, 9"):
        ShiftStore.from_arrays(source, target, path=path)
    target[[7, 9], 2] = 70_000
    with pytest.raises(ValueError, match=r"target is beyond ±65504.* in row 7, 9; store float32"):
        ShiftStore.from_arrays(source, target, dtype="float16", path=path)
    assert not path.exists()


def test_no_file(tmp_path):
    ShiftStore.from_arrays(np.ones((2, 2)), np.ones((2, 2)), path=tmp_path / "shifts.h5").close()
    with pytest.raises(FileNotFoundError, match=r"shift\.h5.*Did you mean 'shifts\.h5'"):
        ShiftStore.open(tmp_path / "shift.h5")
    (tmp_path / "words.h5").write_text("nothing of the kind")
    with pytest.raises(ValueError, match="not an HDF5 file"):
        ShiftStore.open(tmp_path / "words.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = [1]
    with pytest.raises(ValueError, match=r"no store of shifts: it holds \['weights'\]"):
        ShiftStore.open(tmp_path / "other.h5")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.attrs.__setitem__("schema", 99), "has schema 99.*upgrade ssae-lens"),
        (lambda file: file.attrs.__setitem__("complete", False), "never finished"),
        (lambda file: file.attrs.__delitem__("origin"), "damaged.*origin"),
        (lambda file: file.__delitem__("target"), "/target has shape None where"),
        (lambda file: (file.__delitem__("labels"), file.create_dataset("labels", data=[[1]])), "/labels has shape"),
    ],
)
def test_wrong_contents(store, path, spoil, message):
    store.close()
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(ValueError, match=message):
        ShiftStore.open(path)


def test_truncated(store, path):
    store.close()
    whole = path.read_bytes()
    for keep in (0, 10, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(ValueError, match="damaged"):
            ShiftStore.open(path)


def everything(path):
    with ShiftStore.open(path) as store:
        arrays = (store.source, store.target, store.labels, store.row_ids)
        about = (store.texts, store.origin, store.concepts, store.pairs, store.fingerprint, store.versions)
        return [array.tobytes() for array in arrays], about


def test_one_wrong_bit_anywhere(store, path):
    """A flipped bit is an error when it is read, or lies where it changes nothing."""
    store.close()
    whole, right = path.read_bytes(), everything(path)
    noticed = 0
    for byte in np.random.default_rng(0).integers(0, len(whole), 150):
        flipped = bytearray(whole)
        flipped[byte] ^= 1 << (byte % 8)
        path.write_bytes(flipped)
        try:
            found = everything(path)
        except ValueError:
            noticed += 1
        else:
            assert found == right
    assert noticed > 100


def test_a_file_that_does_not_read_back_gets_no_name(sides, path, monkeypatch):
    """HDF5 may pass over what fails on closing, as on a full disk; then nothing stands under the file's name."""
    monkeypatch.setattr(layout, "_copy", lambda values, file, name: (file.create_dataset(name, data=values), "no")[1])
    with pytest.raises(ValueError, match="/source is not what was written"):
        ShiftStore.from_arrays(*sides, path=path)
    assert not list(path.parent.iterdir())


def test_metadata_is_read_as_written(origin):
    metadata = Metadata(origin, ("a", "b"), {"x": [1, None]}, {"source": "1"}, {"torch": "2"}, {"shard.h5": "3"})
    assert Metadata.from_json(metadata.to_json()) == metadata


def test_import_is_light():
    """HDF5 and figures are imported where they are first used."""
    for module in Path(shifts.__file__).parent.glob("*.py"):
        for node in ast.parse(module.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"h5py", "plotly"}, module


def test_a_plain_string_names_one_concept():
    store = ShiftStore.from_arrays(torch.zeros(2, 3), torch.ones(2, 3), labels=torch.tensor([[1], [0]]), concepts="ab")
    assert store.concepts == ["ab"]
    with pytest.raises(ValueError, match=r"labels has shape \(2, 2\); \(2, 1\) is expected"):
        ShiftStore.from_arrays(torch.zeros(2, 3), torch.ones(2, 3), labels=torch.zeros(2, 2).int(), concepts="ab")


def test_another_store_is_replaced_only_when_told(sides, tmp_path):
    path = tmp_path / "s.h5"
    first = ShiftStore.from_arrays(*sides)
    first.save(path).close()
    first.save(path).close()  # the same is no loss
    with pytest.raises(FileExistsError, match=r"s\.h5 exists already: a store of other contents.*overwrite=True"):
        ShiftStore.from_arrays(sides[0], sides[1] * 2).save(path)
    with ShiftStore.open(path) as kept:
        np.testing.assert_array_equal(kept.target, first.target)
    with ShiftStore.from_arrays(sides[0], sides[1] * 2).save(path, overwrite=True) as replaced:
        np.testing.assert_array_equal(replaced.target, sides[1] * 2)
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="or no store"):
        first.save(path)
