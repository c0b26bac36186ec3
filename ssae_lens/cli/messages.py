"""Messages of Python functions in the words of a command: `overwrite=True` is the option `--overwrite`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A name and the value it gets, as Python writes them.
_KEYWORD = re.compile(
    r"""(?<![\w.'"/-])([a-z_]\w*)=(\{[^}]*\}|\[[^]]*\]|"[^"]*"|'[^']*'|[\w.]+\([^)]*\)|[\w./+-]*\w|…)"""
)
# "n is 0" at the beginning of a sentence or of a clause.
_SUBJECT = re.compile(r"(^|[.;:] )([a-z_]\w*)(?= is\b)")
_ITEM = re.compile(r"""["']([^"']+)["'](?:: ["']([^"']*)["'])?""")
# What messages state of a model or an SSAE, and no argument to change.
_FACTS = ("d_in", "d_model", "d_sae", "k", "n")


@dataclass(frozen=True)
class Option:
    """An option of a command: the flag that sets it, and for a switch the flag that turns it off."""

    flag: str
    off: str = ""
    switch: bool = False


def options_of(parameters: Any) -> dict[str, Option]:
    """Return a command's options by the names of the Python arguments that they set."""
    return {
        str(each.name): Option(each.opts[0], next(iter(each.secondary_opts), ""), bool(getattr(each, "is_flag", False)))
        for each in parameters
        if each.param_type_name == "option"
    }


def in_options(message: str, options: Mapping[str, Option], command: str, *, settings: bool = False) -> str:
    """Return a message with Python arguments written as a command's options.

    Parameters
    ----------
    message
        What a Python function says.
    options
        The command's options, by the names of Python arguments.
    command
        The command's name.
    settings
        Whether the command takes further arguments from a file of settings; they are written as that file has them.

    Examples
    --------
    >>> options = {"d_sae": Option("--d-sae"), "overwrite": Option("--overwrite", switch=True)}
    >>> in_options("d_sae is 0; give d_sae=4 or overwrite=True.", options, "train")
    '--d-sae is 0; give --d-sae 4 or --overwrite.'
    """
    lacking: list[str] = []

    def keyword(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name in options:
            return _written(options[name], value)
        if settings:
            return f"{name}: {value}"
        if name not in _FACTS:
            lacking.append(name)
        return found.group()

    message = _KEYWORD.sub(keyword, message)
    message = _SUBJECT.sub(
        lambda found: found[1] + (options[found[2]].flag if found[2] in options else found[2]), message
    )
    long = "|".join(re.escape(each) for each in options if "_" in each)
    if long:
        # Not within a path, and not quoted.
        bare = rf"""(?<![\w.'"/-])({long})(?![\w'"(/]|\.\w)"""
        message = re.sub(bare, lambda found: options[found[1]].flag, message)
    if lacking:
        names = " and ".join(dict.fromkeys(lacking))
        message += f" ({names}: an argument of the Python function, for which {command} has no option.)"
    return message


def _written(option: Option, value: str) -> str:
    if option.switch:
        return option.off or f"no {option.flag}" if value == "False" else option.flag
    if value[0] in "{[":
        items = [name if not given else f"{name}={given}" for name, given in _ITEM.findall(value)]
        return " ".join(f"{option.flag} {each}" for each in items) or option.flag
    return f"{option.flag} {value.strip(chr(34) + chr(39))}"
