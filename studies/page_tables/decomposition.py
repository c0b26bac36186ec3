"""The parts of the text of `python -m studies decomposition` that its page shows, as the command prints them."""

from collections.abc import Callable
from typing import Any

from ssae_lens.evals.built_in_tasks import names
from studies.decomposition import DecompositionStudyResult as Result
from studies.page_tables.markdown import MissingError

FINDINGS, ATOMS, BASELINES_WIN = "Findings of", "Explained by so many", "Where baselines win"


def vectors(result: Result) -> str:
    """Return what each dictionary makes of each vector, what the columns are, and the means by number of decoder rows."""
    text = _text(result)
    rows = text[text.index("\n\n") : text.index(FINDINGS)].strip("\n")
    return _fenced(f"{rows}\n\n{text[text.index(ATOMS) : text.index(BASELINES_WIN)]}")


def baselines_win(result: Result) -> str:
    """Return the lines where baselines win, or the SSAE fails."""
    return _fenced(_text(result).partition(BASELINES_WIN)[2].partition("\n\n")[0], BASELINES_WIN)


TABLES: dict[str, Callable[[Any], str]] = {"vectors": vectors, "baselines_win": baselines_win}


def _text(result: Result) -> str:
    there = {each["cell"].get("task") for each in result.cells if each["cell"]["part"] == "vector"}
    for name in names():
        if name not in there:
            raise MissingError(f"no vector {name!r}")
    return result.text()


def _fenced(text: str, before: str = "") -> str:
    return f"```text\n{before}{text.rstrip()}\n```\n"
