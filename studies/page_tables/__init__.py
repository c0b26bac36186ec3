"""The tables that pages show: for each study its functions from a result to Markdown, under the names of their marks."""

from collections.abc import Callable
from typing import Any

from studies.page_tables import decomposition, findings, language, probes, steering, synthetic

STUDIES = (language, synthetic, steering, probes, findings, decomposition)
# How a study's JSON is read, by the file's name.
RESULTS: dict[str, Callable[..., Any]] = {each.Result.name: each.Result for each in STUDIES}
TABLES: dict[str, Callable[[Any], str]] = {
    f"{each.Result.name} {name}": table for each in STUDIES for name, table in each.TABLES.items()
}
