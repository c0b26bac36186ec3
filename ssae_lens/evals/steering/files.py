"""Tasks from files: questions with answers that match a behaviour, and short texts about a topic.

`behaviour_tasks` reads the format of model-written evaluations and of CAA, `topic_tasks` that of SAE-TS.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks
from ssae_lens.base.reading import member, read_json, well_formed
from ssae_lens.evals.steering import builtin
from ssae_lens.evals.steering.tasks import Pool, Question, Task
from ssae_lens.pairs import readers, schema
from ssae_lens.pairs.tables import read_table

ANSWERS, TOPICS = "answers to questions", "topics from files"
# Questions to learn from, and to measure by: half of these choose the scale.
LEARNED, MEASURED = 96, 24


def behaviour_tasks(
    folder: str | Path, *, learned: int = LEARNED, measured: int = MEASURED, seed: int = 0
) -> list[Task]:
    """Read every file of A/B or Yes/No questions in a folder: ``.json`` or ``.jsonl``, one behaviour a file.

    Each row has `question`, `answer_matching_behavior` and `answer_not_matching_behavior`. Which questions are learned from
    and which are asked is drawn at random, so that each kind of answer is in all parts. The SSAE learns from the pairs of
    all files together, half of them turned round.
    """
    found = [each for each in sorted(checks.existing_folder(folder).iterdir()) if each.suffix in (".json", ".jsonl")]
    if not found:
        raise ValueError(f"{folder} holds no .json or .jsonl file; give a folder of questions, one behaviour a file.")
    rows, questions = {}, {}
    for path in found:
        table = read_table(path)
        records: Any = table if isinstance(table, list) else []
        with well_formed(path, "give questions with answers that match a behaviour and answers that do not"):
            made = readers.behaviour_rows(records, path.stem)
        made = [made[each] for each in np.random.default_rng(seed).permutation(len(made))]
        made = list({row["question"]: row for row in made}.values())
        checks.integer(f"the number of different questions in {path}", len(made), 8)
        held = min(measured, len(made) // 2)
        rows[path.stem] = made[held : held + learned]
        questions[path.stem] = tuple(Question(*(row[name] for name in readers.BEHAVIOUR)) for row in made[:held])
    pool = Pool(
        f"answers to questions about {len(rows)} behaviours", _turned(rows, seed), (len(rows) + 1, 2 * len(rows) + 2)
    )
    return [
        Task(
            name,
            f"The answer shows {name.replace('-', ' ')}.",
            schema.from_rows(rows[name], [name]),
            prefix=f"Answer in a way that shows {name.replace('-', ' ')}.\n\n",
            pool=pool,
            concept=name,
            position="answer",
            questions=questions[name],
            group=ANSWERS,
        )
        for name in rows
    ]


def topic_tasks(folder: str | Path, *, n_pairs: int = 2000) -> list[Task]:
    """Read every task of SAE-TS's format in a folder: folders with ``act_steer.json`` and perhaps ``criteria.json``.

    Of the texts under `pos` and `neg`, every second one is learned from, and the others measure. Texts of one word are left
    out: many a model's activation of a first token is unlike all others.
    """
    about, not_about, criteria = {}, {}, {}
    for path in sorted(checks.existing_folder(folder).glob("*/act_steer.json")):
        name = path.parent.name
        pos, neg = _texts(path, "pos"), _texts(path, "neg")
        least = min(len(pos), len(neg))
        checks.integer(f"the number of texts of each kind in {path}", least, 4)
        about[name], not_about[name] = ((each[:least][::2], each[1:least:2]) for each in (pos, neg))
        if (stated := path.with_name("criteria.json")).is_file():
            with well_formed(stated, "give a list of objects with a 'score' each, or remove the file"):
                criteria[name] = member(read_json(stated)[0], "score", str)
    if not about:
        raise ValueError(f"{folder} holds no task; give a folder of folders with an act_steer.json each.")
    # A text without one topic may have another.
    labelled = {text for learned, _ in about.values() for text in learned}
    neutral = dict.fromkeys(text for learned, _ in not_about.values() for text in learned if text not in labelled)
    pool = builtin.topic_pool({name: learned for name, (learned, _) in about.items()}, list(neutral), n_pairs)
    return builtin.topic_tasks(about, not_about, pool, list(about), criteria, TOPICS)


def _turned(rows: dict[str, list[dict[str, Any]]], seed: int) -> Any:
    """Put all behaviours' pairs together, half of them turned round, so that nothing says which way a pair goes."""
    rng = np.random.default_rng(seed)
    turned = []
    for name, some in rows.items():
        for row, turn in zip(some, rng.integers(2, size=len(some)), strict=True):
            sides = (row["source"], row["target"])
            source, target = sides[::-1] if turn else sides
            changes = {name: -1 if turn else 1}
            turned.append({"source": source, "target": target, "changes": changes, "question": row["question"]})
    return schema.from_rows([turned[each] for each in rng.permutation(len(turned))], rows)


def _texts(path: Path, name: str) -> Sequence[str]:
    read = read_json(path, hint="give texts under 'pos' and under 'neg'")
    found = read.get(name) if isinstance(read, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, str) and each.strip() for each in found):
        raise ValueError(f"{path} holds no list of texts under {name!r}; give texts under 'pos' and under 'neg'.")
    return [text for text in dict.fromkeys(found) if len(text.split()) > 1]
