import pytest
import torch

from ssae_lens.base import tensor_files


def test_what_was_written_is_read(tmp_path):
    tensors = {"a": torch.randn(3, 2), "b": torch.arange(4.0)}
    tensor_files.save(tmp_path / "some.safetensors", tensors, {"about": "é"})
    found, header = tensor_files.load(tmp_path / "some.safetensors", "copy it again")
    assert header == {"about": "é"}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_what_is_not_whole_or_not_there_is_said(tmp_path):
    path = tmp_path / "some.safetensors"
    tensor_files.save(path, {"a": torch.randn(3, 2)}, {})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"some.safetensors is not a whole safetensors file .*; copy it again"):
        tensor_files.load(path, "copy it again")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*other.safetensors.* Give another"):
        tensor_files.load(tmp_path / "other.safetensors", "copy it again", "Give another.")
