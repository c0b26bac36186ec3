"""`write_report`: a report as one HTML file without further files or requests.

The data are JSON in the page and never markup. The Content-Security-Policy allows the page's two scripts by their hashes, no
other script, and no request.
"""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from ssae_lens.base import checks, files
from ssae_lens.dashboards.drawings import jsonable, template
from ssae_lens.dashboards.report import Report

FOLDER = Path(__file__).parent
SCRIPTS = ("figures.js", "latents.js", "page.js")
LIMIT = 8_000_000
# Characters that could end the script element of the data, or a line of JavaScript.
ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def write_report(report: Report, path: str | Path, *, limit: int = LIMIT, overwrite: bool = False) -> Path:
    """Write a report as one HTML file.

    Parameters
    ----------
    report
        The report.
    path
        The file.
    limit
        Maximum size in bytes. If the pages of all latents do not fit, those of the weakest latents without a name are left
        out, and the report says so.
    overwrite
        Whether to replace an existing file of other contents.

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
    """Return the page of ``Report.to_dict()``, in at most `limit` bytes if possible."""
    from plotly.offline import get_plotlyjs

    page, plotly = "".join(map(_asset, SCRIPTS)), get_plotlyjs()
    data = data | {"templates": jsonable({"light": template(dark=False), "dark": template(dark=True)})}
    parts = {
        "policy": _policy(page, plotly),
        "title": escape(str(data["title"])),
        "style": _asset("page.css"),
        "data": "",
        "page": page,
        "plotly": plotly,
    }
    room = limit - len(_filled(parts))
    return _filled(parts | {"data": as_json(_fitted(data, room))})


def as_json(data: Any) -> str:
    """Return data as JSON that can be the text of a script element."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(ESCAPES)


def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _filled(parts: dict[str, str]) -> bytes:
    """Return the page's template with its parts filled in; one pass, so that a part cannot name another."""
    page = re.sub(r"{{(\w+)}}", lambda match: parts[match.group(1)], _asset("page.html"))
    # A lone surrogate cannot be encoded.
    return page.encode(errors="replace")


def _policy(*scripts: str) -> str:
    """Return the Content-Security-Policy; plotly needs inline styles, and data URLs for heat maps."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _fitted(data: dict[str, Any], room: int) -> dict[str, Any]:
    """Return the data without the pages of as many latents as do not fit, the weakest without a name first."""
    sizes = {latent: len(as_json(page).encode(errors="replace")) + 10 for latent, page in data["details"].items()}
    room -= len(as_json(data | {"details": {}}).encode(errors="replace"))
    if sum(sizes.values()) <= room:
        return data
    kept = {}
    for row in sorted(data["latents"], key=lambda row: (not row["name"], -(row["strength"] or 0))):
        latent = str(row["latent"])
        room -= sizes[latent]
        if room < 0:
            break
        kept[latent] = data["details"][latent]
    return data | {"details": kept}
