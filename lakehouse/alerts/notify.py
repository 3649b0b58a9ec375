"""Evaluates a lakehouse's alerts, records what is new, and sends it: the one place that acts."""

import datetime as dt
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lakehouse.alerts.channels import send
from lakehouse.alerts.delivery import (
    DEAD_LETTER,
    Answer,
    Attempt,
    LedgerMessage,
    Message,
    Plan,
    attempts_of,
    plan_of,
)
from lakehouse.alerts.evaluation import new_events
from lakehouse.alerts.events import Event
from lakehouse.alerts.ledger_events import MOMENTS, LedgerEvent, ledger_events
from lakehouse.alerts.muting import Silence, as_words, ended, in_force, silence_of
from lakehouse.alerts.reading import drift_columns, ledger_rows, numeric_columns, readings_of
from lakehouse.alerts.rules import check_rules
from lakehouse.alerts.webhooks import cursor_of, plan_of_ledgers
from lakehouse.settings import AlertSettings, ChannelSettings, ModelSettings
from lakehouse.storage.delta.locks import exclusive
from lakehouse.storage.plain_tables import append_rows, read_rows
from lakehouse.tables import Catalog

PATIENCE = dt.timedelta(seconds=20)
"""How long a run tries again before it leaves the rest to the next one."""


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Outside:
    """What the notifier needs of the world: a clock, a pause, receivers."""

    now: Callable[[], dt.datetime] = _utc_now
    sleep: Callable[[float], None] = time.sleep
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    send: Callable[[Message | LedgerMessage, Mapping[str, str]], Answer] = send


@dataclass(frozen=True)
class Notified:
    """What a run did."""

    events: tuple[Event, ...]
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class _Outbox:
    """What channels may be sent: events of alerts, and what ledgers say."""

    alerts: Sequence[Event]
    ledgers: Sequence[LedgerEvent]

    def plan(
        self,
        channel: ChannelSettings,
        attempts: Sequence[Attempt],
        settings: AlertSettings,
        at: dt.datetime,
    ) -> Plan:
        """What the channel is to be sent now."""
        if channel.is_of_ledgers:
            return plan_of_ledgers(channel, self.ledgers, attempts, settings, at)
        return plan_of(channel, self.alerts, attempts, settings, at)


