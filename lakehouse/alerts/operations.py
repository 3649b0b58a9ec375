"""Metrics of what the loop and the jobs did, as of now or by day. Pure functions of rows."""

import datetime as dt
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binomtest

from lakehouse.alerts.job_metrics import failed_jobs, growing_backlogs, jobs_overdue
from lakehouse.alerts.observations import Level, Observed, Readings, Row, Series, some
from lakehouse.calendar import DAY, Granularity, Window, midnight
from lakehouse.labels.overdue import OverdueRule
from lakehouse.rollouts.actions import ABORT
from lakehouse.settings import ModelSettings
from lakehouse.versions.actions import MOVES, PENDING, REFUSE, ROLLBACK, VERDICTS

_OPEN_FOR = dt.timedelta(days=7)
"""How long a day without labels is chased, and a refusal is news."""
_TRIED_FOR = dt.timedelta(hours=1)
_MENDED_AFTER = dt.timedelta(days=3)
_BATCHES_OF_NEWS = 2
_USUAL_DAYS, _LEAST_DAYS = 28, 5
_EVERY_DAY = Granularity("1 day")


def labels_overdue(readings: Readings, model: ModelSettings) -> Level:
    """Days whose labels are overdue, and not given up yet (as in gold.open_alarms)."""
    rule = OverdueRule.of(model)
    days = [row for row in readings.profile if _is_of_whole_days(row)]
    overdue = [
        row["window"]["start"]
        for row in days
        if row["label_coverage"] < rule.least_coverage
        and row["window"]["start"] + rule.due_after <= readings.now
        and row["window"]["start"] + rule.due_after + _OPEN_FOR > readings.now
    ]
    return Level(len(overdue), some(f"{start:%Y-%m-%d}" for start in sorted(overdue)))


def accuracy_alarms(readings: Readings, model: ModelSettings) -> Level:
    """Decisions of the last three days that accuracy has fallen credibly, by the policy.

    An alarm that comes again while the loop is mending is no new one.
    """
    found = [
        row
        for row in readings.decisions
        if row["action"] == "retrain" and row["as_of"] > readings.now - _MENDED_AFTER
    ]
    answers = {
        row["as_of"]: f"answered: {row['action']} {row['to_version']}; "
        for row in sorted(readings.promotions, key=lambda row: row["recorded_at"], reverse=True)
        if row["action"] in VERDICTS
    }
    words = (answers.get(row["as_of"], "") + _words(row["reasons"]) for row in found)
    return Level(len(found), some(words))


def refused_alarms(readings: Readings, model: ModelSettings) -> Level:
    """Challengers that an alarm asked for and the gate refused, since the last promotion."""
    moves = [row["recorded_at"] for row in readings.promotions if row["action"] in MOVES]
    asked = {row["as_of"] for row in readings.decisions if row["action"] == "retrain"}
    found = [
        row
        for row in readings.promotions
        if row["action"] == REFUSE
        and row["as_of"] in asked
        and row["as_of"] > readings.now - _OPEN_FOR
        and (not moves or row["recorded_at"] > max(moves))
    ]
    # The alarm's challenger is judged before that of a refresh as of the same labels.
    found.sort(key=lambda row: row["recorded_at"], reverse=True)
    first = {row["as_of"]: row["reason"] for row in found}
    return Level(len(first), some(first.values()))


def trainings_without_verdict(readings: Readings, model: ModelSettings) -> Level:
    """Trainings that were decided on and have no verdict: the job that trains did not end."""
    judged = {row["as_of"] for row in readings.promotions if row["action"] in VERDICTS}
    found = [
        row
        for row in readings.decisions
        if row["retrain"] and row["as_of"] not in judged and row["as_of"] > readings.now - _OPEN_FOR
    ]
    return Level(len(found), some(_words(row["reasons"]) for row in found))


def rollbacks(readings: Readings, model: ModelSettings) -> Level:
    """Rollbacks of the last day."""
    found = [
        row
        for row in readings.promotions
        if row["action"] == ROLLBACK and row["as_of"] > readings.now - DAY
    ]
    return Level(len(found), some(f"{row['who']}: {row['reason']}" for row in found))


