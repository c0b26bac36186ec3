"""Conversion of a loaded Hugging Face model to a TransformerBridge, and what the conversion of `hooked` shares with it."""

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BRIDGE_OPTIONS = ("default_prepend_bos",)
# What TransformerLens raises on an architecture it cannot convert. Running out of memory is reported as itself.
CONVERSION_ERRORS = (NotImplementedError, ValueError, AttributeError, KeyError, TypeError, RuntimeError)


class NotConvertibleError(ValueError):
    """TransformerLens cannot make a HookedTransformer that predicts what the Hugging Face model predicts."""


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
    except CONVERSION_ERRORS as error:
        raise ValueError(
            f"TransformerLens cannot make a TransformerBridge of {name!r} ({type(hf_model).__name__}): {first_line(error)}. "
            "TransformerLens has no adapter for this architecture; use another model."
        ) from error
    if default_prepend_bos is not None:
        model.cfg.default_prepend_bos = default_prepend_bos
    return model.eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence TransformerLens's deprecation warnings and transformers' progress bars."""
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


def first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message, shortened, without a final stop."""
    lines = str(error).strip().splitlines()
    first = textwrap.shorten(lines[0], 200, placeholder=" …").rstrip(" .") if lines else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
