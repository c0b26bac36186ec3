"""What a store takes: activations, and what is known of each row beside them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ssae_lens.base.origin import Origin
from ssae_lens.shifts.layout import SIDES, TEXTS, About, joined


def activations(name: str, values: Any, dtype: np.dtype, row_numbers: np.ndarray | None = None) -> np.ndarray:
    """Return an (n, d) array of `dtype`, all finite; `row_numbers` are what errors call its rows."""
    if isinstance(values, torch.Tensor):
        # NumPy knows no bfloat16; float32 holds whatever a model gives.
        values = values.detach().to("cpu", torch.float32).numpy()
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] == 0 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} has shape {values.shape} and type {values.dtype}; it must be numbers of shape (rows, d_model)."
        )
    with np.errstate(over="ignore"):
        stored = values.astype(dtype, copy=False)
    _require_finite(name, values, stored, row_numbers)
    return stored


def sides(source: Any, target: Any, dtype: np.dtype, row_numbers: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return both sides, checked, by the names they are stored under."""
    found = {
        name: activations(name, values, dtype, row_numbers)
        for name, values in zip(SIDES, (source, target), strict=True)
    }
    if found["source"].shape != found["target"].shape:
        raise ValueError(
            f"source has shape {found['source'].shape} and target {found['target'].shape}; give a row of each for each pair."
        )
    return found


def annotations(
    n_rows: int,
    row_ids: Any = None,
    labels: Any = None,
    concepts: Sequence[str] = (),
    texts: tuple[Sequence[str], Sequence[str]] | None = None,
) -> dict[str, np.ndarray]:
    """Return row ids, labels and texts, checked, by the names they are stored under."""
    found = {"row_id": np.arange(n_rows) if row_ids is None else _whole_numbers("row_ids", row_ids, (n_rows,))}
    found["row_id"] = found["row_id"].astype(np.int64)
    if labels is not None:
        changes = _whole_numbers("labels", labels, (n_rows, len(concepts)))
        if not np.isin(changes, (-1, 0, 1)).all():
            row = np.flatnonzero(~np.isin(changes, (-1, 0, 1)).all(axis=1))[0]
            raise ValueError(f"labels hold {changes[row].tolist()} in row {row}; changes are -1, 0 or 1.")
        found["labels"] = changes.astype(np.int8)
    elif concepts:
        raise ValueError(f"concepts are {list(concepts)} and there are no labels; give labels, or no concepts.")
    if texts is not None:
        if len(texts) != len(TEXTS):
            raise ValueError(f"texts have {len(texts)} members; give (source texts, target texts).")
        for (name, end), column in zip(TEXTS.items(), texts, strict=True):
            found[name], found[end] = _texts(name, column, n_rows)
    return found


def describe(
    d_model: int, origin: Origin | None = None, concepts: Sequence[str] = (), pairs: Mapping[str, Any] | None = None
) -> About:
    """Return what a new store says of itself; without an origin only the width is known."""
    origin = origin or Origin(hook_name="", d_model=d_model)
    if origin.d_model != d_model:
        raise ValueError(f"The activations are {d_model} wide and their origin says {origin.d_model}; they must agree.")
    names = tuple(str(name) for name in concepts)
    if len(set(names)) < len(names):
        raise ValueError(f"concepts are {list(names)}; give each column of labels its own name.")
    # Through JSON at once, so that what is described compares equal to what a file gives back.
    return About(origin, names, json.loads(json.dumps(dict(pairs or {}))))


def row_numbers(rows: Any, n_rows: int) -> np.ndarray:
    """Return the numbers of rows named by number or by a mask."""
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
    """Return the numbers of rows to train on and of rows held out; rows of one id stay together."""
    if not 0 < held_out < 1:
        raise ValueError(f"held_out is {held_out!r}; it must be a share between 0 and 1.")
    ids = np.unique(row_ids)
    count = round(held_out * len(ids))
    if not 0 < count < len(ids):
        raise ValueError(
            f"held_out is {held_out!r} of {len(ids)} pairs, which leaves one part empty; give another share."
        )
    out = np.isin(row_ids, np.random.default_rng(seed).permutation(ids)[:count])
    return np.flatnonzero(~out), np.flatnonzero(out)


def _require_finite(name: str, values: np.ndarray, stored: np.ndarray, row_numbers: np.ndarray | None) -> None:
    bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
    if not len(bad):
        return
    numbers = bad if row_numbers is None else row_numbers[bad]
    shown = ", ".join(map(str, numbers[:5])) + (", …" if len(bad) > 5 else "")
    if np.isfinite(values[bad]).all():
        raise ValueError(
            f"{name} is beyond ±{np.finfo(stored.dtype).max:.6g}, the largest {stored.dtype}, in row {shown}; store float32."
        )
    raise ValueError(
        f"{name} holds NaN or infinite values in row {shown}; run the model in float32, or leave those rows out."
    )


def _whole_numbers(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    values = np.asarray(values)
    if values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}; {shape} is due (rows, and a column for each concept).")
    if values.dtype.kind not in "iub" and not (values == np.round(values)).all():
        raise ValueError(f"{name} holds numbers that are not whole; give integers.")
    return values.astype(np.int64)


def _texts(name: str, column: Sequence[str], n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    if len(column) != n_rows:
        raise ValueError(f"{name} has {len(column)} texts for {n_rows} rows; give one for each row.")
    for row, text in enumerate(column):
        if not isinstance(text, str) or any("\ud800" <= each <= "\udfff" for each in text):
            raise ValueError(f"{name} holds {text!r} in row {row}; give strings of valid Unicode.")
    return joined(column)
