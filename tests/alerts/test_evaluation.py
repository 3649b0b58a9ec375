"""All alerts of a model together: causes inhibit, silences match, rules that are gone resolve."""

import datetime as dt
from dataclasses import replace

import pytest

from lakehouse.alerts.evaluation import new_events
from lakehouse.alerts.muting import Silence, ended, silence_of
from lakehouse.alerts.reading import drift_columns
from lakehouse.errors import ConfigurationError
from lakehouse.settings import load_model_settings
from lakehouse.tables import catalog_of
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

COLUMNS = drift_columns(catalog_of(load_model_settings("conf/glassware.yaml")))
OWN = ["accuracy_low", "features_drifted"]
QUIET = [
    "labels_overdue",
    "accuracy_alarm",
    "promotion_refused",
    "training_failed",
    "rolled_back",
    "rollout_aborted",
    "approval_waits",
    "files_unreadable",
    "nothing_scored",
    "undeliverable",
]
MODEL = model_with(without=QUIET)


def plant(days, wrong_from=99, drift_from=99):
    """Days of a plant, seen when the newest is final."""
    rows = [day_row(day, 190 if day < wrong_from else 150) for day in range(days)]
    drift = [drift_row(day, "temp", 0.5 if day >= drift_from else 0.0) for day in range(days)]
    profile = [window_row(day) for day in range(days)]
    return readings(START + (days + 2) * DAY, counterfactual=rows, drift=drift, profile=profile)


def told(events):
    return {(event.rule, event.kind): event.held for event in events}


def test_a_fall_of_accuracy_fires_in_two_of_three_days():
    assert told(new_events(plant(12, wrong_from=11), MODEL, COLUMNS, [], [])) == {}
    assert told(new_events(plant(13, wrong_from=11), MODEL, COLUMNS, [], [])) == {
        ("accuracy_low", "firing"): None
    }


def test_the_cause_inhibits_and_when_it_is_over_the_rest_is_said():
    history = new_events(plant(13, wrong_from=11, drift_from=11), MODEL, COLUMNS, [], [])
    assert told(history) == {
        ("accuracy_low", "firing"): None,
        ("features_drifted", "firing"): "inhibited",
    }
    after = plant(15, drift_from=11)
    later = new_events(
        replace(
            after,
            counterfactual=[
                *plant(13, wrong_from=11).counterfactual,
                day_row(13, 190),
                day_row(14, 190),
            ],
        ),
        MODEL,
        COLUMNS,
        history,
        [],
    )
    assert told(later) == {
        ("accuracy_low", "resolved"): None,
        ("features_drifted", "firing"): None,
    }


def test_the_cause_inhibits_until_it_has_recovered():
    """One good day of two, and accuracy_low is not over yet."""
    history = new_events(plant(13, wrong_from=11), MODEL, COLUMNS, [], [])
    days = [*plant(13, wrong_from=11).counterfactual, day_row(13, 190)]
    now = replace(plant(14, drift_from=12), counterfactual=days)
    assert told(new_events(now, MODEL, COLUMNS, history, [])) == {
        ("features_drifted", "firing"): "inhibited"
    }


WAITS = model_with(without=[*(name for name in QUIET if name != "approval_waits"), *OWN])


def approval(*actions):
    verdicts = [
        {
            "action": action,
            "as_of": START,
            "recorded_at": START + place * HOUR,
            "to_version": "7",
            "reason": "better",
        }
        for place, action in enumerate(actions)
    ]
    return readings(START, promotions=verdicts)


def test_what_a_person_does_is_seen_before_the_next_labels_come():
    history = new_events(approval("pending"), WAITS, COLUMNS, [], [])
    assert told(history) == {("approval_waits", "firing"): None}
    after = new_events(approval("pending", "promote"), WAITS, COLUMNS, history, [])
    assert told(after) == {("approval_waits", "resolved"): None}


def test_an_approval_that_waits_for_long_becomes_an_error():
    history = new_events(approval("pending"), WAITS, COLUMNS, [], [])
    later = replace(approval("pending"), now=START + 2 * DAY)
    (event,) = new_events(later, WAITS, COLUMNS, history, [])
    assert (event.kind, event.severity) == ("severity", "error")


def test_a_rule_of_operations_goes_by_the_wall_clock():
    files = model_with(without=[*(name for name in QUIET if name != "files_unreadable"), *OWN])
    look = {"source_file": "a", "status": "unreadable", "reason": "no gzip", "seen_at": START}
    now = readings(START - 900 * DAY, at=START + HOUR, landed=[look])
    (event,) = new_events(now, files, COLUMNS, [], [])
    assert (event.as_of, event.summary) == (
        START + HOUR,
        "glassware: Landed files cannot be read: a: no gzip (files_unreadable 1)",
    )


def test_a_worse_figure_gives_another_severity():
    model = model_with(
        without=[*QUIET, *OWN],
        rules=[
            {
                "name": "low",
                "metric": "accuracy_score",
                "below": 0.9,
                "escalate": {
                    "severity": "critical",
                    "when": {"metric": "accuracy_score", "below": 0.8},
                },
            }
        ],
    )
    history = []
    for day, accuracy in enumerate([0.85, 0.75, 0.85]):
        rows = [window_row(day, accuracy_score=accuracy)]
        history += new_events(
            readings(START + (day + 3) * DAY, profile=rows), model, COLUMNS, history, []
        )
    assert [(event.kind, event.severity) for event in history] == [
        ("firing", "warning"),
        ("severity", "critical"),
        ("severity", "warning"),
    ]


def test_the_same_rows_say_nothing_twice():
    now = plant(13, wrong_from=11, drift_from=11)
    history = new_events(now, MODEL, COLUMNS, [], [])
    assert new_events(now, MODEL, COLUMNS, history, []) == []


