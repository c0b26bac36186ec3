"""Tokens of texts: the distinct texts of a paired data set, tokenised once each, and batches of token rows.

`TokenizedTexts` tokenises, `batch_by_length` divides texts into batches of similar length, `pad_right` makes one tensor of a
batch. These are the package's only batcher and right-padding helper.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from typing_extensions import Self

from ssae_lens.pairs.schema import TEXTS as SIDES

if TYPE_CHECKING:
    from datasets import Dataset

    from ssae_lens.models.identity import Model

TOKENIZED_AT_ONCE = 4096
# Texts are sorted by length in windows of this size: large enough that little padding is left, small enough that the rows of
# neighbouring pairs are in neighbouring batches.
SORT_WINDOW = 1 << 14
# The separator of documents in the training text of many models, whether or not it is their tokenizer's BOS.
SEPARATOR = "<|endoftext|>"


@dataclass
class TokenizedTexts:
    """Distinct texts in order of first appearance, tokenised as by the model's `to_tokens`.

    Attributes
    ----------
    texts
        The texts.
    sides
        The numbers of each pair's source text and target text.
    tokens, bounds
        The tokens of all texts, concatenated, and the offset of each text, with the total length at the end.
    bos
        For each text, whether a beginning of sequence (BOS) was prepended.
    added_bos
        The token prepended to every text where the model's default is none, or "".
    tokenizer
        The tokenizer.
    """

    texts: list[str]
    sides: Int[np.ndarray, "2 pairs"]
    tokens: Int[np.ndarray, " tokens"]
    bounds: Int[np.ndarray, " texts+1"]
    bos: Bool[np.ndarray, " texts"]
    added_bos: str
    tokenizer: Any

    @classmethod
    def of(
        cls,
        model: "Model",
        pairs: "Dataset | Mapping[str, list[str]]",
        *,
        truncate: bool = False,
        prepend_bos: bool | None = None,
    ) -> Self:
        """Tokenise the texts of a validated data set, or of its two columns.

        `prepend_bos` says whether a BOS is prepended to every text; None is the model's default.

        Raises
        ------
        ValueError
            If the model has no tokenizer or, where one is required, no BOS; or a text has no tokens or, unless `truncate`,
            more than the model's context.
        """
        tokenizer: Any = model.tokenizer
        if tokenizer is None:
            raise ValueError(
                f"The model {model.cfg.model_name!r} has no tokenizer; set one with model.set_tokenizer, or use load_model."
            )
        columns = [pairs[name][:] for name in SIDES]
        sides = np.empty((2, len(columns[0])), dtype=np.int64)
        number: dict[str, int] = {}
        for row, pair in enumerate(zip(*columns, strict=True)):
            for side, text in enumerate(pair):
                sides[side, row] = number.setdefault(text, len(number))
        default = bool(model.cfg.default_prepend_bos)
        added = _required_start(tokenizer) if prepend_bos and not default else ""
        prefix = [tokenizer.convert_tokens_to_ids(added)] if added else []
        by_model = default and prepend_bos is not False
        ids = [np.array([*prefix, *row], dtype=np.int32) for row in _ids(model, list(number), prepend_bos=by_model)]
        lengths = np.array([len(row) for row in ids])
        first = {*prefix, tokenizer.bos_token_id} if prefix or by_model else set()
        bos = np.array([len(row) > 0 and int(row[0]) in first for row in ids])
        if (empty := lengths - bos <= 0).any():
            raise ValueError(f"The text has no tokens in {_rows(sides, empty)}; remove it.")
        n_ctx = model.cfg.n_ctx
        if (long := lengths > n_ctx).any() and not truncate:
            raise ValueError(
                f"The text has up to {lengths.max()} tokens, more than the {n_ctx} that the model reads, in "
                f"{_rows(sides, long)}; shorten or remove it, or give truncate=True to cut it at the end."
            )
        bounds = np.concatenate([[0], np.cumsum(np.minimum(lengths, n_ctx))])
        return cls(list(number), sides, np.concatenate([row[:n_ctx] for row in ids]), bounds, bos, added, tokenizer)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, text: int) -> Int[np.ndarray, " pos"]:
        return self.tokens[self.bounds[text] : self.bounds[text + 1]]

    @cached_property
    def lengths(self) -> Int[np.ndarray, " texts"]:
        """Number of tokens of each text."""
        return np.diff(self.bounds)

    def offsets(self, text: int) -> list[tuple[int, int]]:
        """Return the range of characters of each of a text's tokens, without the BOS."""
        if not getattr(self.tokenizer, "is_fast", False):
            raise ValueError(
                f"The tokenizer {type(self.tokenizer).__name__} cannot map tokens to characters; use a fast one, or give "
                "the position as a number."
            )
        encoding = self.tokenizer(
            self.texts[text], add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return encoding["offset_mapping"]

    def rows_with(self, mask: Bool[np.ndarray, " texts"]) -> str:
        """Return a phrase that names the first rows of the data set with a text marked in `mask`."""
        return _rows(self.sides, mask)


def batch_by_length(lengths: Int[np.ndarray, " texts"], batch_tokens: int) -> list[Int[np.ndarray, " batch"]]:
    """Return batches of texts, each of at most `batch_tokens` tokens, padding included, or of one text.

    The texts of a batch are of similar length. The longest come first, so that a lack of memory shows at once.
    """
    batches = []
    for begin in range(0, len(lengths), SORT_WINDOW):
        window = begin + np.argsort(-lengths[begin : begin + SORT_WINDOW], kind="stable")
        while len(window):
            size = max(1, batch_tokens // int(lengths[window[0]]))
            batches.append(window[:size])
            window = window[size:]
    return batches


def pad_right(rows: Sequence[Any]) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Return token rows as one tensor, padded on the right, and the mask of real tokens.

    The padding token is 0. Any would do, since causal attention never looks to the right.
    """
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.zeros((len(rows), int(lengths.max())), dtype=torch.long)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = torch.as_tensor(row)
    return tokens, torch.arange(tokens.shape[1])[None] < lengths[:, None]


def text_start(tokenizer: Any) -> str:
    """Return the token to prepend to a text where the model's default is none, or "" if the tokenizer has none.

    It is the tokenizer's BOS, or else its EOS or ``<|endoftext|>``: in training text, one of these precedes a document.
    Tokens spelled out in the chat template come last, since they mark turns of a conversation, not the start of a text.
    After the BOS of SmolLM2-Instruct, ``<|im_start|>``, some words of one token are still attention sinks; after
    ``<|endoftext|>`` none is.
    """
    candidates = dict.fromkeys([tokenizer.bos_token, tokenizer.eos_token, SEPARATOR])
    single = [
        token for token in candidates if token and len(tokenizer(token, add_special_tokens=False)["input_ids"]) == 1
    ]
    template = str(getattr(tokenizer, "chat_template", None) or "")
    return next((token for token in single if token not in template), single[0] if single else "")


def start_token(model: "Model") -> str:
    """Return the token that ``prepend_bos=True`` prepends to every text, or "" if the tokenizer has none."""
    tokenizer: Any = model.tokenizer
    return (tokenizer.bos_token or "") if model.cfg.default_prepend_bos else text_start(tokenizer)


def _required_start(tokenizer: Any) -> str:
    if not (start := text_start(tokenizer)):
        raise ValueError(
            "prepend_bos is True, and the tokenizer has neither a BOS nor an EOS; set tokenizer.bos_token, or give False."
        )
    return start


def _rows(sides: Int[np.ndarray, "2 pairs"], mask: Bool[np.ndarray, " texts"]) -> str:
    rows = np.flatnonzero(mask[sides].any(axis=0))
    shown = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
    return f"{len(rows)} row{'s' * (len(rows) > 1)} ({shown})"


def _ids(model: "Model", texts: list[str], *, prepend_bos: bool) -> Iterator[list[int]]:
    """Yield each text's tokens as `model.to_tokens` would, but never padded."""
    tokenizer: Any = model.tokenizer
    prepends = bool(getattr(model.cfg, "tokenizer_prepends_bos", True))
    # Like a bridge, do not prepend a BOS that the tokenizer would read as ordinary characters.
    bos = tokenizer.bos_token
    by_hand = prepend_bos and not prepends and bos and len(tokenizer(bos, add_special_tokens=False)["input_ids"]) == 1
    drop = prepends and not prepend_bos and bos is not None
    eos = tokenizer.eos_token_id if getattr(model.cfg, "tokenizer_appends_eos", False) else None
    for start in range(0, len(texts), TOKENIZED_AT_ONCE):
        chunk = texts[start : start + TOKENIZED_AT_ONCE]
        if by_hand:
            chunk = [f"{bos}{text}" for text in chunk]
        # Not verbose: texts that are too long are reported by `TokenizedTexts.of`, with their rows.
        for ids in tokenizer(chunk, padding=False, truncation=False, verbose=False)["input_ids"]:
            end = len(ids) - (eos is not None and len(ids) > 1 and ids[-1] == eos)
            yield ids[int(drop) : end]
