"""`write_report`: a report as one HTML file that needs nothing else and asks for nothing.

The data stand in the page as JSON and nowhere as markup. A Content-Security-Policy lets the page's own two scripts run, by
their hashes, and no other, and lets it load nothing.
"""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from ssae_lens.base import checks, files
from ssae_lens.dashboards.drawing import jsonable, template
from ssae_lens.dashboards.report import Report

HERE = Path(__file__).parent
SCRIPTS = ("figures.js", "latents.js", "page.js")
LIMIT = 8_000_000
# What could end the element that JSON stands in, or a line of JavaScript.
ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def write_report(report: Report, path: str | Path, *, limit: int = LIMIT, overwrite: bool = False) -> Path:
    """Write a report as one HTML file.

    Parameters
    ----------
    report
        The report.
    path
        Where the file goes.
    limit
        How many bytes it may have. Where there is no room for every latent's page, those of the weakest latents that have no
        name are left out, and the report says so.
    overwrite
        Whether a file of other contents may be replaced.

    Returns
    -------
    Path
        `path`.
    """
    checks.above("limit", limit, 0)
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(page_of(report.to_dict(), limit))
    return Path(path)


def page_of(data: dict[str, Any], limit: int = LIMIT) -> bytes:
    """Return the page of what `Report.to_dict` gave, in at most `limit` bytes where that can be."""
    from plotly.offline import get_plotlyjs

    page = "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    plotly = get_plotlyjs()
    data = data | {"templates": jsonable({"light": template(dark=False), "dark": template(dark=True)})}
    parts = {
        "policy": _policy(page, plotly),
        "title": escape(str(data["title"])),
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "data": "",
        "page": page,
        "plotly": plotly,
    }
    around = len(_filled(parts))
    return _filled(parts | {"data": as_json(_fitted(data, limit - around))})


def as_json(data: Any) -> str:
    """Return data as JSON that can stand in a page's script element."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(ESCAPES)


def _filled(parts: dict[str, str]) -> bytes:
    """Fill the page's template in one pass: what is filled in is not looked at again."""
    whole = (HERE / "page.html").read_text(encoding="utf-8")
    # A lone surrogate is no character, and has no place in a file.
    return re.sub(r"{{(\w+)}}", lambda found: parts[found.group(1)], whole).encode(errors="replace")


def _policy(*scripts: str) -> str:
    """Say what the page may do: plotly styles its elements where they stand, and draws heat maps as data."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(each.encode()).digest()).decode()}'" for each in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _fitted(data: dict[str, Any], room: int) -> dict[str, Any]:
    """Leave out latents' pages until the data fit, those of the weakest without a name first."""
    pages = {latent: len(as_json(page).encode(errors="replace")) + 10 for latent, page in data["details"].items()}
    room -= len(as_json(data | {"details": {}}).encode(errors="replace"))
    if sum(pages.values()) <= room:
        return data
    kept = {}
    for row in sorted(data["latents"], key=lambda row: (not row["name"], -(row["strength"] or 0))):
        latent = str(row["latent"])
        room -= pages[latent]
        if room < 0:
            break
        kept[latent] = data["details"][latent]
    return data | {"details": kept}
