"""Vectors in files: back as they were, read by others' readers, and what is said of files that are no vector's."""

import json

import numpy as np
import pytest
import torch
from gguf import GGUFReader, GGUFWriter

from ssae_lens.base.provenance import Origin
from ssae_lens.steering_vector import SteeringVector

HOOK = "blocks.3.hook_resid_post"
ORIGIN = Origin(HOOK, 4, "gpt2", "HookedTransformer", {"fold_ln": True}, "last", "abc")


def vector(*numbers, hook=HOOK, **more):
    return SteeringVector(list(numbers) or [1.0, 2.0, 3.0, 4.0], hook, **more)


def everything():
    return SteeringVector(
        {HOOK: [1.0, -2.0, 3.5, 0.25], "blocks.1.hook_resid_pre": [0.1, 0.2, 0.3, 0.4]},
        origin=ORIGIN,
        method="caa",
        concept="Höflichkeit",
        norms={HOOK: {"mean_residual_norm": 12.5}},
    )


def assert_same(a, b):
    assert a.hook_names == b.hook_names
    for hook in a.hook_names:
        assert torch.equal(a.at(hook).direction, b.at(hook).direction)
        assert a.at(hook).norms == b.at(hook).norms
    assert (a.origin, a.method, a.concept) == (b.origin, b.method, b.concept)


class TestFiles:
    def test_there_and_back(self, tmp_path):
        everything().save(tmp_path / "deep" / "v.safetensors")
        assert_same(SteeringVector.load(tmp_path / "deep" / "v.safetensors"), everything())

    def test_the_header_is_json(self, tmp_path):
        everything().save(tmp_path / "v.safetensors")
        raw = (tmp_path / "v.safetensors").read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        about = json.loads(header["__metadata__"]["about"])
        assert about["origin"]["processing"] == {"fold_ln": True}
        assert header[HOOK]["shape"] == [4]

    def test_what_is_not_one(self, tmp_path):
        from safetensors.torch import save_file

        with pytest.raises(FileNotFoundError, match="There is no file"):
            SteeringVector.load(tmp_path / "v.safetensors")
        save_file({"w": torch.ones(2)}, tmp_path / "other.safetensors")
        with pytest.raises(ValueError, match="holds no steering vector"):
            SteeringVector.load(tmp_path / "other.safetensors")
        everything().save(tmp_path / "v.safetensors")
        whole = (tmp_path / "v.safetensors").read_bytes()
        (tmp_path / "v.safetensors").write_bytes(whole[:-5])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            SteeringVector.load(tmp_path / "v.safetensors")

    def test_a_header_that_lies(self, tmp_path):
        from safetensors.torch import save_file

        for about in ("{", "{}", "[]", '{"hook_names": ["a"]}'):
            metadata = {"format": "ssae_lens.steering_vector", "about": about}
            save_file({"b": torch.ones(2)}, tmp_path / "v.safetensors", metadata=metadata)
            with pytest.raises(ValueError, match=r"v\.\w+.* (is not JSON|does not hold what it should|is missing)"):
                SteeringVector.load(tmp_path / "v.safetensors")


