import datetime as dt

import numpy as np
import pandas as pd
import pytest

from lakehouse.statistics.classification import QualityFacts
from lakehouse.statistics.columns import ColumnSpec
from lakehouse.statistics.profile import ColumnProfile
from lakehouse.statistics.windows import ALL_VERSIONS, Scope, Window, WindowFacts, rolled_up
from tests.rows import moment

DAY = dt.timedelta(days=1)
WEDNESDAY = moment("2024-02-28T13:37:00")


def hour_facts(start: dt.datetime, version: str, values: list[float], in_training: int = 0) -> WindowFacts:
    spec = ColumnSpec("x", "double", "numeric")
    quality = QualityFacts.of([0] * len(values), [0] * len(values), None, (0, 1))
    profile = ColumnProfile.of(pd.Series(values), spec, (0.0, 1.0))
    return WindowFacts(start, version, in_training, quality, {"x": profile})


def test_an_hour_holds_its_start_and_not_its_end():
    hour = Window.of(moment("2024-02-28T13:00:00"), "1 hour")
    assert hour == Window(moment("2024-02-28T13:00:00"), moment("2024-02-28T14:00:00"))
    assert Window.of(hour.end - dt.timedelta(microseconds=1), "1 hour") == hour
    assert Window.of(hour.end, "1 hour") == hour.after
    assert hour.after.before == hour


@pytest.mark.parametrize(
    ("granularity", "start", "end"),
    [
        ("1 hour", "2024-02-28T13:00:00", "2024-02-28T14:00:00"),
        ("6 hours", "2024-02-28T12:00:00", "2024-02-28T18:00:00"),
        ("1 day", "2024-02-28T00:00:00", "2024-02-29T00:00:00"),
        ("1 week", "2024-02-26T00:00:00", "2024-03-04T00:00:00"),  # from Monday, across the leap day
    ],
)
def test_windows_are_aligned_to_utc_and_weeks_to_monday(granularity, start, end):
    assert Window.of(WEDNESDAY, granularity) == Window(moment(start), moment(end))


def test_moments_before_the_epoch_have_windows_too():
    assert Window.of(moment("1969-12-31T23:30:00"), "1 week") == Window(
        moment("1969-12-29T00:00:00"), moment("1970-01-05T00:00:00")
    )


def test_hours_sum_to_days_for_each_version_and_for_all():
    start = moment("2024-02-28T00:00:00")
    hours = [
        hour_facts(start, "9", [1.0, 2.0]),
        hour_facts(start + dt.timedelta(hours=23), "9", [3.0], in_training=1),
        hour_facts(start + dt.timedelta(hours=23), "10", [5.0]),
        hour_facts(start + DAY, "10", [7.0]),
    ]
    found = rolled_up(reversed(hours), "1 day")
    first, second = Window.of(start, "1 day"), Window.of(start + DAY, "1 day")
    assert set(found) == {(first, "9"), (first, "10"), (first, ALL_VERSIONS), (second, "10"), (second, ALL_VERSIONS)}
    together = found[first, ALL_VERSIONS]
    assert (together.quality.n_rows, together.n_in_training) == (4, 1)
    assert together.version == "10"  # the newest by number, not by text
    assert together.columns["x"].avg == pytest.approx(np.mean([1, 2, 3, 5]))
    assert found[first, "9"].quality.n_rows == 3


def test_facts_survive_their_row():
    facts = hour_facts(moment("2024-02-28T00:00:00"), "1", [1.0, 2.0], in_training=2)
    assert WindowFacts.from_row(facts.to_row()) == facts


def test_a_touched_hour_rewrites_its_window_and_the_drift_of_the_next():
    scope = Scope.of("1 day", [WEDNESDAY], None)
    today = WEDNESDAY.date()
    assert scope.profile_dates == {today}
    assert scope.drift_dates == {today, today + DAY}
    assert scope.hour_dates == {today - DAY, today, today + DAY}  # the day before: what today is compared with


def test_a_touched_week_needs_the_hours_of_the_weeks_around_it():
    scope = Scope.of("1 week", [WEDNESDAY], None)
    monday = dt.date(2024, 2, 26)
    assert scope.profile_dates == {monday}
    assert scope.drift_dates == {monday, monday + 7 * DAY}
    assert scope.hour_dates == {monday + days * DAY for days in range(-7, 14)}


def test_hours_of_a_day_are_rewritten_together_since_they_share_a_partition():
    scope = Scope.of("1 hour", [moment("2024-02-28T23:00:00")], None)
    today = dt.date(2024, 2, 28)
    assert scope.profile_dates == {today}
    assert scope.drift_dates == {today, today + DAY}
    assert scope.hour_dates == {today - DAY, today, today + DAY}


def test_windows_that_end_in_the_span_become_final_once():
    until = moment("2024-02-28T00:00:00")
    assert Scope.of("1 day", [], (until - DAY, until)).profile_dates == {dt.date(2024, 2, 27)}
    assert Scope.of("1 day", [], (until, until)).profile_dates == set()
    assert Scope.of("1 week", [], (until - 3 * DAY, until)).profile_dates == {dt.date(2024, 2, 19)}
