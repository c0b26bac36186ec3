"""The steering study's numbers, as a report takes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ssae_lens.dashboards.tables import Row

# Of each task, how many prompts' texts to show.
PROMPTS = 3


def comparison_of(study: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `Report.add_comparison` takes, of what ``python -m studies steering`` writes as JSON.

    Curves are of the half of prompts that chose scales, scores and texts of the half that reports; notes say so.
    """
    cells = [each for each in study["cells"] if each["cell"].get("hook") == study["hook"]]
    return {
        "table": [row for each in cells if each["cell"]["part"] == "dose" for row in _doses(each)],
        "scores": [
            {
                "task": row["task"],
                "method": row["method"],
                "score": row["product"],
                "low": row["product_low"],
                "high": row["product_high"],
                "scale": row["scale"],
                "given": study["methods"][row["method"]],
            }
            for row in study["table"]
            if row.get("product") is not None
        ],
        "texts": [row for each in cells if each["cell"]["part"] == "report" for row in _texts(each)],
        "notes": _notes(study.get("tasks", [])),
    }


def _notes(tasks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Say which prompts the curves are of, and which the scores."""
    chose, report = (_numbers([each["prompts"][i] for each in tasks if "prompts" in each]) for i in (0, 1))
    return {
        "scores": f"Scores, intervals and texts are of {report}prompts of each task that chose no scale.",
        "curves": f"Curves are of {chose}other prompts: those on which the scale of each method was chosen. They may differ "
        "from the table.",
    }


def _numbers(counts: Sequence[int]) -> str:
    if not counts:
        return ""
    return f"{min(counts)} " if min(counts) == max(counts) else f"{min(counts)} to {max(counts)} "


def _doses(cell: Mapping[str, Any]) -> list[Row]:
    named = {name: cell["cell"][name] for name in ("task", "method")}
    return [
        {**named, "scale": scale, "behaviour": float(np.mean(behaviour)), "coherence": float(np.mean(coherence))}
        for scale, behaviour, coherence in zip(cell["scales"], cell["behaviour"], cell["coherence"], strict=True)
    ]


def _texts(cell: Mapping[str, Any]) -> list[Row]:
    named = {name: cell["cell"][name] for name in ("task", "method", "scale")}
    return [{**named, "prompt": prompt, "text": text} for prompt, text in list(cell["texts"].items())[:PROMPTS]]
