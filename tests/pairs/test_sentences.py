"""The corpus `sentences`: a reader of its own, with its own tables of forms, reads every sentence back into its values."""

import doctest
import itertools
import math
import random
import re
from collections import Counter

import pytest

from ssae_lens.base.yaml_files import read_package_yaml
from ssae_lens.pairs import sentences
from ssae_lens.pairs.sentences import ATTRIBUTES, SLOTS, render, rows, sample_content

EVENTS = read_package_yaml("ssae_lens.pairs", "data/sentences.yaml")["slots"]["event"]


def groups(size: int, text: str) -> list[list[str]]:
    words = text.split()
    return [words[start : start + size] for start in range(0, len(words), size)]


# base, with "he", in the past, participle; written out, so that no rule of the corpus is used to check the corpus
VERBS = groups(
    4,
    """
compose composes composed composed     copy copies copied copied
correct corrects corrected corrected   describe describes described described
design designs designed designed       discuss discusses discussed discussed
draw draws drew drawn                  edit edits edited edited
explain explains explained explained   hide hides hid hidden
illustrate illustrates illustrated illustrated
memorize memorizes memorized memorized
perform performs performed performed   practice practices practiced practiced
prepare prepares prepared prepared     present presents presented presented
print prints printed printed           recite recites recited recited
record records recorded recorded       rehearse rehearses rehearsed rehearsed
repeat repeats repeated repeated       review reviews reviewed reviewed
revise revises revised revised         sell sells sold sold
show shows showed shown                sing sings sang sung
study studies studied studied          summarize summarizes summarized summarized
tell tells told told                   translate translates translated translated
type types typed typed                 watch watches watched watched
write writes wrote written
""",
)

THINGS = groups(
    2,
    """
article articles    ballad ballads      book books          brochure brochures  cartoon cartoons
comedy comedies     comic comics        essay essays        film films          joke jokes
lecture lectures    lesson lessons      letter letters      magazine magazines  musical musicals
novel novels        play plays          podcast podcasts    poem poems          poster posters
report reports      sketch sketches     song songs          speech speeches     story stories
tale tales
""",
)

# he, she, he in the plural, she in the plural
PEOPLE = groups(
    4,
    """
uncle aunt uncles aunts                              brother sister brothers sisters
nephew niece nephews nieces                          godfather godmother godfathers godmothers
stepbrother stepsister stepbrothers stepsisters      landlord landlady landlords landladies
waiter waitress waiters waitresses                   host hostess hosts hostesses
headmaster headmistress headmasters headmistresses   salesman saleswoman salesmen saleswomen
spokesman spokeswoman spokesmen spokeswomen          chairman chairwoman chairmen chairwomen
""",
)

SENTENCE = re.compile(
    r"(?P<address>[A-Z][a-z]+( me, but|,)) (?P<speakers>we|they) (?P<belief>[a-z]+( [a-z]+)?) that (?P<said>.+)\."
)
TIME = r"on (?P<weather>sunny|rainy) (?P<season>summer|winter) (?P<time_of_day>mornings|evenings)"
AGENT = r"(?P<owners>our|their) (?P<age>young|elderly) (?P<person>[a-z]+)"
PATIENT = r"the (?P<quality>[a-z]+) (?P<thing>[a-z]+) about (?P<topic>[a-z]+)"
PLACE = r"(?P<at>in|at) (?P<whose>his|her|their) (?P<setting>village|city) (?P<place>[a-z]+)"
DOES = r"(?P<does>[a-z]+( not)?( [a-z]+)?)"
CLAUSES = (f"{AGENT} {DOES} {PATIENT} {PLACE}", f"{PATIENT} {DOES} by {AGENT} {PLACE}")
ORDERS = [
    (voice, re.compile(order))
    for voice, clause in enumerate(CLAUSES)
    for order in (f"{TIME} {clause}", f"{clause} {TIME}")
]
QUALITIES = (
    *groups(10, "awful terrible dreadful horrible boring dull tedious lousy disappointing mediocre"),
    *groups(10, "wonderful superb delightful lovely fascinating brilliant thrilling splendid impressive excellent"),
)
TOPICS = (
    *groups(12, "atoms planets bacteria vaccines galaxies neurons enzymes electrons glaciers magnets fossils lasers"),
    *groups(12, "elves dragons goblins unicorns wizards fairies trolls witches mermaids ghosts giants vampires"),
)
BELIEFS = (("suspect", "think", "guess"), ("know", "are sure", "are certain"))
ADDRESSES = (("Look,", "Listen,", "Hey,"), ("Excuse me, but", "Pardon me, but", "Forgive me, but"))


def side(pair, word):
    """Which of two lists has the word."""
    (found,) = [value for value, words in enumerate(pair) if word in words]
    return found