def aborted_rollouts(readings: Readings, model: ModelSettings) -> Level:
    """Rollouts that were aborted, until a day has passed and two label batches have come since.

    Scoring aborts between two label batches: its row has the as-of of the last one.
    """
    batches = {row["as_of"] for row in readings.decisions}
    found = [
        row
        for row in readings.rollouts
        if row["action"] == ABORT
        and (
            row["as_of"] > readings.now - DAY
            or sum(as_of > row["as_of"] for as_of in batches) < _BATCHES_OF_NEWS
        )
    ]
    words = (f"version {row['challenger']}, by {row['who']}: {row['reason']}" for row in found)
    return Level(len(found), some(words))


def approvals_waiting(readings: Readings, model: ModelSettings) -> Level:
    """1 where the newest verdict waits for a person, else 0."""
    verdicts = [row for row in readings.promotions if row["action"] in VERDICTS]
    newest = max(verdicts, key=lambda row: row["recorded_at"], default=None)
    if newest is None or newest["action"] != PENDING:
        return Level(0)
    return Level(1, f"version {newest['to_version']}: {newest['reason']}")


def files_unreadable(readings: Readings, model: ModelSettings) -> Level:
    """Landed files that cannot be read, by the last look at each."""
    newest: dict[str, Row] = {}
    for row in sorted(readings.landed, key=lambda row: row["seen_at"]):
        newest[row["source_file"]] = row
    found = [row for row in newest.values() if row["status"] == "unreadable"]
    words = some(f"{row['source_file']}: {row['reason']}" for row in found)
    return Level(len(found), words, by_wall_clock=True)


def hours_since_scoring(readings: Readings, model: ModelSettings) -> Level:
    """Hours since a micro-batch of scoring ended, by the wall clock; missing before the first."""
    newest = max((row["recorded_at"] for row in readings.costs), default=None)
    if newest is None:
        return Level(None, by_wall_clock=True)
    hours = (readings.at - newest) / dt.timedelta(hours=1)
    return Level(hours, f"last at {newest:%Y-%m-%d %H:%M} UTC", by_wall_clock=True)


def undelivered_events(readings: Readings, model: ModelSettings) -> Level:
    """Events of the last day that a channel refused, or has not taken for an hour of trying."""
    attempts: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in sorted(readings.deliveries, key=lambda row: row["attempted_at"]):
        attempts[row["event_id"], row["channel"]].append(row)
    found = [
        rows[-1]
        for rows in attempts.values()
        if rows[-1]["attempted_at"] > readings.at - DAY
        and (
            rows[-1]["outcome"] == "dead_letter"
            or (
                rows[-1]["outcome"] == "retry"
                and rows[0]["attempted_at"] <= readings.at - _TRIED_FOR
            )
        )
    ]
    words = some(sorted({f"{row['channel']}: {row['detail']}" for row in found}))
    return Level(len(found), words, by_wall_clock=True)


def accuracy_fall(readings: Readings, model: ModelSettings) -> Series:
    """How far the day's accuracy is credibly below its usual value, 0-1; below 0: it is not.

    The usual value is the median of up to 28 days before. Credibly: by the upper bound of the
    day's 95 % interval (Wilson). Days that a model was trained on have none, nor has a day with
    fewer than five days before it.
    """
    values: dict[Window, float | None] = {}
    left_out: set[Window] = set()
    shares: list[float] = []
    for day, row in sorted(_final_days(readings, model, "never").items()):
        if not row["n_labelled"]:
            values[day] = None
            continue
        usual = statistics.median(shares[-_USUAL_DAYS:]) if len(shares) >= _LEAST_DAYS else None
        share = row["n_right"] / row["n_labelled"]
        if usual is None:
            left_out.add(day)
        else:
            values[day] = usual - _upper_bound(row["n_right"], row["n_labelled"])
        shares.append(share)
    return Series(values, _EVERY_DAY, frozenset(left_out))


def errors_avoided(readings: Readings, model: ModelSettings) -> Series:
    """Errors that retraining spared on the day, against the first model left alone."""
    return _against(readings, model, "never")


