"""The snippets of the README and the documentation, as a reader finds them, and what a test may do with each.

A snippet is run unless a comment on the line before its fence says what else to do with it, and why::

    <!-- check: hub - it asks the Hub -->       run against a small hub on the loopback address
    <!-- check: compile - it needs a GPU -->    Python: compiled, its imports and keyword arguments held against the code
    <!-- check: skip - it installs packages --> not ours to check
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
# Pages that tutorials write are theirs, and tested with them.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = r"(?:^<!-- check: (?P<check>\w+) - (?P<why>[^>]+) -->\n)?"
FENCE = re.compile(MARK + r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {"ssae-lens": app, "studies": studies_app}
INLINE = re.compile(r"`((?:ssae-lens|make|python) [^`]+)`")
CHECKS = {"python": ("run", "hub", "compile"), "bash": ("run", "hub", "skip")}
LANGUAGES = {*CHECKS, "text", "markdown", "json", "yaml"}
# What a function takes beyond its signature, and hands on.
HANDED_ON = {each.name for config in (ProblemConfig, SolverConfig) for each in fields(config)}


@dataclass(frozen=True)
class Snippet:
    """A fenced piece of a page: what to do with it, and why it is not simply run."""

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
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match["language"] == language:
                line = text.count("\n", 0, match.start("text"))
                found.append(Snippet(page, line, language, match["text"], match["check"] or "run", match["why"] or ""))
    return found


def commands(snippet: Snippet) -> list[list[str]]:
    """Return the words of each command of a snippet, lines that go on joined and comments left out."""
    whole = snippet.text.replace("\\\n", " ")
    return [_by_program(words) for line in whole.splitlines() if (words := shlex.split(line, comments=True))]


def _by_program(words: list[str]) -> list[str]:
    """Return a command whose first word is the program: ``python -m studies NAME`` is the program `studies`."""
    return words[2:] if words[:3] == ["python", "-m", "studies"] else words


def inline_commands() -> list[tuple[Path, list[str]]]:
    """Return the commands that stand within sentences, with a file's name where they leave it to the reader."""
    return [
        (page, _with_files(_by_program(shlex.split(said))))
        for page in PAGES
        for said in INLINE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    ]


def _with_files(words: list[str]) -> list[str]:
    words = ["shifts.h5" if each == "FILE" else each for each in words]
    return [*words, "numbers.json"] if words[-1] == "--json" else words


def commands_to_run() -> dict[Path, list[list[str]]]:
    """Return each command of `ssae-lens` that is run without the Hub, once, on the first page that has it.

    What make does by a command of ours stands for it. Of those within sentences only what no fence has is run.
    """
    fenced = [(each, words) for each in snippets("bash") if each.check != "skip" for words in commands(each)]
    known = [words for each, words in fenced if each.check == "hub"]
    whole: dict[Path, list[list[str]]] = {page: [] for page in PAGES}
    for each, words in fenced:
        for ours in recipe(words[1]) if words[0] == "make" else [words]:
            if ours[0] in PROGRAMS and ours not in known:
                known.append(ours)
                whole[each.page].append(ours)
    # The longest first: it stands for those that say less.
    for page, words in sorted(inline_commands(), key=lambda said: -len(said[1])):
        if words[0] in PROGRAMS and not any(each[: len(words)] == words for each in known):
            known.append(words)
            whole[page].append(words)
    return {page: some for page, some in whole.items() if some}


def recipe(target: str) -> list[list[str]]:
    """Return the words of what make runs for a target, programs without the folder they are in."""
    made = re.search(rf"^{target}:.*\n((?:\t.*\n)*)", MAKEFILE, re.MULTILINE)
    assert made is not None, f"the Makefile has no {target!r}"
    return [_by_program(shlex.split(line.replace("$(BIN)/", ""))) for line in made[1].splitlines()]


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Find the command that some words name, and give what follows its name."""
    command: Any = get_command(PROGRAMS[words[0]])
    words = words[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        assert name in command.commands, f"there is no command {name!r} among {', '.join(command.commands)}"
        command = command.commands[name]
    return command, words


def parsed(words: list[str]) -> None:
    """Parse a command as the program would, and go no further; what it does not take is raised."""
    command, rest = command_of(words)
    with suppress(typer.Exit):  # --help
        command.make_context(command.name, rest)


def named(words: list[str]) -> None:
    """Hold a command that is only spoken of against the program: its name and the names of its options."""
    command, rest = command_of(words)
    known = {option for each in command.params for option in each.opts} | {"--help"}
    assert {each for each in rest if each.startswith("--")} <= known


def check_calls(text: str, known: dict) -> None:
    """Hold the imports and the keyword arguments of a snippet against what they name."""
    tree = ast.parse(text)
    space = dict(known)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                module = importlib.import_module(each.name)
                space[each.asname or each.name.split(".")[0]] = module
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for each in node.names:
                space[each.asname or each.name] = getattr(module, each.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (called := _called(node.func, space)) is not None:
            _check_keywords(called, [each.arg for each in node.keywords if each.arg], f"line {node.lineno}")


def _called(node: ast.expr, space: dict):
    """Find what a name or a dotted name stands for, if it begins at something imported."""
    if isinstance(node, ast.Name):
        return space.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _called(node.value, space)
        if owner is not None:
            assert hasattr(owner, node.attr), f"{owner!r} has no {node.attr}"
            return getattr(owner, node.attr)
    return None


def _check_keywords(called, given: list[str], where: str) -> None:
    if not callable(called) or not getattr(called, "__module__", "").startswith("ssae_lens"):
        return
    takes = inspect.signature(called).parameters
    further = any(each.kind is each.VAR_KEYWORD for each in takes.values())
    for name in given:
        assert name in takes or (further and (name in HANDED_ON or called.__name__ not in ("train", "sweep"))), (
            f"{where}: {called.__name__} takes no {name!r}"
        )
