"""The new events of a model's alerts, from its rows and what was said before. Pure."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lakehouse.alerts.alerts import alerts_of
from lakehouse.alerts.events import Event, events_of, followed, gone, last_told, severity_of
from lakehouse.alerts.muting import Silence, in_force, mute_of
from lakehouse.alerts.observations import Readings
from lakehouse.settings import ModelSettings


def new_events(
    readings: Readings,
    model: ModelSettings,
    drift_columns: frozenset[str],
    history: Iterable[Event],
    silences: Iterable[Silence],
) -> list[Event]:
    """Evaluate every alert. The same arguments give the same events, ids among them.

    Args:
        readings: rows of the tables, and the clocks.
        model: whose alerts.
        drift_columns: columns that gold.drift_metrics has and gold.profile_metrics has not.
        history: all events so far.
        silences: all that were ever made.
    """
    settings, at = model.alerts, readings.at
    by_alert = by_fingerprint(history)
    alerts = alerts_of(readings, model, drift_columns)
    all_followed = [
        followed(alert, by_alert.get(alert.fingerprint, ()), settings) for alert in alerts
    ]
    firing = frozenset(each.alert.rule.name for each in all_followed if each.is_firing)
    silencing = in_force(silences)
    events: list[Event] = []
    for each in all_followed:
        mute = mute_of(each, severity_of(each), silencing, firing, at)
        events += events_of(each, mute, settings, at)
    known = {alert.fingerprint for alert in alerts}
    events += _of_rules_gone(by_alert, known, readings.now, at)
    return [replace(event, table_versions=readings.versions) for event in events]


def by_fingerprint(events: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of each alert, oldest first."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.sequence):
        found[event.fingerprint].append(event)
    return dict(found)


def _of_rules_gone(
    by_alert: dict[str, list[Event]], known: set[str], now: dt.datetime, at: dt.datetime
) -> list[Event]:
    """Resolutions of open alerts that no rule stands for any more."""
    return [
        gone(events[-1], now, at)
        for fingerprint, events in by_alert.items()
        if fingerprint not in known and _is_open(events)
    ]


def _is_open(events: Sequence[Event]) -> bool:
    told = last_told(events)
    return told is not None and told.is_open
