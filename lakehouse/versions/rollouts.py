"""The ledger of rollouts: which one runs, and the one place that writes its steps.

A rollout stands on two records. `gold.promotion` says that its version passed the gate and may
score, with its file's digest; `gold.rollout` says what happens to it. A start is written there
first, an end here first; what a run that was cut off has left out is written by the next one
(`settle`).
"""

import datetime as dt
import logging
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lakehouse.calendar import in_write_order
from lakehouse.errors import RegistryError, RegistryUnreachableError
from lakehouse.rollouts.actions import ABORT, ALARM, ENDS, FINISH, GATE, START
from lakehouse.rollouts.state import Rollout, rollouts_of
from lakehouse.rollouts.verdict import Verdict
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import since_moment
from lakehouse.storage.store import Row
from lakehouse.storage.training_record import ModelVersion
from lakehouse.versions.actions import LOOP, SCORING
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import record_end_of_rollout, record_rollout

_LOG = logging.getLogger(__name__)
AT_ALARM = "at_alarm"
"""Evidence of a verdict that begins a rollout: 1 where its version was trained for an alarm."""
_STRETCH = dt.timedelta(days=64)
"""Of the newest rows that are read: twice the longest rollout."""


class RolloutLedger:
    """The newest rows of `gold.rollout`, read once; what one step records is a part of them.

    Attributes:
        lakehouse: whose ledger it is.
    """

    def __init__(self, lakehouse: Lakehouse) -> None:
        """Read nothing yet."""
        self.lakehouse = lakehouse

    @cached_property
    def rows(self) -> list[Row]:
        """The newest rows: of each rollout that runs, all of them."""
        store, table = self.lakehouse.store, self.lakehouse.catalog.rollout
        if not store.version(table):
            return []
        span = store.span(table, "as_of")
        return store.rows(table, since_moment("as_of", span[1] - _STRETCH)) if span else []

    @property
    def rollouts(self) -> dict[str, Rollout]:
        """Every rollout by its id."""
        return rollouts_of(self.rows)

    @property
    def running(self) -> Rollout | None:
        """The rollout that runs; None for none."""
        return next((each for each in self.rollouts.values() if each.is_running), None)

    def record(
        self, rollout: Rollout, as_of: dt.datetime, verdict: Verdict, who: str, sha256: str
    ) -> None:
        """Append a row. The caller holds the table's lock.

        Args:
            rollout: that runs, or is to begin.
            as_of: newest label time that has landed.
            verdict: what is done, and why.
            who: does it.
            sha256: of the challenger's model file.
        """
        written = (row["recorded_at"] for row in self.rows)
        row = {
            "rollout_id": rollout.rollout_id,
            "recorded_at": in_write_order(dt.datetime.now(dt.UTC), written),
            "as_of": as_of,
            "action": verdict.action,
            "strategy": rollout.strategy,
            "champion": rollout.champion,
            "challenger": rollout.challenger,
            "challenger_sha256": sha256,
            "share": verdict.share,
            "who": who,
            "rule": verdict.rule,
            "reason": verdict.reason,
            "evidence": verdict.evidence,
        }
        self.lakehouse.store.append_rows([row], self.lakehouse.catalog.rollout)
        self.rows.append(row)
        if verdict.action in (START, *ENDS):
            self.show_challenger()

    def show_challenger(self) -> None:
        """Have MLflow's alias `challenger` name the version that is rolled out, for people.

        Nothing depends on it: where MLflow does not answer, the next run does so.
        """
        running = self.running
        try:
            self.lakehouse.registry.show_challenger(running.challenger if running else None)
        except (RegistryError, RegistryUnreachableError) as error:
            _LOG.warning("the alias challenger is not as gold.rollout says: %s", error)


def valid_rollout(rollouts: RolloutLedger, champion: str | None) -> Rollout | None:
    """The rollout that runs against the present champion; None for none."""
    running = rollouts.running
    return running if running is not None and running.champion == champion else None


