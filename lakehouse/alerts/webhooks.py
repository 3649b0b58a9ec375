"""Signed webhooks: which event of the ledgers goes next, and what it looks like. Pure.

One queue for each channel, in the order of the ledgers. The body of an event is always the same;
its signature is of the attempt.
"""

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence

from lakehouse.alerts.delivery import (
    BEGUN,
    DEAD_LETTER,
    DELIVERED,
    Answer,
    Attempt,
    LedgerMessage,
    Plan,
    attempt_at,
)
from lakehouse.alerts.ledger_events import (
    LedgerEvent,
    beginning,
    ledger_of,
    moment_of,
)
from lakehouse.settings import AlertSettings, ChannelSettings

_CLOSED = (DELIVERED, DEAD_LETTER)
_VERSION = "v1"


def plan_of_ledgers(
    channel: ChannelSettings,
    events: Iterable[LedgerEvent],
    attempts: Iterable[Attempt],
    settings: AlertSettings,
    at: dt.datetime,
) -> Plan:
    """What the channel is to be sent now: the oldest event that it lacks.

    A new channel begins with what is as old as alerts may be (`max_age`), and its beginning is put
    on record. From then on an event waits as long as its receiver does not answer.

    Args:
        channel: the receiver.
        events: of the ledgers, in their order.
        attempts: all attempts so far, of other channels too.
        settings: how old an event may be at the beginning.
        at: wall-clock time.
    """
    own = [attempt for attempt in attempts if attempt.channel == channel.name]
    begun = _begun_at(own)
    if begun is None:
        first = at - settings.max_age
        answer = Answer(BEGUN, None, f"told of what is recorded from {first:%Y-%m-%d %H:%M} on")
        return Plan((), (attempt_at(beginning(first), channel, (), answer, at),), None)
    closed = {attempt.event_id for attempt in own if attempt.outcome in _CLOSED}
    for event in events:
        is_wanted = event.name in channel.events and event.recorded_at >= begun
        if not is_wanted or event.event_id in closed:
            continue
        next_try_at = _next_try_at(event, own)
        if next_try_at is not None and next_try_at > at:
            return Plan((), (), next_try_at)
        return Plan((LedgerMessage(channel, event),), (), None)
    return Plan((), (), None)


def cursor_of(
    ledger: str,
    channels: Iterable[ChannelSettings],
    attempts: Sequence[Attempt],
    default: dt.datetime,
) -> dt.datetime:
    """The moment from which on rows of a ledger may lack a delivery.

    Within a ledger, rows are sent in the order in which they were written: what is older than a
    channel's newest event that was taken or refused is closed.

    Args:
        ledger: its name.
        channels: that are told of ledgers.
        attempts: all attempts so far.
        default: for a channel without a beginning.
    """
    moments = []
    for channel in channels:
        ids = [
            attempt.event_id
            for attempt in attempts
            if attempt.channel == channel.name and attempt.outcome in (*_CLOSED, BEGUN)
        ]
        own = [each for each in ids if ledger_of(each) in (ledger, "begin")]
        moments.append(max(map(moment_of, own), default=default))
    return min(moments, default=default)


def body_of(event: LedgerEvent) -> str:
    """The body: entity, action, timestamp and data, as MLflow's webhooks have them."""
    entity, action = event.name.split(".")
    document = {
        "entity": entity,
        "action": action,
        "timestamp": event.recorded_at.astimezone(dt.UTC).isoformat(),
        "data": event.data,
    }
    return json.dumps(document, sort_keys=True)


def headers_of(event: LedgerEvent, secret: str, at: dt.datetime) -> Mapping[str, str]:
    """The headers of an attempt, as MLflow's webhooks have them; the delivery id is the event's."""
    timestamp = str(int(at.timestamp()))
    return {
        "X-MLflow-Delivery-Id": event.event_id,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": signature_of(secret, event.event_id, timestamp, body_of(event)),
    }


def signature_of(secret: str, delivery_id: str, timestamp: str, body: str) -> str:
    """HMAC-SHA256 of id, Unix time and body (MLflow 3.17, `mlflow/webhooks/delivery.py`).

    >>> signature_of("secret", "1", "2", "{}")
    'v1,72EbzgLDv52tyOY4YC27IQSjiGr5nutKKXvEM56cM3U='
    """
    signed = f"{delivery_id}.{timestamp}.{body}".encode()
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def _begun_at(own: Iterable[Attempt]) -> dt.datetime | None:
    return max(
        (moment_of(attempt.event_id) for attempt in own if attempt.outcome == BEGUN), default=None
    )


def _next_try_at(event: LedgerEvent, own: Iterable[Attempt]) -> dt.datetime | None:
    """When an event is tried again; None where it was never tried."""
    tries = [attempt for attempt in own if attempt.event_id == event.event_id]
    newest = max(tries, key=lambda attempt: attempt.attempt, default=None)
    return newest.next_try_at if newest else None
