"""Files are written whole or not at all, and are as readable as any that the user writes."""

import os
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ssae_lens.base.files import fingerprint, sha256_of, write_json, writing


def test_a_block_that_raises_leaves_what_was_there(tmp_path):
    path = tmp_path / "deep" / "result.txt"
    with writing(path) as temporary:
        temporary.write_text("first")
    with pytest.raises(TypeError), writing(path) as temporary:
        temporary.write_text(None)
    assert path.read_text() == "first"
    assert [each.name for each in path.parent.iterdir()] == ["result.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("by", ["text", "safetensors", "numpy"])
def test_files_have_the_users_own_mode(tmp_path, umask, by):
    before = os.umask(umask)
    try:
        with writing(tmp_path / "result") as temporary:
            if by == "text":
                temporary.write_text("x")
            elif by == "safetensors":
                save_file({"x": torch.zeros(2)}, temporary)
            else:
                with temporary.open("wb") as file:
                    np.save(file, np.zeros(2))
        assert (tmp_path / "result").stat().st_mode & 0o777 == 0o666 & ~umask
    finally:
        os.umask(before)


def test_json_is_readable(tmp_path):
    write_json(tmp_path / "a.json", {"név": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "név": 1\n}\n'


def test_content_is_known_by_its_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint(["a", "b"]) != fingerprint(["b", "a"])
    assert fingerprint([{"x": 1, "y": 2}]) == fingerprint([{"y": 2, "x": 1}])
