"""From values to the units of a chart: days along it, five hundredths of its height down it."""

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import quantiles

HEIGHT = 500
"""Units from the top of a chart to its bottom."""

PER_CENT = "%"

_NOTHING = 1e-9
"""A width below which, beside the values, two of them are drawn as the same."""

Moment = dt.date | dt.datetime


@dataclass(frozen=True)
class TimeAxis:
    """The days that all charts of a model share: a unit is a day.

    Attributes:
        first: the day at 0.
        days: how many there are; at least one.
    """

    first: dt.date
    days: int

    @classmethod
    def over(cls, moments: Iterable[Moment]) -> "TimeAxis":
        """The axis from the first of these to the end of the last one's day."""
        days = sorted(
            moment.date() if isinstance(moment, dt.datetime) else moment for moment in moments
        )
        if not days:
            return cls(dt.date(1970, 1, 1), 1)
        return cls(days[0], (days[-1] - days[0]).days + 1)

    def at(self, moment: Moment) -> float:
        """Where a moment is; a day is at its noon."""
        if isinstance(moment, dt.datetime):
            start = dt.datetime(self.first.year, self.first.month, self.first.day, tzinfo=dt.UTC)
            return (moment - start) / dt.timedelta(days=1)
        return (moment - self.first).days + 0.5


@dataclass(frozen=True)
class Scale:
    """The values from the bottom of a chart to its top.

    Attributes:
        unit: `%` for shares of 0-1, which are written in per cent.
    """

    low: float
    high: float
    unit: str = ""

    @classmethod
    def over(
        cls,
        values: Iterable[float | None],
        least: float | None = None,
        most: float | None = None,
        unit: str = "",
    ) -> "Scale":
        """The scale that shows all values and ends on round numbers.

        Args:
            values: None and what is not finite count for nothing.
            least: no value below is possible, or is shown.
            most: the same above.
            unit: see the class.
        """
        finite = [value for value in values if value is not None and math.isfinite(value)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        if high - low <= _NOTHING * max(abs(low), abs(high), 1.0):
            margin = max(abs(low), abs(high)) * 0.1
            margin = margin if margin > _NOTHING else 1.0
            low, high = low - margin, high + margin
        step = _step(high - low)
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        low = low if least is None else max(low, least)
        high = high if most is None else min(high, most)
        return cls(low, high if low < high else low + step, unit)

    def at(self, value: float) -> float:
        """How far down the chart a value is; what is outside lies on the edge."""
        place = (self.high - value) / (self.high - self.low)
        return HEIGHT * min(max(place, 0.0), 1.0)

    @property
    def ticks(self) -> Sequence[float]:
        """Round values, three to seven of them."""
        step = _step(self.high - self.low)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(place * step, 10) for place in range(first, last + 1)]


def _step(width: float) -> float:
    """The round step that cuts a width into three to six parts."""
    power = 10.0 ** math.floor(math.log10(width / 4))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if width / (power * factor) <= 6)


def quantile(ascending: Sequence[float], per_cent: int) -> float:
    """A quantile of values in order, interpolated; of one value, it is that.

    >>> quantile([1.0, 2.0, 4.0], 50)
    2.0
    """
    if len(ascending) == 1:
        return ascending[0]
    return quantiles(ascending, n=100, method="inclusive")[per_cent - 1]
