"""Pictures of the page of a lakehouse, for docs/dashboard: python -m tools.dashboard_pictures ROOT

Each page at 1,400 pixels, and the overview and performance at a phone's 420. Chromium takes them.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from lakehouse.dashboard.build import write_page
from lakehouse.dashboard.page import PAGES
from tests.support.chromium import Page, opened_page

FOLDER = Path("docs/dashboard")
_WIDE, _PHONE = 1400, 420
_LONGEST = 1800
_GLANCE = 545  # the first panel: what the README shows
_COLOURS = 256


def take(browser: Page, page: Path, name: str, width: int, most: int = _LONGEST) -> bytes:
    """Return a PNG of one page from its top on, as high as it is, within reason."""
    browser.size(width, 900)
    browser.open(page, f"#page={name}")
    height = browser.value("document.documentElement.scrollHeight")
    browser.size(width, min(height, most))
    return browser.picture()


def write(path: Path, picture: bytes) -> None:
    """Write a PNG with few colours: a third of the bytes, and no difference to be seen."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(_COLOURS, Image.Quantize.FASTOCTREE).save(path, optimize=True)


def main(root: Path) -> None:
    """Draw the page of a lakehouse and write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, opened_page() as browser:
        page = Path(scratch) / "dashboard.html"
        write_page([root], page)
        for name in ("overview", *PAGES):
            write(FOLDER / f"{name}.png", take(browser, page, name, _WIDE))
        glance = take(browser, page, "performance", _WIDE, _GLANCE)
        write(FOLDER / "glance.png", glance)
        for name in ("overview", "performance"):
            write(FOLDER / f"{name}-phone.png", take(browser, page, name, _PHONE))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
