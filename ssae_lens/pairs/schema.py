"""Schema of a data set of text pairs: its columns, their checks, and the arrays read from them.

======== ======================== ==============================================================
column   type                     meaning
======== ======================== ==============================================================
source   text                     before
target   text                     after
changed  list of text, optional   the concepts that differ
changes  struct of int8, optional each concept's change from source to target: −1, 0 or 1
content  text, optional           what must not be in two splits (a noun, a question, …)
======== ======================== ==============================================================

Of rendered chat messages, `source_turn` and `target_turn` are the range of characters of the last turn, in which a capture
counts its positions.

Other columns are kept as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Int8

from ssae_lens.base.checks import did_you_mean, first_few, name_list
from ssae_lens.base.checksums import fingerprint

if TYPE_CHECKING:
    from datasets import Dataset

TEXTS = ("source", "target")
TURNS = ("source_turn", "target_turn")
COLUMNS = (*TEXTS, *TURNS, "changed", "changes", "content")
# Number and length of the names that an error lists.
MAX_NAMES, MAX_NAME_LENGTH = 20, 80


class Columns(NamedTuple):
    """The texts of a checked data set, its `signed_changes` and its ranges of last turns; None without those columns."""

    source: list[str]
    target: list[str]
    signs: Int8[np.ndarray, "n concepts"] | None
    turns: tuple[list[list[int]], list[list[int]]] | None = None


def validate(dataset: "Dataset") -> Columns:
    """Check that `dataset` is a data set of text pairs, and return its columns.

    Raises
    ------
    ValueError
        If it is not; the message names what is wrong, in which rows, and what to do.
    """
    from datasets import Dataset

    if not isinstance(dataset, Dataset):
        raise ValueError(  # noqa: TRY004 - every unusable data set is a ValueError
            f"pairs are {type(dataset).__name__}; a datasets.Dataset is expected: load_pairs makes one."
        )
    for name in TEXTS:
        require_column(name, dataset.column_names)
    if len(dataset) == 0:
        raise ValueError("The data set holds no pairs; at least one is needed.")
    source, target = (list(dataset[name][:]) for name in TEXTS)
    for name, texts in zip(TEXTS, (source, target), strict=True):
        require_texts(name, texts)
    if "content" in dataset.column_names:
        _require("content", map(_is_text_or_none, dataset["content"][:]), "not text")
    if "changed" in dataset.column_names:
        _require("changed", map(_is_names, dataset["changed"][:]), "not a list of concept names")
    signs = signed_changes(dataset) if "changes" in dataset.column_names else None
    if signs is not None and "changed" in dataset.column_names:
        _require_agreement(dataset["changed"][:], signs, concept_names(dataset))
    return Columns(source, target, signs, _turns(dataset, source, target))


def _turns(dataset: "Dataset", source: list[str], target: list[str]) -> tuple[list[list[int]], list[list[int]]] | None:
    missing = [name for name in TURNS if name not in dataset.column_names]
    if len(missing) == 1:
        raise ValueError(f"There is no column {missing[0]!r}, and the other side has one; give both or none.")
    if missing:
        return None
    turns = list(dataset[TURNS[0]][:]), list(dataset[TURNS[1]][:])
    for name, texts, ranges in zip(TURNS, (source, target), turns, strict=True):
        _require(name, map(_is_range, ranges, texts), "not a range of characters [start, stop] of the text")
    return turns


def concept_names(dataset: "Dataset") -> list[str]:
    """Return the concepts of `dataset`, in the order of the columns of `signed_changes`.

    Without signed changes these are the names in `changed`, sorted; without that column, none.
    """
    if "changes" in dataset.column_names:
        return _fields(dataset)
    if "changed" in dataset.column_names:
        return sorted({name for names in dataset["changed"][:] for name in names})
    return []


def signed_changes(dataset: "Dataset") -> Int8[np.ndarray, "n concepts"]:
    """Return each pair's signed change of each concept, from source to target: −1, 0 or 1.

    See Also
    --------
    concept_names : the concepts of the columns.
    """
    if "changes" not in dataset.column_names:
        raise ValueError(
            f"The data set has no signed changes (its columns are {', '.join(dataset.column_names)}); "
            "add a column `changes` that maps each concept to -1, 0 or 1."
        )
    names = _fields(dataset)
    structs = dataset.select_columns("changes").with_format("arrow")[:]["changes"].combine_chunks()
    signs = np.zeros((len(dataset), len(names)), dtype=np.int8)
    for column, (name, child) in enumerate(zip(names, structs.flatten(), strict=True)):
        # A row of a JSON file may leave out concepts that do not change.
        values = child.fill_null(0).to_numpy(zero_copy_only=False)
        _require(f"changes[{name!r}]", np.isin(values, (-1, 0, 1)), "not -1, 0 or 1")
        signs[:, column] = values
    return signs


def fingerprint_of(dataset: "Dataset") -> str:
    """Return a short hash of the texts in their order."""
    return fingerprint_of_texts(*(dataset[name][:] for name in TEXTS))


def fingerprint_of_texts(source: Iterable[str], target: Iterable[str]) -> str:
    """Return `fingerprint_of` of source and target texts."""
    return fingerprint(zip(source, target, strict=True))


def from_rows(rows: Sequence[Mapping[str, Any]], concepts: str | Iterable[str] = ()) -> "Dataset":
    """Build a data set of text pairs from dictionaries with `source`, `target` and other columns.

    `changes` may leave out concepts that do not change, and `changed` is derived from it if missing. `concepts` (a list, or
    a string for one) get a column even if no row names them; others follow in order of appearance.
    """
    import pyarrow as pa
    from datasets import Dataset

    if not rows:
        raise ValueError("There are no rows; at least one pair is needed.")
    names = list(dict.fromkeys(key for row in rows for key in row))
    for name in TEXTS:
        require_column(name, names)
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names}
    for name in TEXTS:
        require_texts(name, columns[name])
    if "changes" in columns:
        columns["changes"], changed = _pack(columns["changes"], name_list("concepts", concepts))
        columns.setdefault("changed", changed)
    for name, values in columns.items():
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, OverflowError) as error:
            raise ValueError(f"Column {name[:80]!r} mixes types: {str(error).splitlines()[0][:200]}") from None
    return Dataset.from_dict(columns)


def completed(dataset: "Dataset") -> "Dataset":
    """Check `dataset`, store its changes as int8, and add `changed` if it has `changes` only."""
    from datasets import Features, Value

    signs = validate(dataset).signs
    if signs is None:
        return dataset
    names = concept_names(dataset)
    expected = {name: Value("int8") for name in names}
    if dataset.features["changes"] != expected:
        dataset = dataset.cast(Features({**dataset.features, "changes": expected}))
    if "changed" not in dataset.column_names:
        dataset = dataset.add_column("changed", _differing(signs, names))  # pyright: ignore[reportArgumentType, reportCallIssue]
    return dataset


def require_column(name: str, columns: Iterable[str]) -> None:
    """Raise unless `name` is one of a data set's `columns`."""
    columns = list(columns)
    if name not in columns:
        raise ValueError(
            f"There is no column {name!r} among {listed(columns)}.{did_you_mean(name, columns)} "
            f'Name it with columns={{"{name}": "…"}}.'
        )


