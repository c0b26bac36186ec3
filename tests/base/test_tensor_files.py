import pytest
import torch

from ssae_lens.base import tensor_files


def as_they_are(tensors, about):
    return tensors, about


def test_what_was_written_is_read(tmp_path):
    tensors = {"a": torch.randn(3, 2), "b": torch.arange(4.0)}
    tensor_files.save(tmp_path / "some.safetensors", "ssae_lens.some", tensors, {"about": "é"})
    found, about = tensor_files.load(tmp_path / "some.safetensors", "ssae_lens.some", as_they_are, "copy it again")
    assert about == {"about": "é"}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_what_is_not_whole_or_not_there_is_said(tmp_path):
    path = tmp_path / "some.safetensors"
    tensor_files.save(path, "ssae_lens.some", {"a": torch.randn(3, 2)}, {})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"some.safetensors is not a whole safetensors file .*; copy it again"):
        tensor_files.load(path, "ssae_lens.some", as_they_are, "copy it again")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*other.safetensors.* Give another"):
        tensor_files.load(
            tmp_path / "other.safetensors", "ssae_lens.some", as_they_are, "copy it again", "Give another."
        )
