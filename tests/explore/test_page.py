"""The page: whatever the rows are, each panel asks, draws, says and lists; the box stands in words."""

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lakehouse.explore.answers import findings_of
from lakehouse.explore.findings import Findings
from lakehouse.explore.page import page, pages_of
from lakehouse.explore.subject import Column, Span, Subject, subject_of
from lakehouse.glassware.pieces import Stream
from lakehouse.settings import load_model_settings
from tests.dashboard.test_page import Tags, assert_policy_is_strict, unpacked
from tests.explore.lakehouses import labelled, subject, times, write
from tests.explore.works import EVIL, graded, priced

X, Y = Column("x", "double"), Column("y", "integer", (0, 1))
REGIME_1, REGIME_2 = Span(None, dt.date(2019, 7, 17)), Span(dt.date(2019, 7, 19), None)


def made(
    tmp_path: Path, rows: pd.DataFrame, labels: pd.DataFrame | None, about: Subject
) -> Findings:
    write(tmp_path, about, rows, labels)
    return findings_of(tmp_path, about, [Span()])


def rows_of(n: int, **columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    own = {"x": rng.normal(size=n)} | columns
    # An array of objects, or pandas would make a NaN of None.
    values = {name: pd.Series(list(given), dtype=object) for name, given in own.items()}
    return pd.DataFrame({"id": np.arange(n), "at": times(n), **values})


def sentences(found: Findings) -> list[str]:
    text = re.findall(r'class="opening">(.*?)</section>', page(found))[0]
    return re.findall(r"<p>(.*?)</p>", text)


@pytest.fixture(scope="module")
def works() -> Findings:
    own = graded()
    return findings_of(own.root, own.subject, [Span()])


@pytest.fixture(scope="module")
def glass(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four weeks of the glass works; its rule changes on 18 July."""
    stream, about = Stream("demo", seed=0), subject_of(load_model_settings("conf/glassware.yaml"))
    rows, labels = stream.readings(1, 5400).to_pandas(), stream.labels(1, 5400).to_pandas()
    return write(tmp_path_factory.mktemp("glass"), about, rows, labels)


def glass_found(glass: Path, *spans: Span) -> Findings:
    return findings_of(glass, subject_of(load_model_settings("conf/glassware.yaml")), spans)


def test_the_box_of_the_glass_works_is_found_and_said_in_words(glass: Path) -> None:
    found = glass_found(glass, REGIME_1)
    note = next(panel.note for panel in pages_of(found)["target"] if "temp" in panel.question)
    said = re.match(
        r"Between ([\d.]+) and ([\d.]+) the share of 1 is ([\d.]+).%, elsewhere ([\d.]+).%", note
    )
    assert said is not None, note
    low, high, inside, elsewhere = map(float, said.groups())
    assert (low, high) == (pytest.approx(351, abs=0.5), pytest.approx(359, abs=0.5))
    (lowest, highest), truth = (351, 359), Stream("demo", seed=0).readings(1, 3264).to_pandas()
    labels = Stream("demo", seed=0).labels(1, 3264).to_pandas().quality
    is_in = truth.temp.between(lowest, highest)
    assert inside == pytest.approx(100 * labels[is_in].mean(), abs=3)
    assert elsewhere == pytest.approx(100 * labels[~is_in].mean(), abs=4)


def test_of_two_spans_the_rule_is_said_to_have_moved_and_not_the_values(glass: Path) -> None:
    found = glass_found(glass, REGIME_2, REGIME_1)
    pages = pages_of(found)
    assert "no other column has drifted: the rule may have moved" in pages["compared"][0].note
    said = re.search(
        r"Where temp is between ([\d.]+) and ([\d.]+), the share of 1 went from ([\d.]+).%.*? to "
        r"([\d.]+).%",
        str(pages["compared"][1].body),
    )
    assert said is not None
    low, high, before, after = map(float, said.groups())
    assert (low, high) == (pytest.approx(351, abs=0.5), pytest.approx(354, abs=0.5))
    assert before > 70
    assert after < 15


@pytest.mark.parametrize("make", [graded, priced])
@pytest.mark.parametrize("compared", [False, True])
def test_each_panel_asks_says_draws_and_lists(make, compared: bool) -> None:
    own = make()
    half = dt.date(2024, 3, 10)
    spans = [Span(half, None), Span(None, half)] if compared else [Span()]
    found = findings_of(own.root, own.subject, spans)
    pages = pages_of(found)
    assert len(pages) == (6 if compared else 5)
    keys = [panel.key for panels in pages.values() for panel in panels]
    assert len(keys) == len(set(keys))
    for name, panels in pages.items():
        for panel in panels:
            assert panel.question.endswith(("?", ")")), panel.question
            assert panel.note, panel.key
            assert panel.query in found.model.answers, panel.key
            tags = Tags(str(panel.body)).found
            drawn = [words for _, words in tags if words.get("tabindex") == "0"]
            told = (
                "<ul" in str(panel.body) or "Nowhere" in str(panel.body) or "No line" in panel.body
            )
            assert drawn or told, (name, panel.key)
            assert all(words.get("aria-label") for words in drawn if words.get("role") == "img")


def test_what_a_row_says_stays_text(works: Findings) -> None:
    text = page(works)
    parts = [text, *unpacked(text)["works"]["pages"].values()]
    for part in parts:
        assert "<script>document" not in part
        assert not any(
            key.startswith("on") or key == "style" for _, w in Tags(part).found for key in w
        )
    assert sum("&lt;script&gt;document.title" in part for part in parts) >= 4
    scripts = [words.get("type") for name, words in Tags(text).found if name == "script"]
    assert scripts == ["text/plain", None]
    names = unpacked(text)["works"]["tables"]["kinds"]["values"][2]
    assert EVIL in names


def test_the_policy_allows_the_page_s_own_style_and_script_alone(works: Findings) -> None:
    tags = Tags(page(works))
    assert_policy_is_strict(tags)
    links = {words[key] for _, words in tags.found for key in ("href", "src") if key in words}
    assert all(link.startswith("#") for link in links)


def test_forty_columns_of_four_hundred_days_are_below_two_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = [Column(f"sensor_{place}", "double") for place in range(40)]
    rows = rows_of(4000, **{column.name: rng.normal(size=4000) for column in columns})
    rows["at"] = times(4000, 399).dt.floor("us")
    labels = labelled(rows, "y", rows.sensor_3 > 0)
    found = made(tmp_path, rows, labels.astype({"y": int}), subject(columns, Y))
    assert len(page(found).encode()) < 2_000_000
    notes = [panel.note for panel in pages_of(found)["pairs"]]
    assert "Of 40 columns, the 12 that tell most of y." in notes[0]
    assert found.paired[0].name in {column.name for column in columns}
    assert "sensor_3" in {column.name for column in found.paired}


def test_a_lakehouse_without_rows_has_a_page_that_says_so(tmp_path: Path) -> None:
    found = made(tmp_path, rows_of(0), None, subject([X], Y))
    assert sentences(found)[0] == "works has no valid row yet."
    assert list(pages_of(found)) == ["overview"]


def test_a_span_without_rows_says_which(tmp_path: Path) -> None:
    about = subject([X], Y)
    write(tmp_path, about, rows_of(50), None)
    found = findings_of(tmp_path, about, [Span(dt.date(2030, 1, 1))])
    assert sentences(found)[0] == "works has no valid row in the span from 2030-01-01 on yet."
    half = findings_of(tmp_path, about, [Span(), Span(dt.date(2030, 1, 1))])
    assert "no values to compare" in pages_of(half)["compared"][0].note


@pytest.mark.parametrize(
    ("n", "columns", "labels", "said"),
    [
        (200, {}, None, "No row has a label (y) yet."),
        (200, {}, [0] * 200, "All are y 0."),
        (200, {"x": [5.0] * 200}, [0, 1] * 100, "x is 5 in every row"),
        (200, {"x": [float("nan")] * 20 + [1.0, 2.0] * 90}, [0, 1] * 100, "not finite in 20 rows"),
        (200, {"x": [None] * 200}, [0, 1] * 100, "x has no value in any row"),
        (200, {"x": [0.0] * 180 + [1.0] * 20}, [0, 1] * 100, "x is zero in 90.0"),
        (200, {"x": [None] * 20 + [1.0, 2.0] * 90}, [0, 1] * 100, "x is missing in 10.0"),
        (200, {"x": [*np.linspace(0, 1, 199), 1e9]}, [0, 1] * 100, "x reaches 1000000000"),
        (1, {}, [1], "works has 1 row from 2024-03-01 to 2024-03-01"),
        (1, {"x": [None]}, None, "No row has a label (y) yet."),
        (200, {}, [0, 1] * 100, "Nothing is odd"),
    ],
)
def test_what_is_odd_is_said_and_drawn_without_a_complaint(
    tmp_path: Path, n: int, columns: dict, labels: list | None, said: str
) -> None:
    rows = rows_of(n, **columns)
    told = None if labels is None else labelled(rows, "y", labels)
    found = made(tmp_path, rows, told, subject([X], Y))
    assert said in " ".join(sentences(found))
    assert all(panels for panels in pages_of(found).values())
    text = page(found)
    drawn = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    parts = [drawn, *unpacked(text)["works"]["pages"].values()]
    wrong = r"\b(inf|None)\b" if "not finite" in said else r"\b(nan|inf|None)\b"
    assert not any(re.search(wrong, part) for part in parts)


def test_rows_of_one_day_are_shown_by_the_hour(tmp_path: Path) -> None:
    rows = rows_of(200).assign(at=times(200, 0.9).dt.floor("us"))
    found = made(tmp_path, rows, labelled(rows, "y", [0, 1] * 100), subject([X], Y))
    assert "by hour" in pages_of(found)["time"][1].note


def test_two_columns_that_say_the_same_are_odd(tmp_path: Path) -> None:
    rows = rows_of(300)
    rows["z"] = -2 * rows.x
    found = made(tmp_path, rows, None, subject([X, Column("z", "double")], Y))
    assert "x and z say the same" in sentences(found)[2]


def test_labels_that_are_overdue_are_counted(tmp_path: Path) -> None:
    rows = rows_of(300)
    found = made(tmp_path, rows, labelled(rows, "y", [0, 1] * 150).iloc[10:], subject([X], Y))
    assert "10 labels overdue" in sentences(found)[2]


def test_several_classes_are_told_by_the_one_that_a_column_tells_most_of(works: Findings) -> None:
    notes = [panel.note for panel in pages_of(works)["target"]]
    assert re.match(r"Between 2.95 and 5.999 the share of good is 97.2", notes[0])
    panels_note = next(note for note in notes if "From 5 to 6" in note)
    assert f"the share of {EVIL} is" in panels_note