def read_verb(group, passive):
    """The base, tense, number (None where the form does not tell) and polarity of a finite verb."""
    words = group.split()
    negated = int("not" in words)
    words = [word for word in words if word != "not"]
    if passive:
        auxiliary, participle = words
        tense, number = {"is": (0, 0), "are": (0, 1), "was": (1, 0), "were": (1, 1)}[auxiliary]
        (base,) = [verb[0] for verb in VERBS if verb[3] == participle]
        return base, tense, number, negated
    if negated:
        auxiliary, base = words
        tense, number = {"does": (0, 0), "do": (0, 1), "did": (1, None)}[auxiliary]
        assert base in [verb[0] for verb in VERBS]
        return base, tense, number, negated
    (word,) = words
    ((base, tense, number),) = [
        (verb[0], *told)
        for verb in VERBS
        for form, told in zip(verb[:3], ((0, 1), (0, 0), (1, None)), strict=True)
        if form == word
    ]
    return base, tense, number, negated


def read(text):
    """The values of the attributes, and what is held fixed, from nothing but the words."""
    whole = SENTENCE.fullmatch(text)
    assert whole, text
    ((voice, match),) = [(voice, m) for voice, order in ORDERS if (m := order.fullmatch(whole["said"]))]
    (who,) = [people for people in PEOPLE if match["person"] in people]
    number, gender = divmod(who.index(match["person"]), 2)
    ((thing, several),) = [(each[0], each.index(match["thing"])) for each in THINGS if match["thing"] in each]
    base, tense, verb_number, negated = read_verb(match["does"], voice)

    assert (whole["speakers"], match["owners"]) in (("we", "our"), ("they", "their")), text
    assert match["whose"] == ("their" if number else ("his", "her")[gender]), text
    assert verb_number in (None, several if voice else number), text

    values = {
        "tense": tense,
        "voice": voice,
        "polarity": negated,
        "number": number,
        "gender": gender,
        "person": int(whole["speakers"] == "they"),
        "age": int(match["age"] == "elderly"),
        "sentiment": side(QUALITIES, match["quality"]),
        "domain": side(TOPICS, match["topic"]),
        "certainty": side(BELIEFS, whole["belief"]),
        "politeness": side(ADDRESSES, whole["address"]),
        "weather": int(match["weather"] == "rainy"),
        "season": int(match["season"] == "winter"),
        "time_of_day": int(match["time_of_day"] == "evenings"),
        "setting": int(match["setting"] == "city"),
    }
    time_first = whole["said"].startswith("on ")
    contrasts = (
        QUALITIES[values["sentiment"]].index(match["quality"]),
        TOPICS[values["domain"]].index(match["topic"]),
        BELIEFS[values["certainty"]].index(whole["belief"]),
        ADDRESSES[values["politeness"]].index(whole["address"]),
    )
    fixed = (who[0], base, thing, several, match["at"], match["place"], time_first, *contrasts)
    return values, fixed


def draw_values(rng):
    return {name: rng.randrange(2) for name in ATTRIBUTES}


def flipped(values, name):
    return values | {name: 1 - values[name]}


def each_filler(rng):
    """Contents in which every filler of every slot comes up, beside random others."""
    for position, fillers in enumerate(SLOTS.values()):
        for filler in fillers:
            drawn = sample_content(rng).split(" | ")
            drawn[position] = filler
            yield " | ".join(drawn)


@pytest.mark.parametrize(("first", "second"), itertools.combinations(ATTRIBUTES, 2))
def test_grammar_of_every_two_attributes(first, second):
    rng = random.Random(f"{first} {second}")
    for a, b in itertools.product((0, 1), repeat=2):
        for _ in range(6):
            values = draw_values(rng) | {first: a, second: b}
            text = render(sample_content(rng), values)
            assert read(text)[0] == values


def test_grammar_of_every_combination_of_the_inflected():
    """Everything that agrees with something else, in all combinations, on every verb and every noun."""
    names = ["tense", "voice", "polarity", "number", "gender", "person"]
    rng = random.Random(0)
    for content in each_filler(rng):
        for combination in itertools.product((0, 1), repeat=len(names)):
            values = draw_values(rng) | dict(zip(names, combination, strict=True))
            assert read(render(content, values))[0] == values


def test_spelling():
    for row in rows(500, seed=1):
        for text in (row["source"], row["target"]):
            assert text[0].isupper()
            assert text.endswith(".")
            assert text.count(".") == 1
            assert re.fullmatch(r"[A-Za-z,. ]+", text), "a placeholder or a separator was left"
            assert "  " not in text
            assert " ," not in text
            assert not re.search(r"\b(\w+) \1\b", text), "a word twice in a row"
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text)
            assert 15 <= len(text.split()) <= 28


def test_a_flip_changes_its_attribute_and_nothing_else():
    rng = random.Random(2)
    for content in each_filler(rng):
        values = draw_values(rng)
        text = render(content, values)
        for name in ATTRIBUTES:
            other = render(content, flipped(values, name))
            assert other != text
            assert read(other) == (flipped(values, name), read(text)[1])


