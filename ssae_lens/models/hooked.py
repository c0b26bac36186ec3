"""HookedTransformer: everything in the package that is specific to this class, which TransformerLens 4 removes.

- `to_hooked` converts a Hugging Face model in memory: it runs TransformerLens's own weight converters and processing, then
  compares the predictions with the Hugging Face model's. `hooked_config` makes the HookedTransformerConfig: TransformerLens
  reads most architectures from a config.json, but recognises Gemma only by the names of its releases.
- `official_names` and `from_official` are TransformerLens's table of released models.
- `cached_decoder` decodes with a KV cache, and `laid_out_for_generation` speeds that up.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ssae_lens.models.convert import CONVERSION_ERRORS, NotConvertibleError, first_line, quiet
from ssae_lens.models.identity import is_bridge

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

HOOKED_OPTIONS = (
    "fold_ln",
    "center_writing_weights",
    "center_unembed",
    "fold_value_biases",
    "refactor_factored_attn_matrices",
    "default_prepend_bos",
)
GEMMAS = ("GemmaForCausalLM", "Gemma2ForCausalLM")
# Maximum difference in log-probabilities from Hugging Face's, relative to the largest: rounding is a hundred times
# smaller, the effect of a wrong configuration a hundred times larger.
TOLERANCE = 1e-3
# The order of axes in which a HookedTransformer multiplies by each weight.
MATMUL_AXES = {
    **dict.fromkeys(("W_Q", "W_K", "W_V", "_W_K", "_W_V"), (0, 2, 1)),  # (head, d_model, d_head)
    "W_O": (2, 0, 1),  # (head, d_head, d_model)
    **dict.fromkeys(("W_in", "W_gate", "W_out", "W_U"), (1, 0)),
}


def to_hooked(
    hf_model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    name: str,
    *,
    device: str | torch.device | None = None,
    fold_ln: bool = True,
    center_writing_weights: bool = True,
    center_unembed: bool = True,
    fold_value_biases: bool = True,
    refactor_factored_attn_matrices: bool = False,
    default_prepend_bos: bool | None = None,
) -> "HookedTransformer":
    """Return the HookedTransformer of a Hugging Face model, processed as `HookedTransformer.from_pretrained` does.

    Processing that would change the predictions is skipped, as TransformerLens does: `fold_ln` and `center_writing_weights`
    where norms follow the sublayers, `center_unembed` under a logit softcap.

    Raises
    ------
    NotConvertibleError
        If TransformerLens does not support the architecture, or the converted model's predictions differ.
    """
    from transformer_lens import HookedTransformer
    from transformer_lens import loading_from_pretrained as loading
    from transformer_lens.utilities import get_device
    from transformer_lens.weight_processing import ProcessWeights

    try:
        # On the device of the weights: TransformerLens would mix them with tensors of its own on another device.
        cfg = hooked_config(hf_model, name, str(hf_model.device), default_prepend_bos=default_prepend_bos)
        if cfg.original_architecture in loading.POST_NORM_ARCHITECTURES:
            fold_ln = center_writing_weights = False
        if cfg.output_logits_soft_cap > 0:
            center_unembed = False
        if fold_ln:
            # Set before the model is built, so that it is built with the norms that have no weights.
            cfg.normalization_type = f"{cfg.normalization_type}Pre"
        with quiet():
            model = HookedTransformer(cfg, tokenizer)
            # As load_and_process_state_dict, but with one load instead of a slow one for each tensor. "." is a path that
            # exists, so TransformerLens does not look up the name in its table and takes the given weights.
            weights = ProcessWeights.process_weights(
                model.fill_missing_keys(loading.get_pretrained_state_dict(".", cfg, hf_model, dtype=cfg.dtype)),
                cfg,
                fold_ln=fold_ln,
                center_writing_weights=center_writing_weights,
                center_unembed=center_unembed,
                fold_value_biases=fold_value_biases,
                refactor_factored_attn_matrices=refactor_factored_attn_matrices,
            )
            model.load_state_dict(weights, strict=False)
    except torch.OutOfMemoryError:
        raise
    except CONVERSION_ERRORS as error:
        raise NotConvertibleError(
            f"TransformerLens cannot make a HookedTransformer of {name!r} ({type(hf_model).__name__}): "
            f'{first_line(error)}. Load it with kind="bridge".'
        ) from error
    _require_agreement(model, hf_model, name)
    device = torch.device(device or get_device())
    if device != torch.device(hf_model.device):
        model.to(device, print_details=False)
    return model.eval()


def hooked_config(
    hf_model: "PreTrainedModel",
    name: str,
    device: str | torch.device | None = None,
    *,
    default_prepend_bos: bool | None = None,
) -> "HookedTransformerConfig":
    """Return the configuration of `hf_model` as a HookedTransformer, before any processing.

    For an unsupported architecture, TransformerLens's own error is raised.
    """
    from transformer_lens import HookedTransformerConfig

    architecture = type(hf_model).__name__
    settings = _gemma_settings(hf_model) if architecture in GEMMAS else _converted_settings(hf_model)
    settings |= {
        "model_name": name,
        "original_architecture": architecture,
        "tokenizer_name": None,
        "init_weights": False,
        "device": device,
        "dtype": hf_model.dtype,
    }
    if default_prepend_bos is not None:
        settings["default_prepend_bos"] = default_prepend_bos
    return HookedTransformerConfig.from_dict(settings)


def _converted_settings(hf_model: "PreTrainedModel") -> dict[str, Any]:
    from transformer_lens import loading_from_pretrained as loading

    config = hf_model.config
    values = config.to_dict() | {"architectures": [type(hf_model).__name__]}
    # GPT-2's configuration has two names for the context length; TransformerLens reads the older one.
    values.setdefault("n_ctx", values.get("n_positions"))
    # TransformerLens takes "llama" or "gemma" anywhere in a path for the model's name, so the folder has a neutral one.
    with tempfile.TemporaryDirectory(prefix="config-") as folder:
        type(config).from_dict(values).to_json_file(Path(folder) / "config.json", use_diff=False)
        settings = loading.convert_hf_model_config(folder)
    # Some converters set the released model's value.
    rope = getattr(config, "rope_parameters", None) or {}
    if "rope_theta" in rope:
        settings["rotary_base"] = rope["rope_theta"]
    return settings


def _gemma_settings(hf_model: "PreTrainedModel") -> dict[str, Any]:
    config: Any = hf_model.config
    settings = {
        "d_model": config.hidden_size,
        "d_head": config.head_dim,
        "n_heads": config.num_attention_heads,
        "n_key_value_heads": config.num_key_value_heads,
        "d_mlp": config.intermediate_size,
        "n_layers": config.num_hidden_layers,
        "n_ctx": config.max_position_embeddings,
        "eps": config.rms_norm_eps,
        "d_vocab": config.vocab_size,
        "act_fn": getattr(config, "hidden_activation", None) or config.hidden_act,
        "normalization_type": "RMS",
        "positional_embedding_type": "rotary",
        "rotary_base": config.rope_parameters["rope_theta"],
        "rotary_dim": config.head_dim,
        "gated_mlp": True,
        "final_rms": True,
    }
    if config.model_type == "gemma2":
        settings |= {
            "attn_scale": config.query_pre_attn_scalar**0.5,
            "attn_scores_soft_cap": config.attn_logit_softcapping or -1.0,
            "output_logits_soft_cap": config.final_logit_softcapping or -1.0,
            "use_normalization_before_and_after": True,
            "use_local_attn": True,
            "window_size": config.sliding_window,
            "attn_types": ["local" if "sliding" in layer else "global" for layer in config.layer_types],
        }
    return settings


@torch.no_grad()
def _require_agreement(model: "HookedTransformer", hf_model: "PreTrainedModel", name: str) -> None:
    """Raise unless the converted model predicts as the Hugging Face model does.

    TransformerLens's converters ignore settings that they do not support (a bias, a rope base, a scale). Nothing is compared
    in half precision, where rounding is larger than the difference.
    """
    if model.cfg.dtype not in (torch.float32, torch.float64):
        return
    vocabulary = hf_model.config.get_text_config().vocab_size
    tokens = torch.linspace(0, vocabulary - 1, min(32, model.cfg.n_ctx)).long()[None]
    expected = hf_model(tokens.to(hf_model.device)).logits.log_softmax(-1).cpu()
    logits = model(tokens.to(model.cfg.device)).log_softmax(-1).cpu()
    gap = (logits - expected).abs().max() / expected.abs().max()
    if not gap <= TOLERANCE:
        raise NotConvertibleError(
            f"As a HookedTransformer, {name!r} ({type(hf_model).__name__}) does not predict what the Hugging Face model "
            f"predicts (log-probabilities differ by {gap:.1%}): TransformerLens supports this architecture only in part. "
            'Load it with kind="bridge".'
        )


def official_names() -> dict[str, str]:
    """Return TransformerLens's table of models: every alias, and the official name it stands for."""
    from transformer_lens.loading_from_pretrained import make_model_alias_map

    return make_model_alias_map()


