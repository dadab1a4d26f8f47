"""Takes the pictures of the pages from a running app: ``python docs/screenshots.py http://127.0.0.1:8050``.

Each page wide and dark, wide and light, and narrow; the frame is the slow frame that took longest. Nothing
is arranged for the picture: what the app shows is what is taken. Needs Playwright and a Chromium (its path
in ``CHROMIUM`` where it is not on the path).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
LOOKS = {"dark": (1440, 1000, "dark"), "light": (1440, 1000, "light"), "phone": (390, 844, "light")}
SETTLE_MS = 4000


def worst_frame(url: str, cause: str | None) -> str | None:
    """The trace id of the slow frame that took longest, of one cause if asked; None where there is none."""
    wanted = f"&cause={cause}" if cause else ""
    asked = f"{url}/api/frames?outcome=slow&order=duration&limit=1{wanted}"
    with urllib.request.urlopen(asked, timeout=20) as answer:
        frames = json.load(answer)["frames"]
    return str(frames[0]["trace_id"]) if frames else None


def take(browser: Browser, url: str, name: str, path: str) -> list[Path]:
    """The pictures of one page."""
    taken = []
    for look, (width, height, scheme) in LOOKS.items():
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="light" if scheme == "light" else "dark",
            device_scale_factor=2 if look == "phone" else 1,
        )
        page = context.new_page()
        page.goto(url + path)
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        page.wait_for_timeout(SETTLE_MS)
        picture = PICTURES / f"{name}-{look}.png"
        page.screenshot(path=picture)
        taken.append(picture)
        context.close()
    return taken


def main() -> int:
    """Take every picture; 0 if all were taken, 2 if the app cannot be asked or has no slow frame yet."""
    parser = argparse.ArgumentParser(description="Take the pictures of the pages from a running app.")
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8050")
    parser.add_argument("--cause", help="take the longest slow frame of this cause")
    options = parser.parse_args()
    url = options.url.rstrip("/")
    try:
        frame = worst_frame(url, options.cause)
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"{url} does not answer ({error}). Start the app first: framescope demo", file=sys.stderr)
        return 2
    if frame is None:
        print(f"{url} has no such slow frame yet. Wait, or disturb the pipeline.", file=sys.stderr)
        return 2
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as play:
        found = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = play.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        for name, path in (
            ("live", "/"),
            ("slow-frames", "/frames"),
            ("frame", f"/frames/{frame}"),
            ("correlate", "/correlate?range=15m"),
        ):
            for picture in take(browser, url, name, path):
                print(picture)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
