"""What the rows of `gold.rollout` come to: which rollout runs, since when, at which share."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lakehouse.rollouts.actions import ALARM, ENDS, START, STEP


@dataclass(frozen=True)
class Rollout:
    """A rollout as its rows leave it.

    Attributes:
        rollout_id: names it; a key's arm follows from it.
        strategy: shadow, canary or ab.
        champion: version that was in production when it began.
        challenger: version that is rolled out.
        share: of rows that the challenger answers.
        began: label time as of which it began.
        stepped: label time as of which its share changed last.
        seen: newest label time that was decided on.
        ended: `abort` or `finish`; None while it runs.
        reason: of its newest row.
        ended_by: who ended it; None while it runs.
        answers_alarm: whether its version was trained for an alarm.
        challenger_sha256: digest of the challenger's model file.
    """

    rollout_id: str
    strategy: str
    champion: str
    challenger: str
    share: float
    began: dt.datetime
    stepped: dt.datetime
    seen: dt.datetime
    ended: str | None = None
    reason: str = ""
    ended_by: str | None = None
    answers_alarm: bool = False
    challenger_sha256: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None


def rollouts_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Rollout]:
    """Every rollout by its id, in the order of their starts.

    A row of a rollout that has ended changes nothing.

    >>> day = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    >>> own = {"rollout_id": "small-2-1", "strategy": "canary", "champion": "1", "challenger": "2"}
    >>> def row(action, days, share):
    ...     at = day + dt.timedelta(days=days)
    ...     return {**own, "action": action, "as_of": at, "recorded_at": at, "share": share,
    ...             "reason": "so"}
    >>> rows = [row("start", 0, 0.05), row("hold", 1, 0.05), row("step", 2, 0.25)]
    >>> [found] = rollouts_of(rows).values()
    >>> found.share, found.stepped.day, found.is_running
    (0.25, 3, True)
    >>> rollouts_of([*rows, row("abort", 3, 0.0)])["small-2-1"].ended
    'abort'

    Args:
        rows: of `gold.rollout`.
    """
    found: dict[str, Rollout] = {}
    for row in sorted(rows, key=lambda row: row["recorded_at"]):
        name = row["rollout_id"]
        if row["action"] == START:
            found.setdefault(name, _started(row))
        elif name in found and found[name].is_running:
            found[name] = _after(found[name], row)
    return found


def _started(row: Mapping[str, Any]) -> Rollout:
    as_of = row["as_of"]
    names = ("rollout_id", "strategy", "champion", "challenger", "share", "reason")
    own = {name: row[name] for name in names} | {"answers_alarm": row.get("rule") == ALARM}
    own |= {"challenger_sha256": row.get("challenger_sha256")}
    return Rollout(**own, began=as_of, stepped=as_of, seen=as_of)


def _after(rollout: Rollout, row: Mapping[str, Any]) -> Rollout:
    seen = max(rollout.seen, row["as_of"])
    if row["action"] in ENDS:
        own = {"ended": row["action"], "reason": row["reason"], "ended_by": row.get("who")}
        return replace(rollout, seen=seen, **own)
    stepped = row["as_of"] if row["action"] == STEP else rollout.stepped
    return replace(rollout, seen=seen, stepped=stepped, share=row["share"], reason=row["reason"])


def running(rows: Iterable[Mapping[str, Any]]) -> Rollout | None:
    """The rollout that runs; None for none. There is one at a time."""
    own = [rollout for rollout in rollouts_of(rows).values() if rollout.is_running]
    return own[-1] if own else None