class TestGGUF:
    def vector(self):
        return SteeringVector(
            {"blocks.2.hook_resid_pre": [1.0, 2.0], HOOK: [3.0, 4.0]}, origin=Origin(HOOK, 2, "gpt2"), concept="calm"
        )

    def test_as_llama_cpp_reads_it(self, tmp_path):
        """What goes into block 2 came out of block 1: llama.cpp's direction.N is what comes out of block N."""
        self.vector().to_gguf(tmp_path / "v.gguf")
        reader = GGUFReader(tmp_path / "v.gguf")
        assert reader.get_field("general.architecture").contents() == "controlvector"
        assert reader.get_field("controlvector.model_hint").contents() == "gpt2"
        assert reader.get_field("controlvector.layer_count").contents() == 2
        found = {each.name: (each.tensor_type.name, each.data.tolist()) for each in reader.tensors}
        assert found == {"direction.1": ("F32", [1, 2]), "direction.3": ("F32", [3, 4])}

    def test_there_and_back(self, tmp_path):
        made = self.vector()
        made.to_gguf(tmp_path / "v.gguf", model_hint="llama")
        assert_same(SteeringVector.from_gguf(tmp_path / "v.gguf"), made)

    def test_a_header_that_lies(self, tmp_path):
        from ssae_lens.base import control_vectors

        for about in ("{", "{}", "[]", '{"hook_names": ["blocks.5.hook_resid_post"]}'):
            control_vectors.write(tmp_path / "v.gguf", {3: np.ones(2, np.float32)}, "gpt2", about)
            with pytest.raises(ValueError, match=r"v\.\w+.* (is not JSON|does not hold what it should|is missing)"):
                SteeringVector.from_gguf(tmp_path / "v.gguf")

    def test_from_another_writer(self, tmp_path):
        write_gguf(tmp_path / "v.gguf", "controlvector", {"direction.2": [1.0, 2.0], "direction.5": [3.0, 4.0]})
        read = SteeringVector.from_gguf(tmp_path / "v.gguf")
        assert {hook: read.at(hook).direction.tolist() for hook in read.hook_names} == {
            "blocks.2.hook_resid_post": [1, 2],
            "blocks.5.hook_resid_post": [3, 4],
        }
        assert (read.method, read.origin.model_name) == ("control vector (llama)", "")

    @pytest.mark.parametrize("hook", ["blocks.0.hook_resid_post", "blocks.1.hook_resid_pre", "blocks.3.hook_attn_out"])
    def test_places_it_cannot_hold(self, tmp_path, hook):
        with pytest.raises(ValueError, match=f"cannot hold '{hook}'"):
            vector(hook=hook).to_gguf(tmp_path / "v.gguf")
        assert not list(tmp_path.iterdir())

    def test_one_place_twice(self, tmp_path):
        twice = vector() + vector(hook="blocks.4.hook_resid_pre")
        with pytest.raises(ValueError, match="not all different places"):
            twice.to_gguf(tmp_path / "v.gguf")

    def test_bad_files(self, tmp_path):
        path = tmp_path / "v.gguf"
        with pytest.raises(FileNotFoundError):
            SteeringVector.from_gguf(path)
        write_gguf(path, "llama", {"token_embd.weight": [1.0]})
        with pytest.raises(ValueError, match="architecture 'llama', not 'controlvector'"):
            SteeringVector.from_gguf(path)
        for tensors in ({"direction.0": [1.0]}, {"direction.x": [1.0]}, {"w": [1.0]}):
            write_gguf(path, "controlvector", tensors)
            with pytest.raises(ValueError, match=r"'direction.1' and up"):
                SteeringVector.from_gguf(path)
        write_gguf(path, "controlvector", {"direction.1": [[1.0, 2.0], [3.0, 4.0]]})
        with pytest.raises(ValueError, match="a row of F32 is expected"):
            SteeringVector.from_gguf(path)
        write_gguf(path, "controlvector", {})
        with pytest.raises(ValueError, match="holds no direction"):
            SteeringVector.from_gguf(path)
        write_gguf(path, "controlvector", {"direction.1": [0.0]})
        with pytest.raises(ValueError, match=r"v\.gguf: direction is zero"):
            SteeringVector.from_gguf(path)
        write_gguf(path, "controlvector", {"direction.1": [float("nan")]})
        with pytest.raises(ValueError, match="NaN"):
            SteeringVector.from_gguf(path)
        for junk in (b"", b"GGUF", b"hello there, this is text"):
            path.write_bytes(junk)
            with pytest.raises(ValueError, match="not a whole GGUF"):
                SteeringVector.from_gguf(path)


def write_gguf(path, architecture, tensors):
    writer = GGUFWriter(path, architecture)
    writer.add_string("controlvector.model_hint", "llama")
    for name, numbers in tensors.items():
        writer.add_tensor(name, np.array(numbers, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
