"""Tiny random language models of the common architectures, built in a fraction of a second, for tests and examples.

`tiny_model` builds a HookedTransformer or a TransformerBridge, `tiny_hugging_face` the Hugging Face model that both are
converted from, `tiny_tokenizer` their tokenizer.
"""

import copy
import functools
import tempfile
from typing import TYPE_CHECKING, Any, Literal

import torch

from ssae_lens.base.checks import integer, one_of
from ssae_lens.models.convert import quiet, to_bridge
from ssae_lens.models.hooked import to_hooked

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

KINDS = ("hooked", "bridge")

# Hugging Face's model type for each shape, and the settings beyond those that all shapes share.
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {}),
    "neox": ("gpt_neox", {}),
    "llama": ("llama", {"num_key_value_heads": 2}),
    "mistral": ("mistral", {"num_key_value_heads": 2, "sliding_window": None}),
    "qwen2": ("qwen2", {"num_key_value_heads": 2}),
    "gemma": ("gemma", {"num_key_value_heads": 1}),
    "gemma2": ("gemma2", {"num_key_value_heads": 2, "query_pre_attn_scalar": 8}),
}
N_HEADS = 4
N_CTX = 256

# The tokenizer's training text. Other texts are split into smaller pieces, down to bytes.
TEXT = """The man said that he was happy. The woman said that she was happy. The king and the queen were sad.
A boy and a girl went to the house. He saw the dog and she saw the cat. They were good and they were bad.
The weather in Paris is warm today. The weather in London was cold. I think that the movie is great.
I think that the movie was terrible. She likes her friends and he likes his friends. We like the big city."""


def tiny_model(
    shape: str = "gpt2",
    kind: Literal["hooked", "bridge"] = "hooked",
    *,
    seed: int = 0,
    n_layers: int = 3,
    d_model: int = 32,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> "HookedTransformer | TransformerBridge":
    """Return a tiny random model with a tokenizer for any text.

    Parameters
    ----------
    shape
        ``gpt2``, ``neox``, ``llama``, ``mistral``, ``qwen2``, ``gemma`` or ``gemma2``.
    kind
        ``hooked`` for a HookedTransformer, ``bridge`` for a TransformerBridge. Both have the same weights for the same seed.
    seed
        Seed of the weights; the global random state is not changed.
    n_layers, d_model
        Size of the model; `d_model` must be a multiple of 8.
    device, dtype, options
        As in `load_model`.

    Examples
    --------
    >>> model = tiny_model("llama", n_layers=2)
    >>> model.cfg.n_layers, model.cfg.d_model
    (2, 32)
    """
    one_of("kind", kind, KINDS)
    hf_model = tiny_hugging_face(shape, seed=seed, n_layers=n_layers, d_model=d_model)
    torch.nn.Module.to(hf_model, dtype)
    convert = to_hooked if kind == "hooked" else to_bridge
    return convert(hf_model, tiny_tokenizer(), f"tiny-{shape}", device=device, **options)


def tiny_hugging_face(shape: str = "gpt2", *, seed: int = 0, n_layers: int = 3, d_model: int = 32) -> "PreTrainedModel":
    """Return the Hugging Face model that `tiny_model` converts, on the CPU in float32."""
    from transformers import AutoConfig, AutoModelForCausalLM

    one_of("shape", shape, SHAPES)
    integer("n_layers", n_layers)
    integer("d_model", d_model)
    if d_model % (2 * N_HEADS):
        raise ValueError(
            f"d_model is {d_model}; it must be a multiple of {2 * N_HEADS} ({N_HEADS} heads of even width)."
        )
    model_type, specific = SHAPES[shape]
    tokenizer = tiny_tokenizer()
    if shape != "gpt2":
        # GPT-2's MLP is always four times as wide as the model; the others are set to the same.
        specific = {"intermediate_size": 4 * d_model, **specific}
    if shape.startswith("gemma"):
        specific = {"head_dim": d_model // N_HEADS, **specific}
    config = AutoConfig.for_model(
        model_type,
        vocab_size=len(tokenizer),
        hidden_size=d_model,
        num_hidden_layers=n_layers,
        num_attention_heads=N_HEADS,
        max_position_embeddings=N_CTX,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Large enough that predictions differ between tokens.
        initializer_range=0.2,
        **specific,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad(), quiet():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        # Norms start at one and biases at zero; they are perturbed so that tests notice a conversion that omits one.
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval().requires_grad_(requires_grad=False)


def tiny_tokenizer() -> "PreTrainedTokenizerBase":
    """Return the tiny models' byte-pair tokenizer, with ``<bos>``, ``<eos>`` and ``<pad>``."""
    return copy.deepcopy(_tokenizer())


@functools.cache
def _tokenizer() -> "PreTrainedTokenizerBase":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    names = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(names.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    built.train_from_iterator(TEXT.splitlines(), trainer)
    built.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", built.token_to_id("<bos>"))]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=built, **names)
    # TransformerLens reloads a tokenizer from its folder, so it must have been loaded from one.
    with tempfile.TemporaryDirectory() as folder:
        fast.save_pretrained(folder)
        return AutoTokenizer.from_pretrained(folder, model_max_length=N_CTX, add_bos_token=True)
