"""Checks of arguments: each raises an error that names the value, what is allowed and, where it helps, what to do."""

import difflib
import math
import operator
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = __name__.partition(".")[0]


def one_of(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raise unless `value` is one of `allowed`. The error suggests the closest allowed value."""
    allowed = list(allowed)
    if value not in allowed:
        choices = ", ".join(map(repr, allowed))
        raise ValueError(f"{name} is {value!r}; it must be one of {choices}.{did_you_mean(value, allowed)}")


def did_you_mean(value: object, options: Iterable[object], maximum: int = 3) -> str:
    """Return " Did you mean …?" with the options closest to `value`, or "" if none is close.

    Options that are clearly further from `value` than the closest one are left out.
    """
    close = difflib.get_close_matches(str(value), [str(option) for option in options], n=maximum, cutoff=0.5)
    ratios = [difflib.SequenceMatcher(None, option, str(value)).ratio() for option in close]
    close = [option for option, ratio in zip(close, ratios, strict=True) if ratio >= ratios[0] - 0.15]
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def text_list(name: str, value: Any) -> list[str]:
    """Return one text, or an iterable of texts, as a list. Raise if `value` is anything else."""
    items: list[Any] = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not all(isinstance(item, str) for item in items):
        raise ValueError(f"{name} is {value!r}; it must be a text or a list of texts.")
    return items


def name_list(name: str, value: Any) -> list[str]:
    """Return one name, or an iterable of names, as a list of str. Raise if `value` is anything else."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return text_list(name, value)
    return [str(item) for item in value]


def as_int(value: Any) -> int | None:
    """Return an integer of Python, NumPy or PyTorch as an int, and None for anything else, booleans included."""
    if str(getattr(value, "dtype", type(value).__name__)).endswith("bool"):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError):
        return None


def at_least(name: str, value: float, minimum: float, hint: str = "") -> None:
    """Raise unless `value` is a number of at least `minimum`. NaN is not; NumPy numbers count as Python's do."""
    if isinstance(value, bool) or not isinstance(value, Real) or not value >= minimum:
        raise ValueError(f"{name} is {value!r}; it must be at least {minimum}.{_sentence(hint)}")


def above(name: str, value: float, limit: float, hint: str = "") -> None:
    """Raise unless `value` is a finite number greater than `limit`."""
    if isinstance(value, bool) or not isinstance(value, Real) or not value > limit:
        raise ValueError(f"{name} is {value!r}; it must be greater than {limit}.{_sentence(hint)}")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        finite = False
    if not finite:
        raise ValueError(f"{name} is {str(value)[:80]}; it must be finite.{_sentence(hint)}")


def integer(name: str, value: object, minimum: int = 1, hint: str = "") -> None:
    """Raise unless `value` is an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} is {value!r}; it must be an integer of at least {minimum}.{_sentence(hint)}")


def python_numbers(config: Any) -> None:
    """Convert the NumPy numbers in a dataclass's fields, and in its tuples, to Python numbers, so that JSON accepts them."""
    import numpy as np

    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, np.generic):
            object.__setattr__(config, field.name, value.item())
        elif isinstance(value, tuple) and any(isinstance(item, np.generic) for item in value):
            plain = tuple(item.item() if isinstance(item, np.generic) else item for item in value)
            object.__setattr__(config, field.name, plain)


def device(value: Any) -> None:
    """Raise unless PyTorch can place tensors on the device `value` of this machine."""
    import torch

    try:
        known = torch.device(value)
    except (RuntimeError, TypeError):
        raise ValueError(f"device is {value!r}; it must be one such as 'cpu', 'cuda', 'cuda:1' or 'mps'.") from None
    try:
        torch.empty(0, device=known)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = textwrap.shorten(str(error), 80, placeholder=" …").rstrip(".")
        raise ValueError(
            f"device is {str(value)!r}, which PyTorch cannot use on this machine ({reason}); leave it out or give 'cpu'."
        ) from None


def finite_rows(name: str, rows: "Tensor") -> None:
    """Raise if any row of an (n, …) tensor contains NaN or infinity. The error names the first few."""
    import torch

    bad = (~torch.isfinite(rows.reshape(len(rows), -1)).all(dim=1)).nonzero().flatten().tolist()
    if bad:
        raise ValueError(
            f"{name} holds NaN or infinite values in {len(bad)} of {len(rows)} rows ({first_few(bad)}); "
            "drop those rows, or capture them again in float32."
        )


def first_few(rows: Iterable[int], maximum: int = 5) -> str:
    """Return the first row numbers as text, with "…" if there are more."""
    rows = list(rows)
    return ", ".join(map(str, rows[:maximum])) + (", …" if len(rows) > maximum else "")


def existing_file(path: str | Path, hint: str = "") -> Path:
    """Return `path` as a Path, or raise FileNotFoundError with files of similar names."""
    return _existing(path, "file", "folder", hint)


def existing_folder(path: str | Path, hint: str = "") -> Path:
    """Return `path` as a Path, or raise FileNotFoundError with folders of similar names."""
    return _existing(path, "folder", "file", hint)


def nearest_folder(path: str | Path) -> Path:
    """Return the innermost folder above `path` that exists."""
    folder = Path(path).absolute().parent
    while not folder.exists():
        folder = folder.parent
    return folder


def writable(path: str | Path) -> Path:
    """Return `path` as a Path, or raise OSError if no file can be written there."""
    path = Path(path)
    folder = path.absolute() if path.is_dir() else nearest_folder(path)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return path
    except OSError as error:
        reason = f"no file can be created in {folder} ({error.strerror})"
        raise OSError(error.errno, f"{path} cannot be written: {reason}; give another path") from None


def warn(message: str) -> None:
    """Warn at the line outside of this package that called it."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def made_for(path: object, previous: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Raise unless unfinished work at `path` was started with the current settings. The error names every difference."""
    different = [
        f"{name}: {previous.get(name)!r} there, {current.get(name)!r} now"
        for name in {**current, **previous}
        if previous.get(name) != current.get(name)
    ]
    if different:
        raise ValueError(
            f"{path} was made for something else ({'; '.join(different)}); give another path, or remove it to start again."
        )


def _existing(path: str | Path, kind: str, other: str, hint: str) -> Path:
    path = Path(path)
    if path.is_dir() if kind == "folder" else path.is_file():
        return path
    if path.is_dir() or path.is_file():
        raise FileNotFoundError(f"{path} is a {other}; a {kind} is expected.{_sentence(hint)}")
    siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    raise FileNotFoundError(f"There is no {kind} {path}.{did_you_mean(path.name, siblings)}{_sentence(hint)}")


def _sentence(hint: str) -> str:
    return f" {hint}" if hint else ""
