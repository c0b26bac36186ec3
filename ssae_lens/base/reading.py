"""Text and JSON files from untrusted sources, read with limits and with errors that name the file.

`read_text`, `read_json` and `read_json_lines` read a file; `parse_json` reads a text that is part of another file (a header,
an attribute). They refuse what is too large, too deep, not UTF-8 or ambiguous (a repeated key), with a ValueError of one
line. They return plain data of unknown structure: unpack it in a ``with well_formed(path, hint)`` block, which turns the
error of a missing key or a wrong type into a ValueError that names the file, and check types with `member`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ssae_lens.base import checks

MAX_JSON_BYTES = 64 << 20
MAX_DEPTH = 64
# The smallest values of a JSON text take two hundred times their characters in memory.
MAX_VALUES = 2_000_000

# The errors of code that unpacks data of another structure than it expects.
MALFORMED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    NotImplementedError,
)
MAX_REASON = 200
MAX_MESSAGE = 2000

T = TypeVar("T")


def read_text(path: str | Path, *, max_bytes: int, hint: str = "", encoding: str = "utf-8") -> str:
    """Return a file's text; raise a ValueError if it is larger than `max_bytes` or not UTF-8.

    `hint` is what to do then, for the end of the error: "save or copy the vector again". The encoding ``"utf-8-sig"`` skips
    a byte order mark.
    """
    path = checks.existing_file(path)
    data = bytearray()
    with path.open("rb") as file:
        # In pieces: read(n) allocates n bytes, however small the file is.
        while len(data) <= max_bytes and (piece := file.read(1 << 20)):
            data += piece
    if len(data) > max_bytes:
        raise ValueError(f"{path} is larger than {max_bytes / (1 << 20):g} MiB, the limit{_then(hint)}")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}){_then(hint or 'save it as UTF-8')}"
        ) from None


def read_json(
    path: str | Path, *, hint: str = "", max_bytes: int = MAX_JSON_BYTES, max_values: int = MAX_VALUES
) -> Any:
    """Return the contents of a JSON file; see `read_text` and `parse_json` for parameters and errors."""
    return parse_json(read_text(path, max_bytes=max_bytes, hint=hint), path, hint=hint, max_values=max_values)


def read_json_lines(path: str | Path, *, hint: str = "", max_bytes: int = MAX_JSON_BYTES) -> list[Any]:
    """Return the values of a file with one JSON value per line, skipping blank lines. Errors name the line."""
    text = read_text(path, max_bytes=max_bytes, hint=hint)
    return [value for _, value in parse_json_lines(text, path, hint=hint)]


def parse_json_lines(text: str, source: object, *, hint: str = "") -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each line of a text that is not blank."""
    # Not str.splitlines: JSON allows U+2028 and the like inside a string.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, parse_json(line, source, hint=hint, first_line=number)


def parse_json(
    text: str, source: object, *, hint: str = "", max_values: int | None = MAX_VALUES, first_line: int = 1
) -> Any:
    """Return the value of a JSON text; NaN and infinity are allowed, as in Python's json.

    Parameters
    ----------
    text
        The text.
    source, first_line
        Where it comes from, such as the file's path, and the number of its first line there, for errors.
    hint
        What to do, for the end of the error.
    max_values
        Largest number of values (approximate; None for no limit).

    Raises
    ------
    ValueError
        If it is not JSON, is nested deeper than `MAX_DEPTH`, holds too many values, repeats a key in an object, or holds
        half of a surrogate pair.
    """
    if max_values is not None and text.count(",") + text.count("[") + text.count("{") > max_values:
        raise ValueError(f"{source} holds more than {max_values} values, the limit{_then(hint)}")
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        at = f"line {first_line + error.lineno - 1}, column {error.colno}"
        raise ValueError(f"{source} is not JSON at {at}: {error.msg}{_then(hint)}") from None
    except ValueError as error:  # a repeated key, or a number of thousands of digits
        raise ValueError(f"{source} is not usable JSON: {_reason(error)}{_then(hint)}") from None
    except RecursionError:
        raise _too_deep(source, hint) from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _require_shallow(value, source, hint)
    require_characters(text, value, source, hint)
    return value


@contextmanager
def well_formed(path: str | Path, hint: str = "") -> Iterator[None]:
    """Raise one ValueError that names the file if its data have another structure than the block expects.

    Whatever of `MALFORMED` the block raises (a missing key, a wrong type, a list that is too short) becomes
    ``ValueError("<path> …; <hint>.")``. Errors that already name the file, and OSErrors, pass.
    """
    try:
        yield
    except MALFORMED as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        if type(error) is ValueError:
            # One of ours, which may end with its own hint.
            message = _reason(error, MAX_MESSAGE)
            raise ValueError(
                f"{path}: {message}" if message.endswith(".") else f"{path}: {message}{_then(hint)}"
            ) from None
        raise malformed(path, "does not hold what it should", error, hint) from None


def malformed(path: object, what: str, error: BaseException, hint: str = "") -> ValueError:
    """Return a ValueError of one line: the file, what is wrong with it, the reason and the hint."""
    return ValueError(f"{path} {what} ({_reason(error)}){_then(hint)}")


def member(values: Any, name: str, kind: type[T] | tuple[type[T], ...]) -> T:
    """Return ``values[name]`` of an object read from JSON or YAML if it is of a type, else raise a ValueError.

    Booleans are not numbers here, and an integer is a float. Use it in a ``with well_formed(path)`` block, which adds the
    file's name.

    Examples
    --------
    >>> member({"norms": {"a": 1.0}}, "norms", dict)
    {'a': 1.0}
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"a {type(values).__name__} stands where an object with {name!r} is expected")  # noqa: TRY004
    if name not in values:
        raise ValueError(f"{name!r} is missing")
    kinds: tuple[type, ...] = kind if isinstance(kind, tuple) else (kind,)
    value: Any = values[name]
    wrong = not isinstance(value, (*kinds, int) if float in kinds else kinds)
    if wrong or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(each.__name__ for each in kinds)
        raise ValueError(f"{name!r} is of type {type(value).__name__} where {expected} is expected")
    return values[name]


def first_repeated(keys: Iterable[str]) -> str:
    """Return the first key that occurs a second time, truncated."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key[:MAX_REASON]
        seen.add(key)
    return ""


def require_characters(text: str, value: Any, source: object, hint: str) -> None:
    """Raise if a text holds an escaped half of a surrogate pair, which cannot be encoded."""
    if not _SURROGATE.search(text):
        return
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end]
        raise ValueError(f"{source} holds {ascii(bad)[:40]}, which is no character{_then(hint)}") from None


_SURROGATE = re.compile(r"\\[uU](?:0000)?[dD][89a-fA-F]")


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(items)
    if len(values) < len(items):
        raise ValueError(f"an object gives {first_repeated(key for key, _ in items)!r} twice")
    return values


def _require_shallow(value: Any, source: object, hint: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        children = (
            child
            for parent in level
            if isinstance(parent, list | dict)
            for child in (parent if isinstance(parent, list) else parent.values())
        )
        level = [child for child in children if isinstance(child, list | dict)]
        if not level:
            return
    raise _too_deep(source, hint)


def _too_deep(source: object, hint: str) -> ValueError:
    return ValueError(f"{source} is nested deeper than {MAX_DEPTH} levels, the limit{_then(hint)}")


def _reason(error: BaseException, max_length: int = MAX_REASON) -> str:
    """Return an error's message in one line."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):
        message = f"{message} is missing"
    return message if len(message) <= max_length else f"{message[:max_length]}…"


def _then(hint: str) -> str:
    return f"; {hint}." if hint else "."
