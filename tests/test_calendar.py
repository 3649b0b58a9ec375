import datetime as dt
from typing import Any

import pandas as pd
import pytest

from lakehouse.calendar import Granularity, base_window, parse_span
from tests.support.rows import moment

MOMENT = moment("2024-02-29T13:37:11")


@pytest.mark.parametrize(
    ("granularity", "start", "end"),
    [
        ("5 minutes", "2024-02-29T13:35:00", "2024-02-29T13:40:00"),
        ("30 minutes", "2024-02-29T13:30:00", "2024-02-29T14:00:00"),
        ("1 hour", "2024-02-29T13:00:00", "2024-02-29T14:00:00"),
        ("8 hours", "2024-02-29T08:00:00", "2024-02-29T16:00:00"),
        ("1 day", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
        ("1 week", "2024-02-26T00:00:00", "2024-03-04T00:00:00"),
        ("1 month", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
        ("3 months", "2024-01-01T00:00:00", "2024-04-01T00:00:00"),
        ("1 year", "2024-01-01T00:00:00", "2025-01-01T00:00:00"),
    ],
)
def test_a_moment_lies_in_the_window_of_the_calendar(
    granularity: str, start: str, end: str
) -> None:
    window = Granularity(granularity).window(MOMENT)
    assert (window.start, window.end) == (moment(start), moment(end))


@pytest.mark.parametrize("freq", ["1h", "1D", "W-SUN", "M", "Q", "Y"])
def test_windows_are_those_of_pandas_periods(freq: str) -> None:
    words = {"1h": "1 hour", "1D": "1 day", "W-SUN": "1 week"}
    words |= {"M": "1 month", "Q": "3 months", "Y": "1 year"}
    for at in pd.date_range("2023-12-30", "2024-03-02", freq="97min"):
        period = pd.Period(at, freq=freq)
        window = Granularity(words[freq]).window(at.to_pydatetime().replace(tzinfo=dt.UTC))
        assert window.start.replace(tzinfo=None) == period.start_time
        assert window.end.replace(tzinfo=None) == (period + 1).start_time


@pytest.mark.parametrize(
    "granularity", ["5 minutes", "1 day", "1 week", "2 weeks", "1 month", "6 months"]
)
def test_windows_follow_each_other_without_a_gap(granularity: str) -> None:
    each = Granularity(granularity)
    window = each.window(MOMENT)
    assert each.after(window).start == window.end
    assert each.before(window).end == window.start
    assert each.before(each.after(window)) == window


def test_windows_that_end_in_a_span_and_start_on_a_day_are_found() -> None:
    month, hour = Granularity("1 month"), Granularity("1 hour")
    ended = list(month.ending_in(moment("2024-01-01T00:00:00"), moment("2024-03-01T00:00:00")))
    assert [window.start.month for window in ended] == [2, 1]
    assert list(month.starting_on(dt.date(2024, 2, 2))) == []
    assert len(list(month.starting_on(dt.date(2024, 2, 1)))) == 1
    assert len(list(hour.starting_on(dt.date(2024, 2, 1)))) == 24


@pytest.mark.parametrize(
    "text", ["5 hours", "11 minutes", "30 seconds", "5 months", "0 days", "a day", "", "18 months"]
)
def test_a_width_that_windows_cannot_be_cut_to_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="divide a week evenly"):
        Granularity(text)


@pytest.mark.parametrize(
    ("granularities", "minutes"),
    [
        (["1 day"], 60),
        (["1 month"], 60),
        (["5 minutes", "1 day"], 5),
        (["90 minutes"], 30),
        (["7 hours"], 60),
    ],
)
def test_the_base_window_divides_all_of_them(granularities: list[str], minutes: int) -> None:
    assert base_window(map(Granularity, granularities)) == dt.timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1 second", 1), ("90 minutes", 5400), ("2 days", 172_800), ("2 weeks", 1_209_600)],
)
def test_a_span_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_span(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "day",
        "1 day ",
        "-1 days",
        "1.5 days",
        "1 fortnight",
        "1 month",
        "0 days",
        None,
        True,
    ],
)
def test_other_words_are_no_span(text: Any) -> None:
    with pytest.raises(ValueError, match="write a number and a unit"):
        parse_span(text)
