"""Conversion of a Hugging Face model in memory to a TransformerLens one, of either kind, without asking the Hub.

`to_hooked` runs TransformerLens's own weight converters and processing, then compares the result's predictions with the
Hugging Face model's; `to_bridge` wraps the Hugging Face model as it is. `hooked_config` makes the HookedTransformerConfig:
TransformerLens reads most architectures from a config.json, but knows Gemma only by the names of its releases.
"""

import tempfile
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

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
BRIDGE_OPTIONS = ("default_prepend_bos",)
GEMMAS = ("GemmaForCausalLM", "Gemma2ForCausalLM")


class NotConvertibleError(ValueError):
    """TransformerLens cannot make a HookedTransformer that predicts what the Hugging Face model predicts."""


# How far log-probabilities may stray from Hugging Face's, for the largest of them: rounding stays a hundred times
# below this, a wrong configuration lands a hundred times above.
TOLERANCE = 1e-3


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

    Processing that would change what an architecture computes is left out, as TransformerLens leaves it out:
    `fold_ln` and `center_writing_weights` where norms follow the sublayers, `center_unembed` under a logit softcap.

    Raises
    ------
    NotConvertibleError
        If TransformerLens does not know the architecture, or its conversion predicts something else.
    """
    from transformer_lens import HookedTransformer
    from transformer_lens import loading_from_pretrained as loading
    from transformer_lens.utilities import get_device
    from transformer_lens.weight_processing import ProcessWeights

    try:
        # Where the weights are: TransformerLens would process those of one device with what it adds on another.
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
            # What load_and_process_state_dict does, with one load in place of one for each tensor, which takes longer
            # than all the rest. A path that exists keeps the name out of TransformerLens's table; the weights are
            # those in hand.
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
    except (NotImplementedError, ValueError, AttributeError, KeyError, TypeError, RuntimeError) as error:
        raise NotConvertibleError(
            f"TransformerLens cannot make a HookedTransformer of {name!r} ({type(hf_model).__name__}): "
            f'{first_line(error)}. Open it with kind="bridge".'
        ) from error
    _require_agreement(model, hf_model, name)
    device = torch.device(device or get_device())
    if device != torch.device(hf_model.device):
        model.to(device, print_details=False)
    return model.eval()


def to_bridge(
    hf_model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    name: str,
    *,
    device: str | torch.device | None = None,
    default_prepend_bos: bool | None = None,
) -> "TransformerBridge":
    """Return the TransformerBridge around a Hugging Face model: raw weights, Hugging Face's own logits."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.utilities import get_device

    device = torch.device(device or get_device())
    torch.nn.Module.to(hf_model, device)
    try:
        with quiet():
            model = TransformerBridge.boot_transformers(
                name, hf_model=hf_model, device=device, dtype=hf_model.dtype, tokenizer=tokenizer
            )
    except torch.OutOfMemoryError:
        raise
    except (NotImplementedError, ValueError, AttributeError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"TransformerLens cannot make a TransformerBridge of {name!r} ({type(hf_model).__name__}): {first_line(error)}. "
            "Give a model of an architecture that TransformerLens has an adapter for."
        ) from error
    if default_prepend_bos is not None:
        model.cfg.default_prepend_bos = default_prepend_bos
    return model.eval()


def hooked_config(
    hf_model: "PreTrainedModel",
    name: str,
    device: str | torch.device | None = None,
    *,
    default_prepend_bos: bool | None = None,
) -> "HookedTransformerConfig":
    """Return the configuration of `hf_model` as a HookedTransformer, before any processing.

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


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back TransformerLens's notices of its next version and transformers' bars, for one load."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*HookedTransformer.*", category=DeprecationWarning)
            yield
    finally:
        if bars:
            logging.enable_progress_bar()


@torch.no_grad()
def _require_agreement(model: "HookedTransformer", hf_model: "PreTrainedModel", name: str) -> None:
    """Raise unless the converted model predicts as the Hugging Face model does.

    A converter silently ignores what it does not know (a bias, a rope base, a scale), and all that is captured
    afterwards would be wrong. In half precision rounding drowns the difference, so nothing is compared.
    """
    if model.cfg.dtype not in (torch.float32, torch.float64):
        return
    vocabulary = hf_model.config.get_text_config().vocab_size
    tokens = torch.linspace(0, vocabulary - 1, min(32, model.cfg.n_ctx)).long()[None]
    theirs = hf_model(tokens.to(hf_model.device)).logits.log_softmax(-1).cpu()
    ours = model(tokens.to(model.cfg.device)).log_softmax(-1).cpu()
    gap = (ours - theirs).abs().max() / theirs.abs().max()
    if not gap <= TOLERANCE:
        raise NotConvertibleError(
            f"As a HookedTransformer, {name!r} ({type(hf_model).__name__}) does not predict what it predicts in "
            f"Hugging Face (log-probabilities differ by {gap:.1%}): TransformerLens does not know all of this architecture. "
            'Open it with kind="bridge".'
        )


def first_line(error: BaseException) -> str:
    """Return an error's kind and the beginning of its first line, without a stop at the end."""
    lines = str(error).strip().splitlines()
    first = textwrap.shorten(lines[0], 200, placeholder=" …").rstrip(" .") if lines else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
