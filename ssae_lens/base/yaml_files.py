"""YAML files as plain data: no aliases, no key twice, limited depth, and only what ``yaml.safe_load`` returns."""

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import yaml

from ssae_lens.base.reading import MALFORMED, MAX_DEPTH, first_repeated, malformed, read_text, require_characters

MAX_YAML_BYTES = 256 << 10
# Parsing time grows with the square of a number's digits.
MAX_DIGITS = 64


def read_yaml(path: str | Path, *, hint: str = "") -> Any:
    """Return the plain data of a YAML file; `hint` is what to do about an unusable file, for the end of the error.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is too large, not UTF-8, not YAML, nested too deep, repeats a key, names anything but plain data, or uses an
        alias (``*name``): a few lines of aliases can expand to gigabytes.
    """
    path = Path(path)
    text = read_text(path, max_bytes=MAX_YAML_BYTES, hint=hint)
    try:
        _require_plain(text)
        value = yaml.load(text, Loader=_plain_loader())  # noqa: S506 - a stricter SafeLoader
    except (yaml.YAMLError, *MALFORMED) as error:
        raise malformed(path, "is not plain YAML", error, hint) from None
    require_characters(text, value, path, hint)
    return value


@cache
def read_package_yaml(package: str, name: str) -> Any:
    """Return a YAML file of an installed package, such as ``("ssae_lens.pairs", "data/truth.yaml")``.

    The value is cached: do not change it.
    """
    with as_file(files(package).joinpath(name)) as path:
        return read_yaml(path)


def _require_plain(text: str) -> None:
    """Check a YAML text before any object is built from it."""
    depth = 0
    for event in yaml.parse(text, Loader=_plain_loader()):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"it uses the alias *{event.anchor}; write out what it stands for")  # noqa: TRY004
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


@cache
def _plain_loader() -> Any:
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without the faster C loader

    class PlainLoader(base):
        """A safe loader that refuses repeated keys and numbers with very many digits."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(set(keys)) < len(keys):
                raise ValueError(f"a mapping gives {first_repeated(keys)!r} twice")
            return super().construct_mapping(node, deep)

        def construct_yaml_int(self, node: Any) -> int:
            if len(node.value) > MAX_DIGITS:
                raise ValueError(f"a number has {len(node.value)} digits")
            return super().construct_yaml_int(node)

    PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)
    return PlainLoader
