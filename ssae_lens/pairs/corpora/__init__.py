"""The built-in corpora: one line of the table each, one module each, loaded when asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Corpus:
    """A built-in corpus.

    Attributes
    ----------
    module
        The module whose `rows` gives dictionaries of a pair: `rows()` all of them or, where `generated`, `rows(n, seed)`.
        Its `CONCEPTS`, if it has them, are the concepts in their order.
    about
        What changes in its pairs, in one line.
    size
        How many pairs there are or, where `generated`, how many are made unless a number is asked for.
    generated
        Whether as many pairs are made as are asked for.
    most
        Where `generated`, how many different pairs there are at most; None where that is no limit in practice.
    """

    module: str
    about: str
    size: int
    generated: bool = False
    most: int | None = None

    @property
    def rows(self) -> Callable[..., list[dict[str, Any]]]:
        """The function that gives the rows."""
        return self._loaded().rows

    @property
    def concepts(self) -> tuple[str, ...]:
        """The concepts in their order, or () where the rows themselves must say."""
        return tuple(getattr(self._loaded(), "CONCEPTS", ()))

    def _loaded(self) -> ModuleType:
        return import_module(self.module)


_HERE = "ssae_lens.pairs.corpora"
CORPORA = {
    "lang": Corpus(f"{_HERE}.lang", "an English noun becomes its French translation", 263),
    "gender": Corpus(f"{_HERE}.gender", "a masculine English word becomes feminine", 135),
    "binary": Corpus(f"{_HERE}.binary", "a word changes language, gender or both, in either direction", 936),
    "corr": Corpus(f"{_HERE}.corr", "an English noun becomes French, or becomes German", 480),
    "cat": Corpus(
        f"{_HERE}.cat", 'one to three parts of "shape colour object" change', 30_000, generated=True, most=999_000
    ),
    "sentences": Corpus(
        "ssae_lens.pairs.sentences",
        "one to three attributes of an English sentence change, the rest is held fixed",
        5_000,
        generated=True,
    ),
    "truth": Corpus(f"{_HERE}.truth", "a wrong answer to a question becomes the right one", 349),
}


def corpora() -> dict[str, Corpus]:
    """Give the built-in corpora by name, each with what it is `about` and its `size`.

    Examples
    --------
    >>> corpora()["lang"].about
    'an English noun becomes its French translation'
    """
    return dict(CORPORA)
