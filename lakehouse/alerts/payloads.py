"""What a message looks like on the wire, channel by channel. Pure; no rows of data are in it."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any

from lakehouse.alerts.delivery import Message
from lakehouse.alerts.events import FIRING, RESOLVED, Event

_NEVER = "0001-01-01T00:00:00Z"  # Alertmanager's end of what is still firing
_LONGEST_SUMMARY = 1024  # of PagerDuty
_LONGEST_TEXT = 2900  # of a section of Slack's, of which 3,000 characters are shown
_MOST_BLOCKS = 48  # of the 50 that Slack takes
_SIGNS = {"critical": "🔴", "error": "🟠", "warning": "🟡", "info": "🔵"}


def pagerduty(event: Event, routing_key: str) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2; the fingerprint is the dedup_key."""
    if event.kind == RESOLVED:
        return {
            "routing_key": routing_key,
            "event_action": "resolve",
            "dedup_key": event.fingerprint,
        }
    links = [
        {"href": address, "text": text}
        for text, address in (("Runbook", event.runbook), ("Dashboard", event.link))
        if address.startswith(("http://", "https://"))
    ]
    return {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": event.fingerprint,
        "payload": {
            "summary": event.summary[:_LONGEST_SUMMARY],
            "source": event.labels["model"],
            "severity": event.severity,
            "timestamp": _iso(event.began_at or event.as_of),
            "component": event.labels.get("column", event.labels["model"]),
            "group": event.labels["model"],
            "class": event.rule,
            "custom_details": _details(event),
        },
        "links": links,
        "client": "lakehouse",
    }


def slack(message: Message) -> dict[str, Any]:
    """A message for an incoming webhook of Slack: a line to notify, a block for each alert."""
    head = _headline(message.events)
    shown = message.events[:_MOST_BLOCKS]
    more = len(message.events) - len(shown)
    blocks = [_section(f"*{_escaped(head)}*"), *(_section(_slack_text(event)) for event in shown)]
    if more:
        blocks.append(_section(f"and {more} more"))
    return {"text": _escaped(head), "blocks": blocks}


def alertmanager(message: Message) -> dict[str, Any]:
    """A message in the shape of Alertmanager's webhook, version 4."""
    alerts = [_alertmanager_alert(event) for event in message.events]
    is_over = all(event.kind == RESOLVED for event in message.events)
    group = ", ".join(f'{name}="{value}"' for name, value in message.group.items())
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{group}}}",
        "truncatedAlerts": 0,
        "status": RESOLVED if is_over else FIRING,
        "receiver": message.channel.name,
        "groupLabels": dict(message.group),
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": message.events[0].link,
        "alerts": alerts,
    }


def email(message: Message) -> EmailMessage:
    """An e-mail; the same events have the same Message-ID."""
    channel = message.channel
    mail = EmailMessage()
    mail["Subject"], text = plain(message)
    mail["From"], mail["To"] = channel.sender, ", ".join(channel.to)
    digest = hashlib.sha256("|".join(event.event_id for event in message.events).encode())
    mail["Message-ID"] = f"<{digest.hexdigest()[:32]}@lakehouse.invalid>"
    mail.set_content(f"{text}\n")
    return mail


def plain(message: Message) -> tuple[str, str]:
    """A message for receivers that take a title, on one line, and a text."""
    title = f"[{message.events[0].severity}] {_headline(message.events)}"
    return " ".join(title.split()), "\n\n".join(_lines(event) for event in message.events)


def _headline(events: Sequence[Event]) -> str:
    if len(events) == 1:
        return events[0].summary
    over = sum(event.kind == RESOLVED for event in events)
    return f"{events[0].labels['model']}: {len(events) - over} open, {over} resolved"


def _slack_text(event: Event) -> str:
    sign = "✅" if event.kind == RESOLVED else _SIGNS[event.severity]
    words = f"{sign} *{event.severity} {event.kind}* {_escaped(event.summary)}"
    if event.runbook and event.kind != RESOLVED:
        words += f"\n{_escaped(event.runbook)}"
    return words[:_LONGEST_TEXT]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_LONGEST_TEXT]}}


def _escaped(text: str) -> str:
    """Slack reads these three letters as markup, `<!channel>` among it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _alertmanager_alert(event: Event) -> dict[str, Any]:
    is_over = event.kind == RESOLVED
    return {
        "status": RESOLVED if is_over else FIRING,
        "labels": {**event.labels, "severity": event.severity},
        "annotations": {
            "summary": event.summary,
            "runbook_url": event.runbook,
            "kind": event.kind,
            "event_id": event.event_id,
        },
        "startsAt": _iso(event.began_at or event.as_of),
        "endsAt": _iso(event.as_of) if is_over else _NEVER,
        "generatorURL": event.link,
        "fingerprint": event.fingerprint,
    }


def _common(each: Sequence[dict[str, str]]) -> dict[str, str]:
    """The entries that all of them share."""
    return {
        name: value
        for name, value in each[0].items()
        if all(other.get(name) == value for other in each)
    }


def _lines(event: Event) -> str:
    details = _details(event)
    return "\n".join([event.summary, *(f"  {name}: {value}" for name, value in details.items())])


def _details(event: Event) -> dict[str, Any]:
    return {
        "event": event.kind,
        "as_of": _iso(event.as_of),
        "window": f"{_iso(event.window_start)} to {_iso(event.window_end)}",
        "figures": dict(event.figures),
        "runbook": event.runbook,
        "event_id": event.event_id,
    }


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
