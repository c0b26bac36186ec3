"""Spans: the tokens of each text whose activations are averaged into one row of a capture.

============= ======================================================================================================
``"last"``    the last token
``"mean"``    all tokens but the first, whether a BOS or not, since its activation has an enormous norm in most models
``3``, ``-2`` the token of that number, from the start (where there is a BOS, it is 0) or from the end
``"-4:"``     the mean over a Python slice: the last four; ``"1:"`` is all but the first
``"answer"``  the letter or word at the end of the text: A in "(A)", Yes in "Yes."
``"changed"`` the tokens that differ between the two texts
============= ======================================================================================================

``changed`` excludes the common first tokens and the common last tokens of a pair. If equally many are left on both sides,
the pair gives one row for each token; otherwise one row, the mean of each side. If none is left on one side (an insertion),
the following token counts as part of the difference on both sides, or the preceding one if none follows.

In rendered chat messages all others count the tokens of the last turn only: ``"mean"`` is over all of it, ``0`` its first.
"""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from ssae_lens.hooks.tokens import TokenizedTexts

NAMES = ("last", "mean", "answer", "changed")
SLICE = re.compile(r"(-?\d+)?:(-?\d+)?")
# A single capital letter, or yes or no, at the end of a text, before an optional closing bracket and stop.
ANSWER = re.compile(r"(?<!\w)([A-Z]|[Yy]es|[Nn]o|YES|NO)\)?[.!]?\s*$")


