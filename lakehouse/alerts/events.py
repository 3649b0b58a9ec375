"""What is said of an alert: its history and its new steps to events. Pure.

What receivers were told is compared with what is true: transitions, reminders and changes of
severity are the only events. A transition that is not said is on record with the reason.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lakehouse.alerts.alerts import Alert
from lakehouse.alerts.machine import State, Status, Step, follow
from lakehouse.settings import AlertSettings

REMINDER, SEVERITY, FLAPPING, RESOLVED = "reminder", "severity", "flapping", "resolved"
FIRING, NO_DATA = Status.FIRING.value, Status.NO_DATA.value
PASSED, SILENCED, INHIBITED = "passed", "silenced", "inhibited"


@dataclass(frozen=True)
class Event:
    """A row of gold.alert_event; its attributes are the columns."""

    event_id: str
    fingerprint: str
    sequence: int
    rule: str
    labels: Mapping[str, str]
    kind: str
    status: str
    severity: str
    as_of: dt.datetime
    window_start: dt.datetime
    window_end: dt.datetime
    began_at: dt.datetime | None
    figures: Mapping[str, float]
    summary: str
    runbook: str
    link: str
    held: str | None
    recorded_at: dt.datetime
    table_versions: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether a receiver that is told of it takes the alert for open."""
        return self.kind != RESOLVED

    @property
    def row(self) -> dict[str, Any]:
        """As the table has it."""
        return asdict(self)


@dataclass(frozen=True)
class Followed:
    """An alert whose new steps have been followed, before anything is said.

    Attributes:
        before: its events so far, oldest first.
        passed: the state after each new step.
        state: the newest one.
    """

    alert: Alert
    before: tuple[Event, ...]
    passed: tuple[tuple[State, Step], ...]
    state: State

    @property
    def is_firing(self) -> bool:
        """Whether it fires now, recovering or not."""
        return self.state.status.told == Status.FIRING


def followed(alert: Alert, before: Sequence[Event], settings: AlertSettings) -> Followed:
    """Step the alert through the windows that are new, none older than `max_age`."""
    state = _state_of(before)
    newest = alert.steps[-1] if alert.steps else None
    if newest is not None and newest.is_of_now:
        state = replace(state, seen_to=None)  # looked at each time
    elif newest is not None:
        oldest = newest.end - max(settings.max_age, alert.width)
        state = replace(state, seen_to=max(filter(None, [state.seen_to, oldest])))
    passed = tuple(follow(state, alert.steps, alert.rule))
    return Followed(alert, tuple(before), passed, passed[-1][0] if passed else state)


def events_of(
    followed: Followed, mute: str | None, settings: AlertSettings, at: dt.datetime
) -> list[Event]:
    """What is new of an alert, held or to be sent.

    Args:
        followed: the alert, its history and its state.
        mute: why nothing but a resolution is to be said now; None: all is.
        settings: how often is reminded, and what flapping is.
        at: wall-clock time, for the record.
    """
    writer = _Writer(followed, settings, at)
    transitions = _transitions(followed, writer)
    told = _told(followed.before)
    flaps = _flaps([*followed.before, *transitions], followed, told, settings)
    said = _said(followed, told, flaps, mute, settings)
    if said is None:
        reason = FLAPPING if flaps else mute or PASSED
        return writer.numbered([replace(event, held=reason) for event in transitions])
    last = transitions[-1] if transitions else None
    if last is not None and last.kind == said:
        held = [replace(event, held=PASSED) for event in transitions[:-1]]
        return writer.numbered([*held, last])
    reason = FLAPPING if flaps else PASSED
    held = [replace(event, held=reason) for event in transitions]
    return writer.numbered([*held, writer.event(said, followed.state, writer.newest_step)])


def gone(event: Event, now: dt.datetime, at: dt.datetime) -> Event:
    """The resolution of an alert whose rule is not there any more."""
    after = replace(
        event,
        sequence=event.sequence + 1,
        kind=RESOLVED,
        status=Status.OK.value,
        as_of=now,
        held=None,
        recorded_at=at,
        summary=f"{event.labels.get('model', '')}: the rule {event.rule} is not there any more",
    )
    return replace(after, event_id=_event_id(after))


def last_told(events: Sequence[Event]) -> Event | None:
    """The newest event of an alert that was to be sent."""
    return next((event for event in reversed(events) if event.held is None), None)


def _state_of(before: Sequence[Event]) -> State:
    """The state that the newest event left."""
    if not before:
        return State()
    newest = before[-1]
    statuses = [event.status for event in before]
    changes = [
        event.window_end
        for event, earlier in zip(before, [Status.OK.value, *statuses], strict=False)
        if event.status != earlier
    ]
    return State(
        status=Status(newest.status),
        began_at=None if newest.status == Status.OK else newest.began_at,
        changed_at=changes[-1] if changes else None,
        seen_to=newest.window_end,
    )


def _transitions(followed: Followed, writer: "_Writer") -> list[Event]:
    """An event for each change between ok, firing and no data."""
    events: list[Event] = []
    status = _state_of(followed.before).status.told
    for state, step in followed.passed:
        if state.status.told != status:
            status = state.status.told
            kind = RESOLVED if status == Status.OK else status.value
            events.append(writer.event(kind, state, step))
    return events


