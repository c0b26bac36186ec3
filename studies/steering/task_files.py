"""Tasks from files: questions with answers that match a behaviour, and short texts about a topic.

`behaviour_tasks` reads the format of model-written evaluations and of CAA, `topic_tasks` that of SAE-TS.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks
from ssae_lens.base.reading import member, read_json, well_formed
from ssae_lens.evals.built_in_tasks import topic_pairs, topic_task
from ssae_lens.evals.tasks import ChoiceQuestion, Task, UnlabelledPairs
from ssae_lens.pairs import readers, schema
from ssae_lens.pairs.tables import read_table

ANSWERS, TOPICS = "answers to questions", "topics from files"
# Numbers of questions to learn from, and to measure on: half of the latter choose the scale.
N_LEARNED, N_MEASURED = 96, 24


def behaviour_tasks(
    folder: str | Path, *, learned: int = N_LEARNED, measured: int = N_MEASURED, seed: int = 0
) -> list[Task]:
    """Read every file of A/B or Yes/No questions in a folder: ``.json`` or ``.jsonl``, one behaviour a file.

    Each row has `question`, `answer_matching_behavior` and `answer_not_matching_behavior`. Questions are divided at random
    into those to learn from and those to ask. The SSAE learns from the pairs of all files together, half of them reversed.
    """
    paths = [path for path in sorted(checks.existing_folder(folder).iterdir()) if path.suffix in (".json", ".jsonl")]
    if not paths:
        raise ValueError(f"{folder} holds no .json or .jsonl file; give a folder of questions, one behaviour a file.")
    rows, questions = {}, {}
    for path in paths:
        table = read_table(path)
        records: Any = table if isinstance(table, list) else []
        with well_formed(path, "give questions with answers that match a behaviour and answers that do not"):
            made = readers.behaviour_rows(records, path.stem)
        made = [made[i] for i in np.random.default_rng(seed).permutation(len(made))]
        made = list({row["question"]: row for row in made}.values())
        checks.integer(f"the number of different questions in {path}", len(made), 8)
        held = min(measured, len(made) // 2)
        rows[path.stem] = made[held : held + learned]
        questions[path.stem] = tuple(ChoiceQuestion(*(row[name] for name in readers.BEHAVIOUR)) for row in made[:held])
    name, widths = f"answers to questions about {len(rows)} behaviours", (len(rows) + 1, 2 * len(rows) + 2)
    unlabelled = UnlabelledPairs(name, _half_reversed(rows, seed), widths)
    return [
        Task(
            name,
            f"The answer shows {name.replace('-', ' ')}.",
            schema.from_rows(rows[name], [name]),
            prefix=f"Answer in a way that shows {name.replace('-', ' ')}.\n\n",
            unlabelled=unlabelled,
            concept=name,
            position="answer",
            questions=questions[name],
            group=ANSWERS,
        )
        for name in rows
    ]


def topic_tasks(folder: str | Path, *, n_pairs: int = 2000) -> list[Task]:
    """Read every task of SAE-TS's format in a folder: folders with ``act_steer.json`` and perhaps ``criteria.json``.

    Every second text under `pos` and `neg` is learned from, and the others measure. Texts of one word are left out: in many
    models the activation of a first token is unlike all others.
    """
    texts, other_texts, criteria = {}, {}, {}
    for path in sorted(checks.existing_folder(folder).glob("*/act_steer.json")):
        name = path.parent.name
        positive, negative = _texts(path, "pos"), _texts(path, "neg")
        count = min(len(positive), len(negative))
        checks.integer(f"the number of texts of each kind in {path}", count, 4)
        texts[name], other_texts[name] = ((some[:count][::2], some[1:count:2]) for some in (positive, negative))
        if (stated := path.with_name("criteria.json")).is_file():
            with well_formed(stated, "give a list of objects with a 'score' each, or remove the file"):
                criteria[name] = member(read_json(stated)[0], "score", str)
    if not texts:
        raise ValueError(f"{folder} holds no task; give a folder of folders with an act_steer.json each.")
    # A text that is not about one topic may be about another.
    labelled = {text for learned, _ in texts.values() for text in learned}
    neutral = dict.fromkeys(text for learned, _ in other_texts.values() for text in learned if text not in labelled)
    unlabelled = topic_pairs({name: learned for name, (learned, _) in texts.items()}, list(neutral), n_pairs)
    return [topic_task(name, texts, unlabelled, other_texts, criteria.get(name, ""), TOPICS) for name in texts]


def _half_reversed(rows: dict[str, list[dict[str, Any]]], seed: int) -> Any:
    """Return all behaviours' pairs together, half of them reversed, so that the order of the sides tells nothing."""
    rng = np.random.default_rng(seed)
    pairs = []
    for name, some in rows.items():
        for row, reverse in zip(some, rng.integers(2, size=len(some)), strict=True):
            sides = (row["source"], row["target"])
            source, target = sides[::-1] if reverse else sides
            changes = {name: -1 if reverse else 1}
            pairs.append({"source": source, "target": target, "changes": changes, "question": row["question"]})
    return schema.from_rows([pairs[i] for i in rng.permutation(len(pairs))], rows)


def _texts(path: Path, name: str) -> Sequence[str]:
    read = read_json(path, hint="give texts under 'pos' and under 'neg'")
    texts = read.get(name) if isinstance(read, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"{path} holds no list of texts under {name!r}; give texts under 'pos' and under 'neg'.")
    return [text for text in dict.fromkeys(texts) if len(text.split()) > 1]
