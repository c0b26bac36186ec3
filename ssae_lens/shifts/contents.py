"""Contents of a store: checked arrays of activations, labels and texts, and the metadata beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch

from ssae_lens.base import checks, checksums
from ssae_lens.base.provenance import Origin, versions
from ssae_lens.base.reading import member, parse_json

SIDES = ("source", "target")
TEXTS = {"source_text": "source_end", "target_text": "target_end"}
MAX_PATH = 1000


@dataclass(frozen=True)
class Metadata:
    """The metadata of a store.

    Attributes
    ----------
    origin
        The model, hook and position of the activations.
    concepts
        The names of the labels' columns.
    pairs
        A JSON-able description of the pairs data set.
    digests
        A hash of each data set.
    versions
        The packages that the store was made with.
    shards
        For a merged store, the files of its activations and their fingerprints.
    """

    origin: Origin
    concepts: tuple[str, ...] = ()
    pairs: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)
    shards: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A short hash of everything in the store's data sets."""
        return checksums.fingerprint(sorted(self.digests.items()))

    def to_json(self) -> dict[str, str]:
        """Return each field as JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["origin"] = self.origin.to_dict()
        return {name: json.dumps(value) for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, str], source: object = "the metadata") -> "Metadata":
        """Return the metadata that `to_json` wrote; `source` is its name in errors."""
        stored = {each.name: parse_json(values[each.name], f"{each.name} of {source}") for each in fields(cls)}
        for name in ("pairs", "digests", "versions", "shards"):
            member(stored, name, dict)
        texts = [*member(stored, "concepts", list)]
        for name in ("digests", "versions", "shards"):
            texts.extend(stored[name].values())
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("concepts, digests, versions or shards hold values that are not texts")
        if any(len(path) > MAX_PATH for path in stored["shards"]):
            raise ValueError(f"shards has a path of more than {MAX_PATH} characters")
        return cls(**stored | {"origin": Origin.from_dict(stored["origin"]), "concepts": tuple(stored["concepts"])})


def activations(name: str, values: Any, dtype: np.dtype, row_numbers: np.ndarray | None = None) -> np.ndarray:
    """Return an (n, d) array of `dtype`, all finite; `row_numbers` are the numbers of its rows in errors."""
    if isinstance(values, torch.Tensor):
        # NumPy has no bfloat16; float32 holds whatever a model returns.
        values = values.detach().to("cpu", torch.float32).numpy()
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] == 0 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} has shape {values.shape} and type {values.dtype}; it must be numbers of shape (rows, d_model)."
        )
    with np.errstate(over="ignore"):
        stored = values.astype(dtype, copy=False)
    bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
    if len(bad):
        rows = checks.first_few(bad if row_numbers is None else row_numbers[bad])
        if np.isfinite(values[bad]).all():
            raise ValueError(
                f"{name} is beyond ±{np.finfo(dtype).max:.6g}, the largest {dtype}, in row {rows}; store float32."
            )
        raise ValueError(
            f"{name} holds NaN or infinite values in row {rows}; run the model in float32, or leave those rows out."
        )
    return stored


def sides(source: Any, target: Any, dtype: np.dtype) -> dict[str, np.ndarray]:
    """Return both sides, checked, by the names of their data sets."""
    arrays = {name: activations(name, values, dtype) for name, values in zip(SIDES, (source, target), strict=True)}
    if arrays["source"].shape != arrays["target"].shape:
        raise ValueError(
            f"source has shape {arrays['source'].shape} and target {arrays['target'].shape}; give a row of each per pair."
        )
    return arrays


def annotations(
    n_rows: int,
    row_ids: Any = None,
    labels: Any = None,
    concepts: Sequence[str] = (),
    texts: tuple[Sequence[str], Sequence[str]] | None = None,
) -> dict[str, np.ndarray]:
    """Return row ids, labels and texts, checked, by the names of their data sets."""
    arrays: dict[str, np.ndarray] = {
        "row_id": _integers("row_ids", np.arange(n_rows) if row_ids is None else row_ids, (n_rows,))
    }
    if labels is not None:
        changes = _integers("labels", labels, (n_rows, len(concepts)))
        if not np.isin(changes, (-1, 0, 1)).all():
            row = np.flatnonzero(~np.isin(changes, (-1, 0, 1)).all(axis=1))[0]
            raise ValueError(f"labels hold {changes[row].tolist()} in row {row}; changes are -1, 0 or 1.")
        arrays["labels"] = changes.astype(np.int8)
    elif concepts:
        raise ValueError(f"concepts are {list(concepts)} and there are no labels; give labels, or no concepts.")
    if texts is not None:
        if len(texts) != len(TEXTS):
            raise ValueError(f"texts have {len(texts)} members; give (source texts, target texts).")
        for (name, end), column in zip(TEXTS.items(), texts, strict=True):
            arrays[name], arrays[end] = _texts(name, column, n_rows)
    return arrays


def describe(
    d_model: int, origin: Origin | None = None, concepts: Sequence[str] = (), pairs: Mapping[str, Any] | None = None
) -> Metadata:
    """Return the metadata of a new store; without an origin only the width is known."""
    origin = origin or Origin(hook_name="", d_model=d_model)
    if origin.d_model != d_model:
        raise ValueError(f"The activations are {d_model} wide and their origin says {origin.d_model}; they must agree.")
    names = tuple(str(name) for name in concepts)
    if len(set(names)) < len(names):
        raise ValueError(f"concepts are {list(names)}; give each column of labels its own name.")
    # Converted by JSON, so that it equals what is read from a file.
    return Metadata(origin, names, json.loads(json.dumps(dict(pairs or {}))))


def row_numbers(rows: Any, n_rows: int) -> np.ndarray:
    """Return the numbers of rows selected by numbers or by a mask."""
    if isinstance(rows, torch.Tensor):
        rows = rows.cpu().numpy()
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n_rows,):
        return np.flatnonzero(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
        raise ValueError(
            f"rows has shape {rows.shape} and type {rows.dtype}; give at least one row number, or a mask of {n_rows}."
        )
    if rows.min() < 0 or rows.max() >= n_rows:
        raise ValueError(f"rows reach from {rows.min()} to {rows.max()}; the store has rows 0 to {n_rows - 1}.")
    return rows.astype(np.int64)


def split(row_ids: np.ndarray, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row numbers of a training part and a held-out part; rows of one id stay together."""
    if not 0 < held_out < 1:
        raise ValueError(f"held_out is {held_out!r}; it must be a fraction between 0 and 1.")
    ids = np.unique(row_ids)
    count = round(held_out * len(ids))
    if not 0 < count < len(ids):
        raise ValueError(
            f"held_out is {held_out!r} of {len(ids)} pairs, which leaves one part empty; give another fraction."
        )
    out = np.isin(row_ids, np.random.default_rng(seed).permutation(ids)[:count])
    return np.flatnonzero(~out), np.flatnonzero(out)