@dataclass
class Spans:
    """The distinct spans of a data set, and the spans of each row's two sides.

    Attributes
    ----------
    text, start, stop
        For each span, the number of its text and its range of tokens. Spans of one text are consecutive.
    sides
        For each row, the numbers of its source's and its target's span.
    pair
        For each row, the number of its pair.
    example_pair
        For each span, one of the pairs that use it.
    """

    text: Int[np.ndarray, " spans"]
    start: Int[np.ndarray, " spans"]
    stop: Int[np.ndarray, " spans"]
    sides: Int[np.ndarray, "2 rows"]
    pair: Int[np.ndarray, " rows"]
    example_pair: Int[np.ndarray, " spans"]

    @classmethod
    def of(cls, texts: TokenizedTexts, position: str, turns: dict[str, list[int]] | None = None) -> "Spans":
        """Return the spans of every text; `position` is a name returned by `position_name`.

        `turns` are the ranges of characters, by text, in which positions count.
        """
        if position == "changed":
            pair, triples = _changed(texts)
        else:
            pair = np.arange(texts.sides.shape[1])
            triples = np.stack([texts.sides, *_bounds(texts, position, turns).T[:, texts.sides]], axis=-1)
        # One integer per (text, start, stop), for np.unique.
        size = int(texts.lengths.max()) + 1
        codes = (triples[..., 0] * size + triples[..., 1]) * size + triples[..., 2]
        spans, first, sides = np.unique(codes, return_index=True, return_inverse=True)
        sides = sides.reshape(codes.shape)
        return cls(spans // size**2, spans // size % size, spans % size, sides, pair, pair[first % len(pair)])

    @property
    def include_first(self) -> Bool[np.ndarray, " spans"]:
        """Whether each span includes the first token of its sequence."""
        return self.start == 0

    def __len__(self) -> int:
        return len(self.text)


def position_name(position: str | int) -> str:
    """Return a position in the form in which it is stored; raise for anything else."""
    name = str(position).strip()
    if isinstance(position, bool) or not (
        name in NAMES or re.fullmatch(r"-?\d+", name) or (name != ":" and SLICE.fullmatch(name))
    ):
        raise ValueError(
            f"position is {position!r}; it must be {', '.join(map(repr, NAMES))}, a token's number such as 0 or -1, or "
            "a slice such as '-4:', whose mean is taken."
        )
    return name


def _windows(texts: TokenizedTexts, turns: dict[str, list[int]] | None) -> Int[np.ndarray, "texts 2"]:
    """Return the range of tokens of each text in which positions count: all, or those of its turn."""
    windows = np.stack([np.zeros_like(texts.lengths), texts.lengths], axis=1)
    if turns is None:
        return windows
    for number, text in enumerate(texts.texts):
        begin, end = turns[text]
        inside = [token for token, (start, stop) in enumerate(texts.offsets(number)) if start < end and stop > begin]
        windows[number] = inside[0] + texts.bos[number], inside[-1] + 1 + texts.bos[number]
    if (cut := windows[:, 1] > texts.lengths).any():
        raise ValueError(
            f"The last turn does not fit the model's context in {texts.rows_with(cut)}; shorten or remove these rows."
        )
    return windows


def _bounds(texts: TokenizedTexts, position: str, turns: dict[str, list[int]] | None) -> Int[np.ndarray, "texts 2"]:
    """Return the start and stop of each text's span."""
    if position == "answer":
        return _answers(texts, turns)
    windows = _windows(texts, turns)
    begin, end = windows.T
    if position == "mean":
        # Without the first token of the sequence, which a text of one token keeps.
        return np.stack([np.maximum(begin, np.minimum(1, texts.lengths - 1)), end], axis=1)
    if position == "last":
        position = "-1"
    match = SLICE.fullmatch(position)
    low, high = match.groups() if match else (position, None)
    start = _token_index(low, windows, begin)
    stop = _token_index(high, windows, end) if match else start + 1
    if (outside := (start < begin) | (stop > end) | (start >= stop)).any():
        shortest = int((end - begin)[outside].min())
        raise ValueError(
            f"The position {position} lies outside of the text, or is empty, in {texts.rows_with(outside)}, the shortest of "
            f"{shortest} token{'s' * (shortest > 1)}; give another position, or remove those rows."
        )
    return np.stack([start, stop], axis=1)


def _token_index(
    bound: str | None, windows: Int[np.ndarray, "texts 2"], default: Int[np.ndarray, " texts"]
) -> Int[np.ndarray, " texts"]:
    return default if bound is None else int(bound) + windows[:, 1 if bound.startswith("-") else 0]


def _answers(texts: TokenizedTexts, turns: dict[str, list[int]] | None) -> Int[np.ndarray, "texts 2"]:
    tokens = np.full(len(texts), -1)
    for number, text in enumerate(texts.texts):
        # Behind the last turn a chat template has its marks.
        if answer := ANSWER.search(text if turns is None else text[: turns[text][1]]):
            last = answer.end(1) - 1
            holding = [token for token, (begin, end) in enumerate(texts.offsets(number)) if begin <= last < end]
            tokens[number] = holding[-1] + texts.bos[number]
    # A text cut to the model's context may have lost its answer.
    if (missing := (tokens < 0) | (tokens >= texts.lengths)).any():
        raise ValueError(
            f"The text does not end with an answer, such as (A) or Yes, in {texts.rows_with(missing)}; give another "
            "position, or remove those rows."
        )
    return np.stack([tokens, tokens + 1], axis=1)


def _changed(texts: TokenizedTexts) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, "2 rows 3"]]:
    """Return each row's pair, and (text, start, stop) of both sides."""
    pairs: list[int] = []
    rows: list[tuple[tuple[int, int, int], tuple[int, int, int]]] = []
    same = np.zeros(len(texts), dtype=bool)
    for pair, (source, target) in enumerate(texts.sides.T.tolist()):
        start, ends = _difference(texts[source], texts[target])
        counts = [end - start for end in ends]
        if not any(counts):
            same[source] = True
            continue
        if not all(counts):
            follows = ends[0] < len(texts[source])
            start, ends = (start, [end + 1 for end in ends]) if follows else (start - 1, ends)
            counts = [end - start for end in ends]
        if counts[0] == counts[1]:
            rows += [((source, token, token + 1), (target, token, token + 1)) for token in range(start, ends[0])]
            pairs += [pair] * counts[0]
        else:
            rows.append(((source, start, ends[0]), (target, start, ends[1])))
            pairs.append(pair)
    if same.any():
        raise ValueError(f"No token differs between source and target in {texts.rows_with(same)}; remove those rows.")
    return np.array(pairs), np.array(rows).transpose(1, 0, 2)


def _difference(source: Int[np.ndarray, " a"], target: Int[np.ndarray, " b"]) -> tuple[int, list[int]]:
    """Return the first token at which two texts differ, and for each text the end of the difference."""
    shorter = min(len(source), len(target))
    unequal = np.flatnonzero(source[:shorter] != target[:shorter])
    start = int(unequal[0]) if len(unequal) else shorter
    shorter -= start
    unequal = np.flatnonzero(source[len(source) - shorter :][::-1] != target[len(target) - shorter :][::-1])
    after = int(unequal[0]) if len(unequal) else shorter
    return start, [len(source) - after, len(target) - after]
