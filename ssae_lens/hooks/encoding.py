"""`Texts`: the different texts of a paired data set as tokens, each once however many pairs share it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int
from typing_extensions import Self

from ssae_lens.pairs.schema import TEXTS as SIDES

if TYPE_CHECKING:
    from datasets import Dataset

    from ssae_lens.hooks.hook_points import Model

AT_ONCE = 4096  # texts given to the tokenizer together
# The separator of documents in the training text of many models, whether or not their tokenizers call it BOS.
SEPARATOR = "<|endoftext|>"


@dataclass
class Texts:
    """Different texts in order of first appearance, tokenised as the model's own `to_tokens` does by default.

    Attributes
    ----------
    texts
        The texts.
    sides
        The number of each pair's source text and target text.
    tokens, bounds
        All texts' tokens, one text after another, and where the first and every next text begins and the last one ends.
    bos
        For each text, whether a beginning of sequence (BOS) was put before it.
    added_bos
        The token put before every text where the model's default puts none, or "".
    tokenizer
        What they were made with.
    """

    texts: list[str]
    sides: Int[np.ndarray, "2 pairs"]
    tokens: Int[np.ndarray, " tokens"]
    bounds: Int[np.ndarray, " texts+1"]
    bos: np.ndarray
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
        """Take the texts of a checked data set, or of its two columns, and tokenise them.

        `prepend_bos` says whether a BOS goes before every text; by default it does where the model's default is that.

        Raises
        ------
        ValueError
            If the model has no tokenizer or, where one is asked for, no BOS; or a text has no tokens or, unless `truncate`,
            more than the model reads.
        """
        tokenizer: Any = model.tokenizer
        if tokenizer is None:
            raise ValueError(
                f"The model {model.cfg.model_name!r} has no tokenizer to read texts with; give it one with "
                "model.set_tokenizer, or open it with load_model."
            )
        number: dict[str, int] = {}
        columns = [pairs[name][:] for name in SIDES]
        sides = np.empty((2, len(columns[0])), dtype=np.int64)
        for row, both in enumerate(zip(*columns, strict=True)):
            for side, text in enumerate(both):
                sides[side, row] = number.setdefault(text, len(number))
        default = bool(model.cfg.default_prepend_bos)
        added = _required_start(tokenizer) if prepend_bos and not default else ""
        begin = [tokenizer.convert_tokens_to_ids(added)] if added else []
        by_model = default and prepend_bos is not False
        ids = [np.array([*begin, *each], dtype=np.int32) for each in _ids(model, list(number), prepend_bos=by_model)]
        lengths = np.array([len(each) for each in ids])
        first = {*begin, tokenizer.bos_token_id} if begin or by_model else set()
        bos = np.array([len(each) > 0 and int(each[0]) in first for each in ids])
        if (empty := lengths - bos <= 0).any():
            raise ValueError(f"The text gives the tokenizer no token in {_rows(sides, empty)}; leave it out.")
        n_ctx = model.cfg.n_ctx
        if (long := lengths > n_ctx).any() and not truncate:
            raise ValueError(
                f"The text has up to {lengths.max()} tokens, more than the {n_ctx} that the model reads, in "
                f"{_rows(sides, long)}; shorten it, leave it out, or give truncate=True to cut it at the end."
            )
        bounds = np.concatenate([[0], np.cumsum(np.minimum(lengths, n_ctx))])
        return cls(list(number), sides, np.concatenate([each[:n_ctx] for each in ids]), bounds, bos, added, tokenizer)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, text: int) -> Int[np.ndarray, " pos"]:
        return self.tokens[self.bounds[text] : self.bounds[text + 1]]

    @cached_property
    def lengths(self) -> Int[np.ndarray, " texts"]:
        """Tokens of each text."""
        return np.diff(self.bounds)

    def characters(self, text: int) -> list[tuple[int, int]]:
        """Return which characters of a text each of its tokens stands for, a beginning of sequence left out."""
        if not getattr(self.tokenizer, "is_fast", False):
            raise ValueError(
                f"The tokenizer {type(self.tokenizer).__name__} does not tell which characters a token stands for; use "
                "a fast one, or give the position as a number."
            )
        given = self.tokenizer(self.texts[text], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return given["offset_mapping"]

    def where(self, bad: np.ndarray) -> str:
        """Say in which rows of the data set the texts marked in `bad` first stand."""
        return _rows(self.sides, bad)


def text_start(tokenizer: Any) -> str:
    """Return the token to put before a text where the model's default puts none, or "" if the tokenizer has none.

    It is the tokenizer's BOS, or else its EOS or ``<|endoftext|>``: a document of the training text follows one of these.
    Tokens that the chat template spells out come last, as they mark turns of a conversation and not the beginning of a
    text. After the BOS of SmolLM2-Instruct, ``<|im_start|>``, some words of one token are still attention sinks; after
    ``<|endoftext|>`` none is.
    """
    candidates = dict.fromkeys([tokenizer.bos_token, tokenizer.eos_token, SEPARATOR])
    single = [each for each in candidates if each and len(tokenizer(each, add_special_tokens=False)["input_ids"]) == 1]
    template = str(getattr(tokenizer, "chat_template", None) or "")
    return next((each for each in single if each not in template), single[0] if single else "")


def start_token(model: "Model") -> str:
    """Return the token that ``prepend_bos=True`` puts before every text, or "" if the tokenizer has none."""
    tokenizer: Any = model.tokenizer
    return (tokenizer.bos_token or "") if model.cfg.default_prepend_bos else text_start(tokenizer)


def _required_start(tokenizer: Any) -> str:
    if not (start := text_start(tokenizer)):
        raise ValueError(
            "prepend_bos is True, and the tokenizer has neither a BOS nor an EOS; set tokenizer.bos_token, or give False."
        )
    return start


def _rows(sides: Int[np.ndarray, "2 pairs"], bad: np.ndarray) -> str:
    rows = np.flatnonzero(bad[sides].any(axis=0))
    shown = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
    return f"{len(rows)} row{'s' * (len(rows) > 1)} ({shown})"


def _ids(model: "Model", texts: list[str], *, prepend_bos: bool) -> Iterator[list[int]]:
    """Yield each text's tokens as `model.to_tokens` would, without padding: no length has to be guessed from it."""
    tokenizer: Any = model.tokenizer
    given = bool(getattr(model.cfg, "tokenizer_prepends_bos", True))
    # A bridge leaves out a beginning of sequence that the tokenizer would take for ordinary characters.
    bos = tokenizer.bos_token
    by_hand = prepend_bos and not given and bos and len(tokenizer(bos, add_special_tokens=False)["input_ids"]) == 1
    drop = given and not prepend_bos and bos is not None
    eos = tokenizer.eos_token_id if getattr(model.cfg, "tokenizer_appends_eos", False) else None
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        if by_hand:
            some = [f"{bos}{text}" for text in some]
        # Not verbose: what is too long is said once, with its rows.
        for ids in tokenizer(some, padding=False, truncation=False, verbose=False)["input_ids"]:
            end = len(ids) - (eos is not None and len(ids) > 1 and ids[-1] == eos)
            yield ids[int(drop) : end]
