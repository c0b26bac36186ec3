"""Built-in corpora: a function that returns the rows and an entry of `CORPORA` each, with their words in `data/`.

A row is a dictionary with `source`, `target`, `changes` and, where a pair has one, `content`. The rows of `cat` and
`sentences` are sampled; the other corpora are complete lists.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, permutations, product
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from ssae_lens.base.yaml_files import read_package_yaml
from ssae_lens.pairs import sentences
from ssae_lens.pairs.readers import question_and_answer
from ssae_lens.pairs.schema import TEXTS, from_rows
from ssae_lens.pairs.splits import SPLITS, sides_of, split_by_content, taken

if TYPE_CHECKING:
    from datasets import Dataset

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Corpus:
    """A built-in corpus: what changes in its pairs, their number, and the concepts in their order.

    If it is `generated`, ``rows(n, seed)`` samples any number of pairs up to `max_pairs`, and `size` is the default number;
    otherwise ``rows()`` returns all.
    """

    rows: Callable[..., Rows]
    about: str
    size: int
    concepts: tuple[str, ...]
    generated: bool = False
    max_pairs: int | None = None


def corpora() -> dict[str, Corpus]:
    """Return the built-in corpora by name.

    Examples
    --------
    >>> corpora()["lang"].about
    'an English noun becomes its French translation'
    """
    return dict(CORPORA)


def load_built_in(name: str, split: str | None, n: int | None, seed: int, test_fraction: float) -> "Dataset":
    """Return the corpus `name`, or `n` pairs of one of its splits."""
    corpus = CORPORA[name]
    if not corpus.generated:
        dataset = from_rows(corpus.rows(), corpus.concepts)
        if split is not None:
            dataset = split_by_content(dataset, split, test_fraction)
        return taken(dataset, n, seed, repr(name))
    n_rows = max(n or 0, corpus.size) if split is not None else n or corpus.size
    if corpus.max_pairs is not None and n_rows > corpus.max_pairs:
        raise ValueError(f"{name!r} can make {corpus.max_pairs} pairs; n is {n_rows}. Ask for at most that many.")
    if split is None:
        return from_rows(corpus.rows(n_rows, seed), corpus.concepts)
    while True:  # until `n` pairs are on the side of the split
        rows = corpus.rows(n_rows, seed)
        keys = [tuple(row[key] for key in ("content", *TEXTS) if key in row) for row in rows]
        sides = sides_of(keys, test_fraction, lasting=True)
        kept = np.flatnonzero(sides == SPLITS.index(split))
        if len(kept) >= (n or 1):
            return from_rows([rows[i] for i in kept[:n]], corpus.concepts)
        if n_rows == corpus.max_pairs:
            raise ValueError(f"{name!r} has {len(kept)} pairs in split {split!r}; n is {n}. Ask for at most that many.")
        n_rows = ceil(1.2 * n_rows * (n or 1) / max(1, len(kept)))
        n_rows = n_rows if corpus.max_pairs is None else min(n_rows, corpus.max_pairs)


def _data(name: str) -> Any:
    return read_package_yaml("ssae_lens.pairs", f"data/{name}.yaml")


def _lang() -> Rows:
    """English noun → French noun."""
    return [
        {"source": english, "target": french, "changes": {"language": 1}, "content": english}
        for english, french, *_ in _data("nouns")
    ]


def _corr() -> Rows:
    """English noun → French noun and English noun → German noun; no pair changes both."""
    return [
        {"source": english, "target": word, "changes": {concept: 1}, "content": english}
        for english, *others in _data("nouns")
        if len(others) == 2
        for concept, word in zip(("french", "german"), others, strict=True)
    ]


def _gender() -> Rows:
    """Masculine → feminine English words."""
    return [
        {"source": masculine, "target": feminine, "changes": {"gender": 1}, "content": masculine}
        for masculine, feminine in _data("gender")
    ]


def _binary() -> Rows:
    """Language × gender: the twelve ordered pairs among the four forms of each noun.

    `language` is +1 from English to French, `gender` +1 from masculine to feminine.
    """
    return [
        {
            "source": source,
            "target": target,
            "changes": {"language": french - was_french, "gender": feminine - was_feminine},
            "content": forms[0],
        }
        for forms in _data("binary")
        for ((was_french, was_feminine), source), ((french, feminine), target) in permutations(
            zip(product((0, 1), repeat=2), forms, strict=True), 2
        )
    ]


def _truth() -> Rows:
    """Question with a wrong answer → the same question with the right answer."""
    return [
        {
            "source": question_and_answer(question, wrong),
            "target": question_and_answer(question, right),
            "changes": {"truth": 1},
            "content": question,
            "question": question,
            "right": right,
            "wrong": wrong,
            "topic": topic,
        }
        for topic, questions in _data("truth").items()
        for question, right, wrong in questions
    ]


# A concept of `cat` is a contrast of two values of one part, "colour:red>blue": +1 when red becomes blue, −1 when blue
# becomes red. Three parts of ten values make 3 · C(10, 2) = 135 concepts; a part that changes changes exactly one of them.
CAT_PARTS: dict[str, list[str]] = _data("cat")
CAT_CONCEPTS = tuple(
    f"{part}:{before}>{after}" for part, values in CAT_PARTS.items() for before, after in combinations(values, 2)
)


def _cat(n: int, seed: int) -> Rows:
    """Sample different ordered pairs; one, two and three changed parts are equally likely until one runs out."""
    values = np.indices([len(part) for part in CAT_PARTS.values()]).reshape(len(CAT_PARTS), -1).T
    n_changed = (values[:, None] != values[None]).sum(axis=-1).ravel()
    # The n smallest of exponential variables, at rates of one over the class's size, are a sample without replacement.
    times = np.random.default_rng(seed).exponential(size=n_changed.shape) * np.bincount(n_changed)[n_changed]
    times[n_changed == 0] = np.inf
    chosen = np.argsort(times, kind="stable")[:n]
    phrases = [" ".join(words) for words in product(*CAT_PARTS.values())]
    return [
        {"source": phrases[i], "target": phrases[j], "changes": _cat_changes(phrases[i], phrases[j])}
        for i, j in zip(*(indices.tolist() for indices in np.divmod(chosen, len(phrases))), strict=True)
    ]


def _cat_changes(before: str, after: str) -> dict[str, int]:
    changes = {}
    for (part, values), old, new in zip(CAT_PARTS.items(), before.split(), after.split(), strict=True):
        if old != new:
            forward = values.index(old) < values.index(new)
            changes[f"{part}:{old}>{new}" if forward else f"{part}:{new}>{old}"] = 1 if forward else -1
    return changes


CORPORA = {
    "lang": Corpus(_lang, "an English noun becomes its French translation", 263, ("language",)),
    "gender": Corpus(_gender, "a masculine English word becomes feminine", 135, ("gender",)),
    "binary": Corpus(
        _binary, "a word changes language, gender or both, in either direction", 936, ("language", "gender")
    ),
    "corr": Corpus(_corr, "an English noun becomes French, or becomes German", 480, ("french", "german")),
    "cat": Corpus(
        _cat,
        'one to three parts of "shape colour object" change',
        30_000,
        CAT_CONCEPTS,
        generated=True,
        max_pairs=999_000,
    ),
    "sentences": Corpus(
        sentences.rows,
        "one to three attributes of an English sentence change, the rest is held fixed",
        5_000,
        tuple(sentences.ATTRIBUTES),
        generated=True,
    ),
    "truth": Corpus(_truth, "a wrong answer to a question becomes the right one", 349, ("truth",)),
}
