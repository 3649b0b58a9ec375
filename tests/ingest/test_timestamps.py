"""Moments in every form of ISO 8601 and RFC 3339, and what is none of them."""

import datetime as dt
from contextlib import suppress
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.ingest.timestamps import parse_moment

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-03-01T12:00:00Z", NOON),
        ("2024-03-01t12:00:00z", NOON),
        ("2024-03-01 12:00:00+00", NOON),  # PostgreSQL
        ("2024-03-01T14:00:00+02", NOON),
        ("2024-03-01T14:00:00+0200", NOON),
        ("2024-03-01T06:30:00-05:30", NOON),
        ("2024-03-01T12:00:00-00:00", NOON),  # RFC 3339: the offset is not known
        ("2024-03-01T12:00Z", NOON),
        ("2024-03-01T12Z", NOON),
        ("2024-03-01T12", NOON),
        ("20240301T120000Z", NOON),
        ("20240301T1200+0000", NOON),
        ("2024-W09-5T12:00:00Z", NOON),
        ("2024W095T12Z", NOON),
        ("2024-061T12:00Z", NOON),
        ("2024061T1200Z", NOON),
        ("2024-03-01T11.999999999Z", NOON - dt.timedelta(microseconds=4)),  # a fraction of the hour
        ("2024-03-01T11:59,5Z", NOON - dt.timedelta(seconds=30)),  # of the minute, with a comma
        ("2024-03-01T12:00:00.123456789Z", NOON + dt.timedelta(microseconds=123456)),
        ("1969-12-31T23:59:59.9999999Z", dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.UTC)),
        ("2024-02-29T24:00:00Z", NOON - dt.timedelta(hours=12)),
        ("2016-12-31T23:59:60Z", dt.datetime(2017, 1, 1, tzinfo=dt.UTC)),  # a leap second
        (
            "2017-01-01T05:29:60.5+05:30",
            dt.datetime(2017, 1, 1, 0, 0, 0, 500_000, dt.UTC),
        ),  # the same one, in India
        ("2024-366T00:00Z", dt.datetime(2024, 12, 31, tzinfo=dt.UTC)),
    ],
)
def test_a_moment_is_read_in_every_form(text: str, moment: dt.datetime) -> None:
    assert parse_moment(text) == moment
    assert parse_moment(text).utcoffset() == dt.timedelta()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "now",
            "2024-03-01",
            "20240301",
            "12:00:00Z",
            "1709294400",
            "2024-03-01T",
            "2024-03T12:00Z",
        ),
        *(
            "2024-3-1T12:00:00Z",
            "24-03-01T12:00:00Z",
            "2024-03-01T1:00:00Z",
            "2024-03-01T12:0Z",
            "2024-03-01x12:00Z",
        ),
        *(
            "2024-03-01  12:00Z",
            "2024-03-01T12:00:00 Z",
            " 2024-03-01T12:00Z",
            "2024-03-01T12:00Z\n",
            "2024-03-01T12:00ZZ",
        ),
        *(
            "2024-03-01T1200Z",
            "20240301T12:00Z",
            "20240301 1200",
            "2024-0301T12:00Z",
        ),  # both formats at once
        *(
            "2024-13-01T12:00Z",
            "2024-00-01T12:00Z",
            "2024-02-30T12:00Z",
            "2023-02-29T12:00Z",
            "2024-W54-1T12:00Z",
        ),
        *("2024-W01-8T12:00Z", "2023-366T12:00Z", "2024-000T12:00Z", "0000-01-01T12:00Z"),
        *(
            "2024-03-01T25:00Z",
            "2024-03-01T24:00:01Z",
            "2024-03-01T24:01Z",
            "2024-03-01T12:60Z",
            "2024-03-01T12:00:61Z",
        ),
        *(
            "2024-03-01T12:00:60Z",
            "2024-03-01T12:00:00.Z",
            "2024-03-01T12:00:00.1234567890Z",
            "2024-03-01T12:00+24:00",
        ),
        *(
            "2024-03-01T12:00+01:60",
            "2024-03-01T12:00+1",
            "2024-03-01T12:00+1:00",
            "2024-03-01T12:00+01:00:00",
        ),
        *(
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T24:00Z",
            "２０２４-03-01T12:00Z",
            "2024-03-01T12:00−01:00",
        ),
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_moment(text)


def test_a_time_without_a_zone_is_in_the_one_given() -> None:
    assert parse_moment("2024-07-01T12:00", BERLIN) == dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC)
    assert parse_moment("2024-07-01T12:00Z", BERLIN) == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)
    # the hour that comes twice: its first coming; the hour that does not come: as if the clock had
    # not changed yet
    assert parse_moment("2024-10-27T02:30", BERLIN) == dt.datetime(
        2024, 10, 27, 0, 30, tzinfo=dt.UTC
    )
    assert parse_moment("2024-03-31T02:30", BERLIN) == dt.datetime(
        2024, 3, 31, 1, 30, tzinfo=dt.UTC
    )


zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(
    lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))
)
moments = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 12, 31), timezones=zones)


@settings(max_examples=300)
@given(moments, st.sampled_from("Tt "), st.booleans())
def test_what_is_written_is_read_back(moment: dt.datetime, between: str, is_week: bool) -> None:
    assert parse_moment(moment.isoformat(between)) == moment
    year, week, weekday = moment.isocalendar()
    date = (
        f"{year:04}-W{week:02}-{weekday}"
        if is_week
        else f"{moment.year:04}-{moment.timetuple().tm_yday:03}"
    )
    assert parse_moment(f"{date}T{moment.isoformat()[11:]}") == moment
    compact = moment.isoformat().replace(":", "")
    assert parse_moment(compact[:10].replace("-", "") + compact[10:]) == moment


@settings(max_examples=300)
@given(st.text(alphabet="0123456789-:TtZz+., W", max_size=32))
def test_a_text_is_read_or_refused_and_never_anything_else(text: str) -> None:
    with suppress(ValueError):
        assert parse_moment(text).tzinfo is not None
