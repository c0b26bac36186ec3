"""Take the picture of a dashboard that the README shows: `python scripts/dashboard_picture.py report.html 16`.

It opens a report in Chromium at one latent, as wide as a laptop's window, and keeps what is seen. A picture in a
repository should be small: more than 300 kB is refused.
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
LARGEST = 300_000


def taken(report: Path, where: str, width: int, height: int, *, scale: float) -> bytes:
    """Return a screenshot of a report at a place in it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=scale, color_scheme="light"
        )
        page.goto(f"{report.resolve().as_uri()}#{where}")
        page.wait_for_selector(".js-plotly-plot svg")
        page.wait_for_timeout(1000)  # figures are drawn when they come into view
        png = page.screenshot()
        browser.close()
    return png


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="what write_report, `ssae-lens dashboard` or `ssae-lens demo` wrote")
    parser.add_argument("latent", type=int, help="which latent to show")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img" / "dashboard.png")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=1180)
    parser.add_argument("--scale", type=float, default=1.25, help="pixels of the picture for each of the page")
    given = parser.parse_args()
    png = taken(given.report, f"latent-{given.latent}", given.width, given.height, scale=given.scale)
    if len(png) > LARGEST:
        raise SystemExit(f"The picture has {len(png)} bytes, more than {LARGEST}; take a smaller --scale or --height.")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(png)
    print(f"{given.out}: {len(png) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
