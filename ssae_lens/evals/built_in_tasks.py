"""The built-in tasks: seven attributes of sentences, French, and six topics."""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product

from ssae_lens.base import checks
from ssae_lens.evals.tasks import Task, UnlabelledPairs, task_data
from ssae_lens.pairs import load_pairs, schema
from ssae_lens.pairs.sentences import ATTRIBUTES, render

SENTENCES, LANGUAGE, TOPICS = "attributes of sentences", "language", "topics"
N_CONTRASTS, N_HELD_OUT = 96, 64
CARRIER = "1, 2, 3: {}."


def names() -> list[str]:
    """Return the names of the built-in tasks."""
    return [*task_data("behaviours")["attributes"], "French", *topic_texts()]


def built_in(wanted: Sequence[str] | None = None, *, n_pairs: int = 2000, seed: int = 0) -> list[Task]:
    """Return the built-in tasks, or those that are named.

    Parameters
    ----------
    wanted
        Some of `names()`.
    n_pairs
        Number of unlabelled pairs for an SSAE, of attributes and of topics.
    seed
        Seed of the choice of pairs and contents.
    """
    wanted = names() if wanted is None else list(wanted)
    for name in wanted:
        checks.one_of("a task", name, names())
    makers = dict.fromkeys(task_data("behaviours")["attributes"], _attribute)
    makers |= {"French": lambda *_: _french()}
    makers |= {name: lambda topic, n, _: topic_task(topic, topic_texts(), _topic_pairs(n)) for name in topic_texts()}
    return [makers[name](name, n_pairs, seed) for name in wanted]


def topic_texts(neutral: bool = False) -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    """Return the texts of each topic, or texts of no topic, in two halves: to learn from, and to measure on."""
    data = task_data("topics")
    lines = {name: data["neutral"] if neutral else texts for name, texts in data["topics"].items()}
    return {name: (texts[: len(texts) // 2], texts[len(texts) // 2 :]) for name, texts in lines.items()}


def topic_task(
    name: str,
    texts: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    unlabelled: UnlabelledPairs,
    others: Mapping[str, tuple[Sequence[str], Sequence[str]]] | None = None,
    behaviour: str = "",
    group: str = TOPICS,
) -> Task:
    """Return the task of a topic, from its texts to learn from and to measure on, and such texts of other topics."""
    learned, held_out = texts[name]
    other_learned, other_held_out = (others or topic_texts(neutral=True))[name]
    return Task(
        name,
        behaviour or f"The text is about {name}.",
        _contrasts(zip(other_learned, learned, strict=True)),
        tuple(other_held_out),
        tuple(held_out),
        f"What follows is about {name}:\n\n",
        unlabelled=unlabelled,
        concept=name,
        group=group,
    )


def topic_pairs(
    texts: Mapping[str, Sequence[str]], neutral: Sequence[str], n_pairs: int, seed: int = 0
) -> UnlabelledPairs:
    """Return pairs of texts of different topics, or of none: in each pair one or two topics change."""
    labelled = [(text, name) for name, some in texts.items() for text in some] + [(text, "") for text in neutral]
    candidates = [(a, b) for a, b in product(labelled, repeat=2) if a[1] != b[1] and a[0] != b[0]]
    drawn = random.Random(seed).sample(candidates, min(n_pairs, len(candidates)))
    rows = [
        {"source": source, "target": target, "changes": {name: (name == after) - (name == before) for name in texts}}
        for (source, before), (target, after) in drawn
    ]
    widths = (len(texts), 2 * len(texts))
    return UnlabelledPairs(f"texts about {len(texts)} topics or none", schema.from_rows(rows, texts), widths)


def flipped(contents: Sequence[str], attribute: str, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return two sentences for each content: an attribute at 0 and at 1, with all others drawn at random."""
    rng = random.Random(f"{attribute} {seed}")
    drawn = [{name: rng.randrange(2) for name in ATTRIBUTES} for _ in contents]
    negative, positive = (
        [render(content, {**values, attribute: value}) for content, values in zip(contents, drawn, strict=True)]
        for value in (0, 1)
    )
    return negative, positive


@cache
def held_out_contents() -> tuple[str, ...]:
    """Return contents of `sentences` that no training pair has."""
    return tuple(load_pairs("sentences", "test", n=N_HELD_OUT)["content"][:])


def _attribute(name: str, n_pairs: int, seed: int) -> Task:
    data = task_data("behaviours")["attributes"][name]
    unlabelled = _sentences(n_pairs, seed)
    sides = flipped(unlabelled.pairs["content"][:N_CONTRASTS], data["attribute"], seed)
    negative, positive = zip(*data["held_out"], strict=True)
    return Task(
        name,
        data["behaviour"],
        _contrasts(zip(*(sides if data["value"] else sides[::-1]), strict=True)),
        negative,
        positive,
        data["prefix"],
        unlabelled=unlabelled,
        concept=data["attribute"],
        sign=1 if data["value"] else -1,
        group=SENTENCES,
    )


def _french() -> Task:
    data = task_data("behaviours")["french"]
    negative, positive = zip(*data["held_out"], strict=True)
    return Task(
        "French",
        "The text is in French.",
        _contrasts(data["learned"]),
        negative,
        positive,
        "La suite est en français :\n\n",
        judge="french",
        unlabelled=_nouns(),
        concept="language",
        group=LANGUAGE,
    )


@cache
def _sentences(n_pairs: int, seed: int) -> UnlabelledPairs:
    pairs = load_pairs("sentences", "train", n=n_pairs, seed=seed)
    return UnlabelledPairs("sentences: 1 to 3 of 15 attributes change", pairs)


@cache
def _nouns() -> UnlabelledPairs:
    # In a text of one word the word would be the first token, whose activation is unlike all others.
    pairs = load_pairs("binary").map(lambda row: {side: CARRIER.format(row[side]) for side in schema.TEXTS})
    return UnlabelledPairs("nouns: language, gender or both change", pairs, (2, 4, 8))


@cache
def _topic_pairs(n_pairs: int) -> UnlabelledPairs:
    neutral = next(iter(topic_texts(neutral=True).values()))[0]
    return topic_pairs({name: learned for name, (learned, _) in topic_texts().items()}, neutral, n_pairs)


def _contrasts(pairs):  # noqa: ANN001, ANN202 - a datasets.Dataset, which is imported when needed
    return schema.from_rows([{"source": negative, "target": positive} for negative, positive in pairs])
