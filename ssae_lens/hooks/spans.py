"""`Spans`: which tokens of each text are read. Every row that is captured is the mean over a span of one text's tokens.

============ ==============================================================================================
``"last"``   the last token
``"mean"``   all tokens but the first, be it a beginning of sequence or not: its activation is enormous in most models
``3``, ``-2`` the token of that number, from the front (a beginning of sequence, where there is one, is 0) or the end
``"-4:"``    the mean over a slice, written as Python writes it: the last four; ``"1:"`` all but the first
``"answer"`` the letter or word that the text ends with: A in "(A)", Yes in "Yes."
``"changed"`` what differs between the two texts
============ ==============================================================================================

``changed`` leaves out the tokens that both texts begin with and those that both end with. Where as many are left on either
side, they are taken one by one and the pair gives that many rows; where not, no token stands opposite another, and the pair
gives one row, the mean of each side. Where nothing is left on one side (the other inserts something), the token that follows
counts as part of it on both sides, or the one before if none follows.
"""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from ssae_lens.hooks.encoding import Texts

NAMES = ("last", "mean", "answer", "changed")
SLICE = re.compile(r"(-?\d+)?:(-?\d+)?")
# A single capital letter, or yes or no, at the end of a text or before its closing bracket and stop.
ANSWER = re.compile(r"(?<!\w)([A-Z]|[Yy]es|[Nn]o|YES|NO)\)?[.!]?\s*$")


@dataclass
class Spans:
    """The spans of tokens to read, each once, and those of each row's two sides.

    Attributes
    ----------
    text, start, stop
        For each span, the number of its text and its tokens. Spans of one text stand together.
    sides
        For each row, the numbers of its source's and its target's span.
    pair
        For each row, the pair it is of.
    found_in
        For each span, a pair that reads it.
    """

    text: Int[np.ndarray, " spans"]
    start: Int[np.ndarray, " spans"]
    stop: Int[np.ndarray, " spans"]
    sides: Int[np.ndarray, "2 rows"]
    pair: Int[np.ndarray, " rows"]
    found_in: Int[np.ndarray, " spans"]

    @classmethod
    def of(cls, texts: Texts, position: str) -> "Spans":
        """Find the spans of every text; `position` is a name as `position_name` gives it."""
        if position == "changed":
            pair, both = _changed(texts)
        else:
            pair = np.arange(texts.sides.shape[1])
            both = np.stack([texts.sides, *_in_each(texts, position).T[:, texts.sides]], axis=-1)
        # One number a span, so that equal spans are found by sorting numbers.
        size = int(texts.lengths.max()) + 1
        codes = (both[..., 0] * size + both[..., 1]) * size + both[..., 2]
        spans, first, sides = np.unique(codes, return_index=True, return_inverse=True)
        sides = sides.reshape(codes.shape)
        return cls(spans // size**2, spans // size % size, spans % size, sides, pair, pair[first % len(pair)])

    @property
    def first(self) -> Bool[np.ndarray, " spans"]:
        """Which spans have the first token of their sequence in them."""
        return self.start == 0

    def __len__(self) -> int:
        return len(self.text)


def position_name(position: str | int) -> str:
    """Return a position as it is recorded, or say which there are."""
    name = str(position).strip()
    if isinstance(position, bool) or not (
        name in NAMES or re.fullmatch(r"-?\d+", name) or (name != ":" and SLICE.fullmatch(name))
    ):
        raise ValueError(
            f"position is {position!r}; it must be {', '.join(map(repr, NAMES))}, a token's number such as 0 or -1, or "
            "a slice such as '-4:', whose mean is taken."
        )
    return name


def _in_each(texts: Texts, position: str) -> Int[np.ndarray, "texts 2"]:
    """Return the first token of each text's span and the one after its last."""
    lengths = texts.lengths
    if position == "mean":
        # A text of one token has no other.
        return np.stack([np.minimum(1, lengths - 1), lengths], axis=1)
    if position == "answer":
        return _answers(texts)
    if position == "last":
        position = "-1"
    bounds = SLICE.fullmatch(position)
    low, high = bounds.groups() if bounds else (position, None)
    start = _counted(low, lengths, 0)
    stop = _counted(high, lengths, lengths) if bounds else start + 1
    if (outside := (start < 0) | (stop > lengths) | (start >= stop)).any():
        shortest = int(lengths[outside].min())
        raise ValueError(
            f"The position {position} lies outside of the text, or is empty, in {texts.where(outside)}, the shortest of "
            f"{shortest} token{'s' * (shortest > 1)}; give another position, or leave those rows out."
        )
    return np.stack([start, stop], axis=1)


def _counted(
    bound: str | None, lengths: Int[np.ndarray, " texts"], default: int | np.ndarray
) -> Int[np.ndarray, " texts"]:
    if bound is None:
        return np.broadcast_to(default, lengths.shape)
    return int(bound) + (lengths if bound.startswith("-") else np.zeros_like(lengths))


def _answers(texts: Texts) -> Int[np.ndarray, "texts 2"]:
    found = np.full(len(texts), -1)
    for number, text in enumerate(texts.texts):
        if answer := ANSWER.search(text):
            last = answer.end(1) - 1
            at = [token for token, (begin, end) in enumerate(texts.characters(number)) if begin <= last < end]
            found[number] = at[-1] + texts.bos[number]
    # Where a text was cut to what the model reads, its answer may be gone.
    if (without := (found < 0) | (found >= texts.lengths)).any():
        raise ValueError(
            f"The text does not end with an answer, such as (A) or Yes, in {texts.where(without)}; give another position, "
            "or leave those rows out."
        )
    return np.stack([found, found + 1], axis=1)


def _changed(texts: Texts) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, "2 rows 3"]]:
    """Return each row's pair, and the text and the span of either side."""
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
            each = range(start, ends[0])
            rows += [((source, token, token + 1), (target, token, token + 1)) for token in each]
            pairs += [pair] * len(each)
        else:
            rows.append(((source, start, ends[0]), (target, start, ends[1])))
            pairs.append(pair)
    if same.any():
        raise ValueError(f"No token differs between source and target in {texts.where(same)}; leave those rows out.")
    return np.array(pairs), np.array(rows).transpose(1, 0, 2)


def _difference(source: Int[np.ndarray, " a"], target: Int[np.ndarray, " b"]) -> tuple[int, list[int]]:
    """Return where two texts begin to differ, and in each where they have ceased to."""
    least = min(len(source), len(target))
    unequal = np.flatnonzero(source[:least] != target[:least])
    start = int(unequal[0]) if len(unequal) else least
    least -= start
    unequal = np.flatnonzero(source[len(source) - least :][::-1] != target[len(target) - least :][::-1])
    after = int(unequal[0]) if len(unequal) else least
    return start, [len(source) - after, len(target) - after]
