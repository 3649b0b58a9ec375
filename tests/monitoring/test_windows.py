import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lakehouse.calendar import DAY, Granularity
from lakehouse.monitoring.windows import ALL_VERSIONS, Scope, Segment, WindowFacts, rolled_up
from lakehouse.profiling.columns import ColumnSpec
from lakehouse.profiling.profile import ColumnProfile
from lakehouse.quality.classification import QualityFacts
from tests.support.rows import moment

DAILY, WEEKLY, MONTHLY, HOURLY = map(Granularity, ("1 day", "1 week", "1 month", "1 hour"))
WEDNESDAY = moment("2024-02-28T13:37:00")


def hour_facts(
    start: dt.datetime, version: str, values: list[float], in_training: int = 0, slice_=(None, None)
) -> WindowFacts:
    spec = ColumnSpec("x", "double", "numeric")
    quality = QualityFacts.of([0] * len(values), [0] * len(values), None, (0, 1))
    profile = ColumnProfile.of(pd.Series(values), spec, (0.0, 1.0))
    return WindowFacts(start, Segment(version, *slice_), in_training, quality, {"x": profile})


def test_hours_sum_to_days_for_each_version_and_for_all():
    start = moment("2024-02-28T00:00:00")
    hours = [
        hour_facts(start, "9", [1.0, 2.0]),
        hour_facts(start + dt.timedelta(hours=23), "9", [3.0], in_training=1),
        hour_facts(start + dt.timedelta(hours=23), "10", [5.0]),
        hour_facts(start + DAY, "10", [7.0]),
    ]
    found = rolled_up(reversed(hours), DAILY)
    first, second = DAILY.window(start), DAILY.window(start + DAY)
    expected = {
        (first, "9"),
        (first, "10"),
        (first, ALL_VERSIONS),
        (second, "10"),
        (second, ALL_VERSIONS),
    }
    assert {(window, segment.version) for window, segment in found} == expected
    together = found[first, Segment(ALL_VERSIONS)]
    assert (together.quality.n_rows, together.n_in_training) == (4, 1)
    assert together.segment.version == "10"  # the newest by number, not by text
    assert together.columns["x"].avg == pytest.approx(np.mean([1, 2, 3, 5]))
    assert found[first, Segment("9")].quality.n_rows == 3


def test_slices_sum_to_windows_of_their_own():
    start = moment("2024-02-28T00:00:00")
    hours = [
        hour_facts(start, "1", [1.0, 2.0]),
        hour_facts(start, "1", [2.0], slice_=("x > 1", "true")),
        hour_facts(start + DAY, "2", [4.0], slice_=("x > 1", "true")),
    ]
    found = rolled_up(hours, MONTHLY)
    february = MONTHLY.window(start)
    assert found[february, Segment(ALL_VERSIONS, "x > 1", "true")].columns["x"].avg == 3.0
    assert found[february, Segment(ALL_VERSIONS)].quality.n_rows == 2


def test_facts_survive_their_row():
    facts = hour_facts(moment("2024-02-28T00:00:00"), "1", [1.0, 2.0], in_training=2)
    assert WindowFacts.from_row(facts.to_row()) == facts


def test_a_touched_hour_rewrites_its_window_and_the_drift_of_the_next():
    scope = Scope.of(DAILY, [WEDNESDAY], None)
    today = WEDNESDAY.date()
    assert scope.profile_dates == {today}
    assert scope.drift_dates == {today, today + DAY}
    assert scope.fact_dates == {
        today - DAY,
        today,
        today + DAY,
    }  # the day before: what today is compared with


def test_a_touched_week_needs_the_hours_of_the_weeks_around_it():
    scope = Scope.of(WEEKLY, [WEDNESDAY], None)
    monday = dt.date(2024, 2, 26)
    assert scope.profile_dates == {monday}
    assert scope.drift_dates == {monday, monday + 7 * DAY}
    assert scope.fact_dates == {monday + days * DAY for days in range(-7, 14)}


def test_hours_of_a_day_are_rewritten_together_since_they_share_a_partition():
    scope = Scope.of(HOURLY, [moment("2024-02-28T23:00:00")], None)
    today = dt.date(2024, 2, 28)
    assert scope.profile_dates == {today}
    assert scope.drift_dates == {today, today + DAY}
    assert scope.fact_dates == {today - DAY, today, today + DAY}


def test_windows_that_end_in_the_span_become_final_once():
    until = moment("2024-02-28T00:00:00")
    assert Scope.of(DAILY, [], (until - DAY, until)).profile_dates == {dt.date(2024, 2, 27)}
    assert Scope.of(DAILY, [], (until, until)).profile_dates == set()
    assert Scope.of(WEEKLY, [], (until - 3 * DAY, until)).profile_dates == {dt.date(2024, 2, 19)}


def test_a_touched_month_needs_the_days_of_the_calendar():
    scope = Scope.of(MONTHLY, [WEDNESDAY], None)
    assert scope.profile_dates == {dt.date(2024, 2, 1)}
    assert scope.drift_dates == {dt.date(2024, 2, 1), dt.date(2024, 3, 1)}
    assert (min(scope.fact_dates), max(scope.fact_dates)) == (
        dt.date(2024, 1, 1),
        dt.date(2024, 3, 31),
    )


def test_rows_by_bin_add_up_by_version_and_survive_their_row():
    start = moment("2024-02-28T00:00:00")
    hours = [
        replace(hour_facts(start, "9", [1.0]), rows_by_bin={("9", 2): 4, ("9", 3): 1}),
        replace(hour_facts(start + dt.timedelta(hours=1), "9", [1.0]), rows_by_bin={("9", 2): 5}),
        replace(hour_facts(start + dt.timedelta(hours=2), "10", [1.0]), rows_by_bin={("10", 2): 7}),
    ]
    found = rolled_up(hours, DAILY)
    day = DAILY.window(start)
    assert found[day, Segment("9")].rows_by_bin == {("9", 2): 9, ("9", 3): 1}
    assert found[day, Segment(ALL_VERSIONS)].rows_by_bin == {
        ("9", 2): 9,
        ("9", 3): 1,
        ("10", 2): 7,
    }
    assert WindowFacts.from_row(hours[0].to_row()) == hours[0]
    older = {**hours[0].to_row(), "rows_by_bin": None}
    assert WindowFacts.from_row(older).rows_by_bin == {}
