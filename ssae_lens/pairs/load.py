"""Loading of paired text data sets: from a built-in corpus, a file, a Dataset or the Hub."""

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from ssae_lens.base.checks import did_you_mean, existing_file, integer, one_of
from ssae_lens.base.reading import well_formed
from ssae_lens.pairs import readers
from ssae_lens.pairs.built_in import CORPORA, load_built_in
from ssae_lens.pairs.labels import warn_of_unchanged, warn_of_unused, with_label_columns
from ssae_lens.pairs.schema import completed, from_rows
from ssae_lens.pairs.splits import SPLITS, keys_of, sides_of, split_by_content, taken
from ssae_lens.pairs.tables import SUFFIXES, read_table, renamed

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Table = Union["Dataset", "DatasetDict", list[dict[str, Any]]]

_ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def load_pairs(
    name_or_path: Union[str, Path, "Dataset", "DatasetDict"],
    split: str | None = None,
    *,
    n: int | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    label_columns: Sequence[str] = (),
    test_fraction: float = 0.1,
    kind: str | None = None,
    differing: int | None = None,
) -> "Dataset":
    """Load a paired text data set.

    Parameters
    ----------
    name_or_path
        A built-in corpus (`corpora` lists them), a CSV, JSON or JSON lines file, a `datasets.Dataset`, or the name of a
        data set on the Hub (``owner/name``).
    split
        ``"train"`` or ``"test"``, or None for everything. No text and no `content` of a test pair stands in a
        training pair. A Hub data set that has both splits keeps them, less the training pairs seen in its test split.
    n
        How many pairs; by default all there are or, of a corpus that makes any number, its usual number. With `split`, how
        many of that split.
    seed
        Which `n` pairs. The side of a pair does not depend on it.
    columns
        Our column names to the data set's own: ``{"source": "before", "target": "after"}``.
    label_columns
        Columns of labels of pairs, one for each concept: 1 where the concept is added from source to target, −1 where it is
        removed, 0 or nothing where it does not change. They become signed changes, beside those in ``changes``. A warning
        names the columns of a file that are not used.
    test_fraction
        The share of the pairs (of labelled sentences: the sentences) that is held out.
    kind
        ``"pairs"``, ``"truthfulqa"``, ``"ab"`` or ``"labelled"``; by default recognised by the columns.
    differing
        Of labelled sentences: in how many attributes the two of a pair differ; by default in any number.

    Returns
    -------
    datasets.Dataset
        With the columns described in `ssae_lens.pairs.schema`.

    Examples
    --------
    >>> pairs = load_pairs("gender", n=3)
    >>> pairs.column_names
    ['source', 'target', 'changes', 'content', 'changed']
    """
    _check(split, n, seed, kind)
    label_columns = [label_columns] if isinstance(label_columns, str) else list(label_columns)
    if isinstance(name_or_path, str) and name_or_path in CORPORA:
        if columns or kind or differing or label_columns:
            raise ValueError(
                f"{name_or_path!r} is a built-in corpus; it takes no columns, label_columns, kind or differing."
            )
        return load_built_in(name_or_path, split, n, seed, test_fraction)

    table = _opened(name_or_path)
    title = "The data set" if _is_dataset(name_or_path) else str(name_or_path)
    if isinstance(table, Mapping):
        if split is not None and table.keys() >= set(SPLITS):
            given = {"columns": columns, "label_columns": label_columns, "kind": kind, "differing": differing}
            own = {name: load_pairs(table[name], **given) for name in SPLITS}
            part = own["test"] if split == "test" else _unseen(own["train"], own["test"])
            return taken(part, n, seed, title)
        table = _joined(table)

    table = _with_our_names(table, columns or {})
    kind = kind or readers.kind_of(_names(table))
    _check_for_kind(kind, label_columns, differing)
    in_memory = _is_dataset(name_or_path)
    # What a file's rows hold is known only now; a Dataset has its types already.
    with nullcontext() if in_memory else well_formed(str(name_or_path)):
        if kind == "labelled":
            return _labelled(_records(table), split, n, seed, test_fraction, differing)
        behaviour = "behaviour" if in_memory else Path(str(name_or_path)).stem
        dataset = _paired(table, kind, behaviour, label_columns)
    if kind == "pairs":
        warn_of_unused(dataset, title, all_columns=not in_memory, stacklevel=2)
    warn_of_unchanged(dataset["source"][:], dataset["target"][:], title, stacklevel=2)
    if split is not None:
        dataset = split_by_content(dataset, split, test_fraction, stacklevel=3)
    return taken(dataset, n, seed, title)


def _check(split: str | None, n: int | None, seed: int, kind: str | None) -> None:
    if split is not None:
        one_of("split", split, SPLITS)
    if n is not None:
        integer("n", n)
    integer("seed", seed, minimum=0)
    if kind is not None:
        one_of("kind", kind, readers.KINDS)


