"""Moments written as text, by ISO 8601 and RFC 3339, to UTC."""

import datetime as dt
import re

_DATE = (
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)-(?P<day>\d\d)"
    r"|-W(?P<week>\d\d)-(?P<weekday>\d)|-(?P<ordinal>\d{3}))"
)
_BASIC_DATE = (
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?P<day>\d\d)"
    r"|W(?P<week>\d\d)(?P<weekday>\d)|(?P<ordinal>\d{3}))"
)
_FRACTION = r"(?:[.,](?P<fraction>\d{1,9}))?"
_TIME = r"(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d))?)?"
_BASIC_TIME = r"(?P<hour>\d\d)(?:(?P<minute>\d\d)(?P<second>\d\d)?)?"
# Offsets are written with and without a colon whatever the rest looks like: PostgreSQL writes
# `+00`, RFC 2822 `+0000`.
_ZONE = r"(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?"
_EXTENDED = re.compile(f"{_DATE}[Tt ]{_TIME}{_FRACTION}{_ZONE}", re.ASCII)
_BASIC = re.compile(f"{_BASIC_DATE}[Tt]{_BASIC_TIME}{_FRACTION}{_ZONE}", re.ASCII)

_HOUR, _MINUTE, _SECOND = 3_600_000_000, 60_000_000, 1_000_000  # microseconds


def parse_moment(text: str, zone: dt.tzinfo = dt.UTC) -> dt.datetime:
    """Read a date with a time of day, and return it in UTC.

    Takes calendar dates, week dates and ordinal dates, in the extended and in the basic format;
    times down to the hour alone, with up to nine decimals of the last part that is given; `T`, `t`
    or a blank between them; `Z`, `z`, `+hh`, `+hhmm`, `+hh:mm` or nothing behind. Digits beyond the
    microsecond are cut off. 24:00 is the next midnight, and a leap second (:60) is the first moment
    of the next minute, as POSIX counts.

    >>> parse_moment("2024-03-01t12:30:15,5+0130").isoformat()
    '2024-03-01T11:00:15.500000+00:00'

    Args:
        text: what was written.
        zone: what a time without a zone is in. A local time that comes twice a year is taken as the
            first of both.

    Raises:
        ValueError: it is no such text, or no such day or time of day exists.
    """
    match = _EXTENDED.fullmatch(text) or _BASIC.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no date and time of ISO 8601")
    try:
        time_of_day = dt.timedelta(microseconds=_time_of_day(match))
        local = dt.datetime.combine(_date(match), dt.time()) + time_of_day
        moment = local.replace(tzinfo=_zone(match["zone"], zone)).astimezone(dt.UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is beyond the years 1 to 9999") from None
    if match["second"] == "60" and (moment.hour, moment.minute, moment.second) != (0, 0, 0):
        raise ValueError("a leap second is the last one of a day in UTC")
    return moment


def _date(match: re.Match[str]) -> dt.date:
    year = int(match["year"])
    if match["month"]:
        return dt.date(year, int(match["month"]), int(match["day"]))
    if match["week"]:
        return dt.date.fromisocalendar(year, int(match["week"]), int(match["weekday"]))
    date = dt.date(year, 1, 1) + dt.timedelta(days=int(match["ordinal"]) - 1)
    if date.year != year:
        raise ValueError(f"{year} has no day {match['ordinal']}")
    return date


def _time_of_day(match: re.Match[str]) -> int:
    """Microseconds since midnight."""
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    unit = _SECOND if match["second"] else _MINUTE if match["minute"] else _HOUR
    digits = match["fraction"] or ""
    rest = int(digits or 0) * unit // 10 ** len(digits)
    moment = hour * _HOUR + minute * _MINUTE + second * _SECOND + rest
    is_next_day = hour == 24 and moment > 24 * _HOUR
    if hour > 24 or minute > 59 or second > 60 or is_next_day:
        raise ValueError("no such time of day")
    return moment


def _zone(text: str | None, otherwise: dt.tzinfo) -> dt.tzinfo:
    if text is None:
        return otherwise
    if text in "Zz":
        return dt.UTC
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(f"no such offset from UTC: {text}")
    offset = dt.timedelta(hours=hours, minutes=minutes)
    return dt.timezone(-offset if text[0] == "-" else offset)
