"""Which events go to which channel now, and what becomes of an attempt. Pure.

At least once: an event is sent until there is a row that says delivered. The events of one alert
go in their order, so no resolution comes before what it resolves.
"""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lakehouse.alerts.evaluation import by_fingerprint
from lakehouse.alerts.events import RESOLVED, Event
from lakehouse.alerts.ledger_events import LedgerEvent
from lakehouse.settings import AlertSettings, ChannelSettings

DELIVERED, RETRY, DEAD_LETTER, DROPPED = "delivered", "retry", "dead_letter", "dropped"
BEGUN = "begun"
"""Not an attempt: from its moment on a channel is told of what ledgers say."""
_TRANSIENT = frozenset({408, 425, 429})
_TOO_MANY = 429
_FIRST_PAUSE = dt.timedelta(seconds=2)
_LONGEST_PAUSE = dt.timedelta(hours=1)
_LONGEST_ASKED = dt.timedelta(days=1)


@dataclass(frozen=True)
class Answer:
    """What a receiver said.

    Attributes:
        outcome: delivered, retry or dead_letter.
        status: its code; None where it gave none.
        detail: its words, secrets left out.
        retry_after: how long it asks to be left alone.
    """

    outcome: str
    status: int | None = None
    detail: str = ""
    retry_after: dt.timedelta | None = None


@dataclass(frozen=True)
class Attempt:
    """A row of gold.alert_delivery; its attributes are the columns."""

    event_id: str
    channel: str
    attempt: int
    outcome: str
    http_status: int | None
    detail: str
    next_try_at: dt.datetime | None
    attempted_at: dt.datetime

    @property
    def row(self) -> dict[str, Any]:
        """As the table has it."""
        return asdict(self)


@dataclass(frozen=True)
class Message:
    """Events that go to a channel together, none of the same alert.

    Attributes:
        group: the labels that they share.
    """

    channel: ChannelSettings
    group: Mapping[str, str]
    events: tuple[Event, ...]


@dataclass(frozen=True)
class LedgerMessage:
    """An event of a ledger that goes to a channel by itself."""

    channel: ChannelSettings
    event: LedgerEvent

    @property
    def events(self) -> tuple[LedgerEvent, ...]:
        """The event."""
        return (self.event,)


@dataclass(frozen=True)
class Plan:
    """What to do about a channel now.

    Attributes:
        messages: to be sent, the oldest first.
        closed: events that are not to be sent there any more.
        next_try_at: when it is worth another look; None where nothing waits.
    """

    messages: tuple[Message | LedgerMessage, ...]
    closed: tuple[Attempt, ...]
    next_try_at: dt.datetime | None


def outcome_of_http(status: int | None) -> str:
    """What an HTTP status means for an event; None is no answer.

    >>> [outcome_of_http(status) for status in (202, 302, 400, 408, 429, 503, None)]
    ['delivered', 'dead_letter', 'dead_letter', 'retry', 'retry', 'retry', 'retry']
    """
    if status is None or status in _TRANSIENT or status >= 500:
        return RETRY
    return DELIVERED if 200 <= status < 300 else DEAD_LETTER


def plan_of(
    channel: ChannelSettings,
    events: Iterable[Event],
    attempts: Iterable[Attempt],
    settings: AlertSettings,
    at: dt.datetime,
) -> Plan:
    """What the channel is to be sent now: of each alert the oldest event that it lacks.

    Args:
        channel: the receiver.
        events: all events.
        attempts: all attempts so far, of other channels too.
        settings: groups, and how old an event may be.
        at: wall-clock time.
    """
    own = [attempt for attempt in attempts if attempt.channel == channel.name]
    by_event: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in sorted(own, key=lambda attempt: attempt.attempt):
        by_event[attempt.event_id].append(attempt)
    ready: list[Event] = []
    closed: list[Attempt] = []
    waiting: list[dt.datetime] = [moment for moment in [_left_alone_until(own)] if moment]
    for of_alert in by_fingerprint(events).values():
        for event, todo in _open(of_alert, channel, by_event, settings.max_age, at):
            tries = by_event[event.event_id]
            if todo != RETRY:
                detail = "it became too old" if todo == DEAD_LETTER else "nothing to resolve"
                closed.append(
                    attempt_at(event.event_id, channel, tries, Answer(todo, None, detail), at)
                )
            elif tries and (tries[-1].next_try_at or at) > at:
                waiting.append(tries[-1].next_try_at or at)
            else:
                ready.append(event)
    until = _left_alone_until(own)
    if until is not None and until > at:
        return Plan((), tuple(closed), until)
    later = [moment for moment in waiting if moment > at]
    return Plan(_grouped(ready, channel, settings), tuple(closed), min(later, default=None))