def from_official(name: str, **kwargs: Any) -> "HookedTransformer":
    """Load a model of TransformerLens's table with `HookedTransformer.from_pretrained`."""
    from transformer_lens import HookedTransformer

    return HookedTransformer.from_pretrained(name, **kwargs).eval()


def cached_decoder(
    model: Any, n_rows: int
) -> Callable[[Int[Tensor, "batch new"], Int[Tensor, "batch total"]], Float[Tensor, "batch d_vocab"]]:
    """Return a function from the tokens not read yet, and the mask of all so far, to the last token's logits.

    No logits are computed for the rest of a prompt: in a batch of many rows they would take gigabytes.
    """
    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache
    from transformer_lens.utilities import apply_softcap

    norm = getattr(model, "ln_final", None) or nn.Identity()
    cache = TransformerLensKeyValueCache.init_cache(model.cfg, model.cfg.device, n_rows)

    def decode(tokens: Tensor, mask: Tensor) -> Tensor:
        # The cache keeps the mask of what it holds.
        mask = mask[:, -tokens.shape[1] :]
        residual = model(tokens, attention_mask=mask, past_kv_cache=cache, stop_at_layer=model.cfg.n_layers)[:, -1:]
        return apply_softcap(model.unembed(norm(residual)), model.cfg.output_logits_soft_cap)[:, -1]

    return decode


