"""`FindingsResult`: the numbers of each question with their intervals, as a table, a text and a figure."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from studies.cells import StudyResult
from studies.findings.inputs import Numbers

TITLES = {
    "coherence": "Why can coherence rise above the unsteered model's?",
    "layers": "How do effects at one layer relate to later layers?",
    "inverse": "Why is the pseudo-inverse worse?",
    "reach": "How far beyond its training scales does the effect approximator hold?",
}
INTERVAL = {"estimate", "low", "high"}
# What names a row of a list.
LABELS = ("hook", "kind", "multiple", "vector")


class FindingsResult(StudyResult):
    """The cells of the study, one for each question."""

    name = "findings"

    def of(self, question: str) -> Numbers:
        """Return the numbers of a question."""
        return next(cell for cell in self.cells if cell["cell"]["question"] == question)

    def text(self) -> str:
        """Return all numbers for a terminal: lists of values as their mean, intervals in brackets."""
        lines = [f"Open questions, on {self.about['model']} at {self.about['hook']} (95 % bootstrap intervals)"]
        for question, title in TITLES.items():
            lines += ["", title, ""]
            for name, value in self.of(question).items():
                if isinstance(value, list):
                    frame = pd.DataFrame([{key: _shown(number) for key, number in row.items()} for row in value])
                    lines += [f"  {name}", *(f"    {line}" for line in frame.to_string(index=False).splitlines())]
                elif name != "cell":
                    lines.append(f"  {name:<32}{_shown(value)}")
        return "\n".join([*lines, "", f"{len(self.cells)} questions in {self.about['seconds']:.0f} s"])

    def where_baselines_win(self) -> list[str]:
        """Return nothing: the questions compare no SSAE."""
        return []

    def figure(self) -> Any:
        """Return a plotly figure: all numbers with an interval, by question."""
        import plotly.express as px

        table = self.table
        errors = {"error_x": table["high"] - table["estimate"], "error_x_minus": table["estimate"] - table["low"]}
        figure = px.scatter(table, x="estimate", y="what", facet_row="question", **errors, template="plotly_white")
        figure.update_yaxes(matches=None, title="", autorange="reversed")
        return figure.update_xaxes(matches=None, showticklabels=True).update_layout(height=22 * len(table) + 300)

    def to_json(self) -> dict[str, Any]:
        """Return everything in types that JSON has."""
        return json.loads(json.dumps(super().to_json()))

    def _tabulated(self) -> pd.DataFrame:
        """Return a row for each number with an interval: the question, the path of its keys, and the interval."""
        return pd.DataFrame([{"question": q, **row} for q in TITLES for row in _intervals(self.of(q), "")])


def _shown(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == INTERVAL:
        return "{estimate:.3f} ({low:.3f} to {high:.3f})".format(**value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(number)}" for name, number in value.items())
    if isinstance(value, list):
        value = sum(value) / len(value)
    return f"{value:.3f}" if isinstance(value, float) else "–" if value is None else str(value)


def _intervals(value: Any, path: str) -> Iterator[dict[str, Any]]:
    """Yield all intervals within nested dictionaries and lists."""
    if isinstance(value, dict) and value.keys() == INTERVAL:
        yield {"what": path, **value}
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _intervals(part, f"{path} {name}".strip())
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for row in value:
            label = next(row[name] for name in LABELS if name in row)
            yield from _intervals({name: part for name, part in row.items() if name not in LABELS}, f"{path} {label}")
