"""The tables of `python -m studies probes`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ssae_lens.evals._probes import SCORES
from studies.page_tables.markdown import MissingError, bold, figure, records, table
from studies.probes import KS
from studies.probes import ProbeResult as Result

OURS, RAW, ALL = "SSAE codes", "raw shifts", "all"


def scored(score: str, result: Result) -> str:
    """Return a score by the number of features, for each kind: mean and deviation over concepts, the best of a line bold."""
    kinds, numbers = result.about["widths"], [*map(str, KS), ALL]
    found = {(each["features"], each["k"], each["shuffled"]): each for each in records(result.table)}
    for kind, k in [(OURS, ALL), *((RAW, k) for k in numbers)]:
        if (kind, k, False) not in found:
            raise MissingError(f"no probe of {k} of the features {kind!r}")
    rows = []
    for k in numbers:
        here = [found.get((kind, k, False)) for kind in kinds]
        rows.append(
            [k, *bold([_entry(each, score) for each in here], [None if each is None else each[score] for each in here])]
        )
    rows.append(["all, labels shuffled", *(_entry(found.get((kind, ALL, True)), score) for kind in kinds)])
    rows.append(["all, how many", *map(str, kinds.values())])
    return table(["features", *kinds], rows)


TABLES: dict[str, Callable[[Any], str]] = {score: partial(scored, score) for score in SCORES}


def _entry(row: dict[str, Any] | None, score: str) -> str:
    return "" if row is None else f"{figure(row[score])} ± {figure(row.get(f'{score}_sd', 0.0))}"