@contextmanager
def laid_out_for_generation(model: "HookedTransformer | TransformerBridge") -> Iterator[None]:
    """Store a HookedTransformer's weights in the memory layout of its matrix products, until the end of the block.

    Its attention, gated MLPs and unembedding give PyTorch transposed weights, copied in every forward pass; at one token a
    pass, the copies take longer than the products. A weight whose memory is laid out as the transpose needs no copy. Shapes,
    numbers and results are the same to the last bit. It pays from a few generated tokens on. A TransformerBridge does not
    need it and is not changed.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> model = tiny_model("llama")
    >>> with laid_out_for_generation(model):
    ...     text = model.generate("The man", verbose=False)
    """
    weights = [] if is_bridge(model) else list(_multiplied_weights(model))
    try:
        # One after another, so that only one is in memory twice.
        for weight, axes in weights:
            inverse = torch.argsort(torch.tensor(axes)).tolist()
            # A weight made in inference mode could not have gradients afterwards.
            with torch.inference_mode(mode=False):
                weight.data = weight.data.permute(axes).contiguous().permute(inverse)
        yield
    finally:
        for weight, _ in weights:
            with torch.inference_mode(mode=False):
                weight.data = weight.data.contiguous()


def _multiplied_weights(model: Any) -> Iterator[tuple[nn.Parameter, tuple[int, ...]]]:
    parts = [part for block in model.blocks for part in (block.attn, getattr(block, "mlp", None)) if part is not None]
    for module in [model.unembed, *parts]:
        own = dict(module.named_parameters(recurse=False))
        # An MLP without a gate does not transpose its weights.
        transposes = "W_gate" in own or "W_in" not in own
        for name, weight in own.items():
            axes = MATMUL_AXES.get(name, ())
            if transposes and weight.ndim == len(axes) and weight.is_contiguous() and weight.is_floating_point():
                yield weight, axes
