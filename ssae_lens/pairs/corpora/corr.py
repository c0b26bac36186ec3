"""English noun → French, and English noun → German: two concepts that never change together."""

from typing import Any

from ssae_lens.pairs.corpora.words import WORDS

CONCEPTS = ("french", "german")


def rows() -> list[dict[str, Any]]:
    """Give two pairs a noun, of the nouns with a German word."""
    return [
        {"source": english, "target": word, "changes": {concept: 1}, "content": english}
        for english, *others in WORDS
        if len(others) == len(CONCEPTS)
        for concept, word in zip(CONCEPTS, others, strict=True)
    ]
