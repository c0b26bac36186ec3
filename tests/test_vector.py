import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gguf import GGUFReader, GGUFWriter
from sae_lens.saes.sae import SAEMetadata

from ssae_lens.base.origin import Origin
from ssae_lens.sae import SSAE
from ssae_lens.vector import SteeringVector, cosine_table

HOOK = "blocks.3.hook_resid_post"
ORIGIN = Origin(HOOK, 4, "gpt2", "HookedTransformer", {"fold_ln": True}, "last", "abc")


def vector(*numbers, hook=HOOK, **more):
    return SteeringVector(list(numbers) or [1.0, 2.0, 3.0, 4.0], hook, **more)


class TestByHand:
    def test_what_it_holds(self):
        made = SteeringVector(torch.arange(1, 5), HOOK, method="caa", concept="calm", norms={"mean_shift_norm": 2})
        assert (made.hook_name, made.d_model, made.method, made.concept) == (HOOK, 4, "caa", "calm")
        assert made.direction.dtype == torch.float32
        assert made.direction.tolist() == [1, 2, 3, 4]
        assert made.norms == {"mean_shift_norm": 2.0}
        assert made.origin == Origin(HOOK, 4)

    def test_it_is_a_copy(self):
        given = torch.ones(4)
        made = SteeringVector(given, HOOK)
        given.zero_()
        assert made.direction.tolist() == [1, 1, 1, 1]

    @pytest.mark.parametrize("kind", [np.float64, np.float32])
    def test_from_numpy(self, kind):
        assert vector(*np.ones(4, kind)).direction.tolist() == [1, 1, 1, 1]
        assert SteeringVector(np.ones(4, kind), HOOK).direction.tolist() == [1, 1, 1, 1]

    def test_gradients_stay_behind(self):
        assert not SteeringVector(torch.ones(4, requires_grad=True), HOOK).direction.requires_grad

    def test_hook_of_the_origin(self):
        assert SteeringVector(torch.ones(4), origin=ORIGIN).hook_name == HOOK
        elsewhere = SteeringVector(torch.ones(4), "blocks.1.hook_resid_pre", origin=ORIGIN)
        assert elsewhere.origin.hook_name == "blocks.1.hook_resid_pre"

    def test_several_hooks(self):
        made = SteeringVector(
            {"blocks.1.hook_resid_post": [1.0, 0.0], HOOK: [0.0, 2.0]}, norms={HOOK: {"mean_residual_norm": 7.0}}
        )
        assert made.hook_names == ("blocks.1.hook_resid_post", HOOK)
        with pytest.raises(ValueError, match=r"directions at 2 hooks .*take one with \.at"):
            _ = made.direction
        assert made.at(HOOK).direction.tolist() == [0, 2]
        assert made.at(HOOK).norms == {"mean_residual_norm": 7.0}
        assert made.at("blocks.1.hook_resid_post").norms == {}
        with pytest.raises(ValueError, match=r"hook_name is 'blocks.9"):
            made.at("blocks.9.hook_resid_post")

    @pytest.mark.parametrize(
        ("numbers", "words"),
        [
            ([float("nan"), 1.0], r"NaN or infinite values at 'blocks.3.*\(1 of 2\)"),
            ([float("inf"), 1.0], "NaN or infinite"),
            ([0.0, 0.0], "is zero at .*scale=0"),
            ([[1.0, 2.0]], r"shape \(1, 2\)"),
            ([], r"shape \(0,\)"),
        ],
    )
    def test_bad_directions(self, numbers, words):
        with pytest.raises(ValueError, match=words):
            SteeringVector(numbers, HOOK)

    def test_bad_places(self):
        with pytest.raises(ValueError, match="hook_name is empty"):
            SteeringVector([1.0])
        with pytest.raises(ValueError, match="3 numbers and its origin d_model=4"):
            SteeringVector([1.0, 2.0, 3.0], origin=ORIGIN)
        with pytest.raises(ValueError, match="several widths"):
            SteeringVector({"a": [1.0], "b": [1.0, 2.0]})
        with pytest.raises(ValueError, match="holds no hook"):
            SteeringVector({})
        with pytest.raises(ValueError, match=r"norms\['mean_shift_norm'\]"):
            vector(norms={"mean_shift_norm": float("nan")})


class TestFromSSAE:
    @pytest.fixture
    def ssae(self):
        rows = torch.eye(4)[:2] * 0.6 + torch.eye(4)[2:] * 0.8
        return SSAE.from_weights(rows.T.clone(), rows, metadata=SAEMetadata(origin=ORIGIN.to_dict()))

    def test_a_row(self, ssae):
        made = SteeringVector.from_ssae(ssae, 1)
        assert torch.equal(made.direction, ssae.W_dec[1].detach())
        assert (made.origin, made.method) == (ORIGIN, "ssae")

    def test_of_a_concept(self, ssae):
        concept = SimpleNamespace(latent=0, sign=-1, scale=2.5, concept="gender")
        made = SteeringVector.from_ssae(ssae, concept, norms={"mean_shift_norm": 3.0})
        assert torch.allclose(made.direction, -2.5 * ssae.W_dec[0])
        assert (made.concept, made.norms) == ("gender", {"mean_shift_norm": 3.0})
        assert torch.allclose(SteeringVector.from_ssae(ssae, concept, sign=1, scale=1).direction, ssae.W_dec[0])

    @pytest.mark.parametrize("latent", [2, -3, "gender", True, 0.5])
    def test_no_such_latent(self, ssae, latent):
        with pytest.raises(ValueError, match="latents 0 to 1"):
            SteeringVector.from_ssae(ssae, latent)

    def test_an_ssae_without_a_hook(self):
        ssae = SSAE.from_weights(torch.eye(4), torch.eye(4))
        with pytest.raises(ValueError, match="give hook_name"):
            SteeringVector.from_ssae(ssae, 0)
        assert SteeringVector.from_ssae(ssae, 0, hook_name=HOOK).hook_name == HOOK


