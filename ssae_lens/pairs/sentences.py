"""The built-in corpus `sentences`: pairs of English sentences in which one to three of 15 attributes change.

    >>> pair = rows(1, seed=0)[0]
    >>> pair["changed"]
    ['tense', 'gender', 'season']
    >>> [(old, new) for old, new in zip(pair["source"].split(), pair["target"].split()) if old != new]
    [('is', 'was'), ('headmasters', 'headmistresses'), ('summer', 'winter')]

A *content* is what a pair holds fixed: the order of the phrases and a filler for every slot, written as one string.
`render(content, values)` writes any content with any values of the attributes, so a pair is one content rendered twice.
The words are in ``data/sentences.yaml``.
"""

import random
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from ssae_lens.base.checks import integer, one_of
from ssae_lens.base.reading import read_package_yaml

__all__ = ["ATTRIBUTES", "MAX_CHANGED", "render", "rows", "sample_content"]

_WORDS = read_package_yaml("ssae_lens.pairs", "data/sentences.yaml")

ATTRIBUTES: dict[str, tuple[str, str]] = {name: (zero, one) for name, (zero, one) in _WORDS["attributes"].items()}
"""Each attribute with the names of its values 0 and 1."""

SLOTS: dict[str, list[str]] = _WORDS["slots"] | {
    "event": [f"{verb} {noun}" for verb, nouns in _WORDS["slots"]["event"].items() for noun in nouns]
}
"""The choices of a content: one word or phrase of each slot; those of an attribute are contrasts "value 0/value 1"."""

MAX_CHANGED = 3
"""The largest number of attributes that change in one pair."""

_BETWEEN = " | "

Rules = tuple[tuple[str, str], ...]

# The first rule whose pattern is found in a word makes its inflected form.
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
    integer("n", n)
    integer("seed", seed, minimum=0)
    rng = random.Random(seed)
    made: dict[tuple[str, str], dict[str, Any]] = {}
    # Some 10⁸ contents with 2¹⁵ values each: a pair is hardly ever drawn twice.
    while len(made) < n:
        row = _pair(rng)
        made.setdefault((row["source"], row["target"]), row)
    return list(made.values())


def sample_content(rng: random.Random) -> str:
    """Draw one content: a filler for every slot, each as likely as the others of its slot."""
    return _BETWEEN.join(_draw(rng).values())


def render(content: str, values: Mapping[str, int]) -> str:
    """Return the sentence of a content with the given values of the attributes.

    Parameters
    ----------
    content
        What `sample_content` returns, or the `content` of a row.
    values
        0 or 1 for every attribute in `ATTRIBUTES`, which names what they mean.
    """
    if values.keys() != ATTRIBUTES.keys():
        raise ValueError(
            f"values name {', '.join(values) or 'nothing'}; give 0 or 1 for each of {', '.join(ATTRIBUTES)}."
        )
    for name, value in values.items():
        one_of(f"values[{name!r}]", value, (0, 1))
    fillers = content.split(_BETWEEN)
    if len(fillers) != len(SLOTS) or any(
        filler not in SLOTS[slot] for slot, filler in zip(SLOTS, fillers, strict=True)
    ):
        raise ValueError(f"content is {content!r}, which is not a content; take one from sample_content or from a row.")
    return _realise(dict(zip(SLOTS, fillers, strict=True)), values)


def _pair(rng: random.Random) -> dict[str, Any]:
    choices = _draw(rng)
    source = {name: rng.randrange(2) for name in ATTRIBUTES}
    drawn = rng.sample(list(ATTRIBUTES), rng.randint(1, MAX_CHANGED))
    target = {name: 1 - value if name in drawn else value for name, value in source.items()}
    return {
        "source": _realise(choices, source),
        "target": _realise(choices, target),
        "changed": [name for name in ATTRIBUTES if name in drawn],
        "changes": {name: target[name] - source[name] for name in ATTRIBUTES},
        "content": _BETWEEN.join(choices.values()),
    }


def _draw(rng: random.Random) -> dict[str, str]:
    return {slot: rng.choice(fillers) for slot, fillers in SLOTS.items()}


def _realise(choices: Mapping[str, str], values: Mapping[str, int]) -> str:
    """Return the sentence of one choice for each slot and a value for each attribute."""
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
    at, room = choices["place"].split()
    place = f"{at} {_POSSESSIVES[number][values['gender']]} {word['setting']} {room}"
    phrases = {
        "time": f"on {word['weather']} {word['season']} {word['time_of_day']}",
        "clause": f"{first} {predicate} {second} {place}",
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
