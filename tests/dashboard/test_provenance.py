"""The page of provenance: one promotion at a time, its refused challengers, bounded in size."""

import json
import re

import pytest

from lakehouse.dashboard.page import contents
from lakehouse.dashboard.panels.provenance import MOST_DRAWN, provenance, stretches_of
from tests.dashboard.models import model, noisy, origin
from tests.dashboard.test_page import Tags

REFUSED = origin("2024-03-04", "2", action="refuse")
CHAMPION = origin("2024-03-05", "3", from_version="1", is_champion=True)
ROWS = [origin("2024-03-01", "1"), REFUSED, CHAMPION]


def test_a_promotion_has_the_refused_challengers_since_the_one_before_it():
    moves = stretches_of(ROWS)
    assert [
        (row["to_version"], [each["to_version"] for each in refused]) for row, refused in moves
    ] == [
        ("1", []),
        ("3", ["2"]),
    ]


def test_the_champion_comes_first_and_refused_challengers_are_faint():
    panels = provenance(model(provenance=ROWS))
    champion = panels[1]
    assert champion.note.startswith("In production.")
    nodes = [
        words
        for _, words in Tags(str(champion.body)).found
        if words.get("class", "").split()[:1] == ["node"]
    ]
    faint = [words["aria-label"] for words in nodes if "faint" in words["class"].split()]
    assert [label.split(",")[0] for label in faint] == [
        "model version model/2",
        "verdict promotion/2024-03-04/refuse/2",
    ]
    first = panels[2]
    assert "refuse" not in first.body


def test_each_node_is_a_link_to_its_card_which_has_a_panel_and_a_query():
    champion = provenance(model(provenance=ROWS))[1]
    tags = Tags(str(champion.body)).found
    links = [words["href"] for _, words in tags if words.get("class", "").split()[:1] == ["node"]]
    cards = [words["id"] for tag, words in tags if tag == "article"]
    assert sorted(link.removeprefix("#panel=") for link in links) == sorted(cards)
    assert len(cards) == 12
    text = str(champion.body)
    assert text.count('class="copy"') == len(cards)
    assert "SELECT * FROM silver.sensor_reading VERSION AS OF 42" in text
    assert "SELECT * FROM silver.quality_check VERSION AS OF 41" in text
    assert set(re.findall(r"#page=(\w+)&amp;panel=(\w+)", text)) == {
        ("operations", "lines"),
        ("value", "trainings"),
        ("operations", "tables"),
        ("versions", "differences"),
        ("performance", "accuracy"),
        ("decisions", "stories"),
    }


def test_every_panel_that_a_node_names_is_on_its_page():
    pages = contents(noisy("glassware", 60, 1))["pages"]
    text = pages["provenance"]
    for page, panel in set(re.findall(r"#page=(\w+)&amp;panel=([\w-]+)", text)):
        assert f'id="{panel}"' in pages[page], (page, panel)


@pytest.mark.parametrize("promotions", [0, 1, 100])
def test_the_page_draws_no_more_than_the_newest_promotions(promotions: int):
    rows = [origin("2024-03-05", str(number)) for number in range(1, promotions + 1)]
    panels = provenance(model(provenance=rows))
    assert len(panels) == 1 + min(promotions, MOST_DRAWN)
    if promotions > MOST_DRAWN:
        assert f"newest {MOST_DRAWN} of {promotions}" in panels[0].note
        assert "v100" in panels[1].question


def test_forty_refused_challengers_are_one_box():
    refused = [origin("2024-03-04", str(number), action="refuse") for number in range(40)]
    body = str(provenance(model(provenance=[*refused, CHAMPION]))[1].body)
    assert "40 verdicts" in body
    assert len(body) < 20_000


def test_a_row_of_an_older_release_is_drawn_without_what_it_lacks():
    missing = {"files": None, "first_file": None, "decision_id": None, "windows_id": None}
    missing |= {"facts_id": None, "run_id": None, "labels_id": None, "rows_compared": None}
    rows = [origin("2024-03-05", "1", **missing)]
    body = str(provenance(model(provenance=rows))[1].body)
    assert "model/1" in body
    assert "None" not in body
    json.dumps(body)
