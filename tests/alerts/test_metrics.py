"""Rows of the tables become the metrics that rules name: final windows, levels as of now."""

import datetime as dt

import pytest

from lakehouse.alerts import operations
from lakehouse.alerts.metric_rows import drift_series, drifted_features, profile_series
from lakehouse.alerts.observations import Series
from lakehouse.alerts.operations import BY_WINDOW, OPERATIONS
from lakehouse.calendar import Granularity
from lakehouse.settings import ConditionSettings
from tests.support.alert_rows import (
    DAY,
    HOUR,
    START,
    day_row,
    drift_row,
    model_with,
    readings,
    window_row,
)

MODEL, DAILY = model_with(), Granularity("1 day")
NOW = START + 40 * DAY


def leaf(metric, **given):
    return ConditionSettings.model_validate({"metric": metric, "above": 0, **given})


def by_day(series):
    return {(window.start - START).days: value for window, value in series.values.items()}


def test_a_metric_of_labels_has_no_value_before_its_window_is_final():
    rows = [
        window_row(0, accuracy_score=0.9, count=10),
        window_row(1, accuracy_score=0.1, count=11, is_final=False),
    ]
    now = readings(START + 2 * DAY, profile=rows)
    assert by_day(profile_series(leaf("accuracy_score"), DAILY, now, MODEL)) == {0: 0.9}
    assert by_day(profile_series(leaf("count"), DAILY, now, MODEL)) == {0: 10, 1: 11}


def test_a_window_that_is_not_over_has_no_value():
    now = readings(START + 2 * DAY - HOUR, profile=[window_row(day, count=1) for day in range(2)])
    assert by_day(profile_series(leaf("count"), DAILY, now, MODEL)) == {0: 1}


def test_windows_that_a_model_was_trained_on_are_left_out_of_what_labels_tell():
    rows = [window_row(0, accuracy_score=1.0, count=5, in_training_window=True)]
    now = readings(NOW, profile=rows)
    assert len(profile_series(leaf("accuracy_score"), DAILY, now, MODEL).left_out) == 1
    assert not profile_series(leaf("count"), DAILY, now, MODEL).left_out


def test_a_metric_of_a_column_or_a_slice_is_that_ones():
    whole = window_row(0, accuracy_score=0.9)
    temp = window_row(0, column_name="temp", avg=350.0)
    line = window_row(0, slice_key="line", slice_value="a", accuracy_score=0.4)
    now = readings(NOW, profile=[whole, temp, line])
    assert by_day(profile_series(leaf("avg", column="temp"), DAILY, now, MODEL)) == {0: 350.0}
    sliced = leaf("accuracy_score", slice_key="line", slice_value="a")
    assert by_day(profile_series(sliced, DAILY, now, MODEL)) == {0: 0.4}
    assert by_day(profile_series(leaf("accuracy_score"), DAILY, now, MODEL)) == {0: 0.9}


def test_a_field_of_a_structure_is_named_with_a_dot():
    rows = [drift_row(0, "temp", 0.1, ks_test={"statistic": 0.3, "pvalue": 0.01})]
    now = readings(NOW, profile=[window_row(0)], drift=rows)
    found = drift_series(leaf("ks_test.statistic", column="temp"), DAILY, now, MODEL)
    assert by_day(found) == {0: 0.3}


def test_a_window_without_a_row_for_the_metric_is_missing():
    now = readings(NOW, profile=[window_row(0)], drift=[])
    found = drift_series(leaf("population_stability_index", column="temp"), DAILY, now, MODEL)
    assert by_day(found) == {0: None}


def test_drifted_features_counts_features_by_the_one_definition():
    rows = [
        drift_row(0, "temp", 0.3),
        drift_row(0, "pressure", 0.3, adjusted_pvalue=0.01),
        drift_row(0, "quality", 0.9),
    ]
    now = readings(NOW, profile=[window_row(0)], drift=rows)
    series, words = drifted_features(DAILY, now, MODEL)
    assert by_day(series) == {0: 1}
    assert list(words.values()) == ["temp"]


def falls(rights, now=NOW):
    rows = [day_row(day, right) for day, right in enumerate(rights)]
    return by_day(operations.accuracy_fall(readings(now, counterfactual=rows), MODEL))


def test_a_fall_of_accuracy_is_what_its_interval_leaves_no_doubt_of():
    """190 of 200 are right as a rule: 184 may be chance, 150 is not."""
    found = falls([190] * 10 + [184, 150])
    assert found[10] < 0.01
    assert 0.1 < found[11] < 0.2


def test_a_day_with_less_than_five_days_before_it_is_not_judged():
    assert min(falls([190] * 8)) == 5


def test_a_provisional_day_is_not_judged():
    """The label horizon is two days."""
    assert max(falls([190] * 10, START + 9 * DAY)) == 6


def test_the_usual_accuracy_is_not_moved_by_a_week_of_trouble():
    assert falls([190] * 20 + [150] * 8)[27] > 0.1


PROMOTED = {"recorded_at": NOW - 9 * DAY, "action": "promote", "as_of": NOW - 9 * DAY}


def verdict(action, hours=0, **given):
    moment = NOW - hours * HOUR
    row = {"action": action, "as_of": moment, "recorded_at": moment, "reason": "words"}
    return {"to_version": "7", "who": "ann", **row, **given}


def decision(hours=0, action="retrain"):
    as_of = NOW - hours * HOUR
    return {"as_of": as_of, "action": action, "retrain": action != "keep", "reasons": ["it fell"]}


def value(metric, now=NOW, **rows):
    return OPERATIONS[metric](readings(now, **rows), MODEL).value