def test_an_alert_whose_rule_is_gone_is_resolved():
    now = plant(13, wrong_from=11)
    history = new_events(now, MODEL, COLUMNS, [], [])
    without = model_with(without=[*QUIET, *OWN])
    (event,) = new_events(now, without, COLUMNS, history, [])
    assert (event.kind, event.held, event.fingerprint) == (
        "resolved",
        None,
        history[0].fingerprint,
    )
    assert new_events(now, without, COLUMNS, [*history, event], []) == []


def test_a_rule_with_a_star_is_one_of_each_feature():
    star = {
        "name": "moved",
        "metric": "population_stability_index",
        "column": "*",
        "above": 0.2,
    }
    model = model_with(without=[*QUIET, *OWN], rules=[star])
    now = plant(3, drift_from=2)
    others = [drift_row(2, "pressure", 0.0), drift_row(2, "duration", 0.9)]
    events = new_events(replace(now, drift=[*now.drift, *others]), model, COLUMNS, [], [])
    firing = [event for event in events if event.kind == "firing"]
    assert [event.labels["column"] for event in firing] == ["temp", "duration"]
    assert len({event.fingerprint for event in firing}) == 2


def test_an_alert_whose_metric_is_missing_for_three_days_says_so():
    model = model_with(
        without=[*QUIET, *OWN],
        rules=[{"name": "low", "metric": "accuracy_score", "below": 0.9}],
    )
    scored = [window_row(day, accuracy_score=0.95) for day in range(3)]
    rows = [*scored, *(window_row(day) for day in range(3, 6))]
    (event,) = new_events(readings(START + 9 * DAY, profile=rows), model, COLUMNS, [], [])
    assert (event.kind, event.rule) == ("no_data", "low")


def test_a_rule_over_labels_and_readings_waits_for_both():
    """Two of the windows are over, and not final: nothing is missing of them yet."""
    both = [{"metric": "accuracy_score", "below": 0.9}, {"metric": "count", "above": 100}]
    model = model_with(without=[*QUIET, *OWN], rules=[{"name": "both", "all": both}])
    rows = [
        window_row(day, accuracy_score=0.8 if day < 4 else None, count=200, is_final=day < 4)
        for day in range(8)
    ]
    (event,) = new_events(readings(START + 8 * DAY, profile=rows), model, COLUMNS, [], [])
    assert (event.kind, event.window_start) == ("firing", START + 1 * DAY)
    assert event.figures == {"accuracy_score": 0.8, "count": 200}


def test_a_day_that_a_model_was_trained_on_is_neither_judged_nor_missing():
    model = model_with(
        without=[*QUIET, *OWN],
        rules=[{"name": "low", "metric": "accuracy_score", "below": 0.9, "missing_after": 1}],
    )
    rows = [
        window_row(0, accuracy_score=0.95),
        window_row(1, accuracy_score=0.1, in_training_window=True),
        window_row(2, accuracy_score=0.95),
    ]
    assert new_events(readings(START + 6 * DAY, profile=rows), model, COLUMNS, [], []) == []


def test_a_day_without_a_row_is_missing():
    model = model_with(
        without=[*QUIET, *OWN],
        rules=[{"name": "few", "metric": "count", "below": 1, "missing_after": 2}],
    )
    rows = [window_row(day, count=5) for day in (0, 1, 4)]
    states = new_events(readings(START + 5 * DAY, profile=rows), model, COLUMNS, [], [])
    assert [(event.kind, event.held) for event in states] == [
        ("no_data", "passed"),
        ("resolved", "passed"),
    ]


NOW = START + 15 * DAY


def test_a_silence_holds_what_all_its_labels_match_for_its_time():
    now = replace(plant(13, wrong_from=11), at=NOW)
    for matchers, expected in [
        ({"alertname": "accuracy_low"}, "silenced"),
        ({"alertname": "accuracy_low", "severity": "error"}, "silenced"),
        ({"alertname": "accuracy_low", "severity": "info"}, None),
        ({"model": "glassware"}, "silenced"),
    ]:
        silence = silence_of(matchers, 2 * HOUR, "ann", "maintenance", NOW - HOUR)
        (event,) = new_events(now, MODEL, COLUMNS, [], [silence])
        assert event.held == expected
    over = silence_of({"model": "glassware"}, HOUR, "ann", "maintenance", NOW - HOUR)
    (event,) = new_events(now, MODEL, COLUMNS, [], [over])
    assert event.held is None


def test_a_silence_that_is_ended_holds_nothing_any_more():
    now = replace(plant(13, wrong_from=11), at=NOW)
    silence = silence_of({"model": "glassware"}, DAY, "ann", "maintenance", NOW - HOUR)
    end = ended([silence], silence.silence_id, "bob", "done early", NOW)
    (event,) = new_events(now, MODEL, COLUMNS, [], [end, silence])
    assert event.held is None


@pytest.mark.parametrize(
    "given",
    [
        ({}, HOUR, "ann", "why"),
        ({"model": "m"}, dt.timedelta(0), "ann", "why"),
        ({"model": "m"}, HOUR, "  ", "why"),
        ({"model": "m"}, HOUR, "ann", ""),
    ],
)
def test_a_silence_says_what_for_how_long_who_and_why(given):
    with pytest.raises(ConfigurationError):
        silence_of(*given, at=NOW)


def test_a_silence_that_is_not_in_force_cannot_be_ended():
    silence = Silence("s", {"model": "m"}, NOW - DAY, NOW - HOUR, "ann", "why", NOW - DAY)
    with pytest.raises(ConfigurationError, match="no silence s is in force"):
        ended([silence], "s", "bob", "why", NOW)
