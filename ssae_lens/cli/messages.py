"""Messages of Python functions in the words of a command: `overwrite=True` is the option `--overwrite`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A name and its value, as Python writes them.
_KEYWORD = re.compile(
    r"""(?<![\w.'"/-])([a-z_]\w*)=(\{[^}]*\}|\[[^]]*\]|"[^"]*"|'[^']*'|[\w.]+\([^)]*\)|[\w./+-]*\w|…)"""
)
# The name in "n is 0" or "n must be", at the beginning of a sentence or of a clause.
_SUBJECT = re.compile(r"(^|[.;:] )([a-z_]\w*)(?= (?:is|must)\b)")
_ITEM = re.compile(r"""["']([^"']+)["'](?:: ["']([^"']*)["'])?""")
# Names that messages state of a model or an SSAE and that are no arguments to change.
_FACTS = ("d_in", "d_model", "d_sae", "k", "n")


@dataclass(frozen=True)
class Option:
    """An option of a command: the flag that sets it, and for a switch the flag that turns it off."""

    flag: str
    off: str = ""
    switch: bool = False


def options_of(parameters: Any) -> dict[str, Option]:
    """Return the options of a command by the names of the Python arguments that they set."""
    return {
        str(item.name): Option(item.opts[0], next(iter(item.secondary_opts), ""), bool(getattr(item, "is_flag", False)))
        for item in parameters
        if item.param_type_name == "option"
    }


def in_options(message: str, options: Mapping[str, Option], command: str, *, settings: bool = False) -> str:
    """Return a message with Python arguments written as options of a command.

    Parameters
    ----------
    message
        The message of a Python function.
    options
        The options of the command, by the names of Python arguments.
    command
        The name of the command.
    settings
        Whether the command takes further arguments from a file of settings; they are written as in that file.

    Examples
    --------
    >>> options = {"d_sae": Option("--d-sae"), "overwrite": Option("--overwrite", switch=True)}
    >>> in_options("d_sae is 0; give d_sae=4 or overwrite=True.", options, "train")
    '--d-sae is 0; give --d-sae 4 or --overwrite.'
    """
    without_option: list[str] = []

    def keyword(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name in options:
            return _written(options[name], value)
        if settings:
            return f"{name}: {value}"
        if name not in _FACTS:
            without_option.append(name)
        return match.group()

    message = _KEYWORD.sub(keyword, message)
    message = _SUBJECT.sub(
        lambda match: match[1] + (options[match[2]].flag if match[2] in options else match[2]), message
    )
    names = "|".join(re.escape(name) for name in options if "_" in name)
    if names:
        # Not within a path, and not quoted.
        bare = rf"""(?<![\w.'"/-])({names})(?![\w'"(/]|\.\w)"""
        message = re.sub(bare, lambda match: options[match[1]].flag, message)
    if without_option:
        listed = " and ".join(dict.fromkeys(without_option))
        message += f" ({listed}: an argument of the Python function, without an option of {command}.)"
    return message


def _written(option: Option, value: str) -> str:
    if option.switch:
        return option.off or f"no {option.flag}" if value == "False" else option.flag
    if value[0] in "{[":
        items = [name if not text else f"{name}={text}" for name, text in _ITEM.findall(value)]
        return " ".join(f"{option.flag} {item}" for item in items) or option.flag
    return f"{option.flag} {value.strip(chr(34) + chr(39))}"
