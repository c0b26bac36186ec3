"""Tables from files: the rows of CSV, JSON and JSON lines files as dictionaries, and their columns of labels."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ssae_lens.base.checks import existing_file, one_of
from ssae_lens.base.reading import parse_json, parse_json_lines, read_text
from ssae_lens.pairs.schema import COLUMNS

SUFFIXES = (".csv", ".json", ".jsonl", ".ndjson")
SIGN_PREFIX = "change_"
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


def renamed(names: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return each column's new name, from `columns` (our name to the file's), without columns that a new name replaces."""
    for ours, theirs in columns.items():
        one_of(f"columns[{ours!r}]", theirs, names)
    ours_of = {theirs: ours for ours, theirs in columns.items()}
    return {name: ours_of.get(name, name) for name in names if name in ours_of or name not in columns}


def with_label_columns(rows: Sequence[Mapping[str, Any]], label_columns: Sequence[str]) -> list[dict[str, Any]]:
    """Move label columns into the `changes` of each row; a missing or blank value is 0."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    for name in label_columns:
        one_of("label_columns", name, [column for column in names if column not in COLUMNS])
    if twice := {name for row in rows for name in (row.get("changes") or {})} & set(label_columns):
        raise ValueError(
            f"label_columns names {min(twice)!r}, of which there are signed changes already; leave one out."
        )
    labelled = []
    for number, row in enumerate(rows):
        changes = {**(row.get("changes") or {})}
        for name in label_columns:
            changes[name] = as_change(row.get(name))
            if changes[name] is None:
                raise ValueError(
                    f"{name} is {row.get(name)!r} in row {number}; a label column holds each pair's change from source to "
                    "target: -1, 0 or 1."
                )
        others = {name: value for name, value in row.items() if name not in label_columns}
        labelled.append({**others, "changes": changes})
    return labelled


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
