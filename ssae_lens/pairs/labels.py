"""Columns of labels: each pair's change of a concept, in a column of its own."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ssae_lens.base.checks import one_of

if TYPE_CHECKING:
    from datasets import Dataset

# The columns that a paired data set has of its own.
OWN = ("source", "target", "changed", "changes", "content")
MAX_SHOWN = 8


def with_label_columns(rows: Sequence[Mapping[str, Any]], label_columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows whose label columns are entries of `changes`.

    Parameters
    ----------
    rows
        One pair each.
    label_columns
        Names of columns that hold −1, 0 or 1: each pair's change of the concept from source to target. A value that is
        missing or blank is 0.
    """
    names = list(dict.fromkeys(key for row in rows for key in row))
    for name in label_columns:
        one_of("label_columns", name, [column for column in names if column not in OWN])
    if twice := {name for row in rows for name in (row.get("changes") or {})} & set(label_columns):
        raise ValueError(
            f"label_columns names {min(twice)!r}, of which there are signed changes already; leave one out."
        )
    return [
        {
            **{name: value for name, value in row.items() if name not in label_columns},
            "changes": {
                **(row.get("changes") or {}),
                **{name: _required(name, row.get(name), number) for name in label_columns},
            },
        }
        for number, row in enumerate(rows)
    ]


def warn_of_unused(dataset: "Dataset", title: str, *, all_columns: bool, stacklevel: int = 2) -> None:
    """Warn of the columns that are not used, and name those that can be labels.

    Without `all_columns` only those of numbers that can be labels are named.
    """
    others = [name for name in dataset.column_names if name not in OWN]
    labels = [name for name in others if _holds_labels(dataset, name, texts=all_columns)]
    unused = others if all_columns else labels
    if not unused:
        return
    shown = ", ".join(unused[:MAX_SHOWN]) + (", …" if len(unused) > MAX_SHOWN else "")
    what = f"the column {shown} is" if len(unused) == 1 else f"the columns {shown} are"
    warnings.warn(
        f"{title}: {what} not used. A column that holds each pair's change of a concept from source to target (-1, 0 or 1) "
        f"is used as labels with label_columns={labels[:MAX_SHOWN] or ['NAME']}.",
        stacklevel=stacklevel + 1,
    )


def warn_of_unchanged(sources: Sequence[str], targets: Sequence[str], title: str, stacklevel: int = 2) -> None:
    """Warn of pairs that show no change, and of pairs that are there more than once."""
    same = sum(source == target for source, target in zip(sources, targets, strict=True))
    if same:
        warnings.warn(
            f"{title}: in {same} of {len(sources)} pairs source and target are the same text, which shows no change; "
            "leave them out.",
            stacklevel=stacklevel + 1,
        )
    repeated = len(sources) - len(Counter(zip(sources, targets, strict=True)))
    if repeated:
        warnings.warn(
            f"{title}: {repeated} of {len(sources)} pairs repeat an earlier pair and add no information; leave them out.",
            stacklevel=stacklevel + 1,
        )


def _required(name: str, value: Any, row: int) -> int:
    change = _change(value)
    if change is None:
        raise ValueError(
            f"{name} is {value!r} in row {row}; a label column holds each pair's change from source to target: -1, 0 or 1."
        )
    return change


def _change(value: Any) -> int | None:
    """Return a value as a change, or None where it is none."""
    text = "" if value is None else str(value).strip().lower().replace("−", "-")
    try:
        number = float({"": "0", "false": "0", "true": "1"}.get(text, text))
    except ValueError:
        return None
    return int(number) if number in (-1, 0, 1) else None


def _holds_labels(dataset: "Dataset", name: str, *, texts: bool) -> bool:
    kinds = ("int", "float", "bool", *(("string", "large_string") if texts else ()))
    if not str(getattr(dataset.features[name], "dtype", "")).startswith(kinds):
        return False
    changes = [_change(value) for value in dataset.unique(name) if value not in (None, "")]
    return bool(changes) and None not in changes