class TestArithmetic:
    def test_on_one_hook(self):
        a, b = vector(1, 2, 3, 4), vector(4, 3, 2, 2)
        assert (a + b).direction.tolist() == [5, 5, 5, 6]
        assert (a - b).direction.tolist() == [-3, -1, 1, 2]
        assert (-a).direction.tolist() == [-1, -2, -3, -4]
        assert (2 * a).direction.tolist() == (a * 2).direction.tolist() == [2, 4, 6, 8]
        assert (a / 2).direction.tolist() == [0.5, 1, 1.5, 2]
        assert (np.float64(2) * a).direction.tolist() == (a * np.float32(2)).direction.tolist() == [2, 4, 6, 8]
        assert a.direction.tolist() == [1, 2, 3, 4]

    def test_on_other_hooks(self):
        low = vector(1, 0, 0, 0, hook="blocks.1.hook_resid_post")
        both = vector(1, 1, 1, 1) + low + low
        assert both.hook_names == (HOOK, "blocks.1.hook_resid_post")
        assert both.at("blocks.1.hook_resid_post").direction.tolist() == [2, 0, 0, 0]
        assert (both * 3).at(HOOK).direction.tolist() == [3, 3, 3, 3]

    def test_what_it_says_of_itself(self):
        a = vector(concept="calm", method="caa", norms={"mean_residual_norm": 9.0, "mean_shift_norm": 2.0})
        b = vector(concept="kind", method="caa", norms={"mean_residual_norm": 9.0, "mean_shift_norm": 3.0})
        total = a + b
        assert (total.concept, total.method, total.norms) == ("calm + kind", "caa", {"mean_residual_norm": 9.0})
        assert (a - b / 2).concept == "calm - kind"
        assert (a * 2).norms == a.norms

    def test_other_models_do_not_mix(self):
        a = SteeringVector(torch.ones(4), origin=ORIGIN)
        other = SteeringVector(torch.ones(4), origin=Origin(HOOK, 4, "pythia", "TransformerBridge"))
        with pytest.raises(ValueError, match=r"model_name: 'gpt2' against 'pythia'; model_class: 'Hooked.*'Transf"):
            _ = a + other
        with pytest.raises(ValueError, match="d_model: 4 against 2"):
            _ = a - vector(1, 2)
        assert (a + vector()).origin.model_name == "gpt2"

    def test_zero_is_no_vector(self):
        with pytest.raises(ValueError, match="scale=0"):
            _ = vector() * 0
        with pytest.raises(ValueError, match="is zero"):
            _ = vector() - vector()

    @pytest.mark.parametrize("other", ["2", None, torch.ones(2)])
    def test_what_is_no_number(self, other):
        with pytest.raises(TypeError):
            _ = vector() * other
        with pytest.raises(TypeError):
            _ = vector() + other

    def test_normalize(self):
        both = (vector(3, 4) + vector(0, 5, hook="blocks.1.hook_resid_post")).normalize()
        assert both.at(HOOK).direction.tolist() == pytest.approx([0.6, 0.8])
        assert both.at("blocks.1.hook_resid_post").direction.tolist() == [0, 1]


class TestCosines:
    def test_against_numpy(self):
        numbers = np.random.default_rng(0).standard_normal((3, 4))
        table = cosine_table({name: vector(*row) for name, row in zip("abc", numbers, strict=True)})
        assert list(table.index) == list(table.columns) == ["a", "b", "c"]
        unit = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
        np.testing.assert_allclose(table.to_numpy(), unit @ unit.T, atol=1e-6)

    def test_names(self):
        listed = [vector(concept="calm"), vector(method="pca"), vector()]
        assert list(cosine_table(listed).index) == ["calm", "pca", "2"]
        assert list(cosine_table([vector(concept="calm")] * 2).index) == ["calm (0)", "calm (1)"]

    def test_only_at_one_hook(self):
        low = vector(hook="blocks.1.hook_resid_post")
        with pytest.raises(ValueError, match=r"'a' and 'b' cannot be compared .*hook_name"):
            cosine_table({"a": vector(), "b": low})
        assert cosine_table([vector() + low, low], "blocks.1.hook_resid_post").iloc[0, 1] == pytest.approx(1)
        with pytest.raises(ValueError, match="empty"):
            cosine_table([])


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
            with pytest.raises(ValueError, match=r"header of .* is not whole"):
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
        with pytest.raises(ValueError, match="a row of F32 is wanted"):
            SteeringVector.from_gguf(path)
        write_gguf(path, "controlvector", {})
        with pytest.raises(ValueError, match="holds no direction"):
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


def test_repr():
    assert repr(vector(3, 4, concept="calm", method="caa")) == (
        "SteeringVector(caa 'calm': length 5 at blocks.3.hook_resid_post, d_model 2)"
    )
