"""Which event goes where, when it is tried again, and when it is given up."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.alerts.delivery import Answer, Attempt, attempts_of, pause_of, plan_of
from lakehouse.settings import AlertSettings, ChannelSettings
from tests.support.alert_rows import DAY, START, event

SECOND, HOUR = dt.timedelta(seconds=1), dt.timedelta(hours=1)
SLACK = ChannelSettings(kind="slack", url_from="SLACK")
PAGERS = ChannelSettings(kind="pagerduty", key_from="KEY", severity=("critical",))
SETTINGS = AlertSettings()
NOW = START + SECOND
FIRING, OVER = event(0), event(1, "resolved")


def attempt(of, outcome, status=503, next_try_at=None, channel="slack"):
    return Attempt(of.event_id, channel, 1, outcome, status, "", next_try_at, START)


def plan(events, attempts=(), channel=SLACK, at=NOW, settings=SETTINGS):
    return plan_of(channel, events, attempts, settings, at)


def sent(found):
    return [
        [(each.fingerprint, each.kind) for each in message.events] for message in found.messages
    ]


def closed(found):
    return [(each.event_id, each.outcome) for each in found.closed]


def test_a_new_event_is_sent_and_a_delivered_one_is_not():
    assert sent(plan([FIRING])) == [[("f0", "firing")]]
    assert sent(plan([FIRING], [attempt(FIRING, "delivered")])) == []


def test_an_event_that_is_held_is_not_sent():
    assert sent(plan([replace(FIRING, held="silenced")])) == []


def test_a_resolution_waits_for_its_trigger():
    assert sent(plan([OVER, FIRING])) == [[("f0", "firing")]]
    later = attempt(FIRING, "retry", next_try_at=NOW + HOUR)
    assert sent(plan([FIRING, OVER], [later])) == []
    assert sent(plan([FIRING, OVER], [attempt(FIRING, "delivered")])) == [[("f0", "resolved")]]


def test_a_resolution_of_what_never_arrived_is_dropped():
    refused = attempt(FIRING, "dead_letter", status=400)
    found = plan([FIRING, OVER], [refused])
    assert (sent(found), closed(found)) == ([], [(OVER.event_id, "dropped")])
    assert plan([FIRING, OVER], [refused, *found.closed]).closed == ()


def test_a_resolution_goes_out_where_a_reminder_alone_was_refused():
    reminder, over = event(1, "reminder"), event(2, "resolved")
    done = [attempt(FIRING, "delivered"), attempt(reminder, "dead_letter", status=400)]
    assert sent(plan([FIRING, reminder, over], done)) == [[("f0", "resolved")]]


def test_an_event_is_tried_again_when_its_time_has_come():
    waits = attempt(FIRING, "retry", next_try_at=NOW + HOUR)
    assert plan([FIRING], [waits]).next_try_at == NOW + HOUR
    assert sent(plan([FIRING], [waits], at=NOW + HOUR)) == [[("f0", "firing")]]


def test_another_alert_does_not_wait_for_one_that_a_receiver_stumbles_over():
    other = event(0, fingerprint="f1")
    waits = attempt(FIRING, "retry", next_try_at=NOW + HOUR)
    assert sent(plan([FIRING, other], [waits])) == [[("f1", "firing")]]


@pytest.mark.parametrize("status", [429, None])
def test_a_receiver_that_asks_for_a_pause_or_is_silent_is_left_alone(status):
    other = event(0, fingerprint="f1")
    waits = attempt(FIRING, "retry", status=status, next_try_at=NOW + HOUR)
    found = plan([FIRING, other], [waits])
    assert (sent(found), found.next_try_at) == ([], NOW + HOUR)


def test_what_is_too_old_is_given_up_and_is_a_dead_letter_where_it_was_tried():
    late = START + SETTINGS.max_age + SECOND
    assert closed(plan([FIRING], [attempt(FIRING, "retry", next_try_at=late)], at=late)) == [
        (FIRING.event_id, "dead_letter")
    ]


def test_a_channel_that_is_new_is_not_sent_old_events():
    late = START + SETTINGS.max_age + SECOND
    assert plan([FIRING], at=late) == plan([], at=late)
    assert plan([FIRING, replace(OVER, recorded_at=late)], at=late) == plan([], at=late)


def test_alerts_of_a_group_come_in_one_message_and_the_events_of_one_alert_do_not():
    other, worse = event(0, fingerprint="f1"), event(0, fingerprint="f2", severity="critical")
    assert sent(plan([FIRING, OVER, other, worse])) == [
        [("f0", "firing"), ("f1", "firing")],
        [("f2", "firing")],
    ]


def test_pagerduty_takes_one_alert_at_a_time():
    events = [event(0, fingerprint=name, severity="critical") for name in ("f1", "f2")]
    assert sent(plan(events, channel=PAGERS)) == [[("f1", "firing")], [("f2", "firing")]]


def test_a_channel_is_told_of_its_severities_and_of_what_becomes_of_them():
    worse = event(1, "severity", severity="critical")
    milder = event(2, "severity", severity="warning")
    over = event(3, "resolved", severity="warning")
    assert sent(plan([FIRING], channel=PAGERS)) == []
    assert sent(plan([FIRING, OVER], channel=PAGERS)) == []
    events, done = [FIRING, worse, milder, over], []
    for of, kind in ((worse, "severity"), (milder, "severity"), (over, "resolved")):
        assert sent(plan(events, done, PAGERS)) == [[("f0", kind)]]
        done.append(attempt(of, "delivered", channel="pagerduty"))
    assert sent(plan(events, done, PAGERS)) == []


def test_pauses_double_up_to_an_hour_and_are_at_least_what_is_asked_for():
    pauses = [pause_of("e", number, None) for number in range(1, 40)]
    assert all(SECOND <= pause <= HOUR for pause in pauses)
    for number, pause in enumerate(pauses[:8]):
        assert SECOND * 2**number <= pause <= SECOND * 2 ** (number + 1)
    assert max(pauses) > HOUR / 2
    assert pause_of("e", 1, 10 * HOUR) == 10 * HOUR
    assert pause_of("e", 1, 90 * DAY) == DAY


def test_every_event_of_a_message_has_its_attempt():
    (message,) = plan([FIRING, event(0, fingerprint="f1")]).messages
    rows = attempts_of(message, Answer("retry", 503, "busy"), [], NOW)
    again = attempts_of(message, Answer("delivered", 200), rows, NOW)
    assert [(row.attempt, row.outcome, row.http_status) for row in rows] == [(1, "retry", 503)] * 2
    assert [(row.attempt, row.next_try_at) for row in again] == [(2, None)] * 2


OUTCOMES = st.sampled_from(["delivered", "retry", "dead_letter"])
KINDS = st.lists(st.sampled_from(["firing", "reminder", "resolved"]), max_size=8)


@given(KINDS, KINDS, st.lists(OUTCOMES, min_size=40, max_size=40))
def test_whatever_a_receiver_says_it_is_never_told_an_end_without_a_beginning(a, b, outcomes):
    events = [
        event(number, kind, fingerprint=name)
        for name, kinds in (("a", a), ("b", b))
        for number, kind in enumerate(kinds)
    ]
    done, arrived, at = [], [], NOW
    for outcome in outcomes:
        found = plan(events, done, at=at)
        done += found.closed
        for message in found.messages[:1]:
            done += attempts_of(message, Answer(outcome, 503), done, at)
            arrived += [each for each in message.events if outcome == "delivered"]
        at += 10 * SECOND
    for name in "ab":
        own = [each for each in arrived if each.fingerprint == name]
        assert [each.sequence for each in own] == sorted({each.sequence for each in own})
        is_open = False
        for each in own:
            assert is_open or each.kind != "resolved"
            is_open = each.kind != "resolved"
