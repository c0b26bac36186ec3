"""`EvalResult`: measured numbers as a table, a text, a figure and JSON."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ssae_lens.base.checksums import write_json
from ssae_lens.base.files import writing

if TYPE_CHECKING:
    import pandas as pd

Cell = dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class EvalResult(ABC):
    """The result of an evaluation; its `repr` is the table in words.

    Attributes
    ----------
    cells
        The measurements, one dictionary each.
    about
        What holds for all of them: settings, seeds, versions, overall scores.
    name
        The stem of the files that `save` writes.
    """

    cells: list[Cell]
    about: dict[str, Any]
    name: ClassVar[str]

    @cached_property
    def table(self) -> "pd.DataFrame":
        """The numbers as a data frame."""
        return self._tabulated()

    @abstractmethod
    def text(self) -> str:
        """Return the table as text for a terminal."""

    @abstractmethod
    def figure(self) -> Any:
        """Return a plotly figure."""

    @abstractmethod
    def _tabulated(self) -> "pd.DataFrame":
        """Return the data frame that `table` holds."""

    def to_json(self) -> dict[str, Any]:
        """Return everything in types that JSON has: the table, the cells and what holds for all of them."""
        return {**self.about, "table": records_of(self.table), "cells": self.cells}

    def save(self, folder: str | Path) -> None:
        """Write ``<name>.json`` and ``<name>.html`` (the figure) into a folder."""
        write_json(Path(folder) / f"{self.name}.json", self.to_json())
        with writing(Path(folder) / f"{self.name}.html") as temporary:
            self.figure().write_html(temporary, include_plotlyjs=True)

    def __repr__(self) -> str:
        return self.text()


def records_of(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of a table in types that JSON has; what is missing is None."""
    return json.loads(table.to_json(orient="records") or "[]")
