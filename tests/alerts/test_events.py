"""Only transitions, reminders and changes of severity are said; what is held is on record."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.alerts.events import events_of, followed, last_told
from lakehouse.settings import AlertSettings
from tests.support.alert_rows import DAY, alert, held, rule, said, story


def test_an_alert_is_said_when_it_fires_and_when_it_is_over():
    assert said(story([0, 3, 3, 0])) == [(1, "firing"), (3, "resolved")]


def test_nothing_is_said_of_what_is_well():
    assert story([0, 1, 2, 0]) == []


def test_an_open_alert_is_reminded_of_after_a_while():
    settings = AlertSettings(repeat_after=dt.timedelta(days=2))
    assert said(story([3] * 6, settings=settings)) == [
        (0, "firing"),
        (2, "reminder"),
        (4, "reminder"),
    ]


def test_an_alert_that_recovers_is_not_reminded_of():
    settings = AlertSettings(repeat_after=dt.timedelta(days=1))
    slow = rule(recovers_for="3 of 3 windows")
    assert said(story([3, 0, 0, 0], slow, settings)) == [(0, "firing"), (3, "resolved")]


def test_an_alert_that_stays_gets_another_severity_and_that_is_said_once():
    slow = rule(severity="warning", escalate={"severity": "critical", "after": "2 days"})
    events = story([3] * 4, slow)
    assert said(events) == [(0, "firing"), (2, "severity")]
    assert [event.severity for event in events] == ["warning", "critical"]


def test_a_resolution_has_the_severity_and_the_beginning_that_were_told():
    slow = rule(severity="warning", escalate={"severity": "critical", "after": "1 day"})
    firing, _, over = story([3, 3, 0], slow)
    assert (over.severity, over.began_at) == ("critical", firing.window_end)


def test_missing_data_are_said_with_a_severity_of_their_own():
    no_data, firing = story([0, None, None, None, 3], rule(severity="critical"))
    assert (no_data.kind, no_data.severity, firing.kind) == ("no_data", "warning", "firing")
    assert "no data to tell" in no_data.summary


def test_what_came_and_went_between_two_looks_is_on_record_and_not_said():
    settings = AlertSettings()
    events = events_of(followed(alert([0, 3, 0]), (), settings), None, settings, alert([0]).now)
    assert said(events) == []
    assert held(events) == [(1, "firing", "passed"), (2, "resolved", "passed")]


def test_a_window_older_than_the_greatest_age_is_not_looked_at():
    """A backfill of a month: what fired three weeks ago is no news, what fires now is."""
    settings = AlertSettings(max_age=2 * DAY)
    old = alert([3, 0, 0, 0, 0, 0])
    assert events_of(followed(old, (), settings), None, settings, old.now) == []
    now = alert([0] * 20 + [3] * 5)
    (event,) = events_of(followed(now, (), settings), None, settings, now.now)
    assert (event.kind, event.held, now.now - event.window_end <= 2 * DAY) == ("firing", None, True)


def test_a_past_that_is_computed_anew_is_not_told_again():
    settings = AlertSettings()
    history = story([0, 3, 3, 0, 0])
    changed = alert([3, 0, 3, 0, 0])
    assert events_of(followed(changed, history, settings), None, settings, changed.now) == []


def test_a_silenced_alert_is_on_record_and_is_said_when_the_silence_ends():
    events = story([0, 3, 3, 3, 0], mutes={1: "silenced", 2: "silenced"})
    assert held(events) == [(1, "firing", "silenced")]
    assert said(events) == [(3, "firing"), (4, "resolved")]


def test_a_silence_that_ends_before_there_is_news_has_an_event_of_its_own():
    settings, now = AlertSettings(), alert([0, 3])
    silenced = events_of(followed(now, (), settings), "silenced", settings, now.now)
    (said_now,) = events_of(followed(now, silenced, settings), None, settings, now.now)
    assert (said_now.kind, said_now.held) == ("firing", None)
    assert said_now.event_id != silenced[0].event_id


def test_an_alert_that_came_and_went_in_a_silence_is_never_said():
    events = story([0, 3, 3, 0], mutes={1: "silenced", 2: "silenced"})
    assert said(events) == []
    assert held(events) == [(1, "firing", "silenced"), (3, "resolved", "passed")]


def test_a_silence_holds_no_resolution_of_what_was_said_before():
    assert said(story([3, 0], mutes={1: "silenced"})) == [(0, "firing"), (1, "resolved")]


FLAPS = [3, 0, 3, 0, 3, 0, 3, 0]


def test_an_alert_that_flaps_is_said_once_and_then_held_until_it_is_steady():
    settings = AlertSettings.model_validate({"flapping": {"changes": 4, "windows": 12}})
    events = story([*FLAPS, 0, 0, 0, 0], settings=settings)
    assert said(events) == [
        (0, "firing"),
        (1, "resolved"),
        (2, "firing"),
        (3, "flapping"),
        (10, "resolved"),
    ]
    assert {why for _, _, why in held(events)} == {"flapping"}


def test_an_alert_that_ends_its_flapping_open_is_said_to_be_open():
    settings = AlertSettings.model_validate({"flapping": {"changes": 4, "windows": 12}})
    assert said(story([*FLAPS, 3, 3, 3, 3], settings=settings))[-2:] == [
        (3, "flapping"),
        (11, "firing"),
    ]


def test_an_alert_that_was_steady_in_between_flaps_no_more_because_it_once_did():
    settings = AlertSettings.model_validate({"flapping": {"changes": 4, "windows": 12}})
    assert said(story([*FLAPS, 0, 0, 0, 3], settings=settings))[-2:] == [
        (10, "resolved"),
        (11, "firing"),
    ]


def test_an_alert_that_is_steady_by_the_time_it_may_be_said_is_not_said_to_flap():
    settings = AlertSettings.model_validate({"flapping": {"changes": 2, "windows": 12}})
    mutes = dict.fromkeys(range(6), "silenced")
    assert said(story([None, 3, 0, 3, 3, 3, 3], None, settings, mutes)) == [(6, "firing")]


def test_the_same_alert_has_the_same_event_ids_and_another_one_has_others():
    ids = [event.event_id for event in story([0, 3, 0])]
    assert ids == [event.event_id for event in story([0, 3, 0])]
    other = [event.event_id for event in story([0, 3, 0], rule(name="other"))]
    assert len({*ids, *other}) == 4


VALUES = st.lists(st.one_of(st.none(), st.sampled_from([0, 1.5, 3])), max_size=40)
MUTES = st.dictionaries(st.integers(0, 40), st.sampled_from(["silenced", "inhibited"]))


@given(VALUES, MUTES, st.integers(2, 5))
def test_what_is_said_opens_before_it_closes_and_ends_as_things_are(values, mutes, changes):
    settings = AlertSettings.model_validate({"flapping": {"changes": changes, "windows": 12}})
    events = story(values, rule(recovers_below=1), settings, mutes)
    state = "resolved"
    for _, kind in said(events):
        if kind in ("reminder", "severity"):
            assert state not in ("resolved", "flapping")
        else:
            assert kind != state
            state = kind
    assert len({event.event_id for event in events}) == len(events)
    told = last_told(events)
    if told is not None and told.kind != "flapping" and len(values) - 1 not in mutes:
        status = events[-1].status
        assert told.is_open == (status != "ok")
