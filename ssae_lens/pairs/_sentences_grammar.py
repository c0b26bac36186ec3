"""The grammar of the `sentences` corpus: inflections as tables, and one realiser from choices to a sentence."""

import re
from collections.abc import Mapping
from functools import cache

from ssae_lens.pairs._sentences_words import SLOTS

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
_THEIRS = (("his", "her"), ("their", "their"))  # by number, then by gender


def plural(noun: str) -> str:
    """Give the plural of a noun."""
    return _inflect(noun, _PLURAL)


def verb_group(verb: str, *, tense: int, number: int, negated: int, passive: int) -> str:
    """Give the verb with its auxiliaries, agreeing with a subject of `number`."""
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


def realise(choices: Mapping[str, str], values: Mapping[str, int]) -> str:
    """Give the sentence of one choice for each slot and a value for each attribute."""
    word = {slot: choices[slot].split("/")[values[slot]] for slot in SLOTS if slot in values}
    number, several = values["number"], int(choices["objects"] == "several")
    verb, thing = choices["event"].split()
    speakers, owners = _SPEAKERS[values["person"]]

    agent = f"{owners} {word['age']} {plural(word['gender']) if number else word['gender']}"
    patient = f"the {word['sentiment']} {plural(thing) if several else thing} about {word['domain']}"
    does = verb_group(
        verb,
        tense=values["tense"],
        number=several if values["voice"] else number,
        negated=values["polarity"],
        passive=values["voice"],
    )
    first, second = (patient, f"by {agent}") if values["voice"] else (agent, patient)
    at, room = choices["place"].split()
    place = f"{at} {_THEIRS[number][values['gender']]} {word['setting']} {room}"
    phrases = {
        "time": f"on {word['weather']} {word['season']} {word['time_of_day']}",
        "clause": f"{first} {does} {second} {place}",
    }
    said = " ".join(phrases[each] for each in choices["order"].split())
    return f"{word['politeness']} {speakers} {word['certainty']} that {said}."


@cache
def _inflect(word: str, rules: Rules) -> str:
    pattern, ending = next(rule for rule in rules if re.search(rule[0], word))
    return re.sub(pattern, ending, word, count=1)
