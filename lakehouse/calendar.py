"""Spans of time in words, and the windows that they cut event time into (weeks from Monday)."""

import datetime as dt
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

HOUR, DAY, WEEK = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(days=7)
_UNITS = {
    "second": dt.timedelta(seconds=1),
    "minute": dt.timedelta(minutes=1),
    "hour": HOUR,
    "day": DAY,
    "week": WEEK,
}
_MONTHS = {"month": 1, "year": 12}
_WORDS = re.compile(r"(\d{1,6}) (second|minute|hour|day|week|month|year)s?")
# Weeks begin on Monday; whatever divides a week fits into them.
_MONDAY = dt.datetime(1970, 1, 5, tzinfo=dt.UTC)


def parse_span(text: Any) -> dt.timedelta:
    """A span of time from words such as `1 hour`, `30 minutes`, `2 days`."""
    if isinstance(text, dt.timedelta):
        return text
    number, unit = _number_and_unit(text)
    if not number or unit not in _UNITS:
        raise ValueError("write a number and a unit, such as `1 hour`, `30 minutes` or `2 days`")
    return number * _UNITS[unit]


def span_in_words(span: dt.timedelta) -> str:
    """The span as `parse_span` reads it, in the greatest unit that divides it.

    >>> span_in_words(dt.timedelta(minutes=120)), span_in_words(dt.timedelta(seconds=90))
    ('2 hours', '90 seconds')
    """
    unit = [name for name, length in _UNITS.items() if not span % length][-1]
    number = span // _UNITS[unit]
    return f"{number} {unit}" + ("" if number == 1 else "s")


def in_write_order(now: dt.datetime, on_record: Iterable[dt.datetime | None]) -> dt.datetime:
    """A time for a row that is written now, after all that are on record.

    Rows that are read in the order of their writing keep it where the clock was set back.

    >>> noon = dt.datetime(2024, 3, 1, 12)
    >>> in_write_order(noon, [noon + DAY, None])
    datetime.datetime(2024, 3, 2, 12, 0, 0, 1)
    """
    latest = max((each for each in on_record if each is not None), default=None)
    return now if latest is None else max(now, latest + dt.timedelta(microseconds=1))


@dataclass(frozen=True, order=True)
class Window:
    """A span of event time, UTC: start in it, end not."""

    start: dt.datetime
    end: dt.datetime

    @property
    def days(self) -> Iterator[dt.date]:
        """The days that it has a part of."""
        day = self.start.date()
        while midnight(day) < self.end:
            yield day
            day += DAY


@dataclass(frozen=True)
class Granularity:
    """A width of windows, in words: parts of a week, whole weeks, or calendar months.

    Raises:
        ValueError: the words are of no such width.
    """

    text: str

    def __post_init__(self) -> None:
        if not (self.months or self._fits_into_weeks()):
            raise ValueError(
                "write minutes, hours or days that divide a week evenly, weeks, or months that "
                "divide a year"
            )

    def __str__(self) -> str:
        return self.text

    @cached_property
    def months(self) -> int:
        """How many calendar months a window has; 0 where it is measured in minutes to weeks."""
        number, unit = _number_and_unit(self.text)
        months = number * _MONTHS.get(unit, 0)
        return months if months and (12 % months == 0 or months % 12 == 0) else 0

    @cached_property
    def span(self) -> dt.timedelta:
        """The width of a window that is not measured in months."""
        return parse_span(self.text)

    def window(self, moment: dt.datetime) -> Window:
        """The window that holds the moment."""
        if not self.months:
            start = moment - (moment - _MONDAY) % self.span
            return Window(start, start + self.span)
        number = moment.year * 12 + moment.month - 1
        first = number - number % self.months
        return Window(_first_of(first), _first_of(first + self.months))

    def before(self, window: Window) -> Window:
        """The window that ends where this one starts."""
        return self.window(window.start - dt.timedelta(microseconds=1))

    def after(self, window: Window) -> Window:
        """The window that starts where this one ends."""
        return self.window(window.end)

    def ending_in(self, start: dt.datetime, end: dt.datetime) -> Iterator[Window]:
        """The windows that end after `start` and not after `end`, the newest first."""
        window = self.before(self.window(end))
        while window.end > start:
            yield window
            window = self.before(window)

    def starting_on(self, day: dt.date) -> Iterator[Window]:
        """The windows that start on that day."""
        window = self.window(midnight(day))
        while window.start < midnight(day + DAY):
            if window.start >= midnight(day):
                yield window
            window = self.after(window)

    def _fits_into_weeks(self) -> bool:
        number, unit = _number_and_unit(self.text)
        if not number or unit not in _UNITS or self.span % _UNITS["minute"]:
            return False
        return not (WEEK % self.span and self.span % WEEK)


def base_window(granularities: Iterable[Granularity]) -> dt.timedelta:
    """The widest span, an hour at most, that all windows are whole multiples of."""
    widths = [HOUR, *(granularity.span for granularity in granularities if not granularity.months)]
    return dt.timedelta(seconds=math.gcd(*(int(width.total_seconds()) for width in widths)))


def days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """The days from the first to the last, both included."""
    return [first + place * DAY for place in range((last - first) // DAY + 1)]


def midnight(day: dt.date) -> dt.datetime:
    """The day's beginning, UTC."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _number_and_unit(text: Any) -> tuple[int, str]:
    match = _WORDS.fullmatch(str(text))
    return (int(match[1]), match[2]) if match else (0, "")


def _first_of(month: int) -> dt.datetime:
    """The beginning of a month, counted from year 0."""
    return dt.datetime(month // 12, month % 12 + 1, 1, tzinfo=dt.UTC)