def test_an_alarm_of_the_policy_counts_for_three_days_and_says_what_answered_it():
    alarms, moves = [decision(1)], [verdict("promote", 1)]
    level = operations.accuracy_alarms(readings(NOW, decisions=alarms, promotions=moves), MODEL)
    assert (level.value, level.detail) == (1, "answered: promote 7; it fell")
    assert value("accuracy_alarms", decisions=[decision(73)]) == 0
    assert value("accuracy_alarms", decisions=[decision(1, "refresh")]) == 0


def test_a_refusal_counts_where_an_alarm_asked_for_the_training_until_one_is_promoted():
    refused, alarm = verdict("refuse", 5), decision(5)
    assert value("refused_alarms", promotions=[refused], decisions=[alarm]) == 1
    assert value("refused_alarms", promotions=[refused], decisions=[decision(5, "refresh")]) == 0
    later = verdict("promote", 1)
    assert value("refused_alarms", promotions=[refused, later], decisions=[alarm]) == 0


def test_a_training_without_a_verdict_did_not_end():
    assert value("trainings_without_verdict", decisions=[decision(5)]) == 1
    ended = [verdict("refuse", 5)]
    assert value("trainings_without_verdict", decisions=[decision(5)], promotions=ended) == 0
    assert value("trainings_without_verdict", decisions=[decision(5, "keep")]) == 0


def test_a_rollback_counts_for_a_day():
    assert value("rollbacks", promotions=[verdict("rollback", 23)]) == 1
    assert value("rollbacks", promotions=[verdict("rollback", 25)]) == 0


def step(hours, action="abort"):
    as_of = NOW - hours * HOUR
    return {
        "as_of": as_of,
        "action": action,
        "who": "score",
        "challenger": "7",
        "reason": "it errs",
    }


def test_an_aborted_rollout_is_told_with_its_version_and_reason():
    level = operations.aborted_rollouts(readings(NOW, rollouts=[step(1)]), MODEL)
    assert (level.value, level.detail) == (1, "version 7, by score: it errs")
    others = [step(1, action) for action in ("start", "step", "hold", "finish")]
    assert value("aborted_rollouts", rollouts=others) == 0


@pytest.mark.parametrize(
    ("aborted", "decided", "expected"),
    [
        (23, [22, 1, 0], 1),  # a day has not passed
        (25, [25, 1], 1),  # scoring aborted after the batch before the newest
        (99, [99], 1),  # no label has come since
        (25, [25, 2, 1], 0),
    ],
)
def test_an_aborted_rollout_is_news_for_a_day_and_two_label_batches(aborted, decided, expected):
    rows = {"rollouts": [step(aborted)], "decisions": [decision(each) for each in decided]}
    assert value("aborted_rollouts", **rows) == expected


def test_an_approval_waits_until_somebody_answers():
    waits = verdict("pending", 5)
    assert value("approvals_waiting", promotions=[waits]) == 1
    assert value("approvals_waiting", promotions=[waits, verdict("promote", 4)]) == 0


def test_a_file_is_unreadable_until_a_look_says_otherwise():
    def look(status, hours):
        return {
            "source_file": "a.jsonl",
            "status": status,
            "reason": "no gzip",
            "seen_at": NOW - hours * HOUR,
        }

    assert value("files_unreadable", landed=[look("unreadable", 5)]) == 1
    assert value("files_unreadable", landed=[look("unreadable", 5), look("landed", 1)]) == 0


def test_labels_are_overdue_by_the_rule_of_the_settings_and_for_a_week():
    """The horizon is two days, the patience one."""

    def overdue(age, coverage=0.2):
        row = window_row(0, label_coverage=coverage, is_final=False)
        return value("labels_overdue", START + age, profile=[row])

    assert [overdue(3 * DAY - HOUR), overdue(3 * DAY), overdue(9 * DAY), overdue(10 * DAY)] == [
        0,
        1,
        1,
        0,
    ]
    assert overdue(5 * DAY, coverage=0.9) == 0


def cost(hours, seconds=1.0, rows=1000):
    return {"recorded_at": NOW - hours * HOUR, "seconds": seconds, "rows": rows}


def test_hours_since_scoring_are_by_the_wall_clock_and_missing_before_the_first():
    assert value("hours_since_scoring", costs=[cost(3), cost(30)]) == 3
    assert value("hours_since_scoring") is None


def test_the_seconds_of_scoring_are_of_past_days_and_an_idle_day_is_left_out():
    series = operations.scoring_seconds_p95(
        readings(NOW, costs=[cost(1 + 72, 9.0), cost(1 + 24, 2.0), cost(-1, 5.0)]), MODEL
    )
    assert sorted(series.values.values()) == [2.0, 9.0]
    assert len(series.left_out) == 1


def attempt(outcome, hours, event="e", detail="no"):
    return {
        "event_id": event,
        "channel": "slack",
        "outcome": outcome,
        "detail": detail,
        "attempted_at": NOW - hours * HOUR,
    }


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        ([("dead_letter", 2)], 1),
        ([("dead_letter", 25)], 0),
        ([("retry", 0.5)], 0),
        ([("retry", 2), ("retry", 0.5)], 1),
        ([("retry", 2), ("delivered", 0.5)], 0),
    ],
)
def test_an_event_is_undelivered_when_it_is_refused_or_an_hour_of_trying_did_not_help(
    tries, expected
):
    rows = [attempt(outcome, hours) for outcome, hours in tries]
    assert value("undelivered_events", deliveries=rows) == expected


def test_a_metric_is_by_window_where_it_is_said_to_be():
    for name, measure in OPERATIONS.items():
        found = measure(readings(NOW, at=NOW - dt.timedelta(0)), MODEL)
        assert isinstance(found, Series) == (name in BY_WINDOW)
        assert measure.__doc__
