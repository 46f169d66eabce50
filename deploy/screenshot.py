"""Make the pictures of the README from a running service.

Example: python deploy/screenshot.py --url http://127.0.0.1:8000

Writes `docs/images/map.png` and `segment.png`; with --all also `dark.png` and `phone.png`. Needs Chromium
(the Debian package, or ROADTWIN_CHROMIUM) and the Python package playwright.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
ARGUMENTS = [
    "--no-sandbox",  # may run as root in a container
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--disable-background-networking",
    "--disable-component-update",
    "--font-render-hinting=none",
]
MAP_READY = """() => {
    const map = document.querySelector("road-map")?.map;
    return map?.isStyleLoaded() && map.areTilesLoaded() && map.queryRenderedFeatures({layers: ["segments"]}).length > 0
        && document.querySelector(".task");
}"""
SETTLE_MS = 1200  # the map's movement to a segment


def visit(browser: Any, options: argparse.Namespace, *, width: int, height: int, **more: Any) -> Any:
    """A page of its own with the map drawn."""
    context = browser.new_context(
        locale=options.locale, viewport={"width": width, "height": height}, device_scale_factor=options.scale, **more
    )
    page = context.new_page()
    page.goto(options.url)
    page.wait_for_function(MAP_READY, timeout=60_000)
    page.wait_for_timeout(SETTLE_MS)
    return page


def open_worst_segment(page: Any) -> None:
    """Select the first segment to inspect."""
    page.locator("#tab-inspect").click()
    page.locator(".task").first.click()
    page.locator(".panel-body").wait_for()
    page.wait_for_timeout(SETTLE_MS)


def take(browser: Any, options: argparse.Namespace) -> None:
    """The pictures that were asked for."""
    page = visit(browser, options, width=1440, height=900)
    page.screenshot(path=options.folder / "map.png")
    open_worst_segment(page)
    page.screenshot(path=options.folder / "segment.png")
    if not options.all:
        return
    page = visit(browser, options, width=1440, height=900, color_scheme="dark")
    open_worst_segment(page)
    page.screenshot(path=options.folder / "dark.png")
    page = visit(browser, options, width=390, height=844, has_touch=True, is_mobile=True)
    page.screenshot(path=options.folder / "phone.png")


def main() -> int:
    """Take the pictures; 0 when they are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of the running service")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "docs" / "images", help="where the pictures go")
    parser.add_argument("--locale", default="en-GB", help="language of the page, such as de-DE")
    parser.add_argument("--scale", type=float, default=1.0, help="device pixels per pixel of the page")
    parser.add_argument("--all", action="store_true", help="also the dark page and the one on a phone")
    options = parser.parse_args()
    chromium = os.environ.get("ROADTWIN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        print("screenshot: the Python package playwright is missing; run `make install`.", file=sys.stderr)
        return 1
    if chromium is None:
        print("screenshot: no Chromium; install the Debian package chromium or set ROADTWIN_CHROMIUM.", file=sys.stderr)
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            take(browser, options)
            browser.close()
    except Error as exc:
        print(f"screenshot: {options.url} could not be shown: {exc.message.splitlines()[0]}", file=sys.stderr)
        return 1
    print(f"wrote the pictures to {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
