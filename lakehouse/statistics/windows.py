"""Event-time windows and their additive facts: hours and versions merge to any coarser window."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lakehouse.settings import parse_span
from lakehouse.statistics.classification import QualityFacts
from lakehouse.statistics.profile import ColumnProfile

ALL_VERSIONS = "*"
_MONDAY = dt.datetime(1970, 1, 5, tzinfo=dt.UTC)  # weeks begin on Monday; hours and days fit into them


@dataclass(frozen=True, order=True)
class Window:
    """A span of event time, UTC: start in it, end not."""

    start: dt.datetime
    end: dt.datetime

    @classmethod
    def at(cls, moment: dt.datetime, width: dt.timedelta) -> "Window":
        """The window of that width that holds the moment."""
        start = moment - (moment - _MONDAY) % width
        return cls(start, start + width)

    @classmethod
    def of(cls, moment: dt.datetime, granularity: str) -> "Window":
        """The window of a granularity such as `1 day` that holds the moment."""
        return cls.at(moment, parse_span(granularity))

    @property
    def before(self) -> "Window":
        """The window of the same width that ends where this one starts."""
        return Window(self.start - (self.end - self.start), self.start)

    @property
    def after(self) -> "Window":
        """The window of the same width that starts where this one ends."""
        return Window(self.end, self.end + (self.end - self.start))


@dataclass(frozen=True)
class WindowFacts:
    """What is known of one window of one version (or of several together); facts of parts merge to the whole.

    Attributes:
        start: of the window; of merged windows, the least.
        version: registered version; of merged versions, the greatest.
        n_in_training: rows that the version itself was trained on.
        quality: counts and sums of predictions against labels.
        columns: the profile of each monitored column.
    """

    start: dt.datetime
    version: str
    n_in_training: int
    quality: QualityFacts
    columns: dict[str, ColumnProfile]

    def merge(self, other: "WindowFacts") -> "WindowFacts":
        """The facts of both together."""
        return replace(
            self,
            start=min(self.start, other.start),
            version=max(self.version, other.version, key=int),
            n_in_training=self.n_in_training + other.n_in_training,
            quality=self.quality.merge(other.quality),
            columns={name: profile.merge(other.columns[name]) for name, profile in self.columns.items()},
        )

    def to_row(self) -> dict[str, Any]:
        """As `gold.window_facts` keeps it."""
        return {
            "window_start": self.start,
            "model_version": self.version,
            "n_in_training": self.n_in_training,
            "quality": self.quality.to_row(),
            "columns": [profile.to_row() for profile in self.columns.values()],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "WindowFacts":
        """As `gold.window_facts` gave it back."""
        profiles = [ColumnProfile.from_row(column) for column in row["columns"]]
        return cls(
            start=row["window_start"],
            version=row["model_version"],
            n_in_training=row["n_in_training"],
            quality=QualityFacts.from_row(row["quality"]),
            columns={profile.spec.name: profile for profile in profiles},
        )


Facts = Mapping[tuple[Window, str], WindowFacts]


def rolled_up(hours: Iterable[WindowFacts], granularity: str) -> dict[tuple[Window, str], WindowFacts]:
    """Hours merged to windows of the granularity: for each version, and for all of them (`*`)."""
    merged: dict[tuple[Window, str], WindowFacts] = {}
    for hour in sorted(hours, key=lambda each: (each.start, int(each.version))):
        _merge_into(merged, (Window.of(hour.start, granularity), hour.version), hour)
    for (window, _), facts in sorted(merged.items(), key=lambda item: (item[0][0], int(item[0][1]))):
        _merge_into(merged, (window, ALL_VERSIONS), facts)
    return merged


def _merge_into(merged: dict[tuple[Window, str], WindowFacts], key: tuple[Window, str], facts: WindowFacts) -> None:
    merged[key] = merged[key].merge(facts) if key in merged else facts


@dataclass(frozen=True)
class Scope:
    """The windows of one granularity that a computation writes, and the hours that it needs for that.

    Rows are overwritten by the day in which their window starts, so windows that share a touched one's day go with it.

    Attributes:
        granularity: such as `1 day`.
        profile_dates: days whose windows get new profile rows.
        drift_dates: days whose windows get new drift rows: a touched window changes the next one's drift, too.
        hour_dates: days whose hours must be known.
    """

    granularity: str
    profile_dates: frozenset[dt.date]
    drift_dates: frozenset[dt.date]
    hour_dates: frozenset[dt.date]

    @classmethod
    def of(
        cls,
        granularity: str,
        hours: Iterable[dt.datetime],
        newly_final: tuple[dt.datetime, dt.datetime] | None,
    ) -> "Scope":
        """The scope of touched hours, and of the windows that end in the span (start not in it) and so become final."""
        touched = {Window.of(hour, granularity) for hour in hours}
        ended = set(_windows_ending_in(*newly_final, granularity)) if newly_final else set()
        drifting = touched | {window.after for window in touched}
        written = {
            each
            for window in touched | ended | drifting
            for each in _windows_starting_on(window.start.date(), granularity)
        }
        needed = written | {window.before for window in written}
        return cls(
            granularity,
            frozenset(window.start.date() for window in touched | ended),
            frozenset(window.start.date() for window in drifting),
            frozenset(day for window in needed for day in _days_of(window)),
        )


def _windows_ending_in(start: dt.datetime, end: dt.datetime, granularity: str) -> Iterable[Window]:
    window = Window.of(end, granularity).before
    while window.end > start:
        yield window
        window = window.before


def _windows_starting_on(day: dt.date, granularity: str) -> Iterable[Window]:
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    window = Window.of(midnight, granularity)
    while window.start.date() <= day:
        if window.start.date() == day:
            yield window
        window = window.after


def _days_of(window: Window) -> Iterable[dt.date]:
    day = window.start.date()
    while dt.datetime.combine(day, dt.time(), dt.UTC) < window.end:
        yield day
        day += dt.timedelta(days=1)
