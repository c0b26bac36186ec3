"""Reading of JSON and YAML files that others may have written: with limits, and with errors that name the file.

`read_json`, `read_json_lines` and `read_yaml` read a file; `parse_json` reads a text that stands in another file (a header,
an attribute). They refuse what is too large, too deep, not UTF-8, not finite in expansion (YAML aliases) or ambiguous
(a key given twice), with a ValueError of one line. What they return is plain data of unknown shape: take it apart in a
``with well_formed(path, hint)`` block, which turns what a missing key or a wrong type raises into a ValueError that names
the file, and ask for types with `member`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeVar

from ssae_lens.base import checks

MAX_JSON_BYTES = 64 << 20
MAX_YAML_BYTES = 256 << 10
MAX_DEPTH = 64
# Values of a JSON text: the smallest take two hundred times their characters in memory.
MAX_VALUES = 2_000_000

# What code that takes data apart raises where the data have another shape than it expects.
MALFORMED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    NotImplementedError,
)
LONGEST_REASON = 200
LONGEST_MESSAGE = 2000

T = TypeVar("T")


def read_text(path: str | Path, *, max_bytes: int, hint: str = "", encoding: str = "utf-8") -> str:
    """Return a file's text.

    Parameters
    ----------
    path
        The file.
    max_bytes
        The largest size that is read.
    hint
        What to do about a file that cannot be read, for the end of the error: "save or copy the vector again".
    encoding
        ``"utf-8"``, or ``"utf-8-sig"`` to pass over a byte order mark.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is larger than `max_bytes` or not UTF-8.
    """
    path = checks.existing_file(path)
    data = bytearray()
    with path.open("rb") as file:
        # Piece by piece: Python makes room for as many bytes as it is asked for, however few there are.
        while len(data) <= max_bytes and (piece := file.read(1 << 20)):
            data += piece
    if len(data) > max_bytes:
        raise ValueError(
            f"{path} is larger than {max_bytes / (1 << 20):g} MiB, the most that is read of it{_then(hint)}"
        )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}){_then(hint or 'save it as UTF-8')}"
        ) from None


def read_json(
    path: str | Path,
    *,
    hint: str = "",
    max_bytes: int = MAX_JSON_BYTES,
    max_depth: int = MAX_DEPTH,
    max_values: int = MAX_VALUES,
) -> Any:
    """Return what a JSON file holds.

    Parameters
    ----------
    path
        The file.
    hint
        What to do about a file that cannot be read, for the end of the error: "save or copy the SSAE again".
    max_bytes
        The largest file that is read.
    max_depth, max_values
        How deep lists and objects may be nested, and about how many values there may be.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is too large, not UTF-8, or as `parse_json` says.
    """
    text = read_text(path, max_bytes=max_bytes, hint=hint)
    return parse_json(text, path, hint=hint, max_depth=max_depth, max_values=max_values)


def read_json_lines(path: str | Path, *, hint: str = "", max_bytes: int = MAX_JSON_BYTES) -> list[Any]:
    """Return the values of a file with one JSON value a line; blank lines are passed over.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_json` does; the line is named.
    """
    text = read_text(path, max_bytes=max_bytes, hint=hint)
    return [value for _, value in parse_json_lines(text, path, hint=hint)]


def parse_json_lines(text: str, source: object, *, hint: str = "") -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each line of a text that is not blank."""
    # Not str.splitlines: JSON may hold U+2028 and its like unescaped inside a string.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, parse_json(line, source, hint=hint, first_line=number)


def parse_json(
    text: str,
    source: object,
    *,
    hint: str = "",
    max_depth: int = MAX_DEPTH,
    max_values: int | None = MAX_VALUES,
    first_line: int = 1,
) -> Any:
    """Return what a JSON text holds.

    Parameters
    ----------
    text
        The text.
    source
        Where it stands, such as the file's path: what errors call it.
    hint
        What to do, for the end of the error.
    max_depth, max_values
        How deep lists and objects may be nested, and about how many values there may be (None for any number).
    first_line
        The number of the text's first line in its file.

    Raises
    ------
    ValueError
        If it is not JSON, is nested too deep or holds too many values, gives a key twice in one object, or holds a
        character that is none (half of a surrogate pair). NaN and infinity are read as Python's json writes them.
    """
    if max_values is not None and text.count(",") + text.count("[") + text.count("{") > max_values:
        raise ValueError(f"{source} holds more than {max_values} values, the most that is read of it{_then(hint)}")
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        at = f"line {first_line + error.lineno - 1}, column {error.colno}"
        raise ValueError(f"{source} is not JSON at {at}: {error.msg}{_then(hint)}") from None
    except ValueError as error:  # a key given twice, or a number of thousands of digits
        raise ValueError(f"{source} is not usable JSON: {_reason(error)}{_then(hint)}") from None
    except RecursionError:
        raise _too_deep(source, max_depth, hint) from None
    _require_shallow(value, text.count("[") + text.count("{"), source, max_depth, hint)
    if _SURROGATE.search(text):
        _require_characters(value, source, hint)
    return value


def read_yaml(path: str | Path, *, hint: str = "", max_bytes: int = MAX_YAML_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Return the plain data that a YAML file holds: what ``yaml.safe_load`` returns of it.

    Parameters
    ----------
    path
        The file.
    hint
        What to do about a file that cannot be read, for the end of the error.
    max_bytes
        The largest file that is read.
    max_depth
        How deep lists and mappings may be nested.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is too large, not UTF-8, not YAML, nested too deep, gives a key twice, names anything but plain data, or uses
        an alias (``*name``): a few lines of aliases stand for gigabytes.
    """
    import yaml

    from ssae_lens.base.plain_yaml import load

    path = Path(path)
    text = read_text(path, max_bytes=max_bytes, hint=hint)
    try:
        value = load(text, max_depth)
    except (yaml.YAMLError, *MALFORMED) as error:
        raise ValueError(f"{path} is not plain YAML ({_reason(error)}){_then(hint)}") from None
    if _SURROGATE.search(text):
        _require_characters(value, path, hint)
    return value


@cache
def read_package_yaml(package: str, name: str) -> Any:
    """Return what a YAML file of an installed package holds; it is read once, so do not change what is returned.

    Parameters
    ----------
    package
        The package, such as ``"ssae_lens.pairs"``.
    name
        The file's path inside of it, such as ``"data/truth.yaml"``.
    """
    with as_file(files(package).joinpath(name)) as path:
        return read_yaml(path)


@contextmanager
def well_formed(path: str | Path, hint: str = "") -> Iterator[None]:
    """Raise one ValueError that names a file where what was read of it has another shape than the block expects.

    A missing key, a wrong type, a list that is too short, a number that is too large: whatever of `MALFORMED` the block
    raises becomes ``ValueError("<path> …; <hint>.")``. Errors that name the file already, and OSErrors, pass.

    Parameters
    ----------
    path
        The file.
    hint
        What to do, such as "save or copy the vector again".
    """
    try:
        yield
    except MALFORMED as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        if type(error) is ValueError:
            # One of ours, or close to one: it says what is wrong, and ours say what to do.
            message = _reason(error, LONGEST_MESSAGE)
            raise ValueError(
                f"{path}: {message}" if message.endswith(".") else f"{path}: {message}{_then(hint)}"
            ) from None
        raise ValueError(f"{path} does not hold what it should ({_reason(error)}){_then(hint)}") from None


def member(values: Any, name: str, kind: type[T] | tuple[type[T], ...]) -> T:
    """Return ``values[name]`` of an object read from JSON or YAML if it is of a kind, else raise a ValueError.

    True and False are no numbers here, and a whole number is a float. Use it in a ``with well_formed(path)`` block, which
    adds the file.

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
        wanted = " or ".join(each.__name__ for each in kinds)
        raise ValueError(f"{name!r} is of type {type(value).__name__} where {wanted} is expected")
    return values[name]


_SURROGATE = re.compile(r"\\[uU](?:0000)?[dD][89a-fA-F]")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object gives {first_repeated(key for key, _ in pairs)!r} twice")
    return found


def first_repeated(keys: Iterable[str]) -> str:
    """Return the first key that comes a second time, cut short."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key[:LONGEST_REASON]
        seen.add(key)
    return ""


def _require_shallow(value: Any, n_openings: int, source: object, max_depth: int, hint: str) -> None:
    if n_openings <= max_depth:
        return
    level = [value]
    for _ in range(max_depth):
        level = [
            child
            for each in level
            if isinstance(each, list | dict)
            for child in (each if isinstance(each, list) else each.values())
            if isinstance(child, list | dict)
        ]
        if not level:
            return
    raise _too_deep(source, max_depth, hint)


def _require_characters(value: Any, source: object, hint: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end]
        raise ValueError(f"{source} holds {ascii(bad)[:40]}, which is no character{_then(hint)}") from None


def _too_deep(source: object, max_depth: int, hint: str) -> ValueError:
    return ValueError(f"{source} is nested deeper than {max_depth} levels, the most that is read{_then(hint)}")


def _reason(error: BaseException, longest: int = LONGEST_REASON) -> str:
    """Return what an error says, in one line."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):
        said = f"{said} is missing"
    return said if len(said) <= longest else f"{said[:longest]}…"


def _then(hint: str) -> str:
    return f"; {hint}." if hint else "."
