"""What the study gave: for each question its numbers with intervals, and what they say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.files import write_json, writing
from ssae_lens.evals import cells
from studies.findings.said import SAID

if TYPE_CHECKING:
    import pandas as pd

TITLES = {
    "coherence": "Why can coherence rise above the unsteered model's?",
    "layers": "How do effects at one layer relate to later layers?",
    "inverse": "Why is the pseudo-inverse worse?",
    "reach": "How far beyond its training scales does the effect approximator hold?",
}


class Result(cells.Result):
    """The study's cells, one for each question, and what they were run with."""

    name = "findings"

    def of(self, question: str) -> dict[str, Any]:
        """Return what was measured of a question."""
        return next(each for each in self.cells if each["cell"]["question"] == question)

    def text(self) -> str:
        """Return the numbers to read in a terminal."""
        about = self.about
        lines = [f"Open questions, on {about['model']} at {about['hook']} (95 % bootstrap intervals)"]
        for question, title in TITLES.items():
            found = self.of(question)
            more = (self.of("reach"),) if question == "layers" else ()
            lines += ["", title, *(f"  {each}" for each in SAID[question](found, *more))]
        lines.append(f"\n{len(self.cells)} questions in {about['seconds']:.0f} s")
        return "\n".join(lines)

    def beaten(self) -> list[str]:
        """Say nothing: no method is ours here."""
        return []

    def figures(self) -> dict[str, Any]:
        """Return a plotly figure for each question."""
        from studies.findings.figures import DRAWN

        return {question: DRAWN[question](self.of(question)) for question in TITLES}

    def figure(self) -> Any:
        """Return the last question's figure."""
        return self.figures()["reach"]

    def save(self, folder: str | Path) -> None:
        """Write the JSON, and all figures on one page, under the study's name."""
        write_json(Path(folder) / f"{self.name}.json", self.to_json())
        drawn = [
            each.to_html(full_html=False, include_plotlyjs=not i) for i, each in enumerate(self.figures().values())
        ]
        with writing(Path(folder) / f"{self.name}.html") as temporary:
            page = f'<!doctype html><meta charset="utf-8"><body>{"".join(drawn)}</body>\n'
            temporary.write_text(page, encoding="utf-8")

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it."""
        return json.loads(json.dumps(super().to_json()))

    def _tabulated(self) -> "pd.DataFrame":
        """Return a row for each number that has an interval: the question, where it stands there, and the three numbers."""
        import pandas as pd

        return pd.DataFrame([{"question": q, **row} for q in TITLES for row in _intervals(self.of(q), "")])


def _intervals(value: Any, path: str) -> Iterator[dict[str, Any]]:
    """Find what has an interval, however deep it lies."""
    if isinstance(value, dict) and value.keys() == {"estimate", "low", "high"}:
        yield {"what": path, **value}
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _intervals(each, f"{path} {name}".strip())
    elif isinstance(value, list):
        for number, each in enumerate(value):
            if isinstance(each, dict):
                called = next(
                    (str(each[key]) for key in ("hook", "way", "multiple", "vector") if key in each), str(number)
                )
                yield from _intervals({k: v for k, v in each.items() if isinstance(v, dict | list)}, f"{path} {called}")
