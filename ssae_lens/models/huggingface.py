"""Opening a Hugging Face causal language model with its tokenizer, whole or not at all."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ssae_lens.base.checks import existing_folder
from ssae_lens.models.conversion import first_line, quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def open_folder(
    path: str | Path, dtype: torch.dtype = torch.float32
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Open a local folder as `save_pretrained` writes it.

    Raises
    ------
    FileNotFoundError
        If the folder, its ``config.json`` or its tokenizer is missing.
    ValueError
        If what is there does not make a whole causal language model.
    """
    path = existing_folder(path)
    if not (path / "config.json").is_file():
        held = ", ".join(sorted(each.name for each in path.iterdir())[:8]) or "nothing"
        raise FileNotFoundError(
            f"{path} has no config.json (it holds {held}), so it is no Hugging Face model. "
            "`model.save_pretrained(folder)` and `tokenizer.save_pretrained(folder)` write one."
        )
    return open_any(str(path), dtype)


def open_any(name: str, dtype: torch.dtype = torch.float32) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Open a folder or a repository of the Hub; a repository that cannot be had raises OSError."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    local = Path(name).is_dir()
    try:
        with quiet():
            # Eager attention is the kind whose scores and patterns can be hooked. No code from the repository is run.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                name, dtype=dtype, attn_implementation="eager", output_loading_info=True, trust_remote_code=False
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        if isinstance(error, OSError) and not local:
            raise
        raise ValueError(
            f"{name} does not open as a causal language model ({first_line(error)}): save or fetch it again, whole."
        ) from error
    model, report = loaded
    # transformers only warns, and fills what is missing with random numbers.
    if missing := sorted(report["missing_keys"]):
        raise ValueError(
            f"The weights in {name} lack {len(missing)} of the model's tensors ({', '.join(missing[:3])}, …): "
            "save or fetch it again, whole."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise FileNotFoundError(
            f"{name} has no tokenizer that opens ({first_line(error)}). `tokenizer.save_pretrained(folder)` writes one "
            "beside the model."
        ) from error
    return model.eval().requires_grad_(requires_grad=False), tokenizer
