"""Ratings of texts by a judge that reads instructions, such as a model behind an endpoint.

Behaviour and coherence are rated from 1 to 10, as SAE-TS's judge does; s becomes (s − 1)/9. The judge's accuracy is measured
on the tasks' held-out texts. Ratings that it does not return are counted, and change no other score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ssae_lens.evals._steering import REPORT
from ssae_lens.evals.results import Cell
from ssae_lens.evals.tasks import Task
from ssae_lens.latents.judges import Judge, Question
from ssae_lens.metrics import wilson_interval

RATED, RATER = "rated", "rater"
MAX_RATING = 10
OPTIONS = tuple(str(rating) for rating in range(1, MAX_RATING + 1))
PROMPT = """Rate the text below from 1 to 10 by how far this is true of it: {statement}
1 is not at all, 10 is entirely. Rate nothing else about it. Answer with the number alone.

Text:
{text}"""
COHERENT = "The text is coherent, and its grammar is correct."


def rated(judge: Judge, tasks: Sequence[Task], cells: Sequence[Cell]) -> list[Cell]:
    """Return cells with a judge's ratings of the reported texts of tasks with texts, and of the tasks' held-out texts."""
    by_name = {task.name: task for task in tasks if not task.questions}
    reports = [cell for cell in cells if cell["cell"]["part"] == REPORT and cell["cell"]["task"] in by_name]
    texts_of = [[cell["texts"][prompt] for prompt in by_name[cell["cell"]["task"]].reporting] for cell in reports]
    wanted = [
        (statement, text)
        for cell, texts in zip(reports, texts_of, strict=True)
        for text in texts
        for statement in (by_name[cell["cell"]["task"]].behaviour, COHERENT)
    ]
    wanted += [(task.behaviour, text) for task in by_name.values() for text in (*task.negative, *task.positive)]
    questions = [Question(PROMPT.format(statement=statement, text=text), OPTIONS) for statement, text in wanted]
    answers = dict(zip(wanted, judge.answer(questions), strict=True))

    def shares(statement: str, texts: Sequence[str]) -> list[float | None]:
        ratings = [answers[statement, text].text for text in texts]
        return [None if rating is None else (int(rating) - 1) / (MAX_RATING - 1) for rating in ratings]

    results = []
    for cell, texts in zip(reports, texts_of, strict=True):
        scores = {
            "behaviour": shares(by_name[cell["cell"]["task"]].behaviour, texts),
            "coherence": shares(COHERENT, texts),
        }
        results.append({"cell": {**cell["cell"], "part": RATED, "judge": judge.name}, **scores})
    for name, task in by_name.items():
        negative, positive = shares(task.behaviour, task.negative), shares(task.behaviour, task.positive)
        right = [share < 0.5 for share in negative if share is not None]
        right += [share > 0.5 for share in positive if share is not None]
        interval = wilson_interval(sum(right), len(right)) if right else None
        numbers: dict[str, Any] = dict.fromkeys(("right", "low", "high"))
        if interval is not None:
            numbers = {"right": interval.estimate, "low": interval.low, "high": interval.high}
        key = {"part": RATER, "task": name, "method": "", "hook": "", "judge": judge.name}
        results.append({"cell": key, "name": judge.name, "answered": len(right), **numbers})
    return results


def about(judge: Judge, cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the judge's name, how many of its ratings are missing, and what they cost."""
    parts = [cell for cell in cells if cell["cell"]["part"] == RATED]
    ratings = [rating for cell in parts for rating in (*cell["behaviour"], *cell["coherence"])]
    tally = getattr(judge, "tally", None)
    return {
        "name": judge.name,
        "prompt": PROMPT,
        "ratings": len(ratings),
        "unanswered": sum(rating is None for rating in ratings),
        "tally": asdict(tally) if tally else None,
    }


def means(cell: Mapping[str, Any]) -> dict[str, float]:
    """Return the means of a cell's ratings, and SAE-TS's product of them, over texts that have both."""
    both = np.array(
        [pair for pair in zip(cell["behaviour"], cell["coherence"], strict=True) if None not in pair], dtype=float
    )
    if not len(both):
        return {}
    behaviour, coherence = both.mean(axis=0)
    return {
        "rated_behaviour": float(behaviour),
        "rated_coherence": float(coherence),
        "rated_product": float(behaviour * coherence),
    }