def attempts_of(
    message: Message | LedgerMessage, answer: Answer, attempts: Iterable[Attempt], at: dt.datetime
) -> list[Attempt]:
    """The rows of a message that was sent, one for each event."""
    before = [attempt for attempt in attempts if attempt.channel == message.channel.name]
    return [
        attempt_at(
            event.event_id,
            message.channel,
            [attempt for attempt in before if attempt.event_id == event.event_id],
            answer,
            at,
        )
        for event in message.events
    ]


def attempt_at(
    event_id: str,
    channel: ChannelSettings,
    before: Sequence[Attempt],
    answer: Answer,
    at: dt.datetime,
) -> Attempt:
    """The row of an attempt on an event, after those before it."""
    number = len(before) + 1
    retries = answer.outcome == RETRY
    return Attempt(
        event_id=event_id,
        channel=channel.name,
        attempt=number,
        outcome=answer.outcome,
        http_status=answer.status,
        detail=answer.detail,
        next_try_at=at + pause_of(event_id, number, answer.retry_after) if retries else None,
        attempted_at=at,
    )


def pause_of(event_id: str, attempt: int, retry_after: dt.timedelta | None) -> dt.timedelta:
    """How long to wait after an attempt: twice as long each time, an hour at most.

    The jitter is the event's own, so that a replay waits the same. What the receiver asks for is
    the least, up to a day.
    """
    doubled = min(_FIRST_PAUSE * 2 ** min(attempt - 1, 20), _LONGEST_PAUSE)
    digest = hashlib.sha256(f"{event_id}|{attempt}".encode()).digest()
    pause = doubled * (0.5 + digest[0] / 510)
    asked = min(retry_after or dt.timedelta(0), _LONGEST_ASKED)
    return max(pause, asked)


def _open(
    of_alert: Sequence[Event],
    channel: ChannelSettings,
    by_event: Mapping[str, Sequence[Attempt]],
    max_age: dt.timedelta,
    at: dt.datetime,
) -> Iterator[tuple[Event, str]]:
    """The events of an alert that the channel lacks, with what is to be done.

    That is to send it (`retry`), after which no other one comes, or to close it.
    """
    is_routed = has_reached = False
    for event in (event for event in of_alert if event.held is None):
        is_wanted = is_routed if event.kind == RESOLVED else event.severity in channel.severity
        if not (is_wanted or is_routed):
            continue
        tries = by_event.get(event.event_id, ())
        outcome = tries[-1].outcome if tries else None
        if outcome in (None, RETRY):
            if at - event.recorded_at > max_age:
                if outcome is not None:
                    yield event, DEAD_LETTER
                continue
            if event.kind != RESOLVED or has_reached:
                yield event, RETRY
                return
            yield event, DROPPED
        has_reached = (has_reached or outcome == DELIVERED) and event.kind != RESOLVED
        is_routed = event.kind != RESOLVED


def _left_alone_until(own: Sequence[Attempt]) -> dt.datetime | None:
    """Until when a channel is not tried at all: it asked for that, or did not answer."""
    newest = max(own, key=lambda attempt: attempt.attempted_at, default=None)
    if newest is None or newest.outcome != RETRY:
        return None
    return newest.next_try_at if newest.http_status in (None, _TOO_MANY) else None


def _grouped(
    events: Sequence[Event], channel: ChannelSettings, settings: AlertSettings
) -> tuple[Message, ...]:
    """One message for each group; PagerDuty takes one alert at a time."""
    groups: dict[tuple[tuple[str, str], ...], list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: (event.recorded_at, event.sequence)):
        labels = {**event.labels, "severity": event.severity}
        group: dict[str, str] = {name: labels.get(name, "") for name in settings.group_by}
        if channel.kind == "pagerduty":
            group["fingerprint"] = event.fingerprint
        groups[tuple(group.items())].append(event)
    return tuple(Message(channel, dict(group), tuple(each)) for group, each in groups.items())
