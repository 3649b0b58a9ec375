import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lakehouse.retraining.policy.triggers import (
    RefusedAlarm,
    Window,
    findings,
    first_firing,
    held_back,
)
from lakehouse.settings import PolicySettings
from tests.support.policy_rows import DAY, HOUR, START, history, quiet

CALM, RISEN = [0, 1] * 12, [3, 2] * 12  # a day each: 12 and 60 of 192 wrong


def said(rule: dict[str, Any], wrong: list[int], **given: object):
    settings = PolicySettings.model_validate({"rules": [rule]})
    return findings(settings, history(wrong, **given))[0]


def accuracy(*values: float, labelled: int = 192) -> dict[str, list[Window]]:
    return {
        "accuracy_score": [
            Window(START + n * DAY, value, labelled) for n, value in enumerate(values)
        ]
    }


@pytest.mark.parametrize(
    ("rule", "wrong", "fires"),
    [
        ({"rule": "threshold", "limit": 0.9}, CALM, False),
        ({"rule": "threshold", "limit": 0.9}, CALM + RISEN, True),
        ({"rule": "threshold", "limit": 0.9}, RISEN + CALM, False),
        ({"rule": "threshold", "change": 0.05}, CALM + RISEN, True),
    ],
)
def test_a_threshold_fires_on_a_fall_of_accuracy_alone(
    rule: dict[str, Any], wrong: list[int], fires: bool
):
    assert said(rule, wrong).fires is fires


@pytest.mark.parametrize(
    ("values", "fires"),
    [
        ((0.8, 0.95, 0.8, 0.95, 0.8), True),
        ((0.8, 0.8, 0.8, 0.95, 0.95), False),
        ((0.95, 0.8, 0.95, 0.95, 0.8), False),
    ],
)
def test_m_of_the_last_n_windows_and_the_newest(values: tuple[float, ...], fires: bool):
    rule = {"rule": "threshold", "limit": 0.9, "breaches": 3, "windows": 5}
    assert said(rule, CALM, metrics=accuracy(*values)).fires is fires


def test_a_loss_breaches_when_it_rises():
    losses = {"log_loss": [Window(START, 0.2, 192), Window(START + DAY, 0.5, 192)]}
    up = {"rule": "threshold", "metric": "log_loss", "direction": "above", "limit": 0.4}
    assert said(up, CALM, metrics=losses).fires
    assert not said(up | {"direction": "below", "limit": 0.1}, CALM, metrics=losses).fires


def test_a_window_with_few_labels_does_not_count():
    metrics = accuracy(0.95)
    metrics["accuracy_score"].append(Window(START + DAY, 0.5, 29))
    assert not said({"rule": "threshold", "limit": 0.9}, CALM, metrics=metrics).fires
    metrics["accuracy_score"].append(Window(START + 2 * DAY, 0.5, 30))
    assert said({"rule": "threshold", "limit": 0.9}, CALM, metrics=metrics).fires


def test_a_schedule_counts_from_the_last_training():
    rule = {"rule": "scheduled", "every": "2 days"}
    assert said(rule, CALM, trainings=(START - DAY,)).fires
    assert not said(rule, CALM, trainings=(START - DAY, START)).fires


@pytest.mark.parametrize(
    ("more", "rows", "as_of", "fires"),
    [
        (2.2, 0.0, 0, False),  # the evidence is not yet ten times as strong
        (2.4, 0.0, 0, True),
        (2.4, 100.0, 5, False),  # no half as many rows again
        (2.4, 100.0, -5, True),  # the alarm is of another change
    ],
)
def test_a_refused_alarm_is_quiet_until_there_is_more_to_learn_from(more, rows, as_of, fires):
    refused = RefusedAlarm(START + as_of * DAY, 11.0, START, rows)
    detection = replace(quiet(11.0 + more), times=np.array([START]), posterior=np.ones(1))
    rule = {"rule": "shiryaev_roberts", "alarm": 10_000}
    found = said(rule, [], detection=detection, refused=refused)
    assert found.fires == fires
    if not fires:
        words = f"the alarm stands, but no better model was found: evidence e^{11 + more:.1f}"
        assert found.words == words


def test_the_date_of_a_breach_is_the_first_of_its_windows():
    found = said({"rule": "threshold", "limit": 0.9}, CALM * 4 + RISEN)
    assert found.change_at == START + 4 * DAY


def test_any_rule_that_fires_asks_for_a_training_and_says_so_with_the_others():
    rules = [
        {"rule": "scheduled", "every": "1 day"},
        {"rule": "shiryaev_roberts"},
        {"rule": "threshold", "limit": 0.9},
    ]
    found = findings(PolicySettings.model_validate({"rules": rules}), history(CALM + RISEN))
    assert [each.fires for each in found] == [True, False, True]
    joined = first_firing(found)
    assert joined.rule == "scheduled+threshold"
    assert joined.words == f"{found[0].words}; {found[2].words}"
    assert joined.change_at == found[2].change_at == START + DAY
    assert joined.evidence["days"] == found[0].evidence["days"]
    assert first_firing(found[1:2]) is None


def test_a_cool_down_holds_back_until_it_has_passed():
    record = history(CALM, trainings=(START, START + 12 * HOUR))
    assert "cooling down: 12 h" in held_back(dt.timedelta(days=1), record)
    assert held_back(dt.timedelta(hours=12), record) is None
    assert held_back(dt.timedelta(days=1), history(CALM, trainings=())) is None
    assert held_back(None, record) is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rule": "threshold"}, "write either `limit`"),
        ({"rule": "threshold", "limit": 0.9, "breaches": 2}, "write m <= n"),
    ],
)
def test_impossible_rules_say_what_to_write(wrong: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        PolicySettings.model_validate({"rules": [wrong]})
