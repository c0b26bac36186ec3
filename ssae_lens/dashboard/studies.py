"""The steering study's numbers, as a report takes them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ssae_lens.dashboard.tables import Row

# Of each task, how many prompts' texts to show.
PROMPTS = 3


def comparison_of(study: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Give what `Report.add_comparison` takes, of what ``python -m studies steering`` writes as JSON.

    Curves are of the half of prompts that chose scales, scores and texts of the half that reports.
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
    }


def _doses(cell: Mapping[str, Any]) -> list[Row]:
    named = {name: cell["cell"][name] for name in ("task", "method")}
    return [
        {**named, "scale": scale, "behaviour": float(np.mean(behaviour)), "coherence": float(np.mean(coherence))}
        for scale, behaviour, coherence in zip(cell["scales"], cell["behaviour"], cell["coherence"], strict=True)
    ]


def _texts(cell: Mapping[str, Any]) -> list[Row]:
    named = {name: cell["cell"][name] for name in ("task", "method", "scale")}
    return [{**named, "prompt": prompt, "text": text} for prompt, text in list(cell["texts"].items())[:PROMPTS]]
