"""Tables as lists of dictionaries, whatever they came as."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from ssae_lens.dashboards.drawing import known

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
Table: TypeAlias = Union["pd.DataFrame", Sequence[Mapping[str, Any]]]


def rows_of(name: str, table: Table, keys: Sequence[str] = (), columns: Sequence[str] = ()) -> list[Row]:
    """Return a table's rows, or raise unless it has `columns`, and `keys` with a value in every row."""
    to_dict: Any = getattr(table, "to_dict", None)
    rows: list[Row] = to_dict(orient="records") if to_dict else [dict(row) for row in table]  # pyright: ignore[reportArgumentType]
    for number, row in enumerate(rows):
        lacking = [each for each in (*keys, *columns) if each not in row]
        lacking += [each for each in keys if each in row and not known(row[each])]
        if lacking:
            wanted = ", ".join((*keys, *columns))
            raise ValueError(
                f"Row {number} of {name} has no {lacking[0]!r}, but {', '.join(map(str, row))}; each row needs {wanted}."
            )
    return rows


def by(column: str, rows: Sequence[Row]) -> list[tuple[Any, list[Row]]]:
    """Return the rows of each value of a column, in the order in which values come."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return list(found.items())
