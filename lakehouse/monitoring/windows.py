"""The additive facts of windows: hours, versions and slices merge to any coarser window."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, NamedTuple

from lakehouse.calendar import Granularity, Window
from lakehouse.monitoring.partials import Partials, as_partials, merge_partials
from lakehouse.profiling.profile import ColumnProfile
from lakehouse.quality.facts import Quality, merged_quality, quality_from_row

ALL_VERSIONS = "*"


class Segment(NamedTuple):
    """The rows a fact covers: one version, or one slice of it. No slice key means all rows."""

    version: str
    slice_key: str | None = None
    slice_value: str | None = None


@dataclass(frozen=True)
class WindowFacts:
    """What is known of one window of one segment; facts of parts merge to the whole.

    Attributes:
        start: of the window; of merged windows, the least.
        segment: whose rows they are; of merged versions, the greatest one.
        n_in_training: rows that the version itself was trained on.
        quality: counts and sums of predictions against labels.
        columns: the profile of each monitored column.
        custom: what custom metrics are computed from.
        by_difficulty: by kind of prediction and error bin of the version, labelled rows that it was
            not trained on, and how many of them it got wrong; of the whole table alone.
        rows_by_bin: by version, and kind of prediction and error bin, predicted rows with or
            without a label; of the whole table alone. Versions stay apart: each errs by itself.
    """

    start: dt.datetime
    segment: Segment
    n_in_training: int
    quality: Quality
    columns: dict[str, ColumnProfile]
    custom: Partials = field(default_factory=dict)
    by_difficulty: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    rows_by_bin: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def merge(self, *others: "WindowFacts") -> "WindowFacts":
        """The facts of all together."""
        parts = (self, *others)
        return WindowFacts(
            start=min(part.start for part in parts),
            segment=max((part.segment for part in parts), key=lambda segment: int(segment.version)),
            n_in_training=sum(part.n_in_training for part in parts),
            quality=reduce(merged_quality, (part.quality for part in parts)),
            columns={
                name: profile.merge(*(other.columns[name] for other in others))
                for name, profile in self.columns.items()
            },
            custom=reduce(merge_partials, (part.custom for part in parts)),
            by_difficulty=_summed(part.by_difficulty for part in parts),
            rows_by_bin=_added(part.rows_by_bin for part in parts),
        )

    def to_row(self) -> dict[str, Any]:
        """As `gold.window_facts` keeps it."""
        return {
            "window_start": self.start,
            "model_version": self.segment.version,
            "slice_key": self.segment.slice_key,
            "slice_value": self.segment.slice_value,
            "n_in_training": self.n_in_training,
            "quality": self.quality.to_row(),
            "columns": [profile.to_row() for profile in self.columns.values()],
            "custom": dict(self.custom),
            "by_difficulty": [
                {"bin": place, "labelled": labelled, "wrong": wrong}
                for place, (labelled, wrong) in sorted(self.by_difficulty.items())
            ],
            "rows_by_bin": [
                {"bin": place, "rows": rows}
                for (_, place), rows in sorted(self.rows_by_bin.items())
            ],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "WindowFacts":
        """As `gold.window_facts` gave it back."""
        profiles = [ColumnProfile.from_row(column) for column in row["columns"]]
        return cls(
            start=row["window_start"],
            segment=Segment(row["model_version"], row["slice_key"], row["slice_value"]),
            n_in_training=row["n_in_training"],
            quality=quality_from_row(row["quality"]),
            columns={profile.spec.name: profile for profile in profiles},
            custom=as_partials(row["custom"]),
            by_difficulty={
                counts["bin"]: (counts["labelled"], counts["wrong"])
                for counts in row["by_difficulty"] or ()
            },
            rows_by_bin={
                (row["model_version"], counts["bin"]): counts["rows"]
                for counts in row["rows_by_bin"] or ()
            },
        )


def _summed(parts: Iterable[Mapping[int, tuple[int, int]]]) -> dict[int, tuple[int, int]]:
    total: dict[int, tuple[int, int]] = {}
    for part in parts:
        for place, (labelled, wrong) in part.items():
            before = total.get(place, (0, 0))
            total[place] = (before[0] + labelled, before[1] + wrong)
    return total


def _added(parts: Iterable[Mapping[tuple[str, int], int]]) -> dict[tuple[str, int], int]:
    total: Counter[tuple[str, int]] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)


Facts = Mapping[tuple[Window, Segment], WindowFacts]


def rolled_up(
    parts: Iterable[WindowFacts], granularity: Granularity
) -> dict[tuple[Window, Segment], WindowFacts]:
    """Parts merged to windows of the granularity: by segment, and over all versions (`*`).

    Three hours of two versions make one day: of version 1, of version 2, and of both together:

        >>> from lakehouse.quality.regression import RegressionFacts
        >>> right = RegressionFacts.of([1.0, 2.0], [1.0, 2.1], 0.5)
        >>> def hour(place, version):
        ...     start = dt.datetime(2024, 3, 1, place, tzinfo=dt.UTC)
        ...     return WindowFacts(start, Segment(version), 0, right, {})
        >>> day = rolled_up([hour(9, "1"), hour(10, "1"), hour(11, "2")], Granularity("1 day"))
        >>> [(segment.version, facts.quality.n_labelled) for (_, segment), facts in day.items()]
        [('1', 4), ('2', 2), ('*', 6)]
    """
    by_segment: dict[tuple[Window, Segment], list[WindowFacts]] = {}
    # Sums of doubles depend on their order.
    for part in sorted(parts, key=lambda base: (base.start, int(base.segment.version))):
        by_segment.setdefault((granularity.window(part.start), part.segment), []).append(part)
    merged = {key: first.merge(*others) for key, (first, *others) in by_segment.items()}
    by_slice: dict[tuple[Window, Segment], list[WindowFacts]] = {}
    for (window, segment), facts in sorted(
        merged.items(), key=lambda item: (item[0][0], int(item[0][1].version))
    ):
        by_slice.setdefault((window, segment._replace(version=ALL_VERSIONS)), []).append(facts)
    return merged | {key: first.merge(*others) for key, (first, *others) in by_slice.items()}


def with_partials(
    facts: Iterable[WindowFacts], partials: Mapping[tuple[dt.datetime, Segment], Partials]
) -> list[WindowFacts]:
    """The facts, each with what custom metrics are computed from in its window and segment."""
    return [
        replace(window, custom=partials.get((window.start, window.segment), {})) for window in facts
    ]


@dataclass(frozen=True)
class Scope:
    """The windows of one granularity to write, and the base windows that this needs.

    Rows are overwritten by the day in which their window starts, so windows that share a touched
    one's day go with it.

    Attributes:
        granularity: the width of the windows.
        profile_dates: days whose windows get new profile rows.
        drift_dates: the same for drift rows, which depend on the window before, too.
        fact_dates: days whose base windows must be known.
    """

    granularity: Granularity
    profile_dates: frozenset[dt.date]
    drift_dates: frozenset[dt.date]
    fact_dates: frozenset[dt.date]

    @classmethod
    def of(
        cls,
        granularity: Granularity,
        touched: Iterable[dt.datetime],
        newly_final: tuple[dt.datetime, dt.datetime] | None,
    ) -> "Scope":
        """The scope of affected moments, and of windows that end in `newly_final`."""
        windows = {granularity.window(moment) for moment in touched}
        windows_after = {granularity.after(window) for window in windows}
        if newly_final:
            windows |= set(granularity.ending_in(*newly_final))
        drifting = windows | windows_after
        written = {
            same_day
            for window in drifting
            for same_day in granularity.starting_on(window.start.date())
        }
        needed = written | {granularity.before(window) for window in written}
        return cls(
            granularity,
            frozenset(window.start.date() for window in windows),
            frozenset(window.start.date() for window in drifting),
            frozenset(day for window in needed for day in window.days),
        )
