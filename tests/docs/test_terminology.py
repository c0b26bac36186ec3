"""Terminology: no retired term of the table in CONTRIBUTING.md is used in code, documentation or tutorials."""

import io
import re
import tokenize
from dataclasses import dataclass
from functools import cache

import pytest
from snippets import ROOT

# Word lists, whose words are data.
DATA = {"ssae_lens/pairs/data", "ssae_lens/assets"}
SUFFIXES = {".py", ".md", ".js", ".css", ".html", ".yml"}
# Tables that `python -m studies.pages` writes: their terms come from the studies, which are searched themselves.
TABLE = re.compile(r"^<!-- table: [^>]+ -->\n(?:```\w*\n.*?^```\n|(?:[|-][^\n]*\n)*)", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Term:
    """A retired term, what to use, where it is searched for, and the names that contain it and are kept."""

    term: str
    use: str
    scope: str
    kept: tuple[str, ...]

    @property
    def pattern(self) -> re.Pattern[str]:
        # An underscore separates words; a phrase may be broken over lines.
        words = r"\s+(?:# )?".join(map(re.escape, self.term.split()))
        flags = 0 if any(letter.isupper() for letter in self.term) else re.IGNORECASE
        return re.compile(rf"(?<![A-Za-z]){words}(?![A-Za-z])", flags)


def terms() -> list[Term]:
    """Return the rows of the table of terms that are searched for."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## Terminology\n")[1].split("\n## ")[0]
    result = []
    for line in section.splitlines():
        if not line.startswith("| `"):
            continue
        retired, use, checked = (cell.strip() for cell in line.strip("| ").split(" | "))
        scope, _, kept = checked.partition("; kept ")
        assert scope in ("text", "names", "–"), line
        result += [
            Term(term, use.replace("`", ""), scope, tuple(CODE_SPAN.findall(kept)))
            for term in CODE_SPAN.findall(retired)
        ]
    return result


TERMS = terms()
CHECKED = [term for term in TERMS if term.scope != "–"]


@cache
def sources() -> dict[str, str]:
    """Return the text of every file that is searched, by its path; what is not searched is blank."""
    paths = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CITATION.cff", "mkdocs.yml")]
    for folder in ("ssae_lens", "studies", "docs", "tutorials"):
        paths += [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES]
    texts = {}
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        # The pages of tutorials are written by running them.
        if name.startswith("docs/tutorials/") or any(name.startswith(folder) for folder in DATA):
            continue
        text = path.read_text(encoding="utf-8")
        if name == "CONTRIBUTING.md":
            before, after = text.split("\n## Terminology\n")
            table, mark, rest = after.partition("\n## ")
            text = f"{before}\n\n{_blank(table)}{mark}{rest}"
        texts[name] = TABLE.sub(lambda match: _blank(match[0]), text) if path.suffix == ".md" else text
    return texts


def _blank(text: str) -> str:
    return "\n" * text.count("\n")


@cache
def identifiers(name: str) -> list[tuple[int, str]]:
    """Return the identifiers of a Python file with their lines."""
    tokens = tokenize.generate_tokens(io.StringIO(sources()[name]).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.NAME]


def occurrences(term: Term) -> list[str]:
    """Return where a term occurs, as ``file:line: term → use``."""
    lines = []
    for name, text in sources().items():
        if term.scope == "names":
            if not name.endswith(".py"):
                continue
            numbers = [line for line, token in identifiers(name) if term.pattern.search(_without(token, term.kept))]
        else:
            cleaned = _without(text, term.kept)
            numbers = [cleaned.count("\n", 0, match.start()) + 1 for match in term.pattern.finditer(cleaned)]
        lines += [f"{name}:{number}: {term.term} → {term.use}" for number in dict.fromkeys(numbers)]
    return lines


def _without(text: str, kept: tuple[str, ...]) -> str:
    for name in kept:
        text = text.replace(name, "_" * len(name))
    return text


def test_the_table_is_read():
    assert len(TERMS) > 60
    assert {"wordings", "recurring", "dose", "Crew"} <= {term.term for term in TERMS}
    assert Term("at_least", "", "names", ()).pattern.search("at_least")
    assert not Term("most", "", "names", ()).pattern.search("almost")
    assert Term("found again", "", "text", ()).pattern.search("is found\n    # again in both")


@pytest.mark.parametrize("term", CHECKED, ids=lambda term: f"{term.term}-{term.scope}")
def test_no_retired_term_is_used(term):
    lines = occurrences(term)
    assert not lines, "\n" + "\n".join(lines)
