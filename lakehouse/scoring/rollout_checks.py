"""Whether a rollout may go on, by what scoring tells: without labels, after each micro-batch."""

from collections.abc import Iterable
from contextlib import suppress

import pyarrow.compute as pc

from lakehouse.errors import LockedError
from lakehouse.rollouts.state import Rollout
from lakehouse.rollouts.verdict import Scored, Verdict, judge_scored
from lakehouse.scoring.binding import Binding
from lakehouse.storage.kept_rows import keep_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.store import Row
from lakehouse.versions.actions import SCORING
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.rollouts import RolloutLedger, aborted


def scored_in(lakehouse: Lakehouse, rollout_id: str) -> Scored:
    """How the challenger did on all rows that it was asked for, by `silver.scoring_cost`."""
    costs = lakehouse.store.rows(
        lakehouse.catalog.scoring_cost, pc.field("rollout_id") == rollout_id
    )
    return _sum_of(costs)


def _sum_of(costs: Iterable[Row]) -> Scored:
    names = ("rows", "errors", "disagreements", "seconds")
    rows = list(costs)
    return Scored(*(sum(row[f"challenger_{name}"] for row in rows) for name in names))


def abort_if_scoring_says_so(lakehouse: Lakehouse, binding: Binding) -> None:
    """Abort the rollout of a batch where its challenger may not go on.

    Where another process holds the record, that one, or the next batch, does so.
    """
    rollout = RolloutLedger(lakehouse).running
    if rollout is None or rollout.rollout_id != binding.rollout_id:
        return
    scored = scored_in(lakehouse, rollout.rollout_id)
    verdict = judge_scored(rollout, scored, lakehouse.model.rollout)
    if verdict is not None:
        _abort(lakehouse, rollout, verdict)


def abort_unusable(lakehouse: Lakehouse, rollout: Rollout, reason: str) -> None:
    """Abort a rollout whose version cannot be loaded."""
    _abort(lakehouse, rollout, aborted("refused", reason))


def _abort(lakehouse: Lakehouse, rollout: Rollout, verdict: Verdict) -> None:
    table = lakehouse.catalog.rollout
    with suppress(LockedError), lakehouse.store.writing(table):
        ledger = RolloutLedger(lakehouse)
        running = ledger.running
        if running is None or running.rollout_id != rollout.rollout_id:
            return
        sha256 = PromotionLedger(lakehouse).sha256(rollout.challenger)
        ledger.record(running, running.seen, verdict, SCORING, sha256)
    keep_rows(lakehouse, table)