def listed(names: Iterable[str]) -> str:
    """Return names as text; long names and long lists are truncated."""
    shown = [name if len(name) <= MAX_NAME_LENGTH else f"{name[:MAX_NAME_LENGTH]}…" for name in names]
    more = f", … ({len(shown)})" if len(shown) > MAX_NAMES else ""
    return ", ".join(shown[:MAX_NAMES]) + more


def require_texts(name: str, values: Iterable[Any]) -> None:
    """Raise unless every value is a text that is not blank."""
    values = list(values)
    _require(name, map(_is_text_or_none, values), "not text")
    _require(name, [bool(text and text.strip()) for text in values], "empty")


def _require(name: str, good: Iterable[Any], wrong: str) -> None:
    bad = np.flatnonzero(~(good if isinstance(good, np.ndarray) else np.fromiter(good, dtype=bool)))
    if len(bad):
        raise ValueError(
            f"{name} is {wrong} in {len(bad)} row{'s' * (len(bad) > 1)} ({first_few(bad)}); fix or remove these rows."
        )


def _require_agreement(changed: Iterable[list[str]], signs: Int8[np.ndarray, "n concepts"], names: list[str]) -> None:
    for row, (names_changed, differing) in enumerate(zip(changed, _differing(signs, names), strict=True)):
        if set(names_changed) != set(differing):
            raise ValueError(
                f"changed is {sorted(names_changed)} in row {row}, where changes differ from zero in {sorted(differing)}; "
                "make them agree, or leave `changed` out."
            )


def _pack(changes: Sequence[Any], concepts: Iterable[str]) -> tuple[Any, list[list[str]]]:
    """Return the struct column of `changes`, and each row's names of concepts that change."""
    import pyarrow as pa

    _require("changes", [isinstance(row, Mapping) for row in changes], "not a mapping of concept to sign")
    names = list(dict.fromkeys([*concepts, *(name for row in changes for name in row)]))
    if not names:
        raise ValueError("changes name no concept in any row; name some, or leave the column out.")
    columns = {name: column for column, name in enumerate(names)}
    signs = np.zeros((len(changes), len(names)), dtype=np.int8)
    for row, change in enumerate(changes):
        for name, sign in change.items():
            if sign not in (-1, 0, 1, None):
                raise ValueError(
                    f"changes[{name!r}] is {sign!r} in row {row}; a change is -1, 0 or 1 from source to target."
                )
            signs[row, columns[name]] = sign or 0
    struct = pa.StructArray.from_arrays([pa.array(column) for column in signs.T.copy()], names=names)
    return struct, _differing(signs, names)


def _differing(signs: Int8[np.ndarray, "n concepts"], names: list[str]) -> list[list[str]]:
    """Return each row's names of concepts that change."""
    differing: list[list[str]] = [[] for _ in range(len(signs))]
    for row, column in np.argwhere(signs).tolist():
        differing[row].append(names[column])
    return differing


def _fields(dataset: "Dataset") -> list[str]:
    fields = dataset.features["changes"]
    if not isinstance(fields, Mapping) or not fields:
        raise ValueError(f"changes hold {fields}; each row must map concepts to -1, 0 or 1.")
    for name, kind in fields.items():
        if "int" not in getattr(kind, "dtype", ""):
            raise ValueError(
                f"changes[{name!r}] holds {getattr(kind, 'dtype', kind)}; integers -1, 0 or 1 are expected."
            )
    return list(fields)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_range(value: Any, text: str) -> bool:
    return (
        isinstance(value, list)
        and [type(bound) for bound in value] == [int, int]
        and 0 <= value[0] < value[1] <= len(text)
    )


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
