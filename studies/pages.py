"""Lay out the tables of the README and the documentation from what studies wrote.

    python -m studies.pages language synthetic            # folders that `python -m studies … --out FOLDER` wrote
    python -m studies.pages language synthetic --check    # write nothing; status 1 if a table differs

A table that is laid out follows a mark, up to the next blank line:

    <!-- table: language corpora -->
    | corpus | pairs | …

The mark names a study and a function of `studies/page_tables/`. A mark with a blank line after it gets its table. Tables of
studies that no folder holds stay as they are.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssae_lens.base import checks
from ssae_lens.base.files import writing
from ssae_lens.base.reading import read_json
from studies.page_tables import RESULTS, TABLES
from studies.page_tables.markdown import MissingError

ROOT = Path(__file__).parents[1]
# A table, a list or a fence; a fence may hold blank lines.
MARK = re.compile(
    r"^<!-- table: (?P<name>[^>]+) -->\n(?P<table>```\w*\n.*?^```\n|(?:[|-][^\n]*\n)*)(?P<after>[^\n]?)",
    re.MULTILINE | re.DOTALL,
)


def pages() -> list[Path]:
    """Return the README and the documentation's pages."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def read(folders: Sequence[Path]) -> dict[str, Any]:
    """Read the results that lie in some folders, by study."""
    found: dict[str, Any] = {}
    files: dict[str, Path] = {}
    for folder in folders:
        here = [name for name in RESULTS if (folder / f"{name}.json").is_file()]
        if not here:
            known = ", ".join(f"{name}.json" for name in RESULTS)
            raise ValueError(
                f"{folder} holds none of {known}; give a folder that `python -m studies … --out {folder}` wrote."
            )
        for name in here:
            path = folder / f"{name}.json"
            if name in files:
                raise ValueError(f"{path} and {files[name]} are of one study; give one of their folders.")
            files[name], found[name] = path, _result(name, path)
    return found


def _result(name: str, path: Path) -> Any:
    again = f"run `python -m studies {name} --out {path.parent}` anew"
    try:
        told = read_json(path, max_bytes=1 << 29, max_values=10_000_000)
        cells = told["cells"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not what a study writes; {again}.") from None
    if told.get("quick"):
        raise ValueError(f"{path} is of a quick run, and pages show the whole study; {again}, without --quick.")
    return RESULTS[name](cells, told)


def laid_out(text: str, results: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return a page with its tables laid out, and the names of those that differ."""
    differ: list[str] = []

    def one(match: re.Match[str]) -> str:
        name = match["name"]
        checks.one_of("A table's mark", name, TABLES)
        if match["after"]:
            raise ValueError(f"The table {name!r} ends at no blank line; leave one after it.")
        study = name.split()[0]
        if study not in results:
            return match[0]
        try:
            made = TABLES[name](results[study])
        except MissingError as error:
            raise ValueError(
                f"{study}.json has {error}, which the table {name!r} shows; run the whole of `python -m studies {study}`."
            ) from None
        if made != match["table"]:
            differ.append(name)
        return f"<!-- table: {name} -->\n{made}"

    return MARK.sub(one, text), differ


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="what `python -m studies … --out FOLDER` wrote")
    parser.add_argument("--check", action="store_true", help="write nothing, and say which tables differ")
    given = parser.parse_args(words)
    try:
        results = read(given.folders)
        made = {page: _page(page, results) for page in pages()}
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    differ = 0
    for page, (text, names) in made.items():
        for name in names:
            print(f"{page.relative_to(ROOT)}: {name}")
        if names and not given.check:
            with writing(page) as temporary:
                temporary.write_text(text, encoding="utf-8")
        differ += len(names)
    print(f"{differ} tables {'differ' if given.check else 'written'}")
    return int(given.check and differ > 0)


def _page(page: Path, results: Mapping[str, Any]) -> tuple[str, list[str]]:
    try:
        return laid_out(page.read_text(encoding="utf-8"), results)
    except ValueError as error:
        raise ValueError(f"{page.relative_to(ROOT)}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
