"""Snippets: the fenced code of the README and the documentation, and what a test does with each.

A snippet is run unless a comment on the line before its fence gives another check, with the reason::

    <!-- check: hub - it asks the Hub -->       run against a local server
    <!-- check: compile - it needs a GPU -->    Python: compile, and check imports and keyword arguments
    <!-- check: skip - it installs packages --> no check
"""

import ast
import importlib
import inspect
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from ssae_lens.cli import app
from ssae_lens.training.config import ProblemConfig, SolverConfig
from studies.commands import app as studies_app

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# Without the pages of tutorials, which have tests of their own.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = r"(?:^<!-- check: (?P<check>\w+) - (?P<why>[^>]+) -->\n)?"
FENCE = re.compile(MARK + r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {"ssae-lens": app, "studies": studies_app}
INLINE = re.compile(r"`((?:ssae-lens|make|python) [^`]+)`")
CHECKS = {"python": ("run", "hub", "compile"), "bash": ("run", "hub", "skip")}
LANGUAGES = {*CHECKS, "text", "markdown", "json", "yaml"}
# The keyword arguments that `train` and `sweep` pass on.
TRAINING_OPTIONS = {option.name for config in (ProblemConfig, SolverConfig) for option in fields(config)}


@dataclass(frozen=True)
class Snippet:
    """A fenced block of a page, its check, and the reason for a check other than ``run``."""

    page: Path
    line: int
    language: str
    text: str
    check: str
    why: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def snippets(language: str) -> list[Snippet]:
    """Return all snippets of a language, page by page."""
    result = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match["language"] == language:
                line = text.count("\n", 0, match.start("text"))
                result.append(Snippet(page, line, language, match["text"], match["check"] or "run", match["why"] or ""))
    return result


def commands(snippet: Snippet) -> list[list[str]]:
    """Return the words of each command of a snippet, with continued lines joined and without comments."""
    text = snippet.text.replace("\\\n", " ")
    return [_by_program(words) for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def _by_program(words: list[str]) -> list[str]:
    """Return a command whose first word is the program: ``python -m studies NAME`` is the program `studies`."""
    return words[2:] if words[:3] == ["python", "-m", "studies"] else words


def inline_commands() -> list[tuple[Path, list[str]]]:
    """Return the commands within sentences, with a file's name for placeholders."""
    return [
        (page, _with_files(_by_program(shlex.split(command))))
        for page in PAGES
        for command in INLINE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    ]


def _with_files(words: list[str]) -> list[str]:
    words = ["shifts.h5" if word == "FILE" else word for word in words]
    return [*words, "numbers.json"] if words[-1] == "--json" else words


def commands_to_run() -> dict[Path, list[list[str]]]:
    """Return the commands of our programs that run without the Hub, each once, on the first page that has it.

    A target of make is replaced by the commands of its recipe. Commands within sentences are included if no fence has them.
    """
    fenced = [
        (snippet, words) for snippet in snippets("bash") if snippet.check != "skip" for words in commands(snippet)
    ]
    known = [words for snippet, words in fenced if snippet.check == "hub"]
    by_page: dict[Path, list[list[str]]] = {page: [] for page in PAGES}
    for snippet, words in fenced:
        for command in recipe(words[1]) if words[0] == "make" else [words]:
            if command[0] in PROGRAMS and command not in known:
                known.append(command)
                by_page[snippet.page].append(command)
    # The longest first: it covers commands that are its beginning.
    for page, words in sorted(inline_commands(), key=lambda command: -len(command[1])):
        if words[0] in PROGRAMS and not any(command[: len(words)] == words for command in known):
            known.append(words)
            by_page[page].append(words)
    return {page: listed for page, listed in by_page.items() if listed}


def recipe(target: str) -> list[list[str]]:
    """Return the commands of a target of make, with programs without their folder."""
    match = re.search(rf"^{target}:.*\n((?:\t.*\n)*)", MAKEFILE, re.MULTILINE)
    assert match is not None, f"the Makefile has no {target!r}"
    return [_by_program(shlex.split(line.replace("$(BIN)/", ""))) for line in match[1].splitlines()]


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that some words name, and the words after its name."""
    command: Any = get_command(PROGRAMS[words[0]])
    words = words[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        assert name in command.commands, f"there is no command {name!r} among {', '.join(command.commands)}"
        command = command.commands[name]
    return command, words


def parse_command(words: list[str]) -> None:
    """Parse a command without running it; raise for unknown options and missing arguments."""
    command, rest = command_of(words)
    with suppress(typer.Exit):  # --help
        command.make_context(command.name, rest)


def check_names(words: list[str]) -> None:
    """Check the names of a command and of its options, whose values may be omitted."""
    command, rest = command_of(words)
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in rest if word.startswith("--")} <= known


def check_calls(text: str, known: dict) -> None:
    """Check the imports and the keyword arguments of a snippet."""
    tree = ast.parse(text)
    space = dict(known)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = importlib.import_module(alias.name)
                space[alias.asname or alias.name.split(".")[0]] = module
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):  # a submodule
                    importlib.import_module(f"{node.module}.{alias.name}")
                space[alias.asname or alias.name] = getattr(module, alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (function := _resolve(node.func, space)) is not None:
            names = [keyword.arg for keyword in node.keywords if keyword.arg]
            _check_keywords(function, names, f"line {node.lineno}")


def _resolve(node: ast.expr, space: dict):
    """Return the object that a name or a dotted name refers to, if it is imported."""
    if isinstance(node, ast.Name):
        return space.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _resolve(node.value, space)
        if owner is not None:
            assert hasattr(owner, node.attr), f"{owner!r} has no {node.attr}"
            return getattr(owner, node.attr)
    return None


def _check_keywords(function, names: list[str], where: str) -> None:
    if not callable(function) or not getattr(function, "__module__", "").startswith("ssae_lens"):
        return
    parameters = inspect.signature(function).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in names:
        passed_on = open_ended and (name in TRAINING_OPTIONS or function.__name__ not in ("train", "sweep"))
        assert name in parameters or passed_on, f"{where}: {function.__name__} has no parameter {name!r}"
