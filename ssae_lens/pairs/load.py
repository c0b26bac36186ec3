"""Loading of text pairs from a built-in corpus, objects in memory, a file, a Dataset or the Hub.

Every source is read into one table (a list of rows or a `datasets.Dataset`); the reader of its kind makes pairs of the
table's rows, and `schema.completed` checks them.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Union

from ssae_lens.base.checks import did_you_mean, existing_file, integer, one_of, text_list, warn
from ssae_lens.base.reading import well_formed
from ssae_lens.pairs import readers
from ssae_lens.pairs.built_in import CORPORA, load_built_in
from ssae_lens.pairs.chat import NoTokenizerError, has_messages, rendered
from ssae_lens.pairs.schema import COLUMNS, completed, from_rows
from ssae_lens.pairs.splits import SPLITS, split_by_content, taken, without_keys_of
from ssae_lens.pairs.tables import SUFFIXES, as_change, read_table, renamed, rows_of, with_label_columns

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset, DatasetDict

Table = Union["Dataset", list[dict[str, Any]]]

MAX_SHOWN = 8
# Shorter texts are words and phrases, in which everything differs.
MIN_WORDS = 5

_ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def load_pairs(
    name_or_path: Union[str, Path, "Dataset", "DatasetDict", "pd.DataFrame", Mapping[str, Any], Sequence[Any]],
    split: str | None = None,
    *,
    n: int | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    label_columns: str | Sequence[str] | Mapping[str, Sequence[str]] = (),
    tokenizer: Any = None,
    test_fraction: float = 0.1,
    kind: str | None = None,
    differing: int | None = None,
) -> "Dataset":
    """Load a data set of text pairs.

    Parameters
    ----------
    name_or_path
        A built-in corpus (`corpora` lists them); a CSV, JSON or JSON lines file; a pandas DataFrame, a dictionary of
        columns, a list of dictionaries or of ``(source, target)``; a `datasets.Dataset`; or the name of a data set on the
        Hub, ``owner/name``. Either side can be a list of chat messages, with `tokenizer`.
    split
        ``"train"`` or ``"test"``, or None for everything. No text and no `content` of a test pair is in a training pair.
        A Hub data set that has both splits keeps them, without the training pairs that overlap with its test split.
    n
        Number of pairs (of the split); by default all or, of a corpus that samples its pairs, its default number.
    seed
        Selects the `n` pairs. The split does not depend on it.
    columns
        Our column names to the data set's own: ``{"source": "before", "target": "after"}``.
    label_columns
        Columns of labels of pairs, one per concept: 1 where the concept is added from source to target, −1 where it is
        removed, 0 or nothing where it does not change. They become signed changes, beside those in ``changes``. Where each
        side has its category, give both columns: ``{"tense": ["tense_before", "tense_after"]}`` is 1 from the first of two
        categories in alphabetical order to the second; of more categories each is a concept, ``tense=past``. A warning names
        the columns that are not used.
    tokenizer
        Of the model that the pairs are for, ``model.tokenizer``. Its chat template renders chat messages
        (``{"role": …, "content": …}``) as texts. Positions of `capture_shifts` then count within the last turn.
    test_fraction
        The fraction of the pairs (of labelled sentences: the sentences) that is held out.
    kind
        ``"pairs"``, ``"truthfulqa"``, ``"ab"`` or ``"labelled"``; by default inferred from the columns.
    differing
        For labelled sentences: the number of attributes in which the two of a pair differ; by default any number.

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
    from datasets import Dataset, DatasetDict, concatenate_datasets

    if not isinstance(label_columns, Mapping):
        label_columns = text_list("label_columns", label_columns)
    if isinstance(name_or_path, str) and name_or_path in CORPORA:
        if columns or kind or differing or label_columns:
            raise ValueError(
                f"{name_or_path!r} is a built-in corpus; it takes no columns, label_columns, kind or differing."
            )
        return load_built_in(name_or_path, split, n, seed, test_fraction)

    typed, by_name = isinstance(name_or_path, Dataset | DatasetDict), isinstance(name_or_path, str | Path)
    given: Any = name_or_path
    table: Any = given if typed else _read(given) if by_name else rows_of(given)
    title = str(name_or_path) if by_name else "The data set"
    if isinstance(table, Mapping):
        if split is not None and table.keys() >= set(SPLITS):
            kwargs: Any = {"columns": columns, "label_columns": label_columns, "tokenizer": tokenizer}
            kwargs |= {"kind": kind, "differing": differing}
            train, test = (load_pairs(table[name], **kwargs) for name in SPLITS)
            return taken(test if split == "test" else without_keys_of(train, test), n, seed, title)
        table = concatenate_datasets(list(table.values()))

    table = _with_our_names(table, columns or {})
    kind = kind or readers.kind_of(_names(table))
    _check_for_kind(kind, label_columns, differing)
    is_chat = kind == "pairs" and _is_chat(table, tokenizer, title)
    # A file's values have any type; those of a Dataset are typed.
    with well_formed(title) if by_name else nullcontext():
        if kind == "labelled":
            # Split before they are paired, so that no pair has one sentence on each side.
            sentences = readers.labelled_sentences(_records(table), split, test_fraction)
            return from_rows(readers.labelled_rows(sentences, n, seed, differing))
        if is_chat:
            table = rendered(_records(table), tokenizer)
        behaviour = Path(title).stem if by_name else "behaviour"
        dataset = _paired(table, kind, behaviour, label_columns)
    if kind == "pairs":
        _warn_of_unused(dataset, title, all_columns=not typed)
        _warn_of_other_content(dataset, title)
    _warn_of_unchanged(dataset, title)
    if split is not None:
        dataset = split_by_content(dataset, split, test_fraction)
    return taken(dataset, n, seed, title)


