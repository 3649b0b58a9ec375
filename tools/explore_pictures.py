"""Pictures of docs/explore.md: python -m tools.explore_pictures ROOT

The demo's data up to the day before its rule changes, and the days before and after compared.
Chromium takes them.
"""

import datetime as dt
import sys
import tempfile
from pathlib import Path

from lakehouse.explore.build import write_page
from lakehouse.explore.subject import Span, subject_of
from lakehouse.settings import load_model_settings
from tests.support.chromium import opened_page
from tools.dashboard_pictures import take, write

FOLDER = Path("docs/explore")
_CHANGED = dt.date(2019, 7, 18)
_BEFORE = Span(None, _CHANGED - dt.timedelta(days=1))
_AFTER = Span(_CHANGED + dt.timedelta(days=1), dt.date(2019, 8, 2))
_PICTURES = {
    "overview": ("overview", 1400, (_BEFORE,)),
    "target": ("target", 1400, (_BEFORE,)),
    "pairs": ("pairs", 1400, (_BEFORE,)),
    "compared": ("target", 1400, (_AFTER, _BEFORE)),
    "phone": ("target", 420, (_BEFORE,)),
}
_LONGEST = {"target": 460, "compared": 480, "phone": 900}


def main(root: Path) -> None:
    """Draw the pages of a lakehouse and write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    subject = subject_of(load_model_settings("conf/glassware.yaml"))
    with tempfile.TemporaryDirectory() as scratch, opened_page() as browser:
        for name, (part, width, spans) in _PICTURES.items():
            page = Path(scratch) / f"{name}.html"
            write_page(str(root), subject, spans, page)
            write(
                FOLDER / f"{name}.png", take(browser, page, part, width, _LONGEST.get(name, 1800))
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
