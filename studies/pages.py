"""Write the tables of the README and the documentation from the results of studies.

    python -m studies.pages language synthetic            # folders of `python -m studies … --out FOLDER`
    python -m studies.pages language synthetic --check    # write nothing; exit status 1 if a table differs

A table follows a mark, up to the next blank line:

    <!-- table: language corpora -->
    | corpus | pairs | …

The mark names a study and a function of `studies/page_tables/`. A mark with a blank line after it gets its table. Tables of
studies without a folder stay as they are.
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
# A table, a list or a fence; a fence may contain blank lines.
MARK = re.compile(
    r"^<!-- table: (?P<name>[^>]+) -->\n(?P<table>```\w*\n.*?^```\n|(?:[|-][^\n]*\n)*)(?P<after>[^\n]?)",
    re.MULTILINE | re.DOTALL,
)


def pages() -> list[Path]:
    """Return the README and the pages of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def read(folders: Sequence[Path]) -> dict[str, Any]:
    """Read the results in some folders, by study."""
    results: dict[str, Any] = {}
    files: dict[str, Path] = {}
    for folder in folders:
        names = [name for name in RESULTS if (folder / f"{name}.json").is_file()]
        if not names:
            known = ", ".join(f"{name}.json" for name in RESULTS)
            raise ValueError(f"{folder} holds none of {known}; use a folder of `python -m studies … --out {folder}`.")
        for name in names:
            path = folder / f"{name}.json"
            if name in files:
                raise ValueError(f"{path} and {files[name]} are of one study; give one of the two folders.")
            files[name], results[name] = path, _result(name, path)
    return results


def _result(name: str, path: Path) -> Any:
    hint = f"run `python -m studies {name} --out {path.parent}` again"
    try:
        content = read_json(path, max_bytes=1 << 29, max_values=10_000_000)
        cells = content["cells"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not the file of a study; {hint}.") from None
    if content.get("quick"):
        raise ValueError(f"{path} is of a quick run, and pages show the whole study; {hint}, without --quick.")
    return RESULTS[name](cells, content)


def replace_tables(text: str, results: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return a page with its tables written anew, and the names of those that differ."""
    differ: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        checks.one_of("A table's mark", name, TABLES)
        if match["after"]:
            raise ValueError(f"The table {name!r} does not end at a blank line; leave one after it.")
        study = name.split()[0]
        if study not in results:
            return match[0]
        try:
            table = TABLES[name](results[study])
        except MissingError as error:
            raise ValueError(
                f"{study}.json has {error}, which the table {name!r} shows; run all of `python -m studies {study}`."
            ) from None
        if table != match["table"]:
            differ.append(name)
        return f"<!-- table: {name} -->\n{table}"

    return MARK.sub(replaced, text), differ


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders of `python -m studies … --out FOLDER`")
    parser.add_argument("--check", action="store_true", help="write nothing, and print which tables differ")
    args = parser.parse_args(arguments)
    try:
        results = read(args.folders)
        written = {page: _page(page, results) for page in pages()}
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    count = 0
    for page, (text, names) in written.items():
        for name in names:
            print(f"{page.relative_to(ROOT)}: {name}")
        if names and not args.check:
            with writing(page) as temporary:
                temporary.write_text(text, encoding="utf-8")
        count += len(names)
    print(f"{count} tables {'differ' if args.check else 'written'}")
    return int(args.check and count > 0)


def _page(page: Path, results: Mapping[str, Any]) -> tuple[str, list[str]]:
    try:
        return replace_tables(page.read_text(encoding="utf-8"), results)
    except ValueError as error:
        raise ValueError(f"{page.relative_to(ROOT)}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
