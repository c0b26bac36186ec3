"""Checks of what a public function is given, with errors that name the value, what is allowed and the hint."""

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
    """Raise unless `value` is one of `allowed`; the nearest allowed value is suggested."""
    allowed = list(allowed)
    if value in allowed:
        return
    choices = ", ".join(repr(each) for each in allowed)
    raise ValueError(f"{name} is {value!r}, which is none of {choices}.{did_you_mean(value, allowed)}")


def did_you_mean(value: object, options: Iterable[object], maximum: int = 3) -> str:
    """Return " Did you mean …?" with the options nearest to `value`, or "" where none is near.

    Options that are clearly further from `value` than the nearest one are left out.
    """
    near = difflib.get_close_matches(str(value), [str(each) for each in options], n=maximum, cutoff=0.5)
    ratios = [difflib.SequenceMatcher(None, each, str(value)).ratio() for each in near]
    near = [each for each, ratio in zip(near, ratios, strict=True) if ratio >= ratios[0] - 0.15]
    return f" Did you mean {' or '.join(repr(each) for each in near)}?" if near else ""


def text_list(name: str, value: Any) -> list[str]:
    """Return one text, or an iterable of texts, as a list, or raise if `value` is anything else."""
    listed: list[Any] = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not all(isinstance(each, str) for each in listed):
        raise ValueError(f"{name} is {value!r}; give one text, or a list of texts.")
    return listed


def name_list(name: str, value: Any) -> list[str]:
    """Return one name, or an iterable of names, as a list of str, or raise if `value` is anything else."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return text_list(name, value)
    return [str(each) for each in value]


def as_int(value: Any) -> int | None:
    """Return a whole number of Python, NumPy or PyTorch as an int, or None for anything else, booleans included."""
    kind = str(getattr(value, "dtype", type(value).__name__))
    if kind.endswith("bool"):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError):
        return None


def at_least(name: str, value: float, minimum: float, hint: str = "") -> None:
    """Raise unless `value` is a number of at least `minimum` (NaN is not). NumPy's numbers count as Python's do."""
    if isinstance(value, bool) or not isinstance(value, Real) or not value >= minimum:
        raise ValueError(f"{name} is {value!r}; it must be at least {minimum}.{_then(hint)}")


def above(name: str, value: float, limit: float, hint: str = "") -> None:
    """Raise unless `value` is a finite number greater than `limit` (NaN is not)."""
    if isinstance(value, bool) or not isinstance(value, Real) or not value > limit:
        raise ValueError(f"{name} is {value!r}; it must be greater than {limit}.{_then(hint)}")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        finite = False
    if not finite:
        raise ValueError(f"{name} is {str(value)[:80]}; it must be finite.{_then(hint)}")


def integer(name: str, value: object, minimum: int = 1, hint: str = "") -> None:
    """Raise unless `value` is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {minimum}.{_then(hint)}")


def python_numbers(settings: Any) -> None:
    """Turn the NumPy numbers among a dataclass's fields, and in its tuples, into Python's, which JSON takes."""
    import numpy as np

    for each in fields(settings):
        value = getattr(settings, each.name)
        if isinstance(value, np.generic):
            object.__setattr__(settings, each.name, value.item())
        elif isinstance(value, tuple) and any(isinstance(one, np.generic) for one in value):
            plain = tuple(one.item() if isinstance(one, np.generic) else one for one in value)
            object.__setattr__(settings, each.name, plain)


def device(value: Any) -> None:
    """Raise unless PyTorch can put tensors on the device `value` of this machine."""
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
    """Raise if any row of an (n, …) tensor holds NaN or infinity, naming the first few."""
    import torch

    bad = ~torch.isfinite(rows.reshape(len(rows), -1)).all(dim=1)
    if bad.any():
        where = bad.nonzero().flatten().tolist()
        shown = ", ".join(map(str, where[:5])) + (", …" if len(where) > 5 else "")
        raise ValueError(
            f"{name} holds NaN or infinite values in {len(where)} of {len(rows)} rows ({shown}); "
            "drop those rows, or capture them again in float32."
        )


def existing_file(path: str | Path, hint: str = "") -> Path:
    """Return `path` as a Path, or raise FileNotFoundError that says what stands near it."""
    path = Path(path)
    if path.is_file():
        return path
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder where a file is wanted.{_then(hint)}")
    siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    raise FileNotFoundError(f"There is no file {path}.{did_you_mean(path.name, siblings)}{_then(hint)}")


def existing_folder(path: str | Path, hint: str = "") -> Path:
    """Return `path` as a Path, or raise FileNotFoundError that says what stands near it."""
    path = Path(path)
    if path.is_dir():
        return path
    if path.is_file():
        raise FileNotFoundError(f"{path} is a file where a folder is wanted.{_then(hint)}")
    siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    raise FileNotFoundError(f"There is no folder {path}.{did_you_mean(path.name, siblings)}{_then(hint)}")


def warn(message: str) -> None:
    """Warn at the line outside of this package that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def writable(path: str | Path) -> Path:
    """Return `path` as a Path, or raise OSError if no file can be written there."""
    path = Path(path)
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return path
    except OSError as error:
        reason = f"no file can be created in {folder} ({error.strerror})"
        raise OSError(error.errno, f"{path} cannot be written: {reason}; give another path") from None


def made_for(where: object, there: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise unless what was begun at a place is what is asked for now, naming both sides of every difference."""
    different = [
        f"{name}: {there.get(name)!r} there against {now.get(name)!r} now"
        for name in {**now, **there}
        if there.get(name) != now.get(name)
    ]
    if different:
        raise ValueError(
            f"{where} was made for something else ({'; '.join(different)}); give another path, or remove it to begin again."
        )


def _then(hint: str) -> str:
    return f" {hint}" if hint else ""
