"""The parts of the text of `python -m studies decomposition` that its page shows, as the command prints them."""

from collections.abc import Callable
from typing import Any

from ssae_lens.evals.steering.builtin import names
from studies.decomposition.result import Result
from studies.page_tables.markdown import MissingError

AGAIN, ATOMS, BEATEN = "What is found again", "Explained by so many", "Where ours is beaten"


def vectors(result: Result) -> str:
    """Return what each dictionary makes of each vector, what the columns are, and the means by number of decoder rows."""
    text = _text(result)
    rows = text[text.index("\n\n") : text.index(AGAIN)].strip("\n")
    return _fenced(f"{rows}\n\n{text[text.index(ATOMS) : text.index(BEATEN)]}")


def beaten(result: Result) -> str:
    """Say where ours is beaten or falls short."""
    return _fenced(_text(result).partition(BEATEN)[2].partition("\n\n")[0], BEATEN)


TABLES: dict[str, Callable[[Any], str]] = {"vectors": vectors, "beaten": beaten}


def _text(result: Result) -> str:
    there = {each["cell"].get("task") for each in result.cells if each["cell"]["part"] == "vector"}
    for name in names():
        if name not in there:
            raise MissingError(f"no vector {name!r}")
    return result.text()


def _fenced(text: str, before: str = "") -> str:
    return f"```text\n{before}{text.rstrip()}\n```\n"
