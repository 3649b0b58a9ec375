import datetime as dt
from typing import Any

import numpy as np
import pytest
from lakehouse.retraining.policy.detection.sequential_tests import adwin, page_hinkley

from lakehouse.retraining.policy.triggers import Window, combined, findings, held_back, is_overdue
from lakehouse.settings import GuardSettings, PolicySettings
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
        ({"rule": "page_hinkley"}, CALM * 4, False),
        ({"rule": "page_hinkley"}, CALM * 4 + RISEN, True),
        ({"rule": "adwin"}, CALM * 4, False),
        ({"rule": "adwin"}, CALM * 4 + RISEN, True),
    ],
)
def test_each_rule_fires_on_a_fall_of_accuracy_alone(
    rule: dict[str, Any], wrong: list[int], fires: bool
):
    assert said(rule, wrong).fires is fires


def test_a_rule_that_can_tell_says_since_when():
    for rule in ({"rule": "page_hinkley"}, {"rule": "adwin"}, {"rule": "threshold", "limit": 0.9}):
        assert abs(said(rule, CALM * 4 + RISEN).change_at - (START + 4 * DAY)) <= HOUR


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
    metrics = accuracy(0.95) | {}
    metrics["accuracy_score"].append(Window(START + DAY, 0.5, 12))
    assert not said({"rule": "threshold", "limit": 0.9}, CALM, metrics=metrics).fires
    assert said(
        {"rule": "threshold", "limit": 0.9, "least_labelled": 10}, CALM, metrics=metrics
    ).fires


def test_with_hysteresis_an_answered_breach_counts_again_after_a_recovery_only():
    rule = {"rule": "threshold", "limit": 0.9, "hysteresis": 0.03}
    answered = (START - DAY, START)
    assert not said(rule, CALM, metrics=accuracy(0.85, 0.91, 0.85), trainings=answered).fires
    assert said(rule, CALM, metrics=accuracy(0.85, 0.94, 0.85), trainings=answered).fires


def test_a_schedule_counts_from_the_last_training():
    rule = {"rule": "scheduled", "every": "2 days"}
    assert said(rule, CALM, trainings=(START - DAY,)).fires
    assert not said(rule, CALM, trainings=(START - DAY, START)).fires


def test_a_suspicion_is_not_sure():
    rule = {"rule": "shiryaev_roberts", "alarm": 10_000, "suspicion": 100}
    found = [said(rule, CALM, detection=quiet(np.log(level))) for level in (50, 500, 50_000)]
    assert [each.fires for each in found] == [False, True, True]
    assert [each.sure for each in found[1:]] == [False, True]


def test_a_refused_alarm_is_quiet_until_the_evidence_is_ten_times_as_strong():
    rule = {"rule": "shiryaev_roberts", "alarm": 10_000}
    weak, strong = (
        said(rule, CALM, detection=quiet(11.0 + more), refused=11.0) for more in (2.2, 2.4)
    )
    assert (weak.fires, strong.fires) == (False, True)
    assert weak.words == "the alarm stands, but no better model was found: evidence e^13.2"


def test_rules_combine_by_any_or_by_all():
    rules = [{"rule": "threshold", "limit": 0.9}, {"rule": "scheduled", "every": "30 days"}]
    found = findings(PolicySettings.model_validate({"rules": rules}), history(CALM + RISEN))
    assert [each.fires for each in found] == [True, False]
    assert combined(found, "any").rule == "threshold"
    assert combined(found, "all") is None
    assert combined(found[:1], "all").rule == "threshold"


def test_a_cool_down_and_a_weekly_maximum_hold_back():
    record = history(CALM, trainings=(START, START + 12 * HOUR))
    assert "cooling down: 12 h" in held_back(GuardSettings(cool_down=dt.timedelta(days=1)), record)
    assert held_back(GuardSettings(cool_down=dt.timedelta(hours=12)), record) is None
    assert (
        held_back(GuardSettings(most_a_week=2), record)
        == "2 trainings in the last seven days, 2 allowed"
    )
    assert held_back(GuardSettings(most_a_week=3), record) is None
    assert (
        held_back(GuardSettings(most_a_week=2), history(CALM * 8, trainings=(START, START))) is None
    )


def test_the_safety_net_asks_after_its_span():
    net = GuardSettings(safety_net=dt.timedelta(days=3))
    assert not is_overdue(net, history(CALM))
    assert is_overdue(net, history(CALM * 2))
    assert not is_overdue(GuardSettings(), history(CALM * 99))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rule": "threshold"}, "write either `limit`"),
        ({"rule": "threshold", "limit": 0.9, "breaches": 2}, "write m <= n"),
        (
            {"rule": "shiryaev_roberts", "alarm": 100, "suspicion": 1_000},
            "suspicion is above alarm",
        ),
    ],
)
def test_impossible_rules_say_what_to_write(wrong: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        PolicySettings.model_validate({"rules": [wrong]})


def test_page_hinkley_by_hand():
    """Rates so far 0, .5, 2/3: the walk 0, -.1, .3, .5 and its least value."""
    found = page_hinkley([0, 1, 1], [1, 1, 1], 0.1)
    assert found.score == pytest.approx(0.1 + (1 - 0.6) + (1 - 2 / 3 - 0.1) - 0.1)
    assert found.change_index == 1


def test_adwin_cuts_where_the_rate_rose_and_not_where_it_fell():
    rose = adwin([5] * 10 + [50] * 3, [192] * 13, 0.002)
    assert (rose.excess > 0, rose.change_index) == (True, 10)
    assert adwin([50] * 10 + [5] * 3, [192] * 13, 0.002).change_index is None


def test_adwin_hardly_ever_cuts_a_steady_rate():
    rng = np.random.default_rng(6)
    cuts = [
        adwin(list(rng.binomial(192, 0.06, 30)), [192] * 30, 0.002).change_index is not None
        for _ in range(300)
    ]
    assert np.mean(cuts) <= 0.01


@pytest.mark.parametrize("test", [page_hinkley, adwin])
def test_impossible_counts_are_refused(test):
    with pytest.raises(ValueError, match="above its total"):
        test([2], [1], 0.1)
    with pytest.raises(ValueError, match="one of each"):
        test([1], [1, 2], 0.1)
