"""`capture_shifts`: from pairs of texts to the activations of both, in a store."""

from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from ssae_lens.base import checks
from ssae_lens.base.origin import Origin
from ssae_lens.hooks.batching import Plan
from ssae_lens.hooks.encoding import Texts
from ssae_lens.hooks.sites import origin_of, require_residual
from ssae_lens.hooks.spans import Spans, position_name
from ssae_lens.hooks.work import Work
from ssae_lens.pairs import schema
from ssae_lens.shifts import ShiftStore, layout
from ssae_lens.shifts import rows as incoming
from ssae_lens.shifts.layout import About

if TYPE_CHECKING:
    from datasets import Dataset

    from ssae_lens.hooks.sites import Model


@overload
def capture_shifts(
    model: "Model",
    pairs: "Dataset",
    hook: str,
    *,
    position: str | int = ...,
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
    path: str | Path | None = None,
    batch_tokens: int = 4096,
    truncate: bool = False,
    dtype: str = "float32",
    quiet: bool = False,
) -> ShiftStore | dict[str, ShiftStore]:
    """Run both texts of each pair through a model and keep what passes at a hook.

    Each different text is run once, with the beginning of sequence that the model puts before a text by default. With a
    `path`, a call that was interrupted or killed is completed by the same call. Under ``torchrun`` the processes share the
    work; each calls this in the same way, and gets the same store.

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
        Which token to read: ``last``; ``mean`` of all but the first; a number, counted as Python counts (the
        beginning of sequence, where there is one, is 0); a slice such as ``"-4:"``, whose mean is taken; ``answer``, the
        letter or the yes or no that ends the text; or ``changed``, the tokens that differ, a row for each
        where they are as many on both sides and else one of their means.
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

    Notes
    -----
    The first token of a text, a beginning of sequence or not, has an activation of enormous norm in most models. ``mean``
    leaves it out: at 1/length of its weight, it would be most of what texts of different lengths differ by.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> from ssae_lens.pairs import load_pairs
    >>> capture_shifts(tiny_model(), load_pairs("gender"), "blocks.1.hook_resid_post").shifts.shape
    (135, 32)
    """
    names = [hook] if isinstance(hook, str) else list(hook)
    position = position_name(position)
    stored = layout.storable(dtype)
    checks.whole("batch_tokens", batch_tokens)
    schema.validate(pairs)
    origins = [origin_of(model, name, position) for name in names]
    if len({each.hook_name for each in origins}) < max(1, len(names)):
        raise ValueError(f"hook is {hook!r}; give one hook, or several different ones.")
    require_residual(model, *names)
    texts = Texts.of(model, pairs, truncate=truncate)
    spans = Spans.of(texts, position)
    work = Work(
        model,
        names,
        Plan.of(texts, spans, batch_tokens),
        [_about(model, pairs, each, truncate) for each in origins],
        _annotations(pairs, spans),
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


def _about(model: "Model", pairs: "Dataset", origin: Origin, truncate: bool) -> About:
    description = {
        "fingerprint": schema.fingerprint_of(pairs),
        "rows": len(pairs),
        "prepend_bos": bool(model.cfg.default_prepend_bos),
        "truncate": truncate,
    }
    return incoming.describe(origin.d_model, origin, _concepts(pairs), description)


def _annotations(pairs: "Dataset", spans: Spans) -> dict[str, np.ndarray]:
    """Give what is known of each row, by the names it is stored under."""
    concepts = _concepts(pairs)
    labels = schema.signed_changes(pairs)[spans.pair] if concepts else None
    source, target = (pairs[name][:] for name in schema.TEXTS)
    texts = [source[row] for row in spans.pair], [target[row] for row in spans.pair]
    return incoming.annotations(len(spans.pair), spans.pair, labels, concepts, texts)


def _concepts(pairs: "Dataset") -> list[str]:
    """Name the concepts whose signed changes are known; what only says that a concept differs is no label."""
    return schema.concept_names(pairs) if "changes" in pairs.column_names else []
