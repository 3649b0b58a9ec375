"""What ledgers say, as events: verdicts, rollbacks, steps of rollouts, trainings. Pure.

The ledgers are the outbox: a row is committed before anybody is told of it. An event's id is its
row's, so whoever finds the row again finds the same event.
"""

import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.settings import LedgerEventName

Row = Mapping[str, Any]

PROMOTIONS, ROLLOUTS, DECISIONS = "promotion", "rollout", "decision"
MOMENTS = {PROMOTIONS: "recorded_at", ROLLOUTS: "recorded_at", DECISIONS: "decided_at"}
"""The ledgers of gold, and the wall-clock column that orders the rows of each."""
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_OF_PROMOTION: Mapping[str, LedgerEventName] = {
    "promote": "model_version.promoted",
    "refuse": "model_version.refused",
    "pending": "model_version.pending",
    "rollback": "model_version.rolled_back",
}
_OF_ROLLOUT: Mapping[str, LedgerEventName] = {
    "start": "rollout.started",
    "step": "rollout.stepped",
    "abort": "rollout.aborted",
    "finish": "rollout.finished",
}
_PROMOTION_DATA = ("as_of", "who", "reason", "evidence", "run_id", "model_sha256", "rollout_id")
_ROLLOUT_DATA = (
    *("as_of", "who", "rule", "reason", "evidence", "rollout_id"),
    *("strategy", "champion", "challenger", "share"),
)
_DECISION_DATA = ("as_of", "action", "rule", "reasons", "evidence", "model_version")


@dataclass(frozen=True)
class LedgerEvent:
    """A row of a ledger that somebody is told of.

    Attributes:
        event_id: ledger, wall-clock time of the row, and its digest.
        recorded_at: wall-clock time of the row.
        name: entity and action, as MLflow names events of its registry.
        data: what is said of it; figures and words of the ledger, no rows of data.
    """

    event_id: str
    recorded_at: dt.datetime
    name: LedgerEventName
    data: Mapping[str, Any]


def ledger_events(model: str, rows: Mapping[str, Iterable[Row]]) -> list[LedgerEvent]:
    """The events of all rows, in the order in which the rows were written.

    What happens within production is left out: a rollout that goes on as it was, a decision that
    trains nothing, and the verdict that a rollout's first step tells of.

    Args:
        model: its name.
        rows: of each ledger.
    """
    readers: Mapping[str, Callable[[Row], tuple[LedgerEventName, dict[str, Any]] | None]] = {
        PROMOTIONS: _of_promotion,
        ROLLOUTS: _of_rollout,
        DECISIONS: _of_decision,
    }
    events = []
    for ledger, its_rows in rows.items():
        for row in its_rows:
            found = readers[ledger](row)
            if found:
                name, data = found
                moment = row[MOMENTS[ledger]]
                plain = _plain({"name": model, **data})
                events.append(LedgerEvent(_event_id(ledger, moment, plain), moment, name, plain))
    return sorted(events, key=lambda event: (event.recorded_at, event.event_id))


def beginning(moment: dt.datetime) -> str:
    """Names the moment from which on a channel is told of what ledgers say."""
    return f"begin-{moment.astimezone(dt.UTC):{_STAMP}}"


def moment_of(event_id: str) -> dt.datetime:
    """The moment that an id names, of an event or of a beginning.

    >>> moment_of("begin-20240301T120000.000001Z").isoformat()
    '2024-03-01T12:00:00.000001+00:00'
    """
    return dt.datetime.strptime(event_id.split("-")[1], _STAMP).replace(tzinfo=dt.UTC)


def ledger_of(event_id: str) -> str:
    """The ledger that an id names; `begin` for a beginning."""
    return event_id.split("-", maxsplit=1)[0]


def _of_promotion(row: Row) -> tuple[LedgerEventName, dict[str, Any]] | None:
    name = _OF_PROMOTION.get(row["action"])
    versions = {"version": row["to_version"], "from_version": row["from_version"]}
    return (name, versions | _picked(row, _PROMOTION_DATA)) if name else None


def _of_rollout(row: Row) -> tuple[LedgerEventName, dict[str, Any]] | None:
    name = _OF_ROLLOUT.get(row["action"])
    return (name, _picked(row, _ROLLOUT_DATA)) if name else None


def _of_decision(row: Row) -> tuple[LedgerEventName, dict[str, Any]] | None:
    return ("training.asked", _picked(row, _DECISION_DATA)) if row["retrain"] else None


def _picked(row: Row, names: Iterable[str]) -> dict[str, Any]:
    return {name: row.get(name) for name in names}


def _plain(value: Any) -> Any:
    """The value as JSON has it; a number that JSON has not is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _event_id(ledger: str, moment: dt.datetime, data: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]
    return f"{ledger}-{moment.astimezone(dt.UTC):{_STAMP}}-{digest}"