def _check_for_kind(kind: str, label_columns: Sequence[str], differing: int | None) -> None:
    if label_columns and kind != "pairs":
        raise ValueError(
            f"label_columns is {label_columns!r}, but this is of kind {kind!r}; only 'pairs' takes label columns."
        )
    if differing is not None and kind != "labelled":
        raise ValueError(f"differing is {differing!r}, but this is of kind {kind!r}; only 'labelled' takes it.")


def _paired(
    table: Union["Dataset", list[dict[str, Any]]], kind: str, behaviour: str, label_columns: Sequence[str]
) -> "Dataset":
    if kind == "truthfulqa":
        return from_rows(readers.truthfulqa_rows(_records(table)))
    if kind == "ab":
        return from_rows(readers.behaviour_rows(_records(table), behaviour))
    if label_columns:
        table = with_label_columns(_records(table), label_columns)
    return completed(from_rows(table) if isinstance(table, list) else table)


def _labelled(
    records: Sequence[Mapping[str, Any]],
    split: str | None,
    n: int | None,
    seed: int,
    test_fraction: float,
    differing: int | None,
) -> "Dataset":
    """Divide the sentences before they are paired, so that no pair straddles."""
    text = readers.sentence_column(records)
    if split is not None:
        sides = sides_of([(record[text],) for record in records], test_fraction)
        records = [record for record, side in zip(records, sides, strict=True) if side == SPLITS.index(split)]
        if not records:
            raise ValueError(f"No sentence is left for split {split!r}; give more sentences, or another test_fraction.")
    return from_rows(readers.labelled_rows(records, n, seed, differing))


def _opened(name_or_path: Any) -> Table:
    """Return the rows of a file, a Dataset, or the splits of one."""
    if _is_dataset(name_or_path):
        return name_or_path
    if not isinstance(name_or_path, str | Path):
        raise ValueError(  # noqa: TRY004 - every unusable data set is a ValueError
            f"pairs are {type(name_or_path).__name__}; a name, a path or a datasets.Dataset is expected."
        )
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or path.suffix.lower() in SUFFIXES or path.exists():
        return read_table(path)
    if _ON_THE_HUB.fullmatch(name_or_path):
        return _from_hub(name_or_path)
    if len(path.parts) > 1:
        existing_file(path)
    raise ValueError(
        f"There are no pairs called {name_or_path!r}.{did_you_mean(name_or_path, CORPORA)} "
        f"Give one of {', '.join(CORPORA)}, a file that ends in {', '.join(SUFFIXES)}, or a Hub data set as owner/name."
    )


def _from_hub(name: str) -> Table:
    import datasets

    try:
        return datasets.load_dataset(name)  # pyright: ignore[reportReturnType]
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"There is no built-in corpus {name!r} ({', '.join(CORPORA)}) and no file {name}, and the Hub gives no such "
            f"data set ({reason}). Offline, give a CSV or JSON lines file."
        ) from error


def _joined(parts: Mapping[Any, "Dataset"]) -> "Dataset":
    from datasets import concatenate_datasets

    return concatenate_datasets(list(parts.values()))


def _unseen(train: "Dataset", test: "Dataset") -> "Dataset":
    """Drop the training pairs that share a text or content with a test pair."""
    seen = {key for row in keys_of(test) for key in row}
    kept = [row for row, keys in enumerate(keys_of(train)) if seen.isdisjoint(keys)]
    if not kept:
        raise ValueError("Every training pair shares a text or content with the test split; none is left.")
    if len(kept) < len(train):
        warnings.warn(
            f"{len(train) - len(kept)} of {len(train)} training pairs were dropped: they share a text or content with the "
            "test split.",
            stacklevel=3,
        )
    return train.select(kept)


def _with_our_names(table: Union["Dataset", list[dict[str, Any]]], columns: Mapping[str, str]) -> Any:
    if not columns:
        return table
    names = renamed(_names(table), columns)
    if isinstance(table, list):
        return [{ours: row[name] for name, ours in names.items() if name in row} for row in table]
    return table.select_columns(list(names)).rename_columns(names)


def _names(table: Union["Dataset", list[dict[str, Any]]]) -> list[str]:
    if isinstance(table, list):
        return list(dict.fromkeys(name for row in table for name in row))
    return table.column_names


def _records(table: Union["Dataset", list[dict[str, Any]]]) -> list[dict[str, Any]]:
    records = table if isinstance(table, list) else table.to_list()
    if not records:
        raise ValueError("The data set holds no rows; at least one is needed.")
    return records


def _is_dataset(value: Any) -> bool:
    from datasets import Dataset, DatasetDict

    return isinstance(value, Dataset | DatasetDict)