def join_texts(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the concatenated UTF-8 of texts, and the end of each."""
    encoded = [text.encode() for text in texts]
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum([len(text) for text in encoded], dtype=np.int64)


def split_texts(characters: np.ndarray, ends: np.ndarray) -> list[str]:
    """Return the texts that `join_texts` concatenated."""
    if (len(ends) and (ends[0] < 0 or ends[-1] != len(characters))) or (np.diff(ends) < 0).any():
        raise ValueError("the ends of texts are not in order, or not those of the characters")
    joined = characters.tobytes()
    starts = [0, *ends[:-1].tolist()]
    return [joined[start:end].decode() for start, end in zip(starts, ends.tolist(), strict=True)]


def _integers(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    values = np.asarray(values)
    if values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}; {shape} is expected (rows, and a column per concept).")
    if values.dtype.kind not in "iub" and not (values == np.round(values)).all():
        raise ValueError(f"{name} holds numbers that are not integers; give integers.")
    return values.astype(np.int64)


def _texts(name: str, column: Sequence[str], n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    if len(column) != n_rows:
        raise ValueError(f"{name} has {len(column)} texts for {n_rows} rows; give one for each row.")
    for row, text in enumerate(column):
        if not isinstance(text, str) or any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"{name} holds {text!r} in row {row}; give strings of valid Unicode.")
    return join_texts(column)
