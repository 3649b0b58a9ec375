"""The page in Chromium; left out where there is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.dashboard.words import cell
from lakehouse.explore.answers import findings_of
from lakehouse.explore.findings import Findings
from lakehouse.explore.page import page
from lakehouse.explore.subject import Span
from tests.explore.works import EVIL, graded
from tests.support.chromium import PROGRAM, Page, opened_page, shown_tables

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine"),
]
PAGES = ("overview", "time", "target", "pairs", "labels")


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with opened_page() as opened:
        opened.size(1400, 900)
        yield opened


@pytest.fixture(scope="module")
def found() -> Findings:
    works = graded()
    return findings_of(works.root, works.subject, [Span()])


@pytest.fixture(scope="module")
def path(found: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "explore.html"
    file.write_text(page(found), encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_each_page_fits_asks_for_nothing_and_has_no_complaint(
    browser: Page, path: Path, width: int, scheme: str
) -> None:
    browser.asked.clear()
    browser.said.clear()
    browser.look(prefers_color_scheme=scheme)
    browser.size(width, 900)
    for name in PAGES:
        browser.open(path, f"#page={name}")
        assert browser.value("document.querySelectorAll('.panel').length") >= 2
        assert browser.value("document.documentElement.scrollWidth") <= width, name
    browser.size(1400, 900)
    assert {address.partition("#")[0] for address in browser.asked} <= {
        path.resolve().as_uri(),
        "about:blank",
    }
    assert browser.said == []


@pytest.mark.parametrize("name", PAGES)
def test_the_table_of_each_panel_holds_the_rows_of_its_query(
    browser: Page, path: Path, found: Findings, name: str
) -> None:
    browser.open(path, f"#page={name}")
    shown = shown_tables(browser)
    assert len(shown) >= 2
    for table, columns, where, rows in shown:
        expected = found.rows(table)
        if where:
            column, value = where.split("=")
            expected = [row for row in expected if row[column] == value]
        assert rows == [[cell(row[column]) for column in columns] for row in expected], table


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_what_each_panel_draws(browser: Page, path: Path, name: str) -> None:
    browser.open(path, f"#page={name}")
    count = browser.value("document.querySelectorAll('main [role=img]').length")
    assert count >= 1
    reached = set()
    for _ in range(100):
        browser.press("Tab", 9)
        place = "[...document.querySelectorAll('main [role=img]')]"
        reached.add(browser.value(f"{place}.indexOf(document.activeElement)"))
    assert reached >= set(range(count))
    labels = browser.value(
        "[...document.querySelectorAll('main [role=img]')].every((e) => e.ariaLabel.length > 10)"
    )
    assert labels


def test_what_a_row_says_stays_text(browser: Page, path: Path) -> None:
    browser.said.clear()
    for name in PAGES:
        browser.open(path, f"#page={name}")
        browser.value("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        assert browser.value("document.querySelectorAll('main script, main img').length") == 0
        assert browser.value("document.title") != "broken in"
        if name in ("overview", "target"):
            assert EVIL in browser.value("document.body.innerText")
    assert browser.said == []
