"""The built-in corpus `sentences`: pairs of English sentences in which one to three of 15 attributes change.

    >>> pair = rows(1, seed=0)[0]
    >>> pair["changed"]
    ['tense', 'gender', 'season']
    >>> [(old, new) for old, new in zip(pair["source"].split(), pair["target"].split()) if old != new]
    [('is', 'was'), ('headmasters', 'headmistresses'), ('summer', 'winter')]

A *content* is what a pair holds fixed: the order of the phrases and a filler for every slot, written as one string.
`render(content, values)` says any content with any values of the attributes, so a pair is one content rendered twice.
"""

import random
from collections.abc import Mapping
from typing import Any

from ssae_lens.base.checks import one_of, whole
from ssae_lens.pairs._sentences_grammar import realise
from ssae_lens.pairs._sentences_words import ATTRIBUTES, SLOTS

__all__ = ["ATTRIBUTES", "MOST_CHANGED", "render", "rows", "sample_content"]

MOST_CHANGED = 3
"""The largest number of attributes that change in one pair."""

_BETWEEN = " | "


def rows(n: int, seed: int) -> list[dict[str, Any]]:
    """Make pairs of sentences that differ in one to three attributes and in nothing else.

    Parameters
    ----------
    n
        How many pairs; no two of them are equal.
    seed
        The same seed gives the same pairs, and the first of a longer list are those of a shorter one.

    Returns
    -------
    list of dict
        Each with `source` and `target` (the sentences), `changed` (names of the attributes that differ), `changes`
        (for every attribute −1, 0 or +1; +1 from its value 0 to its value 1) and `content` (what is held fixed).
    """
    whole("n", n)
    whole("seed", seed, least=0)
    rng = random.Random(seed)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    # Some 10⁸ contents with 2¹⁵ values each: a pair is hardly ever drawn twice.
    while len(found) < n:
        row = _pair(rng)
        found.setdefault((row["source"], row["target"]), row)
    return list(found.values())


def sample_content(rng: random.Random) -> str:
    """Draw one content: a filler for every slot, each as likely as the others of its slot."""
    return _content(_draw(rng))


def render(content: str, values: Mapping[str, int]) -> str:
    """Say a content with the given values of the attributes.

    Parameters
    ----------
    content
        What `sample_content` gives, or the `content` of a row.
    values
        0 or 1 for every attribute in `ATTRIBUTES`, which names what they mean.
    """
    if values.keys() != ATTRIBUTES.keys():
        raise ValueError(
            f"values name {', '.join(values) or 'nothing'}; give 0 or 1 for each of {', '.join(ATTRIBUTES)}."
        )
    for name, value in values.items():
        one_of(f"values[{name!r}]", value, (0, 1))
    return realise(_choices(content), values)


def _pair(rng: random.Random) -> dict[str, Any]:
    choices = _draw(rng)
    source = {name: rng.randrange(2) for name in ATTRIBUTES}
    drawn = rng.sample(list(ATTRIBUTES), rng.randint(1, MOST_CHANGED))
    target = {name: 1 - value if name in drawn else value for name, value in source.items()}
    return {
        "source": realise(choices, source),
        "target": realise(choices, target),
        "changed": [name for name in ATTRIBUTES if name in drawn],
        "changes": {name: target[name] - source[name] for name in ATTRIBUTES},
        "content": _content(choices),
    }


def _draw(rng: random.Random) -> dict[str, str]:
    return {slot: rng.choice(fillers) for slot, fillers in SLOTS.items()}


def _content(choices: Mapping[str, str]) -> str:
    return _BETWEEN.join(choices.values())


def _choices(content: str) -> dict[str, str]:
    """Read a content back into its choices."""
    fillers = content.split(_BETWEEN)
    if len(fillers) != len(SLOTS) or any(
        filler not in SLOTS[slot] for slot, filler in zip(SLOTS, fillers, strict=True)
    ):
        raise ValueError(
            f"content is {content!r}, which no sentence is made of; take one from sample_content or from a row."
        )
    return dict(zip(SLOTS, fillers, strict=True))
