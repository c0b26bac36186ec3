"""`capture_shifts`: from pairs of texts to the activations of both, in a store."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ssae_lens.base import checks
from ssae_lens.hooks.batching import Plan
from ssae_lens.hooks.capture_job import Work
from ssae_lens.hooks.encoding import Texts, text_start
from ssae_lens.hooks.hook_points import hook_list, origin_of, require_model, require_residual
from ssae_lens.hooks.spans import Spans, position_name
from ssae_lens.pairs import schema
from ssae_lens.shifts import ShiftStore, layout
from ssae_lens.shifts import rows as incoming

if TYPE_CHECKING:
    from datasets import Dataset

    from ssae_lens.hooks.hook_points import Model


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
    position: str | int = "last",
    prepend_bos: bool | None = None,
    path: str | Path | None = None,
    batch_tokens: int = 4096,
    truncate: bool = False,
    dtype: str = "float32",
    quiet: bool = False,
) -> ShiftStore | dict[str, ShiftStore]:
    """Run both texts of each pair through a model and keep what passes at a hook.

    Each different text is run once. With a `path`, a call that was interrupted or killed is completed by the same call.
    Under ``torchrun`` the processes share the work; each calls this in the same way, and gets the same store.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge, with its tokenizer.
    pairs
        A paired text data set, as `load_pairs` gives one.
    hook
        Where to read: any hook that carries one vector of the residual stream's width for each token. Several names are read
        in one pass. A pass goes no further than the last of them.
    position
        Which token to read: ``last``; ``mean`` of all but the first; a number, counted as Python counts (the beginning of
        sequence, BOS, where there is one, is 0); a slice such as ``"-4:"``, whose mean is taken; ``answer``, the letter or
        the yes or no that ends the text; or ``changed``, the tokens that differ, a row for each where they are as many on
        both sides and else one of their means.
    prepend_bos
        Whether a BOS goes before every text. By default it does where the model's default is that
        (``model.cfg.default_prepend_bos``), and otherwise where the first token of any text would be read, such as the
        last token of a text of one token. The tokenizer's BOS is taken or, where it has none or one that opens a turn of a
        conversation, the token that separates documents (see Notes). The store says under ``pairs["prepend_bos"]`` whether
        there was one. Give True or False where captures of several data sets are to be compared.
    path
        The file to write, or for several hooks the folder of their files, each ``<hook>.h5``. By default the store is in
        memory.
    batch_tokens
        Tokens that go through the model together, padding included.
    truncate
        Cut texts at the end to what the model reads; by default such texts are an error.
    dtype
        What activations are stored in: ``float32`` or ``float16``.
    quiet
        Show no progress.

    Returns
    -------
    ShiftStore or dict of str to ShiftStore
        Rows in the order of the pairs. For several hooks, a store for each name given.

    Raises
    ------
    ValueError
        If something given cannot be used, or the model gives NaN; what stands at `path` belongs to something else.
    OSError
        If the disk has no room.

    Warns
    -----
    UserWarning
        If the first token of a sequence is read all the same: a BOS, or a text's own first token without one.

    Notes
    -----
    The first token of a sequence, BOS or not, is an attention sink in most models: its activation has an enormous norm and
    is nearly the same whatever the token is. ``mean`` leaves it out: at 1/length of its weight, it would be most of what
    texts of different lengths differ by. A BOS takes its place, so that the first token of the text can be read.

    Where the model's default is to put no BOS, the token put there is the first of the tokenizer's BOS, its EOS and
    ``<|endoftext|>`` that the chat template does not spell out: for SmolLM2, ``<|endoftext|>``. The store says which under
    ``pairs["bos_token"]``.

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
    concepts = _concepts(pairs)
    origins = [origin_of(model, name, position) for name in names]
    if len({each.hook_name for each in origins}) < len(names):
        raise ValueError(f"hook is {hook!r}; give one hook, or several different ones.")
    require_residual(model, *names)
    texts, spans = _encoded(model, columns, position, truncate=truncate, prepend_bos=prepend_bos)
    description = _description(model, columns, texts, truncate=truncate, prepend_bos=prepend_bos)
    work = Work(
        model,
        names,
        Plan.of(texts, spans, batch_tokens),
        [incoming.describe(each.d_model, each, concepts, description) for each in origins],
        _annotations(columns, concepts, spans),
        stored,
        {"hooks": [each.hook_name for each in origins], "batch_tokens": int(batch_tokens)},
    )
    if path is None:
        stores = work.in_memory(quiet)
    else:
        several = not isinstance(hook, str)
        stores = work.in_files(
            Path(path), [Path(path) / f"{each.hook_name}.h5" if several else Path(path) for each in origins], quiet
        )
    return stores[0] if isinstance(hook, str) else dict(zip(hook, stores, strict=True))


def _encoded(
    model: "Model", columns: schema.Columns, position: str, *, truncate: bool, prepend_bos: bool | None
) -> tuple[Texts, Spans]:
    """Tokenise the texts and find what is read, with a BOS where otherwise a text's own first token would be."""
    sides = {"source": columns.source, "target": columns.target}
    texts = Texts.of(model, sides, truncate=truncate, prepend_bos=prepend_bos)
    spans = Spans.of(texts, position)
    if prepend_bos is None and not model.cfg.default_prepend_bos and spans.first.any() and text_start(texts.tokenizer):
        texts = Texts.of(model, sides, truncate=truncate, prepend_bos=True)
        spans = Spans.of(texts, position)
    if spans.first.any():
        read = np.zeros(len(texts), dtype=bool)
        read[spans.text[spans.first]] = True
        bos = texts.bos[read].all()
        warnings.warn(
            f"The position {position} reads {'the BOS' if bos else 'the first token of the text'} in {texts.where(read)}. "
            "In most models that is an attention sink, whose activation is enormous and nearly the same for all texts; "
            f"{'give' if bos else 'give prepend_bos=True, or'} another position.",
            stacklevel=3,
        )
    return texts, spans


def _description(
    model: "Model", columns: schema.Columns, texts: Texts, *, truncate: bool, prepend_bos: bool | None
) -> dict[str, Any]:
    """Return what the store says of the pairs and of how they were tokenised."""
    by_model = bool(model.cfg.default_prepend_bos) and prepend_bos is not False
    return {
        "fingerprint": schema.fingerprint_of_texts(columns.source, columns.target),
        "rows": len(columns.source),
        "prepend_bos": by_model or bool(texts.added_bos),
        "truncate": truncate,
        # Left out where it is the model's own, so that stores made before there was a choice compare equal.
        **({"bos_token": texts.added_bos} if texts.added_bos else {}),
    }


def _annotations(columns: schema.Columns, concepts: list[str], spans: Spans) -> dict[str, np.ndarray]:
    """Return what is known of each row, by the names it is stored under."""
    labels = columns.signs[spans.pair] if columns.signs is not None else None
    texts = [columns.source[row] for row in spans.pair], [columns.target[row] for row in spans.pair]
    return incoming.annotations(len(spans.pair), spans.pair, labels, concepts, texts)


def _concepts(pairs: "Dataset") -> list[str]:
    """Name the concepts whose signed changes are known; what only says that a concept differs is no label."""
    return schema.concept_names(pairs) if "changes" in pairs.column_names else []
