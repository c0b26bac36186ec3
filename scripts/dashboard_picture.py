"""Take the picture of a dashboard that the README shows: `python scripts/dashboard_picture.py report.html 16`.

It opens a report in Chromium at one latent, in a window of the width of a laptop, and saves a screenshot. A screenshot of
more than 300 kB is refused, because it is committed to the repository.
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
MAX_BYTES = 300_000


def screenshot(report: Path, anchor: str, width: int, height: int, *, scale: float) -> bytes:
    """Return a screenshot of a report at an anchor, as PNG."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=scale, color_scheme="light"
        )
        page.goto(f"{report.resolve().as_uri()}#{anchor}")
        page.wait_for_selector(".js-plotly-plot svg")
        page.wait_for_timeout(1000)  # figures are drawn when they come into view
        png = page.screenshot()
        browser.close()
    return png


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="a report of `ssae-lens dashboard` or `ssae-lens demo`")
    parser.add_argument("latent", type=int, help="the latent to show")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img" / "dashboard.png")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=1180)
    parser.add_argument("--scale", type=float, default=1.25, help="device pixels for each CSS pixel")
    args = parser.parse_args()
    png = screenshot(args.report, f"latent-{args.latent}", args.width, args.height, scale=args.scale)
    if len(png) > MAX_BYTES:
        raise SystemExit(
            f"The screenshot has {len(png)} bytes, more than {MAX_BYTES}; use a smaller --scale or --height."
        )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(png)
    print(f"{args.out}: {len(png) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
