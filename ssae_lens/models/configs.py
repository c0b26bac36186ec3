"""The HookedTransformerConfig of a Hugging Face model in memory, without asking the Hub.

TransformerLens reads most architectures from a config.json; Gemma it knows only by the names of its releases.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformer_lens import HookedTransformerConfig
    from transformers import PreTrainedModel


def hooked_config(
    hf_model: "PreTrainedModel",
    name: str,
    device: str | torch.device | None = None,
    *,
    default_prepend_bos: bool | None = None,
) -> "HookedTransformerConfig":
    """Give the configuration of `hf_model` as a HookedTransformer, before any processing.

    An architecture that TransformerLens does not know raises whatever TransformerLens raises.
    """
    from transformer_lens import HookedTransformerConfig

    architecture = type(hf_model).__name__
    settings = _gemma(hf_model) if architecture in GEMMAS else _as_transformer_lens_reads_it(hf_model)
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


GEMMAS = ("GemmaForCausalLM", "Gemma2ForCausalLM")


def _as_transformer_lens_reads_it(hf_model: "PreTrainedModel") -> dict[str, Any]:
    from transformer_lens import loading_from_pretrained as loading

    config = hf_model.config
    values = config.to_dict() | {"architectures": [type(hf_model).__name__]}
    # GPT-2's configuration carries two names for one number; TransformerLens reads the older.
    values.setdefault("n_ctx", values.get("n_positions"))
    # TransformerLens takes "llama" or "gemma" anywhere in a path for the model's name: a folder of a neutral one.
    with tempfile.TemporaryDirectory(prefix="config-") as folder:
        type(config).from_dict(values).to_json_file(Path(folder) / "config.json", use_diff=False)
        settings = loading.convert_hf_model_config(folder)
    # What a converter for released models leaves at the release's value.
    rope = getattr(config, "rope_parameters", None) or {}
    if "rope_theta" in rope:
        settings["rotary_base"] = rope["rope_theta"]
    return settings


def _gemma(hf_model: "PreTrainedModel") -> dict[str, Any]:
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
            "attn_types": ["local" if "sliding" in each else "global" for each in config.layer_types],
        }
    return settings
