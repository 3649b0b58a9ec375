"""The loop's ledger over `gold.decision` and `gold.promotion`: read once a step, written before
anything is done.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow.compute as pc

from lakehouse.calendar import in_write_order
from lakehouse.instants import instant, moment_of
from lakehouse.retraining.policy.decide import RETRAIN, Decision
from lakehouse.retraining.policy.detection.diagnose import Diagnosis
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.gate import GateResult, gain_of
from lakehouse.retraining.policy.history import (
    DecisionEntry,
    Entries,
    History,
    PromotionEntry,
    history_of,
    newest_entries,
)
from lakehouse.retraining.policy.rollout_rules import held, held_for_rollout, is_rolled_out
from lakehouse.retraining.ports import Judged
from lakehouse.retraining.signals import facts_read_from
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import since_moment
from lakehouse.storage.store import Row
from lakehouse.versions.actions import LOOP, REFUSE, ROLLOUT
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import move_back, record_result
from lakehouse.versions.rollouts import (
    AT_ALARM,
    RolloutLedger,
    aborted,
    carry_out,
    start_rollout,
)

LABEL_OUTAGE = "blind"
"""Action of a row of gold.decision that tells of overdue labels; no decision."""

HELD_FOR_APPROVAL = "approval"

_DECIDED = (
    "as_of",
    "decided_at",
    "action",
    "rule",
    "reasons",
    "evidence",
    "change_at",
    "change_between",
    "gate_confidence",
)
"""The columns that a decision is read from."""


class TableLedger:
    """See `ports.Ledger`.

    Of decisions and promotions the newest are read, as many as come to the history of all (see
    `history.newest_entries`); of older decisions those alone that asked for a training.

    Attributes:
        versions: the ledger of promotions.
        rollouts: the ledger of rollouts.
        decisions: see `Ledger`.
        promotions: see `Ledger`.
    """

    def __init__(self, lakehouse: Lakehouse) -> None:
        """Read of both tables what is needed."""
        self._lakehouse = lakehouse
        self._history: History | None = None
        self._decided_at: dt.datetime | None = None
        self._span = lakehouse.store.span(lakehouse.catalog.decision, "as_of")
        self.rollouts = RolloutLedger(lakehouse)
        if self._span is None:
            self._read(None)
        else:
            newest_entries(self._read, *map(instant, self._span))

    def _read(self, since: np.datetime64 | None) -> Entries:
        """Read the entries as of a moment or later; all for None."""
        lakehouse = self._lakehouse
        moment = None if since is None else moment_of(since)
        self.versions = PromotionLedger(lakehouse, moment)
        self.promotions = list(map(entry_of, self.versions.newest))
        where = None
        if moment is not None and self._span is not None:
            is_newest = since_moment("as_of", self._span[1])
            where = since_moment("as_of", moment) & (pc.field("retrain") | is_newest)
        rows = lakehouse.store.rows(lakehouse.catalog.decision, where, _DECIDED)
        rows = sorted(rows, key=lambda row: (row["as_of"], row["decided_at"]))
        times = (self._decided_at, *(row["decided_at"] for row in rows))
        self._decided_at = max(filter(None, times), default=None)
        self._outages = {row["as_of"] for row in rows if row["action"] == LABEL_OUTAGE}
        decided = (row for row in rows if row["action"] != LABEL_OUTAGE)
        self.decisions = [DecisionEntry(instant(row["as_of"]), decision_of(row)) for row in decided]
        return self.promotions, self.decisions

    @property
    def history(self) -> History:
        """See `Ledger`."""
        if self._history is None:
            self._history = history_of(self.promotions, self.decisions)
        return self._history

    def held(self, decision: Decision) -> Decision:
        """See `Ledger`: what was asked for stays among the reasons."""
        if not decision.retrain:
            return decision
        waiting = self.versions.waiting
        if self._lakehouse.model.approval == "manual" and waiting is not None:
            since = f"{waiting['as_of']:%Y-%m-%d %H:%M}"
            words = f"version {waiting['to_version']} waits for approval since {since}"
            return held(decision, HELD_FOR_APPROVAL, words)
        return held_for_rollout(decision, self.rollouts.running)

    def record_decision(
        self,
        as_of: np.datetime64,
        decision: Decision,
        diagnosis: Diagnosis | None,
        remarks: Sequence[str],
    ) -> None:
        """See `Ledger`."""
        drift = diagnosis.sentences if diagnosis and diagnosis.kinds else ()
        row = row_of(decision) | {"reasons": [*decision.reasons, *drift, *remarks]}
        if diagnosis:
            row |= {
                "confidence": diagnosis.confidence,
                "drift_kind": list(diagnosis.kinds),
                "region": list(diagnosis.where),
                "advice": diagnosis.advice,
            }
        self._append(as_of, row)
        self.decisions.append(DecisionEntry(as_of, decision))
        self._history = None

    def record_outage(self, as_of: np.datetime64, since: np.datetime64) -> None:
        """See `Ledger`."""
        newest, began = moment_of(as_of), moment_of(since)
        if newest in self._outages:
            return
        words = (
            f"no labels since {began:%Y-%m-%d %H:%M}: they are overdue, the newest is of "
            f"{newest:%Y-%m-%d %H:%M}"
        )
        advice = "find out why no labels come; until then nothing is known of the model"
        row = {
            "action": LABEL_OUTAGE,
            "retrain": False,
            "rule": "label_outage",
            "reasons": [words],
            "evidence": {},
        }
        self._append(as_of, row | {"change_at": began, "advice": advice})
        self._outages.add(newest)

    def record_no_challenger(
        self, as_of: np.datetime64, reason: str, evidence: Mapping[str, float]
    ) -> None:
        """See `Ledger`."""
        row = {"action": REFUSE, "who": LOOP, "reason": reason, "evidence": dict(evidence)}
        self.versions.record({"as_of": moment_of(as_of), **row})
        self._promotions_grew()

    def record_result(self, as_of: np.datetime64, decision: Decision, judged: Judged) -> bool:
        """See `Ledger`."""
        result, version = judged.result, self.versions.version(str(judged.version))
        row = {
            "as_of": moment_of(as_of),
            "reason": f"{decision.reasons[0]}; {result.reason}",
            "evidence": dict(result.evidence),
            "differences": [asdict(each) for each in result.differences],
            "checks": [asdict(each) for each in result.checks],
        }
        record = judged.record.to_json()
        if result.passed:
            self._overtake(as_of, judged.version)
        has_champion = self.versions.champion is not None
        if result.passed and is_rolled_out(decision, has_champion, self._lakehouse.model.rollout):
            evidence = {**result.evidence, AT_ALARM: float(decision.action == RETRAIN)}
            begun = {**row, "evidence": evidence, "who": LOOP, "policy_record": record}
            start_rollout(self.versions, self.rollouts, version, begun)
            promoted = False
        else:
            promoted = record_result(self.versions, version, result.passed, row, record)
        self._promotions_grew()
        return promoted

    def _overtake(self, as_of: np.datetime64, version: int) -> None:
        """End the rollout that runs: another version has passed the gate."""
        if self.rollouts.running is not None:
            verdict = aborted("overtaken", f"version {version} has passed the gate at an alarm")
            carry_out(self.versions, self.rollouts, moment_of(as_of), verdict, LOOP)
            self._promotions_grew()

    def roll_back(self, as_of: np.datetime64, version: int, result: GateResult) -> None:
        """See `Ledger`."""
        why = {"reason": result.reason, "evidence": dict(result.evidence)}
        move_back(self.versions, moment_of(as_of), str(version), LOOP, why)
        self._promotions_grew()

    def _append(self, as_of: np.datetime64, row: Mapping[str, Any]) -> None:
        lakehouse, champion = self._lakehouse, self.versions.champion
        catalog, store = lakehouse.catalog, lakehouse.store
        self._decided_at = in_write_order(dt.datetime.now(dt.UTC), [self._decided_at])
        common = {
            "as_of": moment_of(as_of),
            "model_version": champion,
            "table_versions": store.versions(
                catalog.window_facts, catalog.labels, catalog.predictions
            ),
            "read_from": facts_read_from(self.history, moment_of(as_of), lakehouse.model),
            "decided_at": self._decided_at,
        }
        store.append_rows([{**common, **row}], catalog.decision)

    def _promotions_grew(self) -> None:
        self.promotions.append(entry_of(self.versions.newest[-1]))
        self._history = None


def row_of(decision: Decision) -> dict[str, Any]:
    """The columns of gold.decision that a decision is read from again."""
    between = decision.change_between
    return {
        "action": decision.action,
        "retrain": decision.retrain,
        "rule": decision.rule,
        "reasons": list(decision.reasons),
        "evidence": dict(decision.evidence),
        "change_at": None if decision.change_at is None else moment_of(decision.change_at),
        "change_between": between and {"from": moment_of(between[0]), "to": moment_of(between[1])},
        "gate_confidence": decision.confidence,
    }


def decision_of(row: Row) -> Decision:
    """The decision of a row of gold.decision.

    Releases before 0.3 kept the gate's confidence among the evidence.
    """
    evidence, between = dict(row["evidence"]), row["change_between"]
    confidence = evidence.pop("needed", 0.0)
    evidence.pop("sure", None)  # of a rule that is gone
    return Decision(
        row["action"],
        row["rule"],
        tuple(row["reasons"]),
        evidence,
        None if row["change_at"] is None else instant(row["change_at"]),
        None if between is None else (instant(between["from"]), instant(between["to"])),
        confidence if row["gate_confidence"] is None else row["gate_confidence"],
    )


def entry_of(row: Row) -> PromotionEntry:
    """Return what the policy reads of a row of gold.promotion."""
    return PromotionEntry(
        instant(row["as_of"]),
        row["action"],
        row["who"] == LOOP,
        None if row["to_version"] is None else int(row["to_version"]),
        PolicyRecord.from_json(row["policy_record"]) if row["policy_record"] else None,
        None if row["changed_at"] is None else instant(row["changed_at"]),
        gain_of(dict(row["evidence"] or {})),
        row.get("rollout_id") is not None and row["action"] != ROLLOUT,
    )
