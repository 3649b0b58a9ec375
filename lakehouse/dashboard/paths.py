"""SVG paths of a chart's layers, in the units of its scales.

Dots are lines of no length: their round ends are drawn in pixels, however the chart is stretched.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from lakehouse.dashboard.markup import element, joined, short
from lakehouse.dashboard.scales import HEIGHT, Moment, Scale, TimeAxis

Points = Sequence[tuple[Moment, float | None]]


def by_day(rows: Iterable[Mapping[str, Any]], name: str) -> Points:
    """A value of each row's day, in order; None follows a day after which one is missing.

    >>> rows = [{"day": dt.date(2024, 3, day), "n": day} for day in (1, 2, 5)]
    >>> [value for _, value in by_day(rows, "n")]
    [1, 2, None, 5]
    """
    points: list[tuple[Moment, float | None]] = []
    next_day: dt.date | None = None
    for row in rows:
        if next_day is not None and row["day"] > next_day:
            points.append((next_day, None))
        points.append((row["day"], row[name]))
        next_day = row["day"] + dt.timedelta(days=1)
    return points


@dataclass(frozen=True)
class Plane:
    """Where values of a time chart are drawn."""

    time: TimeAxis
    scale: Scale

    def line(self, points: Points, look: str) -> Markup:
        """A line through the points, broken where a value is missing."""
        pieces: list[list[tuple[Moment, float]]] = [[]]
        for moment, value in points:
            if value is None:
                pieces.append([])
            else:
                pieces[-1].append((moment, value))
        return _path("".join(self._through(piece) for piece in pieces if piece), look)

    def dots(self, points: Points, look: str) -> Markup:
        """A dot at each point."""
        places = [self._at(moment, value) for moment, value in points if value is not None]
        return _path("".join(f"M{place}h0" for place in places), look)

    def band(
        self, points: Sequence[tuple[Moment, float | None, float | None]], look: str
    ) -> Markup:
        """The area between two values of each moment, broken where one is missing."""
        pieces: list[list[tuple[Moment, float, float]]] = [[]]
        for moment, low, high in points:
            if low is None or high is None:
                pieces.append([])
            else:
                pieces[-1].append((moment, low, high))
        areas = []
        for piece in filter(None, pieces):
            up = [(moment, high) for moment, _, high in piece]
            down = [(moment, low) for moment, low, _ in reversed(piece)]
            areas.append(f"{self._through([*up, *down])}z")
        return _path("".join(areas), look)

    def bars(
        self, bars: Iterable[tuple[Moment, float, float]], look: str, days: float = 1.0
    ) -> Markup:
        """A bar around each moment, from one value to another; it fills most of so many days."""
        steps, wide = [], short(0.84 * days).lstrip("0")
        for moment, low, high in bars:
            if low != high:
                left = short(self.time.at(moment) - 0.42 * days)
                top, bottom = short(self.scale.at(high)), short(self.scale.at(low))
                steps.append(f"M{left} {top}h{wide}V{bottom}h-{wide}z")
        return _path("".join(steps), look)

    def stretches(self, spans: Iterable[tuple[Moment, Moment]], look: str, top: int = 0) -> Markup:
        """Areas from `top` to the bottom of the chart, each from one moment to another."""
        steps = []
        for start, end in spans:
            left, right = short(self.time.at(start)), short(self.time.at(end))
            steps.append(f"M{left} {top}H{right}V{HEIGHT}H{left}z")
        return _path("".join(steps), look)

    def uprights(self, moments: Iterable[Moment], look: str, low: int = 0) -> Markup:
        """A line from the bottom up to `low` units below the top, at each moment."""
        places = (short(self.time.at(moment)) for moment in moments)
        return _path("".join(f"M{place} {low}V{HEIGHT}" for place in places), look)

    def level(self, value: float, look: str) -> Markup:
        """A level line through the whole chart."""
        return _path(f"M0 {short(self.scale.at(value))}H{self.time.days}", look)

    def _at(self, moment: Moment, value: float) -> str:
        return f"{short(self.time.at(moment))} {self.scale.at(value):.0f}"

    def _through(self, points: Sequence[tuple[Moment, float]]) -> str:
        """A line through points, in steps from one to the next: short, and alike, so it packs well.

        A single point is a dot.
        """
        places = [(self.time.at(moment), round(self.scale.at(value))) for moment, value in points]
        steps = [
            f"l{short(x - x_before)} {y - y_before}"
            for (x_before, y_before), (x, y) in pairwise(places)
        ]
        x, y = places[0]
        return f"M{short(x)} {y}" + ("".join(steps) or "h0")


def _path(steps: str, look: str) -> Markup:
    return element("path", d=steps, class_=look) if steps else joined()
