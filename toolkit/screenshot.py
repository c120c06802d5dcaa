"""Take a picture of the page after its first example: `python -m toolkit.screenshot FILE URL`."""

from __future__ import annotations

import argparse
from pathlib import Path

from toolkit.browser import open_browser


def take(path: Path, url: str) -> None:
    """Write a PNG of the page of the service at `url`."""
    with open_browser() as browser:
        page = browser.new_page(
            viewport={"width": 1200, "height": 900}, locale="en-US", reduced_motion="reduce"
        )
        page.goto(url)
        page.locator("#examples button").first.click()
        page.locator("ol li").first.wait_for()
        page.screenshot(path=path, full_page=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", metavar="FILE", type=Path, help="PNG to write")
    parser.add_argument("url", metavar="URL", help="address of a running service")
    arguments = parser.parse_args()
    take(arguments.path, arguments.url)
