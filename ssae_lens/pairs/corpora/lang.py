"""English noun → French noun: one concept, `language`."""

from typing import Any

from ssae_lens.pairs.corpora.words import WORDS

CONCEPTS = ("language",)


def rows() -> list[dict[str, Any]]:
    """Give one pair a noun."""
    return [
        {"source": english, "target": french, "changes": {"language": 1}, "content": english}
        for english, french, *_ in WORDS
    ]