def _check(split: str | None, n: int | None, seed: int, kind: str | None) -> None:
    if split is not None:
        one_of("split", split, SPLITS)
    if n is not None:
        integer("n", n)
    integer("seed", seed, minimum=0)
    if kind is not None:
        one_of("kind", kind, readers.KINDS)


def _check_for_kind(kind: str, label_columns: Any, differing: int | None) -> None:
    if label_columns and kind != "pairs":
        raise ValueError(
            f"label_columns is {label_columns!r}, but this is of kind {kind!r}; only 'pairs' takes label columns."
        )
    if differing is not None and kind != "labelled":
        raise ValueError(f"differing is {differing!r}, but this is of kind {kind!r}; only 'labelled' takes it.")


def _is_chat(table: Table, tokenizer: Any, title: str) -> bool:
    """Return whether a table holds chat messages; raise if they cannot be rendered."""
    if has_messages(table) and tokenizer is None:
        raise NoTokenizerError(
            f"{title} holds chat messages, and tokenizer is None; give tokenizer=model.tokenizer, for its chat template."
        )
    return has_messages(table)


def _paired(table: Table, kind: str, behaviour: str, label_columns: Any) -> "Dataset":
    if kind == "truthfulqa":
        return from_rows(readers.truthfulqa_rows(_records(table)))
    if kind == "ab":
        return from_rows(readers.behaviour_rows(_records(table), behaviour))
    if label_columns:
        table = with_label_columns(_records(table), label_columns)
    return completed(from_rows(table) if isinstance(table, list) else table)


def _read(name_or_path: str | Path) -> Union[Table, "DatasetDict"]:
    """Return the rows of a file, or the data set of a name on the Hub."""
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or path.suffix.lower() in SUFFIXES or path.exists():
        return read_table(path)
    if _ON_THE_HUB.fullmatch(name_or_path):
        return _from_hub(name_or_path)
    if len(path.parts) > 1:  # a path was meant
        existing_file(path)
    raise ValueError(
        f"There are no pairs called {name_or_path!r}.{did_you_mean(name_or_path, CORPORA)} "
        f"Give one of {', '.join(CORPORA)}, a file that ends in {', '.join(SUFFIXES)}, or a Hub data set as owner/name."
    )


def _from_hub(name: str) -> Any:
    import datasets

    try:
        return datasets.load_dataset(name)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"There is no built-in corpus {name!r} ({', '.join(CORPORA)}) and no file {name}, and the Hub gives no such "
            f"data set ({reason}). Offline, give a CSV or JSON lines file."
        ) from error


def _with_our_names(table: Table, columns: Mapping[str, str]) -> Table:
    if not columns:
        return table
    names = renamed(_names(table), columns)
    if isinstance(table, list):
        return [{ours: row[name] for name, ours in names.items() if name in row} for row in table]
    return table.select_columns(list(names)).rename_columns(names)


def _names(table: Table) -> list[str]:
    return list(dict.fromkeys(name for row in table for name in row)) if isinstance(table, list) else table.column_names


def _records(table: Table) -> list[dict[str, Any]]:
    records = table if isinstance(table, list) else table.to_list()
    if not records:
        raise ValueError("The data set holds no rows; at least one is needed.")
    return records


def _warn_of_unused(dataset: "Dataset", title: str, *, all_columns: bool) -> None:
    """Warn of unused columns, and name those that can be labels.

    Without `all_columns`, warn only of numeric columns that can be labels.
    """
    others = [name for name in dataset.column_names if name not in COLUMNS]
    labels = [name for name in others if _holds_labels(dataset, name, texts=all_columns)]
    unused = others if all_columns else labels
    if unused:
        shown = ", ".join(unused[:MAX_SHOWN]) + (", …" if len(unused) > MAX_SHOWN else "")
        what = f"the column {shown} is" if len(unused) == 1 else f"the columns {shown} are"
        warn(
            f"{title}: {what} not used. A column with each pair's change of a concept from source to target (-1, 0 or 1) "
            f"is used as labels with label_columns={labels[:MAX_SHOWN] or ['NAME']}."
        )


def _holds_labels(dataset: "Dataset", name: str, *, texts: bool) -> bool:
    kinds = ("int", "float", "bool", *(("string", "large_string") if texts else ()))
    if not str(getattr(dataset.features[name], "dtype", "")).startswith(kinds):
        return False
    changes = [as_change(value) for value in dataset.unique(name) if value not in (None, "")]
    return bool(changes) and None not in changes


def _warn_of_other_content(dataset: "Dataset", title: str) -> None:
    """Warn where most pairs differ in most of their words, so that differences of content are learned, too."""
    shares = []
    for source, target in zip(dataset["source"][:], dataset["target"][:], strict=True):
        before, after = Counter(source.split()), Counter(target.split())
        longer = max(before.total(), after.total())
        if longer >= MIN_WORDS:
            shares.append((before & after).total() / longer)
    if shares and median(shares) < 0.5:
        warn(
            f"{title}: in most pairs fewer than half of the words are the same on both sides (median {median(shares):.0%}). "
            "Whatever differs by accident is learned as well; rewrite only what should change."
        )


def _warn_of_unchanged(dataset: "Dataset", title: str) -> None:
    """Warn of pairs without a change, and of repeated pairs."""
    pairs = list(zip(dataset["source"][:], dataset["target"][:], strict=True))
    if same := sum(source == target for source, target in pairs):
        warn(
            f"{title}: in {same} of {len(pairs)} pairs source and target are the same text, which shows no change; "
            "leave them out."
        )
    if repeated := len(pairs) - len(set(pairs)):
        warn(
            f"{title}: {repeated} of {len(pairs)} pairs repeat an earlier pair and add no information; leave them out."
        )
