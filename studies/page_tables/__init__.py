"""The tables of the pages: for each study its functions from a result to Markdown, under the names of their marks."""

from collections.abc import Callable
from typing import Any

from studies.page_tables import decomposition, findings, language, probes, steering, synthetic

STUDIES = (language, synthetic, steering, probes, findings, decomposition)
# The class of each study's result, by the stem of its JSON file.
RESULTS: dict[str, Callable[..., Any]] = {study.Result.name: study.Result for study in STUDIES}
TABLES: dict[str, Callable[[Any], str]] = {
    f"{study.Result.name} {name}": table for study in STUDIES for name, table in study.TABLES.items()
}