VERB_WORDS = {form for verb in VERBS for form in verb} | {"is", "are", "was", "were", "do", "does", "did"}
PRONOUNS = {"his", "her", "their"}
PEOPLE_WORDS = {form for people in PEOPLE for form in people}
MAY_DIFFER = {
    "tense": VERB_WORDS,
    "voice": VERB_WORDS | {"by"},
    "polarity": VERB_WORDS | {"not"},
    "number": VERB_WORDS | PEOPLE_WORDS | PRONOUNS,
    "gender": PEOPLE_WORDS | PRONOUNS,
    "person": {"we", "they", "our", "their"},
    "age": {"young", "elderly"},
    "sentiment": set().union(*QUALITIES),
    "domain": set().union(*TOPICS),
    "certainty": set(" ".join(itertools.chain(*BELIEFS)).split()),
    "politeness": set(" ".join(itertools.chain(*ADDRESSES)).split()),
    "weather": {"sunny", "rainy"},
    "season": {"summer", "winter"},
    "time_of_day": {"mornings", "evenings"},
    "setting": {"village", "city"},
}


def words_of(text):
    return Counter(text.removesuffix(".").split())


def test_only_words_of_the_changed_attributes_differ():
    for row in rows(1000, seed=3):
        source, target = words_of(row["source"]), words_of(row["target"])
        assert set((source - target) + (target - source)) <= set().union(*(MAY_DIFFER[n] for n in row["changed"]))


def test_words_keep_their_order_unless_the_voice_changes():
    """With the words that may differ left out, both sides of a pair are one text."""
    for row in rows(1000, seed=4):
        if "voice" not in row["changed"]:
            free = set().union(*(MAY_DIFFER[name] for name in row["changed"]))
            kept = [[w for w in row[side].removesuffix(".").split() if w not in free] for side in ("source", "target")]
            assert kept[0] == kept[1]


def test_rows_say_what_they_hold():
    for row in rows(500, seed=5):
        source, _ = read(row["source"])
        target, _ = read(row["target"])
        assert row["changes"] == {name: target[name] - source[name] for name in ATTRIBUTES}
        assert row["changed"] == [name for name, change in row["changes"].items() if change]
        assert 1 <= len(row["changed"]) <= 3
        assert render(row["content"], source) == row["source"]
        assert render(row["content"], target) == row["target"]


def test_attributes_directions_and_numbers_of_changes_are_balanced():
    made = rows(9000, seed=6)
    sizes = Counter(len(row["changed"]) for row in made)
    for size in (1, 2, 3):
        assert abs(sizes[size] - 3000) < 5 * math.sqrt(9000 * (1 / 3) * (2 / 3))
    for name in ATTRIBUTES:
        signs = Counter(row["changes"][name] for row in made)
        expected = 9000 * 2 / len(ATTRIBUTES)  # two changes a pair, on average
        assert abs(signs[-1] + signs[1] - expected) < 5 * math.sqrt(expected)
        assert abs(signs[1] - signs[-1]) < 5 * math.sqrt(expected)


def test_values_are_independent_of_each_other():
    """No attribute tells another: a source's values are fair and independent coins."""
    sources = [read(row["source"])[0] for row in rows(4000, seed=7)]
    for first, second in itertools.combinations(ATTRIBUTES, 2):
        agree = sum(values[first] == values[second] for values in sources)
        assert abs(agree - 2000) < 5 * math.sqrt(4000) / 2


def test_the_same_seed_makes_the_same_rows():
    made = rows(60, seed=8)
    assert made == rows(60, seed=8)
    assert made[:20] == rows(20, seed=8)
    assert made != rows(60, seed=9)


def test_pairs_are_many_and_all_different():
    made = rows(5000, seed=10)
    assert len({(row["source"], row["target"]) for row in made}) == 5000
    assert len({row["content"] for row in made}) > 4990
    assert math.prod(map(len, SLOTS.values())) > 10_000_000
    assert len(EVENTS) >= 20
    assert all(len(set(fillers)) == len(fillers) for fillers in SLOTS.values())


def test_every_word_of_the_corpus_is_in_the_reader():
    """The tables above hold every verb, thing and person, so nothing goes unread."""
    assert sorted(verb[0] for verb in VERBS) == sorted(EVENTS)
    assert sorted(thing for thing, _ in THINGS) == sorted({thing for things in EVENTS.values() for thing in things})
    assert ["/".join(people[:2]) for people in PEOPLE] == SLOTS["gender"]
    assert len(ATTRIBUTES) >= 12


def test_the_example_in_the_docstring():
    assert doctest.testmod(sentences) == (0, 3)


@pytest.mark.parametrize("n", [0, -1, 2.5, True])
def test_number_of_rows_is_checked(n):
    with pytest.raises(ValueError, match=r"n is .* integer of at least 1"):
        rows(n, seed=0)


def test_values_and_content_are_checked():
    rng = random.Random(11)
    content, values = sample_content(rng), draw_values(rng)
    with pytest.raises(ValueError, match="give 0 or 1 for each of tense, voice"):
        render(content, {"tense": 1})
    with pytest.raises(ValueError, match=r"values\['tense'\] is 2"):
        render(content, values | {"tense": 2})
    for wrong in ("", content.rpartition(" | ")[0], content.replace("village/city", "town/city")):
        with pytest.raises(ValueError, match="take one from sample_content"):
            render(wrong, values)
