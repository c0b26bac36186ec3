"""YAML as plain data: no aliases, no key twice, no depth without end, and nothing but what ``yaml.safe_load`` makes."""

from functools import cache
from typing import Any

import yaml

from ssae_lens.base.reading import first_repeated

# Digits of a number: more take time that grows with their square.
MAX_DIGITS = 64


def load(text: str, max_depth: int) -> Any:
    """Return what a text holds, or raise a YAMLError or a ValueError, or whatever PyYAML's constructors raise."""
    _require_plain(text, max_depth)
    return yaml.load(text, Loader=_plain_loader())  # noqa: S506 - a SafeLoader that refuses more


def _require_plain(text: str, max_depth: int) -> None:
    """Go over a YAML text without building anything, so that what would be too much is refused before it is."""
    depth = 0
    for event in yaml.parse(text, Loader=_plain_loader()):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"it uses the alias *{event.anchor}; write out what it stands for")  # noqa: TRY004
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > max_depth:
            raise ValueError(f"it is nested deeper than {max_depth} levels")


@cache
def _plain_loader() -> Any:
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader, where PyYAML was built with it, is faster

    class PlainLoader(base):
        """A safe loader that takes no key twice and no number of very many digits."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [each.value for each, _ in node.value if isinstance(each, yaml.ScalarNode)]
            if len(set(keys)) < len(keys):
                raise ValueError(f"a mapping gives {first_repeated(keys)!r} twice")
            return super().construct_mapping(node, deep)

        def construct_yaml_int(self, node: Any) -> int:
            if len(node.value) > MAX_DIGITS:
                raise ValueError(f"a number has {len(node.value)} digits")
            return super().construct_yaml_int(node)

    PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)
    return PlainLoader
