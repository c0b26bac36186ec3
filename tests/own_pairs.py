"""Pairs as a user would write them: 150, in which formality (in five ways), tense and enthusiasm change, in a CSV file."""

import csv
import random

CONCEPTS = ["formality", "tense", "enthusiasm"]
FORMAL = [
    ("Hey guys", "Dear colleagues"),
    ("Hi folks", "Ladies and gentlemen"),
    ("Yo team", "Esteemed members"),
    ("Howdy pals", "Honoured guests"),
    ("Listen up, buddies", "Distinguished friends"),
]
VERBS = [("is", "was"), ("looks", "looked"), ("seems", "seemed"), ("stays", "stayed")]
THINGS = [
    "the garden",
    "the new bridge",
    "our library",
    "the old harbour",
    "this market",
    "the village school",
    "the river",
]
WORDS = ["quiet", "busy", "empty", "crowded", "bright", "cold"]
PLACES = ["near the station", "behind the hill", "by the sea", "at the edge of town", "on the island"]


def rows(n=150, seed=0):
    """Return dictionaries with source, target and the change of each concept; one to three change."""
    rng = random.Random(seed)
    made = []
    while len(made) < n:
        changes = [rng.choice((-1, 0, 0, 1)) for _ in CONCEPTS]
        if not any(changes):
            continue
        before = [rng.random() < 0.5 if change == 0 else change < 0 for change in changes]
        after = [old if change == 0 else change > 0 for old, change in zip(before, changes, strict=True)]
        content = [rng.choice(each) for each in (FORMAL, VERBS, THINGS, WORDS, PLACES)]
        made.append({
            "source": text(content, *before),
            "target": text(content, *after),
            **dict(zip(CONCEPTS, changes, strict=True)),
        })  # fmt: skip
    return made


def text(content, formal, past, enthusiastic):
    greeting, verb, thing, word, place = content
    return f"{greeting[formal]}, {thing} {place} {verb[past]} {word} today{'!!!' if enthusiastic else '.'}"


def write(path, n=150, seed=0):
    """Write the rows as CSV."""
    table = rows(n, seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
