"""Sets of vectors: names, files, and what takes them."""

import json

import pytest
import torch
from sae_lens.saes.sae import SAEMetadata

from ssae_lens.base.checksums import DamagedFileError
from ssae_lens.base.provenance import Origin
from ssae_lens.hooks import generate_sweep
from ssae_lens.latents.concepts import Concept, Concepts
from ssae_lens.models.tiny import tiny_model
from ssae_lens.sae import SSAE
from ssae_lens.steering_vector import SteeringVector
from ssae_lens.vector_set import VectorSet

HOOKS = "blocks.0.hook_resid_post", "blocks.1.hook_resid_post"


@pytest.fixture
def vectors():
    both = {hook: torch.arange(32.0) + number + 1 for number, hook in enumerate(HOOKS)}
    origin = Origin(HOOKS[0], 32, "tiny-gpt2")
    one = SteeringVector(torch.ones(32), HOOKS[1], concept="calm", norms={"mean_shift_norm": 2.0})
    return VectorSet({"calm": one, "both layers": SteeringVector(both, origin=origin, method="caa")})


def test_a_file_gives_back_every_vector(vectors, tmp_path):
    path = tmp_path / "vectors.safetensors"
    vectors.save(path)
    loaded = VectorSet.load(path)
    assert list(loaded) == ["calm", "both layers"]
    for name, vector in vectors.items():
        assert loaded[name].to_metadata() == vector.to_metadata() | {"hook_names": list(vector.hook_names)} or (
            json.dumps(loaded[name].to_metadata()) == json.dumps(vector.to_metadata())
        )
        for hook, direction in vector.directions.items():
            assert torch.equal(loaded[name].directions[hook], direction)
    vectors.save(path)  # the same contents
    with pytest.raises(FileExistsError):
        VectorSet({"calm": vectors["calm"]}).save(path)
    VectorSet({"calm": vectors["calm"]}).save(path, overwrite=True)
    assert len(VectorSet.load(path)) == 1


def test_other_files_are_refused(vectors, tmp_path):
    vectors["calm"].save(tmp_path / "one.safetensors")
    with pytest.raises(ValueError, match=r"holds no vector set, but ssae_lens\.steering_vector"):
        VectorSet.load(tmp_path / "one.safetensors")
    vectors.save(tmp_path / "set.safetensors")
    with pytest.raises(ValueError, match=r"holds no steering vector, but ssae_lens\.vector_set"):
        SteeringVector.load(tmp_path / "set.safetensors")
    data = bytearray((tmp_path / "set.safetensors").read_bytes())
    data[-3] ^= 1
    (tmp_path / "set.safetensors").write_bytes(bytes(data))
    with pytest.raises(DamagedFileError):
        VectorSet.load(tmp_path / "set.safetensors")


def test_names(vectors):
    assert "calm" in vectors
    assert vectors.get("x") is None
    with pytest.raises(KeyError, match="Did you mean 'calm'"):
        vectors["clam"]
    for wrong in ({}, [vectors["calm"]], {"a": 1}):
        with pytest.raises(ValueError, match="vectors is"):
            VectorSet(wrong)


def test_of_an_ssae():
    metadata = SAEMetadata(hook_name=HOOKS[0], typical=[2.0, 3.0, 4.0])
    ssae = SSAE.from_weights(torch.eye(3), torch.eye(3), metadata=metadata)
    numbered = VectorSet.from_ssae(ssae)
    assert {name: vector.direction.tolist() for name, vector in numbered.items()} == {
        "0": [2, 0, 0],
        "1": [0, 3, 0],
        "2": [0, 0, 4],
    }
    concepts = Concepts([Concept("tense", [1, 2], [1.0, -1.0]), Concept("noise")], "labels")
    by_concept = VectorSet.from_ssae(ssae, concepts)
    assert {name: vector.direction.tolist() for name, vector in by_concept.items()} == {"tense": [0, 1, -1]}
    concepts.attach(ssae)
    assert list(VectorSet.from_ssae(ssae)) == ["0", "tense"]


def test_a_sweep_takes_them(vectors):
    table = generate_sweep(tiny_model("gpt2"), "The man", vectors, [0.5], max_new_tokens=2, check=False, quiet=True)
    assert table["vector"].tolist() == ["calm", "both layers"]
