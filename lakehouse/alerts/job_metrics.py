"""Metrics of what jobs and streams did, as of now by the wall clock. Pure functions of rows."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from lakehouse.alerts.observations import Level, Readings, Row, some
from lakehouse.calendar import DAY
from lakehouse.operations.rows import BY_THE_CLOCK, FAILED, KILLED, REFUSED
from lakehouse.settings import ModelSettings

_NEWS_FOR = dt.timedelta(days=7)
_USUAL_FOR = dt.timedelta(days=7)
_LEAST_RUNS, _LEAST_SPAN = 6, dt.timedelta(days=3)
_HOUR = dt.timedelta(hours=1)
_GROWTHS = 3


def failed_jobs(readings: Readings, model: ModelSettings) -> Level:
    """Jobs whose newest run failed or was killed: for a week, or a day where a person runs them.

    What a person is told at once is no news: a refusal counts of jobs that run by the clock.
    """
    newest = {row["job"]: row for row in _in_order(readings.runs)}
    found = [row for row in newest.values() if _has_failed(row, readings.at)]
    words = (
        f"{row['job']}: {row['error_class'] or row['outcome']}: {row['error'] or 'it never ended'}"
        for row in found
    )
    return Level(len(found), some(words), by_wall_clock=True)


def jobs_overdue(readings: Readings, model: ModelSettings) -> Level:
    """Jobs that run by the clock and have not for twice their longest pause of a week.

    A job is known when it ran six times in a week, over three days at least; it is chased for a
    week.
    """
    moments: dict[str, list[dt.datetime]] = defaultdict(list)
    for row in _in_order(readings.runs):
        if row["job"] in BY_THE_CLOCK:
            moments[row["job"]].append(row["recorded_at"])
    found = [
        f"{job}: last at {runs[-1]:%Y-%m-%d %H:%M} UTC"
        for job, runs in sorted(moments.items())
        if _is_overdue(runs, readings.at)
    ]
    return Level(len(found), some(found), by_wall_clock=True)


def growing_backlogs(readings: Readings, model: ModelSettings) -> Level:
    """Queries whose greatest backlog of an hour has grown three hours in a row, in files."""
    hours: dict[str, dict[dt.datetime, int]] = defaultdict(dict)
    for row in readings.batches:
        if row["backlog_files"] is not None and row["recorded_at"] > readings.at - DAY:
            hour = row["recorded_at"].replace(minute=0, second=0, microsecond=0)
            greatest = hours[row["query"]].get(hour, 0)
            hours[row["query"]][hour] = max(greatest, row["backlog_files"])
    newest = {
        query: [by_hour[hour] for hour in sorted(by_hour)][-_GROWTHS - 1 :]
        for query, by_hour in sorted(hours.items())
    }
    found = [
        f"{query}: {' → '.join(map(str, files))} files"
        for query, files in newest.items()
        if len(files) > _GROWTHS and all(one < next_one for one, next_one in pairwise(files))
    ]
    return Level(len(found), some(found), by_wall_clock=True)


def _in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["recorded_at"], row["pass"]))


def _has_failed(row: Row, at: dt.datetime) -> bool:
    by_the_clock = row["job"] in BY_THE_CLOCK
    outcomes = {FAILED, KILLED, REFUSED} if by_the_clock else {FAILED, KILLED}
    is_news = row["recorded_at"] > at - (_NEWS_FOR if by_the_clock else DAY)
    return is_news and row["outcome"] in outcomes


def _is_overdue(runs: Sequence[dt.datetime], at: dt.datetime) -> bool:
    last = runs[-1]
    usual = [moment for moment in runs if moment >= last - _USUAL_FOR]
    if len(usual) < _LEAST_RUNS or last - usual[0] < _LEAST_SPAN:
        return False
    longest = max(later - earlier for earlier, later in pairwise(usual))
    return max(2 * longest, _HOUR) < at - last < _NEWS_FOR + 2 * longest
