"""What the ledgers tell the policy: who was champion when, from which rows, and what has been tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lakehouse.steps.policy.decide import REFRESH, RETRAIN, TRAIN_FIRST
from lakehouse.steps.policy.document import PolicyRecord, instant
from lakehouse.steps.policy.evidence import Pool, VersionRecord
from lakehouse.steps.policy.version import archived
from lakehouse.steps.promote import PROMOTE, REFUSE, ROLLBACK


@dataclass(frozen=True)
class History:
    """The state of the policy: all of it follows from what is on record.

    Attributes:
        champion: version in production; None before the first.
        before: version that it took over from and may have to give back to; None without one.
        records: of each promoted version, as its last promotion left it.
        archive: the last champion of each earlier epoch with its pool, oldest first.
        began: as-of since which labels are evidence: of the last promotion that answered a change.
        reigns: as-of of each change of champion with the version that came, in order.
        trainings: as-of of each challenger that was judged, in order.
        tried: labelled rows since the change at the last training.
        refused: greatest log statistic of the epoch's alarms whose challenger the gate refused; -inf for none.
    """

    champion: int | None = None
    before: int | None = None
    records: Mapping[int, PolicyRecord] = field(default_factory=dict)
    archive: Mapping[int, Pool] = field(default_factory=dict)
    began: np.datetime64 | None = None
    reigns: tuple[tuple[np.datetime64, int], ...] = ()
    trainings: tuple[np.datetime64, ...] = ()
    tried: int = 0
    refused: float = -np.inf

    @property
    def champion_record(self) -> VersionRecord | None:
        """The record of the version in production; an older release's version has none."""
        found = None if self.champion is None else self.records.get(self.champion)
        return found.version if found else None

    @property
    def versions(self) -> dict[int, VersionRecord]:
        """The records of all versions."""
        return {version: each.version for version, each in self.records.items()}

    @property
    def epoch(self) -> frozenset[int]:
        """The versions of the champion's epoch."""
        champion = self.champion_record
        same = (version for version, each in self.versions.items() if champion and each.epoch == champion.epoch)
        return frozenset(same)

    @property
    def names(self) -> tuple[str, ...]:
        """The feature names of all records."""
        return tuple(dict.fromkeys(name for each in self.records.values() for name in each.names))

    def champions_at(self, moments: np.ndarray) -> np.ndarray:
        """The version in production when labels of these times came, before anything was decided on them."""
        starts = np.array([moment for moment, _ in self.reigns], dtype="datetime64[us]")
        versions = np.array([version for _, version in self.reigns])
        return versions[np.maximum(np.searchsorted(starts, moments, side="left") - 1, 0)]


def history_of(promotions: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]]) -> History:
    """Reads the ledgers.

    Args:
        promotions: rows of gold.promotion, in the order in which they were written.
        decisions: rows of gold.decision, in the order in which they were written.
    """
    state = History()
    for row in promotions:
        state = _after(state, row)
    judged = [row for row in promotions if row["action"] != ROLLBACK and row["to_version"]]
    trainings = dict.fromkeys((row["as_of"], row["to_version"]) for row in judged)  # a person's verdict is no training
    tried, refused = _tried(promotions, decisions), _refused(state.champion_record, promotions, decisions)
    moments = tuple(instant(as_of) for as_of, _ in trainings)
    return History(**{**vars(state), "trainings": moments, "tried": tried, "refused": refused})


def _after(state: History, row: Mapping[str, Any]) -> History:
    if row["action"] not in (PROMOTE, ROLLBACK):
        return state
    as_of, version = instant(row["as_of"]), int(row["to_version"])
    begins = max([as_of, *(begin for begin, _ in state.reigns[-1:])])  # approved after another change: from then on
    reigns = (*state.reigns, (begins, version))
    if row["action"] == ROLLBACK or not row["policy_record"]:
        return History(**{**vars(state), "champion": version, "before": None, "reigns": reigns})
    record, archive, old = PolicyRecord.from_json(row["policy_record"]), state.archive, state.champion_record
    answers = record.version.epoch == as_of
    if answers and old:
        archive = archived(archive, old, record.version.changed_at)
    return History(
        champion=version,
        before=state.champion,
        records={**state.records, version: record},
        archive=archive,
        began=as_of if answers or state.began is None else state.began,
        reigns=reigns,
    )


def _tried(promotions: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]]) -> int:
    """An alarm whose challenger was refused does not count; a refresh does, whatever became of it."""
    found = [
        (row["as_of"], 1, int(dict(row["evidence"])["labelled"]))
        for row in decisions
        if row["action"] in (TRAIN_FIRST, REFRESH) and "labelled" in dict(row["evidence"])
    ]
    answered = {
        row["as_of"]: PolicyRecord.from_json(row["policy_record"]).version
        for row in promotions
        if row["action"] == PROMOTE and row["policy_record"]
    }
    found += [(as_of, 0, record.since_change) for as_of, record in answered.items() if record.epoch == instant(as_of)]
    return max(found)[2] if found else 0


def _refused(
    champion: VersionRecord | None, promotions: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]]
) -> float:
    """An alarm that training gave no challenger for was not refused: it comes again with the next labels."""
    verdicts: dict[Any, Mapping[str, Any]] = {}
    for row in promotions:
        if row["action"] in (PROMOTE, REFUSE):
            verdicts.setdefault(row["as_of"], row)  # the first of a night is on its alarm, if there was one
    refused = {as_of for as_of, row in verdicts.items() if row["action"] == REFUSE and row["to_version"]}
    found = [
        dict(row["evidence"]).get("log_statistic", -np.inf)
        for row in decisions
        if row["action"] == RETRAIN and row["as_of"] in refused and champion and instant(row["as_of"]) > champion.epoch
    ]
    return max(found, default=-np.inf)
