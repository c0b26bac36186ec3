"""Capture of shifts: from pairs of texts to a store of the activations of both."""

import itertools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ssae_lens.base import checks
from ssae_lens.base.checksums import fingerprint
from ssae_lens.hooks.capture_job import BatchPlan, CaptureJob
from ssae_lens.hooks.hook_points import hook_list, origin_of, require_residual
from ssae_lens.hooks.spans import Spans, position_name
from ssae_lens.hooks.tokens import TokenizedTexts, text_start
from ssae_lens.models.identity import require_model
from ssae_lens.pairs import schema
from ssae_lens.shifts import ShiftStore, contents, layout

if TYPE_CHECKING:
    from datasets import Dataset

    from ssae_lens.models.identity import Model


@overload
def capture_shifts(
    model: "Model",
    pairs: "Dataset",
    hook: str,
    *,
    position: str | int = ...,
    prepend_bos: bool | None = ...,
    path: str | Path | None = ...,
    batch_tokens: int = ...,
    truncate: bool = ...,
    dtype: str = ...,
    quiet: bool = ...,
) -> ShiftStore: ...
@overload
def capture_shifts(
    model: "Model",
    pairs: "Dataset",
    hook: list[str] | tuple[str, ...],
    *,
    position: str | int = ...,
    prepend_bos: bool | None = ...,
    path: str | Path | None = ...,
    batch_tokens: int = ...,
    truncate: bool = ...,
    dtype: str = ...,
    quiet: bool = ...,
) -> dict[str, ShiftStore]: ...
def capture_shifts(
    model: "Model",
    pairs: "Dataset",
    hook: str | list[str] | tuple[str, ...],
    *,
    position: str | int = "mean",
    prepend_bos: bool | None = None,
    path: str | Path | None = None,
    batch_tokens: int = 4096,
    truncate: bool = False,
    dtype: str = "float32",
    quiet: bool = False,
) -> ShiftStore | dict[str, ShiftStore]:
    """Run both texts of each pair through a model and store the activations at a hook.

    Each distinct text is run once. With a `path`, the same call resumes a capture that was interrupted or killed. Under
    ``torchrun`` the processes share the work: all make the same call and get the same store.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge, with its tokenizer.
    pairs
        A paired text data set, as from `load_pairs`.
    hook
        Any hook that carries one vector of width d_model per token. Several hooks are recorded in one pass. A pass stops at
        the last of them.
    position
        Which token: ``mean`` of all but the first; ``last``; a number, counted as in Python (a beginning of sequence, BOS,
        is 0); a slice such as ``"-4:"``, of which the mean is taken; ``answer``, the letter or the yes or no at the end; or
        ``changed``, the tokens that differ: one row for each if both sides have equally many, else one of their means. Of
        chat messages, all but ``changed`` count within the last turn, and ``mean`` is over all of it.
    prepend_bos
        Whether to prepend a BOS to every text. By default, it is prepended where that is the model's default
        (``model.cfg.default_prepend_bos``), and where otherwise the first token of some text would be recorded, such as the
        last token of a text of one token. It is the tokenizer's BOS or, if that is missing or opens a turn of a
        conversation, the token that separates documents (see Notes). The store records it under ``pairs["prepend_bos"]``.
        Give True or False to compare captures of several data sets.
    path
        The file to write, or for several hooks the folder of their files, ``<hook>.h5``. Default: the store is in memory.
    batch_tokens
        Tokens in a forward pass, padding included.
    truncate
        Cut texts at the end to the model's context; by default, longer texts are an error.
    dtype
        Stored type of the activations: ``float32`` or ``float16``.
    quiet
        Show no progress.

    Returns
    -------
    ShiftStore or dict of str to ShiftStore
        Rows in the order of the pairs. For several hooks, a store by hook name.

    Raises
    ------
    ValueError
        If an argument is invalid, the model gives NaN, or the file at `path` belongs to another capture.
    OSError
        If the disk has too little room.

    Warns
    -----
    UserWarning
        If the first token of a sequence is recorded all the same: a BOS, or a text's own first token.

    Notes
    -----
    The first token of a sequence, BOS or not, is an attention sink in most models: its activation has an enormous norm and
    hardly depends on the token. ``mean`` leaves it out: even at a weight of 1/length, it would dominate the shift between
    texts of different lengths. With a BOS in that position, the first token of the text can be recorded.

    Where the model's default is no BOS, the token is the first of the tokenizer's BOS, its EOS and ``<|endoftext|>`` that
    the chat template does not contain: for SmolLM2, ``<|endoftext|>``. It is recorded under ``pairs["bos_token"]``.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> from ssae_lens.pairs import load_pairs
    >>> capture_shifts(tiny_model(), load_pairs("gender"), "blocks.1.hook_resid_post").shifts.shape
    (135, 32)
    """
    require_model(model)
    names = hook_list(hook)
    position = position_name(position)
    if prepend_bos not in (None, True, False):
        raise ValueError(f"prepend_bos is {prepend_bos!r}; it must be True, False or None.")
    stored = layout.storable(dtype)
    checks.integer("batch_tokens", batch_tokens)
    columns = schema.validate(pairs)
    # Columns that only say that a concept differs, without a sign, are no labels.
    concepts = schema.concept_names(pairs) if "changes" in pairs.column_names else []
    origins = [origin_of(model, name, position) for name in names]
    if len({origin.hook_name for origin in origins}) < len(names):
        raise ValueError(f"hook is {hook!r}; give one hook, or several different ones.")
    require_residual(model, *names)
    texts, spans = _tokenize(model, columns, position, truncate=truncate, prepend_bos=prepend_bos)
    description = _description(model, columns, texts, truncate=truncate, prepend_bos=prepend_bos)
    job = CaptureJob(
        model,
        names,
        BatchPlan.of(texts, spans, batch_tokens),
        [contents.describe(origin.d_model, origin, concepts, description) for origin in origins],
        _annotations(columns, concepts, spans),
        stored,
        {"hooks": [origin.hook_name for origin in origins], "batch_tokens": int(batch_tokens)},
    )
    if path is None:
        stores = job.in_memory(quiet)
    else:
        path = Path(path)
        files = [path] if isinstance(hook, str) else [path / f"{origin.hook_name}.h5" for origin in origins]
        stores = job.in_files(path, files, quiet)
    return stores[0] if isinstance(hook, str) else dict(zip(hook, stores, strict=True))


