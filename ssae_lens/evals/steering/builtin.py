"""The tasks that come with the package: behaviours in the grammar of sentences, French, and six topics."""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product

from ssae_lens.base import checks
from ssae_lens.evals.steering import _behaviour_texts as texts
from ssae_lens.evals.steering._topic_texts import LINES, NEUTRAL, halves
from ssae_lens.evals.steering.tasks import Pool, Task
from ssae_lens.pairs import load_pairs, schema
from ssae_lens.pairs.sentences import ATTRIBUTES, render

SENTENCES, LANGUAGE, TOPICS = "attributes of sentences", "language", "topics"
CONTRASTS, HELD_OUT = 96, 64
CARRIER = "1, 2, 3: {}."

# Each with its attribute of the corpus `sentences`, the value wanted, the held-out texts, what it is, and how one would ask.
BEHAVIOURS: dict[str, tuple[str, int, str, str, str]] = {
    "positive sentiment": (
        "sentiment",
        1,
        texts.SENTIMENT,
        "The text is positive: it praises or enjoys what it speaks of.",
        "Everything here is wonderful, and the writer loves it:",
    ),
    "past tense": ("tense", 1, texts.PAST, "The text is in the past tense.", "What follows is told in the past tense:"),
    "politeness": ("politeness", 1, texts.POLITE, "The text is polite.", "What follows is very polite and courteous:"),
    "certainty": (
        "certainty",
        1,
        texts.CERTAIN,
        "The text states things as certain, without hedging.",
        "What follows is stated as certain, without any doubt:",
    ),
    "first person": (
        "person",
        0,
        texts.FIRST_PERSON,
        "The text is in the first person.",
        "What follows is told in the first person, by myself:",
    ),
    "feminine": (
        "gender",
        1,
        texts.FEMININE,
        "The text is about women or girls.",
        "What follows is about women and girls:",
    ),
    "negation": (
        "polarity",
        1,
        texts.NEGATED,
        "The text says that something is not so.",
        "What follows says what is not so and what nobody does:",
    ),
}
QUICK = ("positive sentiment", "politeness", "the sea")


def names() -> list[str]:
    """Return the names of the built-in tasks."""
    return [*BEHAVIOURS, "French", *LINES]


def built_in(wanted: Sequence[str] | None = None, *, n_pairs: int = 2000, seed: int = 0) -> list[Task]:
    """Make the built-in tasks, or those that are named.

    Parameters
    ----------
    wanted
        Of `names()`.
    n_pairs
        How many unlabelled pairs an SSAE learns attributes and topics from.
    seed
        Which pairs and contents.
    """
    wanted = names() if wanted is None else list(wanted)
    for name in wanted:
        checks.one_of("a task", name, names())
    return [
        _attribute(name, n_pairs, seed)
        if name in BEHAVIOURS
        else _french()
        if name == "French"
        else _topic(name, n_pairs)
        for name in wanted
    ]


def _attribute(name: str, n_pairs: int, seed: int) -> Task:
    attribute, value, block, behaviour, prefix = BEHAVIOURS[name]
    pool = _sentences(n_pairs, seed)
    without, with_it = texts.pairs_of(block)
    learned = flipped(pool.pairs["content"][:CONTRASTS], attribute, seed)
    if not value:
        learned = learned[::-1]
    return Task(
        name,
        behaviour,
        _dataset(*learned),
        tuple(without),
        tuple(with_it),
        prefix + "\n\n",
        pool=pool,
        concept=attribute,
        sign=1 if value else -1,
        group=SENTENCES,
    )


def flipped(contents: Sequence[str], attribute: str, seed: int = 0) -> tuple[list[str], list[str]]:
    """Say each content twice, with an attribute's value 0 and its value 1 and all others drawn at random."""
    rng = random.Random(f"{attribute} {seed}")
    drawn = [{name: rng.randrange(2) for name in ATTRIBUTES} for _ in contents]
    without, with_it = (
        [render(content, {**values, attribute: value}) for content, values in zip(contents, drawn, strict=True)]
        for value in (0, 1)
    )
    return without, with_it


@cache
def held_out_contents() -> tuple[str, ...]:
    """Return contents of `sentences` that no training pair has."""
    return tuple(load_pairs("sentences", "test", n=HELD_OUT)["content"][:])


@cache
def _sentences(n_pairs: int, seed: int) -> Pool:
    return Pool("sentences: 1 to 3 of 15 attributes change", load_pairs("sentences", "train", n=n_pairs, seed=seed))


def _french() -> Task:
    without, with_it = texts.pairs_of(texts.FRENCH)
    return Task(
        "French",
        "The text is in French.",
        _dataset(*texts.pairs_of(texts.FRENCH_LEARNED_FROM)),
        tuple(without),
        tuple(with_it),
        "La suite est en français :\n\n",
        judge="french",
        pool=_nouns(),
        concept="language",
        group=LANGUAGE,
    )


@cache
def _nouns() -> Pool:
    # In a text of one word the word is the first token, whose activation is unlike all others.
    pairs = load_pairs("binary").map(lambda row: {side: CARRIER.format(row[side]) for side in schema.TEXTS})
    return Pool("nouns: language, gender or both change", pairs, (2, 4, 8))


def _topic(name: str, n_pairs: int) -> Task:
    return topic_tasks(
        {each: halves(lines) for each, lines in LINES.items()},
        {each: halves(NEUTRAL) for each in LINES},
        _topics(n_pairs),
        [name],
    )[0]


@cache
def _topics(n_pairs: int) -> Pool:
    return topic_pool({name: halves(lines)[0] for name, lines in LINES.items()}, halves(NEUTRAL)[0], n_pairs)


def topic_tasks(
    about: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    not_about: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    pool: Pool,
    wanted: Sequence[str],
    behaviours: Mapping[str, str] | None = None,
    group: str = TOPICS,
) -> list[Task]:
    """Make a task of each topic, from its texts to learn from and to measure by, and such texts that are not about it."""
    made = []
    for name in wanted:
        (learned, measured), (learned_not, measured_not) = about[name], not_about[name]
        made.append(
            Task(
                name,
                (behaviours or {}).get(name, f"The text is about {name}."),
                _dataset(learned_not, learned),
                tuple(measured_not),
                tuple(measured),
                f"What follows is about {name}:\n\n",
                pool=pool,
                concept=name,
                group=group,
            )
        )
    return made


def topic_pool(texts_of: Mapping[str, Sequence[str]], neutral: Sequence[str], n_pairs: int, seed: int = 0) -> Pool:
    """Pair texts of different topics, and texts of none, with one another: in each pair one or two topics change."""
    labelled = [(text, name) for name, some in texts_of.items() for text in some] + [(text, "") for text in neutral]
    both = [(a, b) for a, b in product(labelled, repeat=2) if a[1] != b[1] and a[0] != b[0]]
    drawn = random.Random(seed).sample(both, min(n_pairs, len(both)))
    rows = [
        {
            "source": source,
            "target": target,
            "changes": {name: (name == after) - (name == before) for name in texts_of},
        }
        for (source, before), (target, after) in drawn
    ]
    widths = (len(texts_of), 2 * len(texts_of))
    return Pool(f"texts about {len(texts_of)} topics or none", schema.from_rows(rows, texts_of), widths)


def _dataset(without: Sequence[str], with_it: Sequence[str]):  # noqa: ANN202 - a datasets.Dataset, imported when needed
    return schema.from_rows([{"source": a, "target": b} for a, b in zip(without, with_it, strict=True)])
