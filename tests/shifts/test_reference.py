"""Files of the reference code, made here as that code makes them."""

import json

import h5py
import numpy as np
import pytest
import torch

from ssae_lens.shifts import ShiftStore, open_shifts, read_reference, write_reference

N, D = 150, 16


@pytest.fixture
def path(tmp_path):
    return tmp_path / "embeddings.h5"


def write(path, train, test=(), labels=None):
    with h5py.File(path, "w") as file:
        file.create_dataset("cfc_train", data=train)
        file.create_dataset("cfc_test", data=test)
        if labels is not None:
            file.create_dataset("cfc_train_labels", data=[json.dumps(row) for row in labels])


def test_pairs(path, sides):
    paired = sides.transpose(1, 0, 2)
    labels = [{"tense": bool(row % 2), "voice": False} for row in range(100)]
    write(path, paired[:100], paired[100:], labels)
    with read_reference(path) as store:
        np.testing.assert_array_equal(store.source, sides[0, :100])
        np.testing.assert_array_equal(store.shifts, (sides[1] - sides[0])[:100])
        assert store.concepts == ["tense", "voice"]
        np.testing.assert_array_equal(store.labels[:, 0], np.arange(100) % 2)
        assert not store.labels[:, 1].any()
    with read_reference(path, "test") as store:
        np.testing.assert_array_equal(store.target, sides[1, 100:])
        assert store.labels is None


def test_consecutive_differences(path, sides):
    write(path, sides[0])
    with read_reference(path) as store:
        assert len(store) == N - 1
        np.testing.assert_array_equal(store.shifts, np.diff(sides[0], axis=0))
        np.testing.assert_array_equal(store.read(slice(5, 7))[1], sides[0, 6:8])


def test_read_as_the_reference_code_would_read_ours(path, sides, known):
    """Its data set's item i is data[i, 1] − data[i, 0]."""
    store = ShiftStore.from_arrays(*sides, **known)
    write_reference(path, store.subset(range(100)), store.subset(range(100, N)))
    with h5py.File(path) as file:
        data = file["cfc_train"][:]
        items = torch.stack([torch.from_numpy(data[i, 1] - data[i, 0]) for i in range(len(data))])
        np.testing.assert_array_equal(items, store.shifts[:100])
        assert json.loads(file["cfc_train_labels"][3]) == dict(
            zip(store.concepts, store.labels[3].tolist(), strict=True)
        )
    for split, rows in (("train", slice(0, 100)), ("test", slice(100, N))):
        with read_reference(path, split, origin=known["origin"]) as back:
            np.testing.assert_array_equal(back.source, sides[0, rows])
            np.testing.assert_array_equal(back.labels, store.labels[rows])
            assert back.origin == known["origin"]


def test_without_a_test_split(path, sides):
    write_reference(path, ShiftStore.from_arrays(*sides))
    with h5py.File(path) as file:
        assert len(file["cfc_test"]) == 0
    with pytest.raises(ValueError, match=r"cfc_test of .* has shape \(0,\).* at least one pair"):
        read_reference(path, "test")


def test_converted_to_our_own(path, sides, tmp_path):
    write(path, sides.transpose(1, 0, 2).astype(np.float64))
    with open_shifts(path) as theirs, theirs.save(tmp_path / "ours.h5") as ours:
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours.source, sides[0])
        assert ours.fingerprint == theirs.fingerprint
    with open_shifts(tmp_path / "ours.h5") as ours:
        np.testing.assert_array_equal(ours.target, sides[1])


def test_trained_from_disk(path, sides):
    write(path, sides[0])
    with read_reference(path) as store:
        np.testing.assert_array_equal(store.memmap(), store.shifts)


def test_open_names_the_right_reader(path, sides):
    write(path, sides[0])
    with pytest.raises(ValueError, match="file of the reference code; read it with read_reference"):
        ShiftStore.open(path)


def test_refused(path, sides):
    write(path, sides.transpose(1, 0, 2), labels=[{"a": True}])
    with pytest.raises(ValueError, match="has 1 rows for 150 pairs"):
        read_reference(path)
    write(path, sides.transpose(1, 0, 2), labels=[{"a": True}, {"b": True}])
    with pytest.raises(ValueError, match="not a JSON object of changes for each pair"):
        read_reference(path)
    write(path, sides)
    with pytest.raises(ValueError, match=r"cfc_train of .* has shape \(2, 150, 16\)"):
        read_reference(path)
    with pytest.raises(ValueError, match="split is 'validation'; it must be one of 'train', 'test'"):
        read_reference(path, "validation")
    with h5py.File(path, "w") as file:
        file["weights"] = [1]
    with pytest.raises(ValueError, match=r"has no cfc_train; it holds \['weights'\]"):
        read_reference(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    for reader in (read_reference, open_shifts):
        with pytest.raises(ValueError, match="damaged"):
            reader(path)
    with pytest.raises(ValueError, match="train is 16 wide and test 8"):
        write_reference(path, ShiftStore.from_arrays(*sides), ShiftStore.from_arrays(*sides[:, :, :8]))


def test_nan_is_named(path, sides):
    sides[0, 77, 3] = np.nan
    write(path, sides.transpose(1, 0, 2))
    with read_reference(path) as store, pytest.raises(ValueError, match="NaN or infinite values in row 77"):
        _ = store.source
