"""Ratings on request: a judge that reads instructions, such as a model behind an endpoint, rates what was written.

It gives behaviour and coherence from 1 to 10, as SAE-TS's judge does; s becomes (s − 1)/9. Its own error is measured on the
tasks' held-out texts. What it does not answer is counted, and leaves the other scores as they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ssae_lens.evals.cells import Cell
from ssae_lens.evals.steering.tasks import Task
from ssae_lens.latents.judges import Judge, Question
from ssae_lens.metrics import wilson_interval

MOST = 10
OPTIONS = tuple(str(each) for each in range(1, MOST + 1))
PROMPT = """Rate the text below from 1 to 10 by how far this is true of it: {statement}
1 is not at all, 10 is entirely. Rate nothing else about it. Answer with the number alone.

Text:
{text}"""
COHERENT = "The text is coherent, and its grammar is correct."


def rated(judge: Judge, tasks: Sequence[Task], cells: Sequence[Cell]) -> list[Cell]:
    """Let a judge rate the texts that report, of tasks that have any, and the tasks' held-out texts; give cells of it."""
    by_name = {task.name: task for task in tasks if not task.questions}
    reports = [each for each in cells if each["cell"]["part"] == "report" and each["cell"]["task"] in by_name]
    questions = list(_questions(by_name, reports))
    answers = dict(zip(questions, judge.answer(questions), strict=True))

    def ratings(statement: str, texts: Sequence[str]) -> list[float | None]:
        return [_share(answers[_question(statement, text)].text) for text in texts]

    found = []
    for each in reports:
        cell, task = each["cell"], by_name[each["cell"]["task"]]
        texts = [each["texts"][prompt] for prompt in task.reporting]
        told = {"behaviour": ratings(task.behaviour, texts), "coherence": ratings(COHERENT, texts)}
        found.append({"cell": {**cell, "part": "rated", "judge": judge.name}, **told})
    for name, task in by_name.items():
        said = ratings(task.behaviour, task.without), ratings(task.behaviour, task.with_it)
        right = [each < 0.5 for each in said[0] if each is not None] + [
            each > 0.5 for each in said[1] if each is not None
        ]
        share = wilson_interval(sum(right), len(right)) if right else None
        told = {"right": share and share.estimate, "low": share and share.low, "high": share and share.high}
        cell = {"part": "rater", "task": name, "method": "", "hook": "", "judge": judge.name}
        found.append({"cell": cell, "name": judge.name, "answered": len(right), **told})
    return found


def about(judge: Judge, found: Sequence[Cell]) -> dict[str, Any]:
    """Say who rated, how much of it was answered, and what it cost."""
    told = [each for one in found if one["cell"]["part"] == "rated" for each in (*one["behaviour"], *one["coherence"])]
    tally = getattr(judge, "tally", None)
    return {
        "name": judge.name,
        "prompt": PROMPT,
        "ratings": len(told),
        "unanswered": sum(each is None for each in told),
        "tally": asdict(tally) if tally else None,
    }


def means(cell: Cell) -> dict[str, float]:
    """Return the means of a cell's ratings, and SAE-TS's product of them, of those texts that have both."""
    both = np.array(
        [each for each in zip(cell["behaviour"], cell["coherence"], strict=True) if None not in each], dtype=float
    )
    if not len(both):
        return {}
    behaviour, coherence = both.mean(axis=0)
    return {
        "rated_behaviour": float(behaviour),
        "rated_coherence": float(coherence),
        "rated_product": float(behaviour * coherence),
    }


def _questions(tasks: dict[str, Task], reports: Sequence[Cell]) -> Iterator[Question]:
    for each in reports:
        task = tasks[each["cell"]["task"]]
        for prompt in task.reporting:
            for statement in (task.behaviour, COHERENT):
                yield _question(statement, each["texts"][prompt])
    for task in tasks.values():
        for text in (*task.without, *task.with_it):
            yield _question(task.behaviour, text)


def _question(statement: str, text: str) -> Question:
    return Question(PROMPT.format(statement=statement, text=text), OPTIONS)


def _share(said: str | None) -> float | None:
    return None if said is None else (int(said) - 1) / (MOST - 1)
