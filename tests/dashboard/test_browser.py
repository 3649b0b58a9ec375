"""The page in Chromium; left out where there is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.dashboard.page import PAGES, contents, page
from tests.dashboard.models import model, noisy
from tests.dashboard.test_page import EVIL, hostile
from tests.support.chromium import PROGRAM, Page, opened_page, shown_tables

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with opened_page() as opened:
        opened.size(1400, 900)
        yield opened


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six models of 1,000 days."""
    file = tmp_path_factory.mktemp("page") / "six.html"
    models = [(f"model-{seed}", noisy(f"model-{seed}", 1000, seed)) for seed in range(6)]
    file.write_text(page(models), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of 60 days."""
    file = tmp_path_factory.mktemp("page") / "small.html"
    file.write_text(page([("glassware", noisy("glassware", 60, 1))]), encoding="utf-8")
    return file


def test_each_page_asks_for_nothing_and_has_no_complaint(browser: Page, path: Path) -> None:
    browser.asked.clear()
    browser.said.clear()
    for name in ("overview", *PAGES):
        browser.open(path, f"#model=model-3&page={name}")
        assert browser.value("document.querySelectorAll('.panel').length") >= 1
    addresses = {address.partition("#")[0] for address in browser.asked}
    assert addresses <= {path.resolve().as_uri(), "about:blank"}
    assert browser.said == []


def test_the_policy_stops_a_script_and_a_picture_that_would_be_put_in(
    browser: Page, small: Path
) -> None:
    browser.open(small)
    browser.value(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.com/x.png\">');"
        "var s = document.createElement('script'); s.textContent = 'document.title = \"broken\"';"
        "document.body.append(s)"
    )
    assert browser.value("document.title") != "broken"
    assert any("Content Security Policy" in said for said in browser.said)
    browser.said.clear()


@pytest.mark.parametrize("name", PAGES)
def test_the_table_of_each_panel_holds_the_rows_of_its_query(
    browser: Page, small: Path, name: str
) -> None:
    expected = contents(noisy("glassware", 60, 1))["tables"]
    browser.open(small, f"#model=glassware&page={name}")
    shown = shown_tables(browser)
    of_columns = {"column_name=temp", "column_name=pressure", "column_name=duration"}
    assert name != "drift" or {where for _, _, where, _ in shown} > of_columns
    for table, columns, where, rows in shown:
        answer = expected[table]
        lines = list(zip(*answer["values"], strict=True))
        if where:
            column, value = where.split("=")
            at = answer["columns"].index(column)
            lines = [line for line in lines if line[at] == value]
        places = [answer["columns"].index(column) for column in columns]
        assert rows == [[line[place] for place in places] for line in lines], table


def test_the_keyboard_reaches_each_chart_and_reads_out_its_days(browser: Page, small: Path) -> None:
    browser.open(small, "#model=glassware&page=performance")
    charts = browser.value("document.querySelectorAll('.chart').length")
    browser.value("document.querySelectorAll('details').forEach((each) => { each.open = false; })")
    reached = set()
    for _ in range(120):
        browser.press("Tab", 9)
        reached.add(
            browser.value(
                "[...document.querySelectorAll('.chart')].indexOf(document.activeElement)"
            )
        )
    assert reached >= set(range(charts))
    browser.value("document.querySelector('.chart').focus()")
    browser.press("Home", 36)
    assert browser.value("document.getElementById('spoken').textContent").startswith("2024-03-01: ")
    browser.press("ArrowRight", 39)
    assert browser.value("document.querySelector('.told b').textContent") == "2024-03-02"
    browser.press("Escape", 27)
    assert browser.value("document.querySelector('.told')") is None


def test_a_link_opens_the_view_that_it_names_and_links_carry_it_on(
    browser: Page, small: Path
) -> None:
    browser.open(small, "#model=glassware&page=drift&column=temp&days=30")
    assert browser.value("document.querySelector('.zoom').getAttribute('viewBox')") == "32 0 30 5"
    shown = "[...document.querySelectorAll('[data-column]')].filter((e) => !e.hidden)"
    names = f"[...new Set({shown}.map((e) => e.dataset.column))].join()"
    assert browser.value(names) == "temp"
    link = browser.value("document.querySelector('nav.pages a[data-page=value]').href")
    assert "page=value" in link
    assert "days=30" in link


def test_what_a_row_says_stays_text(browser: Page, tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    file.write_text(page([("plain", model("plain")), (EVIL, hostile())]), encoding="utf-8")
    browser.said.clear()
    browser.open(file)
    assert EVIL in browser.value("document.body.innerText")
    browser.value("document.querySelectorAll('nav.models a')[1].click()")
    browser.wait("document.title.endsWith('performance')")
    for name in PAGES:
        browser.value(f"document.querySelector('nav.pages a[data-page={name}]').click()")
        browser.wait(f"document.body.dataset.page == '{name}'")
        browser.value("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        assert browser.value("document.querySelectorAll('main script, main img').length") == 0
        assert "broken in" not in browser.value("document.title").removeprefix(EVIL)
    assert browser.said == []


@pytest.mark.parametrize("name", ["overview", *PAGES])
def test_a_phone_s_width_holds_each_page(browser: Page, small: Path, name: str) -> None:
    browser.size(420, 900)
    browser.open(small, f"#model=glassware&page={name}")
    assert browser.value("document.documentElement.scrollWidth") == 420
    browser.size(1400, 900)


def test_a_dark_screen_has_a_dark_page_and_paper_has_no_buttons(browser: Page, small: Path) -> None:
    browser.open(small, "#model=glassware&page=performance")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = browser.value(colour)
    browser.look(prefers_color_scheme="dark")
    assert browser.value(colour) != light
    browser.look(prefers_color_scheme="light")
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.value("getComputedStyle(document.querySelector('.below')).display") == "none"
    browser.call("Emulation.setEmulatedMedia", media="")


def test_a_box_of_provenance_is_reached_by_tab_and_leads_to_its_figures_and_its_query(
    browser: Page, small: Path
) -> None:
    browser.open(small, "#page=provenance")
    boxes = "[...document.querySelectorAll('.panel:not([hidden]) .lineage a')]"
    assert browser.value(f"{boxes}.length") >= 10
    assert browser.value(f"{boxes}.every(box => box.tabIndex === 0)")
    browser.value(f"{boxes}[0].focus()")
    before = browser.value("document.activeElement.getAttribute('aria-label')")
    browser.press("Tab", 9)
    after = browser.value("document.activeElement.getAttribute('aria-label')")
    assert before != after
    assert after
    browser.value("location.hash = document.activeElement.getAttribute('href')")
    browser.wait("document.activeElement.matches('.card-node')")
    assert browser.value("document.activeElement.querySelector('code').textContent").startswith(
        "SELECT * FROM "
    )