def _told(before: Sequence[Event]) -> Event | None:
    """What receivers take for open; None where that is nothing."""
    told = last_told(before)
    return told if told is not None and told.is_open else None


def _said(
    followed: Followed,
    told: Event | None,
    flaps: bool,
    mute: str | None,
    settings: AlertSettings,
) -> str | None:
    """The kind of the one event that is to be sent; None for nothing."""
    if not followed.alert.steps:
        return None
    if flaps:
        return None if mute or (told is not None and told.kind == FLAPPING) else FLAPPING
    if followed.state.status.told == Status.OK:
        # A resolution is said whatever is muted: it closes what was opened.
        return RESOLVED if told is not None else None
    return None if mute else _said_of_open(followed, told, settings)


def _said_of_open(followed: Followed, told: Event | None, settings: AlertSettings) -> str | None:
    status = followed.state.status.told.value
    if told is None or told.kind == FLAPPING or told.status != status:
        return status
    if told.severity != severity_of(followed):
        return SEVERITY
    is_late = followed.alert.now - told.as_of >= settings.repeat_after
    return REMINDER if is_late and followed.state.status != Status.RECOVERING else None


def severity_of(followed: Followed) -> str:
    """The severity of the alert as of its newest step."""
    rule, state = followed.alert.rule, followed.state
    step = followed.alert.steps[-1] if followed.alert.steps else None
    return _severity(followed, state, step) if step else rule.severity


def _severity(followed: Followed, state: State, step: Step) -> str:
    rule = followed.alert.rule
    if state.status.told == Status.NO_DATA:
        return rule.missing_severity
    escalation = rule.escalate
    if escalation is None or state.began_at is None:
        return rule.severity
    if escalation.when is not None:
        return escalation.severity if step.escalates else rule.severity
    assert escalation.after is not None
    is_long = followed.alert.now - state.began_at >= escalation.after
    return escalation.severity if is_long else rule.severity


def _flaps(
    events: Sequence[Event], followed: Followed, told: Event | None, settings: AlertSettings
) -> bool:
    """Whether the alert changes too often, or has not been steady for long enough since."""
    span = settings.flapping.windows * followed.alert.width
    changes: list[dt.datetime] = []
    status, was_flapping = Status.OK.value, False
    for event in events:
        if event.held is None and event.kind == FLAPPING:
            was_flapping = True
        elif event.held is None and was_flapping and event in followed.before:
            changes, was_flapping = [], False  # it had become steady
        if event.status != status:
            changes.append(event.window_end)
            status = event.status
    newest = followed.alert.steps[-1].end if followed.alert.steps else None
    if newest is None:
        return False
    is_steady = all(change <= newest - span / 4 for change in changes)
    has_begun = told is not None and told.kind == FLAPPING
    many = sum(change > newest - span for change in changes) >= settings.flapping.changes
    return not is_steady and (has_begun or many)


class _Writer:
    """Writes events of one alert, in their order."""

    def __init__(self, followed: Followed, settings: AlertSettings, at: dt.datetime):
        self._followed, self._settings, self._at = followed, settings, at

    @property
    def newest_step(self) -> Step:
        return self._followed.alert.steps[-1]

    def event(self, kind: str, state: State, step: Step) -> Event:
        alert = self._followed.alert
        last = _told(self._followed.before)
        severity, began_at = _severity(self._followed, state, step), state.began_at
        if kind == RESOLVED and last is not None:
            severity, began_at = last.severity, last.began_at
        return Event(
            event_id="",
            fingerprint=alert.fingerprint,
            sequence=0,
            rule=alert.rule.name,
            labels=alert.labels,
            kind=kind,
            status=state.status.told.value,
            severity=severity,
            as_of=alert.now,
            window_start=step.start,
            window_end=step.end,
            began_at=began_at,
            figures=step.figures,
            summary=summary_of(alert, kind, state, step, self._settings),
            runbook=alert.rule.runbook,
            link=self._settings.dashboard,
            held=None,
            recorded_at=self._at,
        )

    def numbered(self, events: Sequence[Event]) -> list[Event]:
        """Number them after what there is; the number makes their ids."""
        first = len(self._followed.before)
        numbered = [replace(event, sequence=first + place) for place, event in enumerate(events)]
        return [replace(event, event_id=_event_id(event)) for event in numbered]


def summary_of(alert: Alert, kind: str, state: State, step: Step, settings: AlertSettings) -> str:
    """One sentence: model, what is the matter, since when, figures."""
    rule = alert.rule
    subject = alert.labels.get("column")
    what = (rule.summary or rule.name) + (f" ({subject})" if subject else "")
    if kind == FLAPPING:
        flapping = settings.flapping
        what += (
            f": flapping, {flapping.changes} changes or more in {flapping.windows} windows; "
            "held until it is steady"
        )
    elif kind == RESOLVED:
        what += ": over"
    elif state.status.told == Status.NO_DATA:
        what += ": no data to tell"
    elif kind == REMINDER and state.began_at is not None:
        what += f": still, since {state.began_at:%Y-%m-%d %H:%M}"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in step.figures.items())
    if step.detail and kind != RESOLVED:
        what += f": {step.detail}"
    return f"{alert.labels['model']}: {what}" + (f" ({figures})" if figures else "")


def _event_id(event: Event) -> str:
    """The same for the same event, however often it is found."""
    parts = (event.fingerprint, event.sequence, event.kind, event.window_end.isoformat())
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]
