"""The built-in corpus `sentences`: pairs of English sentences in which one to three of 15 attributes change.

    >>> pair = rows(1, seed=0)[0]
    >>> pair["changed"]
    ['tense', 'gender', 'season']
    >>> [(old, new) for old, new in zip(pair["source"].split(), pair["target"].split()) if old != new]
    [('is', 'was'), ('headmasters', 'headmistresses'), ('summer', 'winter')]

A *content* is what both sentences of a pair share: the order of the phrases and a filler for every slot, as one string.
`render(content, values)` returns the sentence of a content for values of the attributes: a pair is a content rendered twice.
The words are in ``data/sentences.yaml``.
"""

import random
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from ssae_lens.base.checks import integer, one_of
from ssae_lens.base.yaml_files import read_package_yaml

__all__ = ["ATTRIBUTES", "MAX_CHANGED", "render", "rows", "sample_content"]

_WORDS = read_package_yaml("ssae_lens.pairs", "data/sentences.yaml")

ATTRIBUTES: dict[str, tuple[str, str]] = {name: (zero, one) for name, (zero, one) in _WORDS["attributes"].items()}
"""The names of each attribute's values 0 and 1."""

SLOTS: dict[str, list[str]] = _WORDS["slots"] | {
    "event": [f"{verb} {noun}" for verb, nouns in _WORDS["slots"]["event"].items() for noun in nouns]
}
"""The fillers of each slot of a content; those of an attribute are contrasts "value 0/value 1"."""

MAX_CHANGED = 3
"""The largest number of attributes that change in one pair."""

_SEPARATOR = " | "

Rules = tuple[tuple[str, str], ...]

# The first rule whose pattern matches a word gives its inflected form.
_S: Rules = ((r"([^aeiou])y$", r"\1ies"), (r"(s|x|ch|sh)$", r"\1es"), (r"$", "s"))
_PLURAL: Rules = ((r"man$", "men"), *_S)
_PAST: Rules = ((r"e$", "ed"), (r"([^aeiou])y$", r"\1ied"), (r"$", "ed"))

_IRREGULAR: dict[str, tuple[str, str]] = {  # verb: past, participle
    "draw": ("drew", "drawn"),
    "hide": ("hid", "hidden"),
    "sell": ("sold", "sold"),
    "show": ("showed", "shown"),
    "sing": ("sang", "sung"),
    "tell": ("told", "told"),
    "write": ("wrote", "written"),
}

# Auxiliaries by tense, then by number.
_BE = (("is", "are"), ("was", "were"))
_DO = (("does", "do"), ("did", "did"))

_SPEAKERS = (("we", "our"), ("they", "their"))  # by person
_POSSESSIVES = (("his", "her"), ("their", "their"))  # by number, then by gender


def rows(n: int, seed: int) -> list[dict[str, Any]]:
    """Return `n` different pairs of sentences that differ in one to three attributes and in nothing else.

    A row has `source` and `target` (the sentences), `changed` (names of the attributes that differ), `changes` (for every
    attribute −1, 0 or +1; +1 from its value 0 to its value 1) and `content` (what both share). A shorter list is the start
    of a longer one with the same seed.
    """
    integer("n", n)
    integer("seed", seed, minimum=0)
    rng = random.Random(seed)
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    # Some 10⁸ contents with 2¹⁵ values each: a pair is hardly ever sampled twice.
    while len(pairs) < n:
        row = _pair(rng)
        pairs.setdefault((row["source"], row["target"]), row)
    return list(pairs.values())


def sample_content(rng: random.Random) -> str:
    """Sample a content: a filler for every slot, uniformly."""
    return _SEPARATOR.join(_sample_fillers(rng).values())


def render(content: str, values: Mapping[str, int]) -> str:
    """Return the sentence of a content (of `sample_content` or a row) for values, 0 or 1, of all `ATTRIBUTES`."""
    if values.keys() != ATTRIBUTES.keys():
        raise ValueError(
            f"values name {', '.join(values) or 'nothing'}; give 0 or 1 for each of {', '.join(ATTRIBUTES)}."
        )
    for name, value in values.items():
        one_of(f"values[{name!r}]", value, (0, 1))
    fillers = content.split(_SEPARATOR)
    if len(fillers) != len(SLOTS) or any(
        filler not in SLOTS[slot] for slot, filler in zip(SLOTS, fillers, strict=True)
    ):
        raise ValueError(f"content is {content!r}, which is not a content; take one from sample_content or from a row.")
    return _render(dict(zip(SLOTS, fillers, strict=True)), values)


def _pair(rng: random.Random) -> dict[str, Any]:
    choices = _sample_fillers(rng)
    source = {name: rng.randrange(2) for name in ATTRIBUTES}
    changed = rng.sample(list(ATTRIBUTES), rng.randint(1, MAX_CHANGED))
    target = {name: 1 - value if name in changed else value for name, value in source.items()}
    return {
        "source": _render(choices, source),
        "target": _render(choices, target),
        "changed": [name for name in ATTRIBUTES if name in changed],
        "changes": {name: target[name] - source[name] for name in ATTRIBUTES},
        "content": _SEPARATOR.join(choices.values()),
    }


def _sample_fillers(rng: random.Random) -> dict[str, str]:
    return {slot: rng.choice(fillers) for slot, fillers in SLOTS.items()}


def _render(choices: Mapping[str, str], values: Mapping[str, int]) -> str:
    """Return the sentence of a filler for each slot and a value for each attribute."""
    word = {slot: choices[slot].split("/")[values[slot]] for slot in SLOTS if slot in values}
    number, several = values["number"], int(choices["objects"] == "several")
    verb, thing = choices["event"].split()
    speakers, owners = _SPEAKERS[values["person"]]

    agent = f"{owners} {word['age']} {_inflect(word['gender'], _PLURAL) if number else word['gender']}"
    patient = f"the {word['sentiment']} {_inflect(thing, _PLURAL) if several else thing} about {word['domain']}"
    predicate = _verb_group(
        verb,
        tense=values["tense"],
        number=several if values["voice"] else number,
        negated=values["polarity"],
        passive=values["voice"],
    )
    first, second = (patient, f"by {agent}") if values["voice"] else (agent, patient)
    preposition, room = choices["place"].split()
    location = f"{preposition} {_POSSESSIVES[number][values['gender']]} {word['setting']} {room}"
    phrases = {
        "time": f"on {word['weather']} {word['season']} {word['time_of_day']}",
        "clause": f"{first} {predicate} {second} {location}",
    }
    ordered = " ".join(phrases[name] for name in choices["order"].split())
    return f"{word['politeness']} {speakers} {word['certainty']} that {ordered}."


def _verb_group(verb: str, *, tense: int, number: int, negated: int, passive: int) -> str:
    """Return the verb with its auxiliaries, agreeing with a subject of `number`."""
    past, participle = _IRREGULAR.get(verb) or (_inflect(verb, _PAST),) * 2
    if passive:
        words = [_BE[tense][number], participle]
    elif negated:
        words = [_DO[tense][number], verb]
    elif tense:
        words = [past]
    else:
        words = [verb if number else _inflect(verb, _S)]
    if negated:
        words.insert(1, "not")
    return " ".join(words)


@cache
def _inflect(word: str, rules: Rules) -> str:
    pattern, ending = next(rule for rule in rules if re.search(rule[0], word))
    return re.sub(pattern, ending, word, count=1)
