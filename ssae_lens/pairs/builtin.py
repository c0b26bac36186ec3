"""A data set from a built-in corpus, of any split and number of pairs."""

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from ssae_lens.pairs.corpora import CORPORA, Corpus
from ssae_lens.pairs.schema import TEXTS, from_rows
from ssae_lens.pairs.splits import SPLITS, sides_of, split_by_content, taken

if TYPE_CHECKING:
    from datasets import Dataset


def built_in(name: str, split: str | None, n: int | None, seed: int, test_fraction: float) -> "Dataset":
    """Give the corpus `name`, or `n` pairs of one split of it."""
    corpus = CORPORA[name]
    if corpus.generated:
        return _generated(name, corpus, split, n, seed, test_fraction)
    dataset = from_rows(corpus.rows(), corpus.concepts)
    if split is not None:
        dataset = split_by_content(dataset, split, test_fraction)
    return taken(dataset, n, seed, repr(name))


def _generated(
    name: str, corpus: Corpus, split: str | None, n: int | None, seed: int, test_fraction: float
) -> "Dataset":
    """Make `n` pairs or, with a split, so many that `n` of them fall on its side."""
    if split is None:
        return from_rows(corpus.rows(_within(name, corpus, n or corpus.size), seed), corpus.concepts)
    # Which side a pair falls on is settled only among many; what is not asked for is never made into a data set.
    made = _within(name, corpus, max(n or 0, corpus.size))
    while True:
        rows = corpus.rows(made, seed)
        keys = [tuple(row[key] for key in ("content", *TEXTS) if key in row) for row in rows]
        sides = sides_of(keys, test_fraction, lasting=True)
        kept = np.flatnonzero(sides == SPLITS.index(split))
        if len(kept) >= (n or 1):
            return from_rows([rows[each] for each in kept[:n]], corpus.concepts)
        if made == corpus.most:
            raise ValueError(f"{name!r} has {len(kept)} pairs in split {split!r}; n is {n}. Ask for at most that many.")
        made = ceil(1.2 * made * (n or 1) / max(1, len(kept)))
        made = made if corpus.most is None else min(made, corpus.most)


def _within(name: str, corpus: Corpus, n: int) -> int:
    if corpus.most is not None and n > corpus.most:
        raise ValueError(f"{name!r} can make {corpus.most} pairs; n is {n}. Ask for at most that many.")
    return n
