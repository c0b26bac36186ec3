"""`Texts`: the different texts of a paired data set as tokens, each once however many pairs share it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int
from typing_extensions import Self

from ssae_lens.pairs.schema import TEXTS as SIDES

if TYPE_CHECKING:
    from datasets import Dataset

    from ssae_lens.hooks.sites import Model

AT_ONCE = 4096  # texts given to the tokenizer together


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
        For each text, whether its first token is the tokenizer's beginning of sequence.
    tokenizer
        What they were made with.
    """

    texts: list[str]
    sides: Int[np.ndarray, "2 pairs"]
    tokens: Int[np.ndarray, " tokens"]
    bounds: Int[np.ndarray, " texts+1"]
    bos: np.ndarray
    tokenizer: Any

    @classmethod
    def of(cls, model: "Model", pairs: "Dataset", *, truncate: bool = False) -> Self:
        """Take the texts of a checked data set and tokenise them.

        Raises
        ------
        ValueError
            If the model has no tokenizer, or a text has no tokens or, unless `truncate`, more than the model reads.
        """
        tokenizer: Any = model.tokenizer
        if tokenizer is None:
            raise ValueError(
                f"The model {model.cfg.model_name!r} has no tokenizer to read texts with; give it one with "
                "model.set_tokenizer, or open it with load_model."
            )
        number: dict[str, int] = {}
        sides = np.empty((2, len(pairs)), dtype=np.int64)
        for row, both in enumerate(zip(*(pairs[name][:] for name in SIDES), strict=True)):
            for side, text in enumerate(both):
                sides[side, row] = number.setdefault(text, len(number))
        ids = [np.asarray(each, dtype=np.int32) for each in _ids(model, list(number))]
        lengths = np.array([len(each) for each in ids])
        bos = np.array([len(each) > 0 and each[0] == tokenizer.bos_token_id for each in ids])
        if (empty := lengths - bos <= 0).any():
            raise ValueError(f"The text gives the tokenizer no token in {_rows(sides, empty)}; leave it out.")
        n_ctx = model.cfg.n_ctx
        if (long := lengths > n_ctx).any() and not truncate:
            raise ValueError(
                f"The text has up to {lengths.max()} tokens, more than the {n_ctx} that the model reads, in "
                f"{_rows(sides, long)}; shorten it, leave it out, or give truncate=True to cut it at the end."
            )
        bounds = np.concatenate([[0], np.cumsum(np.minimum(lengths, n_ctx))])
        return cls(list(number), sides, np.concatenate([each[:n_ctx] for each in ids]), bounds, bos, tokenizer)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, text: int) -> Int[np.ndarray, " pos"]:
        return self.tokens[self.bounds[text] : self.bounds[text + 1]]

    @cached_property
    def lengths(self) -> Int[np.ndarray, " texts"]:
        """Tokens of each text."""
        return np.diff(self.bounds)

    def characters(self, text: int) -> list[tuple[int, int]]:
        """Give which characters of a text each of its tokens stands for, a beginning of sequence left out."""
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


def _rows(sides: Int[np.ndarray, "2 pairs"], bad: np.ndarray) -> str:
    rows = np.flatnonzero(bad[sides].any(axis=0))
    shown = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
    return f"{len(rows)} row{'s' * (len(rows) > 1)} ({shown})"


def _ids(model: "Model", texts: list[str]) -> Iterator[list[int]]:
    """Give each text's tokens as `model.to_tokens` would, without padding: no length has to be guessed from it."""
    tokenizer: Any = model.tokenizer
    wanted = bool(model.cfg.default_prepend_bos)
    given = bool(getattr(model.cfg, "tokenizer_prepends_bos", True))
    # A bridge leaves out a beginning of sequence that the tokenizer would take for ordinary characters.
    bos = tokenizer.bos_token
    by_hand = wanted and not given and bos and len(tokenizer(bos, add_special_tokens=False)["input_ids"]) == 1
    drop = given and not wanted and bos is not None
    eos = tokenizer.eos_token_id if getattr(model.cfg, "tokenizer_appends_eos", False) else None
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        if by_hand:
            some = [f"{bos}{text}" for text in some]
        # Not verbose: what is too long is said once, with its rows.
        for ids in tokenizer(some, padding=False, truncation=False, verbose=False)["input_ids"]:
            end = len(ids) - (eos is not None and len(ids) > 1 and ids[-1] == eos)
            yield ids[int(drop) : end]
