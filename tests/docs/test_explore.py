"""docs/explore.md: what it quotes of the demo's data is true of the simulated pieces."""

import datetime as dt
import re
from pathlib import Path

import pytest

from lakehouse.explore.page import pages_of
from lakehouse.glassware.pieces import Stream
from tests.explore.works import graded

PAGE = Path("docs/explore.md").read_text(encoding="utf-8")
_STRETCH = re.compile(
    r"\*\*(\w+)\*\* (?:Between ([\d.]+) and|Up to) ([\d.]+) the share of 1 is ([\d.]+) %, "
    r"elsewhere ([\d.]+) % \(([\d,]+) and ([\d,]+) rows\)"
)


def test_the_stretches_that_are_quoted_hold_for_the_pieces_of_those_days():
    n = int(re.findall(r"has ([\d,]+) rows", PAGE)[0].replace(",", ""))
    stream = Stream("demo", seed=0)
    rows, quality = stream.readings(1, n).to_pandas(), stream.labels(1, n).to_pandas().quality
    assert str(rows.process_time.max()).startswith("2019-07-17 23:56")
    quoted = _STRETCH.findall(PAGE)
    assert [words[0] for words in quoted] == ["temp", "duration", "pressure"]
    for name, low, high, inside, elsewhere, n_inside, n_elsewhere in quoted:
        is_in = (rows[name] > float(low or "-inf")) & (rows[name] <= float(high))
        assert is_in.sum() == pytest.approx(int(n_inside.replace(",", "")), abs=30)
        assert (~is_in).sum() == pytest.approx(int(n_elsewhere.replace(",", "")), abs=30)
        assert 100 * quality[is_in].mean() == pytest.approx(float(inside), abs=1)
        assert 100 * quality[~is_in].mean() == pytest.approx(float(elsewhere), abs=2)


def test_every_page_of_the_file_is_told_of():
    from lakehouse.explore.answers import findings_of
    from lakehouse.explore.subject import Span

    works = graded()
    pages = pages_of(findings_of(works.root, works.subject, [Span(), Span(dt.date(2024, 3, 5))]))
    assert len(re.findall(r"^\| (?:\[)?[A-Z][\w ]+(?:\]\(.*?\))? \| ", PAGE, re.MULTILINE)) == len(
        pages
    )