def _tokenize(
    model: "Model", columns: schema.Columns, position: str, *, truncate: bool, prepend_bos: bool | None
) -> tuple[TokenizedTexts, Spans]:
    """Return the tokens and the spans, with a BOS where otherwise a text's own first token would be recorded."""
    sides = {"source": columns.source, "target": columns.target}
    turns = None
    if columns.turns is not None:
        turns = dict(zip((*columns.source, *columns.target), itertools.chain(*columns.turns), strict=True))
    texts = TokenizedTexts.of(model, sides, truncate=truncate, prepend_bos=prepend_bos)
    spans = Spans.of(texts, position, turns)
    can_prepend = prepend_bos is None and not model.cfg.default_prepend_bos and text_start(texts.tokenizer)
    if can_prepend and spans.include_first.any():
        texts = TokenizedTexts.of(model, sides, truncate=truncate, prepend_bos=True)
        spans = Spans.of(texts, position, turns)
    if spans.include_first.any():
        mask = np.zeros(len(texts), dtype=bool)
        mask[spans.text[spans.include_first]] = True
        bos = texts.bos[mask].all()
        warnings.warn(
            f"The position {position} reads {'the BOS' if bos else 'the first token of the text'} in "
            f"{texts.rows_with(mask)}. In most models that is an attention sink, whose activation is enormous and nearly "
            f"the same for all texts; {'give' if bos else 'give prepend_bos=True, or'} another position.",
            stacklevel=3,
        )
    return texts, spans


def _description(
    model: "Model", columns: schema.Columns, texts: TokenizedTexts, *, truncate: bool, prepend_bos: bool | None
) -> dict[str, Any]:
    """Return the store's description of the pairs and of their tokenisation."""
    by_model = bool(model.cfg.default_prepend_bos) and prepend_bos is not False
    return {
        "fingerprint": schema.fingerprint_of_texts(columns.source, columns.target),
        "rows": len(columns.source),
        "prepend_bos": by_model or bool(texts.added_bos),
        "truncate": truncate,
        # Omitted for the model's own BOS, so that older stores compare equal.
        **({"bos_token": texts.added_bos} if texts.added_bos else {}),
        **({"turns": fingerprint(columns.turns)} if columns.turns else {}),
    }


def _annotations(columns: schema.Columns, concepts: list[str], spans: Spans) -> dict[str, np.ndarray]:
    """Return the stored annotations of each row."""
    labels = columns.signs[spans.pair] if columns.signs is not None else None
    texts = [columns.source[pair] for pair in spans.pair], [columns.target[pair] for pair in spans.pair]
    return contents.annotations(len(spans.pair), spans.pair, labels, concepts, texts)
