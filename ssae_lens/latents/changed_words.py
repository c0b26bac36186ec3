"""Words that change together with a latent: over all pairs, without labels and without a model."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Span = tuple[int, int]

WORDS = re.compile(r"\w+|[^\w\s]+")
# Longer differences are taken apart into single words; rarer ones are not counted.
MAX_WORDS, MIN_PAIRS = 3, 5
# A change is significant if its net code differs from that of a fair coin by so many standard deviations, and if its
# correlation with the codes is not tiny.
MIN_DEVIATION, MIN_CORRELATION = 2.5, 0.1
# The changes of a latent; those in its label, and the share of the first's correlation that they need.
SHOWN, IN_LABEL, MIN_SHARE = 8, 3, 1 / 3


class WordChange(NamedTuple):
    """Words of the source and what replaces them where a latent's code is positive; one side can be empty.

    `n_pairs` is the number of pairs that have the change in either direction, `correlation` its cosine with the codes.
    """

    before: str
    after: str
    n_pairs: int
    correlation: float

    def __str__(self) -> str:
        if self.before and self.after:
            return f"{self.before} → {self.after}"
        return f"+ {self.after}" if self.after else f"− {self.before}"


def foremost(changes: Sequence[WordChange], n: int = IN_LABEL) -> list[WordChange]:
    """Return the first of a latent's changes, without those of a much smaller correlation than the first."""
    return [change for change in changes[:n] if change.correlation >= MIN_SHARE * changes[0].correlation]


def label_of(changes: Sequence[WordChange]) -> str:
    """Return the foremost changes as text: ``"is → was, are → were, − not"``."""
    return ", ".join(map(str, foremost(changes)))


class ChangedWords:
    """The words that change in each pair, and their sums of codes.

    A change is a difference of at most three words on either side; where both sides have equally many, each word is one. In
    longer differences every word that is lost or gained is one. In the opposite direction a change counts as −1.
    """

    def __init__(self, source: Sequence[str], target: Sequence[str], n_latents: int) -> None:
        from scipy.sparse import csr_matrix

        by_pair = [
            dict(_changes(before.casefold(), after.casefold())) for before, after in zip(source, target, strict=True)
        ]
        counts = Counter(change for changes in by_pair for change in changes)
        self.changes = [change for change, count in counts.items() if count >= MIN_PAIRS]
        column = {change: number for number, change in enumerate(self.changes)}
        entries = [
            (row, column[change], sign)
            for row, changes in enumerate(by_pair)
            for change, sign in changes.items()
            if change in column
        ]
        rows, columns, signs = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        self.counts = np.array([counts[change] for change in self.changes])
        self._signs = csr_matrix((signs, (rows, columns)), (len(by_pair), len(column)), dtype=np.float64)
        self._net = np.zeros((len(column), n_latents))
        self._squares = np.zeros_like(self._net)
        self._energy = np.zeros(n_latents)

    def add(self, rows: slice, codes: Float[np.ndarray, "b k"]) -> None:
        """Add the codes of some of the pairs."""
        codes = codes.astype(np.float64)
        signs = self._signs[rows]
        self._net += signs.T @ codes
        self._squares += abs(signs).T @ codes**2
        self._energy += (codes**2).sum(axis=0)

    def of(self, latent: int) -> list[WordChange]:
        """Return the significant changes of a latent, the one of the largest |correlation| first.

        Of changes that share a word, the foremost is kept.
        """
        net, squares = self._net[:, latent], self._squares[:, latent]
        correlations = net / np.sqrt(np.maximum(self.counts * self._energy[latent], np.finfo(float).tiny))
        significant = np.flatnonzero(
            (abs(net) >= MIN_DEVIATION * np.sqrt(squares)) & (abs(correlations) >= MIN_CORRELATION)
        )
        kept: list[WordChange] = []
        seen: set[str] = set()
        for number in sorted(significant, key=lambda i: (-abs(correlations[i]), self.changes[i])):
            words = {word for side in self.changes[number] for word in side.split()}
            if not words & seen:
                before, after = self.changes[number][:: 1 if net[number] > 0 else -1]
                kept.append(WordChange(before, after, int(self.counts[number]), abs(float(correlations[number]))))
                seen |= words
            if len(kept) == SHOWN:
                break
        return kept


def words_of(text: str) -> list[str]:
    """Return the words and the runs of punctuation marks of a text, in order."""
    return WORDS.findall(text)


def differing_spans(source: str, target: str) -> tuple[list[Span], list[Span]]:
    """Return the spans (start, end) of each text whose words the other text does not have at that position.

    Examples
    --------
    >>> differing_spans("The king is old.", "The queen was old.")
    ([(4, 11)], [(4, 13)])
    """
    words = [[(match.group(), match.span()) for match in WORDS.finditer(text)] for text in (source, target)]
    spans: tuple[list[Span], list[Span]] = ([], [])
    for bounds in _differences(*([word for word, _ in side] for side in words)):
        for side, kept, (start, end) in zip(words, spans, bounds, strict=True):
            if start < end:
                kept.append((side[start][1][0], side[end - 1][1][1]))
    return spans


def _differences(source: list[str], target: list[str]) -> Iterator[tuple[Span, Span]]:
    """Yield the ranges of words in which two texts differ."""
    for kind, *bounds in SequenceMatcher(None, source, target, autojunk=False).get_opcodes():
        if kind != "equal":
            yield (bounds[0], bounds[1]), (bounds[2], bounds[3])


def _changes(source: str, target: str) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield changes, each with its sides in alphabetical order, and 1 or −1 for their direction."""
    words = words_of(source), words_of(target)
    for bounds in _differences(*words):
        before, after = (side[start:end] for side, (start, end) in zip(words, bounds, strict=True))
        if len(before) == len(after) <= MAX_WORDS:
            sides = zip(before, after, strict=True)
        elif max(len(before), len(after)) <= MAX_WORDS:
            sides = [(" ".join(before), " ".join(after))]
        else:
            sides = [
                *((word, "") for word in set(before) - set(after)),
                *(("", word) for word in set(after) - set(before)),
            ]
        for lost, gained in sides:
            yield ((lost, gained), 1) if lost < gained else ((gained, lost), -1)
