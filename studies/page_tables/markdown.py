"""How pages write numbers and tables."""

from collections.abc import Sequence
from typing import Any


class MissingError(ValueError):
    """What a table shows is not in the study's result."""


def figure(value: float | None, digits: int = 3) -> str:
    """Write a number as pages do, with no zero before its point and a true minus sign; one that is not there as nothing."""
    if value is None:
        return ""
    text = f"{abs(value):.{digits}f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + (text.removeprefix("0") if digits else text)


def between(low: float, high: float, digits: int = 2) -> str:
    """Write an interval."""
    return f"{figure(low, digits)}–{figure(high, digits)}"


def bold(texts: Sequence[str], values: Sequence[float | None], digits: int = 3) -> list[str]:
    """Make bold the texts of the largest value, and of those that are written as it is; without a value none is."""
    best = max((round(each, digits) for each in values if each is not None), default=None)
    return [
        f"**{text}**" if value is not None and round(value, digits) == best else text
        for text, value in zip(texts, values, strict=True)
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the lines of a table."""
    lines = ["| " + " | ".join(each) + " |" for each in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def bullets(lines: Sequence[str]) -> str:
    """Return a list of what is said; of nothing, that it is nowhere."""
    return "".join(f"- {each}\n" for each in lines or ["nowhere"])


def records(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a data frame as dictionaries of what they have."""
    return [{str(name): value for name, value in row.dropna().items()} for _, row in frame.iterrows()]