def start_rollout(
    promotions: PromotionLedger,
    rollouts: RolloutLedger,
    version: ModelVersion,
    row: Mapping[str, Any],
) -> Rollout:
    """Begin to roll out a version; both records are written.

    Args:
        promotions: ledger of promotions.
        rollouts: ledger of rollouts, none of which runs.
        version: that passed the gate.
        row: of `gold.promotion`: as-of, who, reason, evidence and policy record.
    """
    as_of = row["as_of"]
    name = f"{promotions.lakehouse.model.name}-{version.version}-{as_of:%Y%m%dT%H%M%S}"
    times = sum(each.startswith(name) for each in rollouts.rollouts)
    name = f"{name}-{times + 1}" if times else name
    begun = record_rollout(promotions, version, {**row, "rollout_id": name})
    return _begin(rollouts, begun)


def _begin(rollouts: RolloutLedger, row: Row) -> Rollout:
    """Write the start of a rollout that stands in `gold.promotion`."""
    settings, as_of = rollouts.lakehouse.model.rollout, row["as_of"]
    # The settings may have changed since a run that was cut off.
    strategy = settings.strategy if settings.is_gradual else "shadow"
    share = settings.steps_of(strategy)[0]
    rollout = Rollout(
        *(row["rollout_id"], strategy, str(row["from_version"]), str(row["to_version"])),
        *(share, as_of, as_of, as_of),
    )
    evidence = dict(row["evidence"] or {})
    rule = ALARM if evidence.get(AT_ALARM) else GATE
    verdict = Verdict(START, rule, row["reason"], share, evidence)
    rollouts.record(rollout, as_of, verdict, row["who"], str(row["model_sha256"]))
    return rollout


def carry_out(
    promotions: PromotionLedger,
    rollouts: RolloutLedger,
    as_of: dt.datetime,
    verdict: Verdict,
    who: str,
) -> bool:
    """Write what becomes of the rollout that runs; promote its version where it finishes.

    Returns:
        Whether it was promoted.

    Raises:
        RegistryError: none runs.
    """
    rollout = rollouts.running
    if rollout is None:
        raise RegistryError(f"{promotions.lakehouse.model.name} has no rollout that runs")
    sha256 = promotions.sha256(rollout.challenger)
    rollouts.record(rollout, as_of, verdict, who, sha256)
    return settle(promotions, rollouts)


def settle(promotions: PromotionLedger, rollouts: RolloutLedger) -> bool:
    """Write what one of the two records has, and the other one lacks; MLflow's alias, too.

    The caller holds the locks of both.

    Returns:
        Whether a version was promoted by that.
    """
    promoted = False
    for begun in _open_starts(promotions):
        rollout = rollouts.rollouts.get(begun["rollout_id"])
        if rollout is None:
            _begin(rollouts, begun)
        elif not rollout.is_running:
            who = LOOP if rollout.ended_by in (None, SCORING) else str(rollout.ended_by)
            reason = f"{begun['reason']}; {rollout.reason}"
            finished = rollout.ended == FINISH
            promoted |= record_end_of_rollout(promotions, begun, finished, who, reason)
    if rollouts.rows:
        rollouts.show_challenger()
    return promoted


def _open_starts(promotions: PromotionLedger) -> list[Row]:
    """The newest rows of `gold.promotion` that began a rollout, and lack what it came to."""
    own = [row for row in promotions.newest if row.get("rollout_id")]
    n_rows = Counter(row["rollout_id"] for row in own)
    newest = max((row["as_of"] for row in promotions.newest), default=None)
    return [
        row
        for row in own
        # Of older ones, what they came to may not have been read.
        if n_rows[row["rollout_id"]] == 1 and newest - row["as_of"] < _STRETCH
    ]


def aborted(rule: str, reason: str) -> Verdict:
    """An end that no test asks for."""
    return Verdict(ABORT, rule, reason, 0.0)