def errors_avoided_against_daily(readings: Readings, model: ModelSettings) -> Series:
    """Errors that the loop made fewer on the day than a model trained each midnight."""
    return _against(readings, model, "daily")


def scoring_seconds_p95(readings: Readings, model: ModelSettings) -> Series:
    """95th percentile of the seconds of a day's micro-batches of scoring, by the wall clock."""
    return _by_day_of_cost(
        readings, lambda rows: float(np.quantile([row["seconds"] for row in rows], 0.95))
    )


def scoring_seconds_per_1000_rows(readings: Readings, model: ModelSettings) -> Series:
    """Seconds of a day's scoring for 1,000 rows, by the wall clock."""
    return _by_day_of_cost(
        readings,
        lambda rows: 1000 * sum(row["seconds"] for row in rows) / sum(row["rows"] for row in rows),
    )


OPERATIONS: dict[str, Callable[[Readings, ModelSettings], Observed]] = {
    measure.__name__: measure
    for measure in (
        labels_overdue,
        accuracy_alarms,
        accuracy_fall,
        refused_alarms,
        trainings_without_verdict,
        rollbacks,
        aborted_rollouts,
        approvals_waiting,
        files_unreadable,
        hours_since_scoring,
        undelivered_events,
        failed_jobs,
        jobs_overdue,
        growing_backlogs,
        errors_avoided,
        errors_avoided_against_daily,
        scoring_seconds_p95,
        scoring_seconds_per_1000_rows,
    )
}
"""The metrics of operations by name; they have no column, slice or granularity."""
BY_WINDOW = frozenset(
    {
        "accuracy_fall",
        "errors_avoided",
        "errors_avoided_against_daily",
        "scoring_seconds_p95",
        "scoring_seconds_per_1000_rows",
    }
)
"""Those of them that are known day by day; the others as of now alone."""


def _is_of_whole_days(row: Row) -> bool:
    window = row["window"]
    return bool(row["column_name"] == ":table" and window["end"] - window["start"] == DAY)


def _final_days(readings: Readings, model: ModelSettings, alternative: str) -> dict[Window, Row]:
    """The days of an alternative whose labels can come no more within the horizon."""
    days: dict[Window, Row] = {}
    for row in readings.counterfactual:
        start = midnight(row["window_date"])
        is_final = start + DAY + model.labels.horizon <= readings.now
        if row["alternative"] == alternative and is_final:
            days[Window(start, start + DAY)] = row
    return days


def _upper_bound(n_right: int, n_labelled: int) -> float:
    return float(binomtest(n_right, n_labelled).proportion_ci(0.95, "wilson").high)


def _against(readings: Readings, model: ModelSettings, alternative: str) -> Series:
    values = {
        day: None
        if row["n_right_otherwise"] is None
        else float(row["n_right"] - row["n_right_otherwise"])
        for day, row in _final_days(readings, model, alternative).items()
    }
    return Series(values, _EVERY_DAY)


def _by_day_of_cost(readings: Readings, measure: Callable[[list[Row]], float]) -> Series:
    """A measure of each past day's micro-batches; a day without any is not judged."""
    by_day: dict[dt.date, list[Row]] = defaultdict(list)
    for row in readings.costs:
        if row["rows"]:
            by_day[row["recorded_at"].astimezone(dt.UTC).date()].append(row)
    windows = {day: Window(midnight(day), midnight(day) + DAY) for day in by_day}
    past = {day: window for day, window in windows.items() if window.end <= readings.at}
    values: dict[Window, float | None] = {past[day]: measure(by_day[day]) for day in past}
    idle = _between(list(values)) - values.keys()
    return Series(values, _EVERY_DAY, frozenset(idle))


def _between(windows: Sequence[Window]) -> set[Window]:
    """The days from the first to the last of them."""
    if not windows:
        return set()
    n_days = (max(windows).start - min(windows).start) // DAY + 1
    starts = (min(windows).start + place * DAY for place in range(n_days))
    return {Window(start, start + DAY) for start in starts}


def _words(reasons: Sequence[str] | None) -> str:
    return "; ".join(reasons or ())
