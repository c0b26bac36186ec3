"""Tables of files and of objects in memory: their rows as dictionaries, and their columns of labels."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ssae_lens.base.checks import existing_file, one_of
from ssae_lens.base.reading import parse_json, parse_json_lines, read_text
from ssae_lens.pairs.schema import COLUMNS, TEXTS

SUFFIXES = (".csv", ".json", ".jsonl", ".ndjson")
SIGN_PREFIX = "change_"
# A column with more categories holds texts or identifiers.
MAX_CATEGORIES = 20
MAX_BYTES = 1 << 30
MAX_LINE = 16 << 20
# Python's limit for a field of a CSV file, applied to JSON as well.
MAX_FIELD = 131_072
# Separators, other than commas, of files called CSV.
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def read_table(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV, JSON or JSON lines file.

    In a CSV file, `changed` is text such as ``"tense|voice"``, and a signed change is a column ``change_<concept>``. They
    are returned as the list `changed` and the mapping `changes`.
    """
    path = existing_file(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{path} ends in {path.suffix!r}; {', '.join(SUFFIXES)} can be read. Open it with datasets and give the Dataset."
        )
    text = read_text(path, max_bytes=MAX_BYTES, encoding="utf-8-sig")
    rows = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _json_rows(path, text)
    if not rows:
        raise ValueError(f"{path} holds no rows; at least one is needed.")
    for row, fields in enumerate(rows):
        for name, value in fields.items():
            if len(name) > MAX_FIELD or (isinstance(value, str) and len(value) > MAX_FIELD):
                raise ValueError(
                    f"{path} has a field of more than {MAX_FIELD} characters in row {row} ({name[:40]!r}); split it up."
                )
    return rows


