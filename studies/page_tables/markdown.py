"""Markdown: numbers and tables as the pages show them."""

from collections.abc import Sequence
from typing import Any


class MissingError(ValueError):
    """A result does not contain what a table shows."""


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number without a zero before its point and with a true minus sign; nothing for None."""
    if value is None:
        return ""
    text = f"{abs(value):.{digits}f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + (text.removeprefix("0") if digits else text)


def between(low: float, high: float, digits: int = 2) -> str:
    """Return an interval."""
    return f"{figure(low, digits)}–{figure(high, digits)}"


def bold(texts: Sequence[str], values: Sequence[float | None], digits: int = 3) -> list[str]:
    """Return texts with those of the largest value, rounded to `digits`, in bold."""
    best = max((round(value, digits) for value in values if value is not None), default=None)
    return [
        f"**{text}**" if value is not None and round(value, digits) == best else text
        for text, value in zip(texts, values, strict=True)
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the lines of a table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def bullets(lines: Sequence[str]) -> str:
    """Return lines as a list; "nowhere" if there are none."""
    return "".join(f"- {line}\n" for line in lines or ["nowhere"])


def records(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a data frame as dictionaries without missing values."""
    return [{str(name): value for name, value in row.dropna().items()} for _, row in frame.iterrows()]