@dataclass(frozen=True)
class Notifier:
    """The alerts of one lakehouse, by its root: no Spark session is needed.

    Attributes:
        root: absolute.
        model: whose alerts.
        catalog: its tables.
        outside: the world.
    """

    root: str
    model: ModelSettings
    catalog: Catalog
    outside: Outside = field(default_factory=Outside)

    def notify(self, patience: dt.timedelta = PATIENCE) -> Notified:
        """Evaluate, record and send once. Running it again without news writes and sends nothing.

        Raises:
            ConfigurationError: a rule names what is not there.
            LockedError: another notifier is at work on the same lakehouse.
            StoreError: the lakehouse has no such table.
        """
        check_alerts(self.model, self.catalog)
        with exclusive(self.root, self.catalog.alert_event.full_name):
            events = self._evaluated()
            attempts = self._delivered(patience)
            if any(attempt.outcome == DEAD_LETTER for attempt in attempts):
                # That a channel refuses events is itself an alarm, for the other channels.
                events += self._evaluated()
                attempts += self._delivered(patience)
        return Notified(tuple(events), tuple(attempts))

    def pending(self) -> list[Event]:
        """What an evaluation would record now; nothing is written or sent."""
        check_alerts(self.model, self.catalog)
        readings = readings_of(self.root, self.model, self.catalog, self.outside.now())
        columns = drift_columns(self.catalog)
        history, silences = self.history(), self.silences()
        return new_events(readings, self.model, columns, history, silences)

    def history(self) -> list[Event]:
        """All events so far."""
        return [Event(**row) for row in read_rows(self.root, self.catalog.alert_event)]

    def silences(self) -> list[Silence]:
        """All silences that were ever made, and their changes."""
        return [Silence(**row) for row in read_rows(self.root, self.catalog.alert_silence)]

    def silence(
        self, matchers: Mapping[str, str], span: dt.timedelta, who: str, why: str, at: dt.datetime
    ) -> Silence:
        """Silence alerts with these labels from now on, and put it on record.

        Raises:
            ConfigurationError: it says not what, for how long, who or why.
            StoreError: the lakehouse has no such table.
        """
        return self._recorded(silence_of(matchers, span, who, why, at))

    def end_silence(self, silence_id: str, who: str, why: str, at: dt.datetime) -> Silence:
        """End a silence now, and put it on record.

        Raises:
            ConfigurationError: none of that id holds, or it is not said who ends it and why.
        """
        return self._recorded(ended(self.silences(), silence_id, who, why, at))

    def silences_in_words(self, at: dt.datetime) -> list[str]:
        """A line for each silence that holds at that moment or will hold."""
        return [as_words(each) for each in in_force(self.silences()) if each.ends_at > at]

    def _recorded(self, silence: Silence) -> Silence:
        append_rows(self.root, self.catalog.alert_silence, [silence.row])
        return silence

    def _evaluated(self) -> list[Event]:
        """Record the new events; they are committed before one of them is sent."""
        events = self.pending()
        append_rows(self.root, self.catalog.alert_event, [event.row for event in events])
        return events

    def _delivered(self, patience: dt.timedelta) -> list[Attempt]:
        """Send what channels lack, and again what they did not take, as far as patience goes."""
        if not self.model.alerts.channels:
            return []
        before = self._attempts()
        outbox = _Outbox(self.history(), self._ledger_events(before))
        new: list[Attempt] = []
        until = self.outside.now() + patience
        while True:
            new += self._sent(outbox, before, new)
            now = self.outside.now()
            next_try_at = min(self._next_tries(outbox, [*before, *new], now), default=None)
            if next_try_at is None or next_try_at > until:
                return new
            self.outside.sleep(max((next_try_at - now).total_seconds(), 0.0))

    def _sent(
        self, outbox: _Outbox, before: Sequence[Attempt], new: Sequence[Attempt]
    ) -> Iterator[Attempt]:
        """Send until no channel can be sent anything now; record each message by itself."""
        for channel in self.model.alerts.channels:
            attempts = [*before, *new]
            settings, now = self.model.alerts, self.outside.now
            while True:
                plan = outbox.plan(channel, attempts, settings, now())
                done = list(plan.closed)
                if plan.messages:
                    # One at a time: what a receiver says may concern the next one.
                    message = plan.messages[0]
                    answer = self.outside.send(message, self.outside.environ)
                    done += attempts_of(message, answer, attempts, now())
                if not done:
                    break
                rows = [attempt.row for attempt in done]
                append_rows(self.root, self.catalog.alert_delivery, rows)
                attempts += done
                yield from done

    def _next_tries(
        self, outbox: _Outbox, attempts: Sequence[Attempt], now: dt.datetime
    ) -> Iterator[dt.datetime]:
        settings = self.model.alerts
        for channel in settings.channels:
            plan = outbox.plan(channel, attempts, settings, now)
            if plan.messages:
                yield now
            elif plan.next_try_at is not None:
                yield plan.next_try_at

    def _ledger_events(self, attempts: Sequence[Attempt]) -> list[LedgerEvent]:
        """What ledgers say from the cursor on; it is on record before it is sent."""
        settings = self.model.alerts
        channels = [channel for channel in settings.channels if channel.is_of_ledgers]
        if not channels:
            return []
        first = self.outside.now() - settings.max_age
        cursors = {ledger: cursor_of(ledger, channels, attempts, first) for ledger in MOMENTS}
        return ledger_events(self.model.name, ledger_rows(self.root, self.catalog, cursors))

    def _attempts(self) -> list[Attempt]:
        return [Attempt(**row) for row in read_rows(self.root, self.catalog.alert_delivery)]


def check_alerts(model: ModelSettings, catalog: Catalog) -> None:
    """Check the rules of a model against the metrics that its tables have.

    Raises:
        ConfigurationError: a sentence for each rule that names what is not there.
    """
    tables = (catalog.profile_metrics, catalog.drift_metrics)
    check_rules(model, frozenset().union(*map(numeric_columns, tables)))