def rows_of(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a pandas DataFrame, a dictionary of columns, or a list of dictionaries or of (source, target)."""
    if hasattr(table, "to_dict") and hasattr(table, "notna"):
        table = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    elif isinstance(table, Mapping):
        columns = {str(name): list(values) for name, values in table.items()}
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"The columns have different lengths ({lengths}); each must have one value for every pair."
            )
        table = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if not isinstance(table, list | tuple):
        raise ValueError(  # noqa: TRY004 - every unusable data set is a ValueError
            f"pairs are {type(table).__name__}; give a name, a path, a DataFrame, a dictionary of columns, a list of "
            "dictionaries or of (source, target), or a datasets.Dataset."
        )
    if not table:
        raise ValueError("The data set holds no rows; at least one is needed.")
    rows = []
    for number, row in enumerate(table):
        if not isinstance(row, Mapping) and not (isinstance(row, list | tuple) and len(row) == len(TEXTS)):
            raise ValueError(
                f"Row {number} is {str(row)[:80]!r}; give a dictionary with source and target, or a pair (source, target)."
            )
        fields = row if isinstance(row, Mapping) else dict(zip(TEXTS, row, strict=True))
        rows.append({str(name): value for name, value in fields.items()})
    return rows


def renamed(names: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return each column's new name, from `columns` (our name to the file's), without columns that a new name replaces."""
    for ours, theirs in columns.items():
        one_of(f"columns[{ours!r}]", theirs, names)
    ours_of = {theirs: ours for ours, theirs in columns.items()}
    return {name: ours_of.get(name, name) for name in names if name in ours_of or name not in columns}


def with_label_columns(
    rows: Sequence[Mapping[str, Any]], label_columns: Sequence[str] | Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Move label columns into the `changes` of each row.

    A column holds changes, where a missing or blank value is 0; two columns of a concept hold its categories on either side.
    """
    by_side = isinstance(label_columns, Mapping)
    used = [column for columns in label_columns.values() for column in columns] if by_side else label_columns
    names = list(dict.fromkeys(key for row in rows for key in row))
    for name in used:
        one_of("label_columns", name, [column for column in names if column not in COLUMNS])
    added = (
        _category_changes(rows, label_columns)
        if isinstance(label_columns, Mapping)
        else [
            {name: _required_change(row.get(name), name, number) for name in label_columns}
            for number, row in enumerate(rows)
        ]
    )
    if twice := {name for row in rows for name in (row.get("changes") or {})} & set(added[0]):
        raise ValueError(
            f"label_columns names {min(twice)!r}, of which there are signed changes already; leave one out."
        )
    return [
        {
            **{name: value for name, value in row.items() if name not in used},
            "changes": {**(row.get("changes") or {}), **changes},
        }
        for row, changes in zip(rows, added, strict=True)
    ]


def _required_change(value: Any, name: str, row: int) -> int:
    change = as_change(value)
    if change is None:
        raise ValueError(
            f"{name} is {value!r} in row {row}; a label column holds each pair's change from source to target: -1, 0 or 1. "
            f"Of categories, give the columns of both sides: label_columns={{{name!r}: ['BEFORE', 'AFTER']}}."
        )
    return change


def _category_changes(
    rows: Sequence[Mapping[str, Any]], label_columns: Mapping[str, Sequence[str]]
) -> list[dict[str, int]]:
    """Return each row's changes of concepts that have a column of categories for each side."""
    changes: list[dict[str, int]] = [{} for _ in rows]
    for concept, columns in label_columns.items():
        if isinstance(columns, str) or len(columns) != len(TEXTS):
            raise ValueError(
                f"label_columns[{concept!r}] is {columns!r}; it must be two columns, of the source and of the target."
            )
        sides = [[str(row.get(column) or "").strip() for row in rows] for column in columns]
        if missing := [row for row, pair in enumerate(zip(*sides, strict=True)) if not all(pair)]:
            raise ValueError(
                f"{' or '.join(columns)} is missing in row {missing[0]}; give both categories of every pair."
            )
        categories = sorted({value for side in sides for value in side})
        if not 2 <= len(categories) <= MAX_CATEGORIES:
            raise ValueError(
                f"{' and '.join(columns)} hold {len(categories)} categories; a concept has 2 to {MAX_CATEGORIES}."
            )
        names = (
            {categories[1]: concept} if len(categories) == 2 else {value: f"{concept}={value}" for value in categories}
        )
        for row, before, after in zip(changes, *sides, strict=True):
            row |= {name: (after == value) - (before == value) for value, name in names.items()}
    return changes


def as_change(value: Any) -> int | None:
    """Return a value of a label column as −1, 0 or 1, or None if it is none of them."""
    text = "" if value is None else str(value).strip().lower().replace("−", "-")
    try:
        number = float({"": "0", "false": "0", "true": "1"}.get(text, text))
    except ValueError:
        return None
    return int(number) if number in (-1, 0, 1) else None


def _csv_rows(path: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.reader(StringIO(text), strict=True)
    try:
        header = next(reader, [])
        if len(header) == 1 and (separator := next((mark for mark in SEPARATORS if mark in header[0]), None)):
            raise ValueError(
                f"{path} looks separated by {SEPARATORS[separator]}: its header is the one column {header[0][:80]!r}. "
                "Save it separated by commas."
            )
        if twice := sorted(name for name, count in Counter(header).items() if count > 1):
            raise ValueError(f"{path} has two columns called {twice[0][:80]!r}; rename one.")
        rows = []
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(header):
                raise ValueError(
                    f"{path} has {len(fields)} fields on line {reader.line_num}, where its header has {len(header)}; "
                    "put quotes round fields that hold commas."
                )
            rows.append(_with_lists(path, reader.line_num, dict(zip(header, fields, strict=True))))
    except csv.Error as error:
        raise ValueError(f"{path} is not CSV at line {reader.line_num}: {error}.") from None
    return rows


def _with_lists(path: Path, line: int, fields: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    changes = {}
    for name, text in fields.items():
        if name == "changed":
            row[name] = [concept for concept in text.split("|") if concept]
        elif name.startswith(SIGN_PREFIX):
            try:
                changes[name.removeprefix(SIGN_PREFIX)] = int(text or 0)
            except ValueError:
                raise ValueError(
                    f"{path} has {name[:80]} {text[:80]!r} on line {line}; a change is -1, 0 or 1."
                ) from None
        else:
            row[name] = text
    return {**row, "changes": changes} if changes else row


def _json_rows(path: Path, text: str) -> list[dict[str, Any]]:
    hint = "give an array of objects, or an object on each line"
    if text.lstrip().startswith("["):
        values = [parse_json(text, path, hint=hint, max_values=None)]
    else:
        if max(map(len, text.split("\n"))) > MAX_LINE:
            raise ValueError(f"{path} has a line of more than {MAX_LINE >> 20} Mi characters; {hint}.")
        values = [value for _, value in parse_json_lines(text, path, hint=hint)]
    rows = []
    for value in values:
        rows.extend(value if isinstance(value, list) else [value])
    for row, value in enumerate(rows):
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise ValueError(f"{path} holds {kind} in row {row}; each row must be an object.")  # noqa: TRY004 - a file's fault
    return rows
