"""The corpora of the studies: each in a part to learn from and a part held out, of which nothing was learned from."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssae_lens.pairs import load_pairs
from ssae_lens.pairs.built_in import CORPORA
from ssae_lens.pairs.splits import keys_of

if TYPE_CHECKING:
    from datasets import Dataset

TEST_SHARE = 0.2
# Pairs to learn from and pairs held out, of corpora that make any number, and of files of labelled sentences.
SIZES = {"sentences": (4000, 1000), "cat": (8000, 1000)}
FILE = (4000, 1000)
# Where a corpus is read at many places, and where time is short.
FEWER, QUICK = (1000, 500), (800, 300)
# A corpus that makes any number, from another seed: "sentences@1".
AT = "@"


@dataclass(frozen=True)
class Halves:
    """A corpus in two parts.

    Attributes
    ----------
    name
        Of a built-in corpus, with or without a seed, or the path of a file.
    train, test
        Pairs; no text or content of the one stands in the other.
    """

    name: str
    train: "Dataset"
    test: "Dataset"


def halves(name: str, most: tuple[int, int] | None = None) -> Halves:
    """Load a corpus, or a file of labelled sentences, by content: the pairs to learn from and the pairs held out.

    Of a corpus that makes any number, ``name@seed`` is what another seed makes.

    `most` is how many of each are made, where a corpus makes any number.
    """
    corpus, _, seed = name.partition(AT) if name.partition(AT)[0] in SIZES else (name, "", "")
    sizes = SIZES.get(corpus) or ((None, None) if corpus in CORPORA else FILE)
    if most and sizes[0]:
        sizes = most
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pairs were dropped")  # as many as are wanted are left
        parts = [
            load_pairs(corpus, split, n=n, seed=int(seed or 0), test_fraction=TEST_SHARE)
            for split, n in zip(("train", "test"), sizes, strict=True)
        ]
    found = Halves(name, *parts)
    if seen := shared(found.train, found.test):
        raise ValueError(f"{len(seen)} texts or contents of {name!r} are both learned from and held out: {seen[0]!r}.")
    return found


def concatenate(parts: Halves) -> "Dataset":
    """Return both parts as one data set, what is learned from first."""
    from datasets import concatenate_datasets

    columns = [name for name in ("source", "target", "changes", "content") if name in parts.train.column_names]
    return concatenate_datasets([each.select_columns(columns) for each in (parts.train, parts.test)])


def shared(train: "Dataset", test: "Dataset") -> list[str]:
    """Return the texts and contents that two sets of pairs have in common."""
    known = {key for keys in keys_of(train) for key in keys}
    return sorted({key for keys in keys_of(test) for key in keys} & known)


def apart(train: "Dataset", test: "Dataset") -> list[int]:
    """Return the rows of `train` that have no text or content in common with any of `test`."""
    held_out = {key for keys in keys_of(test) for key in keys}
    return [row for row, keys in enumerate(keys_of(train)) if held_out.isdisjoint(keys)]
