"""Values as the page writes them: one rule for tables, tooltips and sentences. Times are UTC."""

import datetime as dt
from decimal import Decimal
from typing import Any


def cell(value: Any) -> str:
    """A value of an answer as a table shows it: three or four digits of a number, NULL as nothing.

    >>> [cell(value) for value in (0.93456, 12, True, None, dt.date(2024, 3, 1))]
    ['0.935', '12', 'yes', '', '2024-03-01']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        digits = 3 if abs(value) < 1 else 4
        return f"{value:.{digits}g}" if abs(value) < 10_000 else f"{value:.0f}"
    return moment(value) if isinstance(value, dt.datetime) else str(value)


def moment(value: dt.datetime) -> str:
    """A time to the minute; a midnight is its date."""
    form = "%Y-%m-%d" if value.time() == dt.time() else "%Y-%m-%d %H:%M"
    return value.strftime(form)


def share(value: float | None, digits: int = 1) -> str:
    """A share of 0-1 in per cent; a dash where it is not known.

    >>> share(0.9346).replace("\\N{NO-BREAK SPACE}", " "), share(None)
    ('93.5 %', '–')
    """
    return "–" if value is None else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def number(value: float | None) -> str:
    """A number for a sentence; a dash where it is not known."""
    return "–" if value is None else cell(value)


def span(start: dt.datetime, end: dt.datetime) -> str:
    """How long it is from one moment to another, in the unit that fits.

    >>> span(dt.datetime(2024, 3, 1), dt.datetime(2024, 3, 2, 7))
    '1.3 days'
    """
    hours = (end - start).total_seconds() / 3600
    return f"{hours:.0f} hours" if abs(hours) < 24 else f"{hours / 24:.1f} days"


def counted(n: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "model"), counted(2, "model")
    ('1 model', '2 models')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
