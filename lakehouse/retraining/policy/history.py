"""What the ledgers tell the policy: who was champion when, from which rows, and what has been
tried.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lakehouse.retraining.policy.decide import RETRAIN, Decision
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.records import RowRule, VersionRecord
from lakehouse.retraining.policy.refresh import Trial
from lakehouse.retraining.policy.triggers import SINCE_CHANGE, RefusedAlarm
from lakehouse.retraining.policy.version import MOST_ARCHIVED, archived
from lakehouse.versions.actions import MOVES, PROMOTE, REFUSE, ROLLBACK, VERDICTS

_FIRST_STRETCH = np.timedelta64(64, "D")
_TRIALS = 2
"""When a training is due follows from the last two."""


@dataclass(frozen=True)
class PromotionEntry:
    """What the policy reads of a row of gold.promotion.

    Attributes:
        as_of: label batch.
        action: promote, pending, rollout, refuse or rollback.
        by_loop: whether the loop did it, not a person.
        version: judged, or gone back to; None where a training gave no challenger.
        record: what the policy knows of a promoted version from then on; an older release kept
            none.
        changed_at: change point that the version was trained from; None if none.
        gain: errors of the champion that it avoided where both were judged.
        ends_rollout: whether it is what a rollout came to, and no verdict of the gate.
    """

    as_of: np.datetime64
    action: str
    by_loop: bool = True
    version: int | None = None
    record: PolicyRecord | None = None
    changed_at: np.datetime64 | None = None
    gain: float = 0.0
    ends_rollout: bool = False


@dataclass(frozen=True)
class DecisionEntry:
    """A decision and the label batch that it was taken as of."""

    as_of: np.datetime64
    decision: Decision


def reasons_of(decisions: Iterable[DecisionEntry]) -> list[str]:
    """The reasons of the decisions that asked for a training."""
    asked = (entry.decision for entry in decisions if entry.decision.retrain)
    return [reason for decision in asked for reason in decision.reasons]


@dataclass(frozen=True)
class History:
    """The state of the policy: all of it follows from what is on record.

    Attributes:
        champion: version in production; None before the first.
        before: version that it took over from and may have to give back to; None without one.
        records: of the versions that matter yet: the champion, the one before, those of its drift
            period, and the archived ones; as the last promotion left each.
        archive: the last champion of each earlier drift period with its row rule, oldest first.
        began: as-of since which labels are evidence: of the last promotion that answered a change.
        champion_history: as-of of each change of champion with the version that came, in order;
            from the one that was in production when `began` on.
        trainings: as-of of the newest challenger that was judged; empty without one.
        trials: the last two trainings that say when the next one is due, in order.
        refused: the drift period's strongest alarm whose challenger the gate refused; None for
            none.
        promoted: of the champion, the last entry that promoted it.
    """

    champion: int | None = None
    before: int | None = None
    records: Mapping[int, PolicyRecord] = field(default_factory=dict)
    archive: Mapping[int, RowRule] = field(default_factory=dict)
    began: np.datetime64 | None = None
    champion_history: tuple[tuple[np.datetime64, int], ...] = ()
    trainings: tuple[np.datetime64, ...] = ()
    trials: tuple[Trial, ...] = ()
    refused: RefusedAlarm | None = None
    promoted: PromotionEntry | None = None

    @property
    def trained_as_of(self) -> np.datetime64:
        """The newest label time that had landed when the champion was trained."""
        if self.champion_record is not None:
            return self.champion_record.as_of
        assert self.promoted is not None  # a champion of an older release was promoted, too
        return self.promoted.as_of

    @property
    def champion_record(self) -> VersionRecord | None:
        """The record of the version in production; an older release's version has none."""
        found = None if self.champion is None else self.records.get(self.champion)
        return found.version if found else None

    @property
    def versions(self) -> dict[int, VersionRecord]:
        """The records of the versions that matter yet."""
        return {version: each.version for version, each in self.records.items()}

    @property
    def drift_period(self) -> frozenset[int]:
        """The versions of the champion's drift period."""
        champion = self.champion_record
        same = (
            version
            for version, each in self.versions.items()
            if champion and each.drift_period == champion.drift_period
        )
        return frozenset(same)

    @property
    def names(self) -> tuple[str, ...]:
        """The feature names of all records."""
        return tuple(dict.fromkeys(name for each in self.records.values() for name in each.names))

    def champions_at(self, moments: np.ndarray) -> np.ndarray:
        """The version in production when labels of these times came, before anything was decided on
        them; of times since `began`.
        """
        starts = np.array([moment for moment, _ in self.champion_history], dtype="datetime64[us]")
        versions = np.array([version for _, version in self.champion_history])
        return versions[np.maximum(np.searchsorted(starts, moments, side="left") - 1, 0)]


def history_of(promotions: Sequence[PromotionEntry], decisions: Sequence[DecisionEntry]) -> History:
    """The state that the ledgers come to.

    Versions 1 and 2 were promoted, 3 was refused, and the loop went back from 2 to 1:

        >>> days = np.arange("2024-03-01", "2024-03-05", dtype="datetime64[D]")
        >>> actions, versions = (PROMOTE, PROMOTE, REFUSE, ROLLBACK), (1, 2, 3, 1)
        >>> entries = [
        ...     PromotionEntry(day, action, version=version)
        ...     for day, action, version in zip(days, actions, versions)
        ... ]
        >>> state = history_of(entries, [])
        >>> state.champion, len(state.trainings), [version for _, version in state.champion_history]
        (1, 1, [1, 2, 1])

    Args:
        promotions: entries of gold.promotion, in the order in which they were written.
        decisions: entries of gold.decision, in the order in which they were written; label outages
            are none.
    """
    state = _kept(_folded(promotions))
    judged = [
        entry for entry in promotions if entry.action != ROLLBACK and entry.version is not None
    ]
    trainings = dict.fromkeys(
        (entry.as_of, entry.version) for entry in judged
    )  # a person's verdict is no training
    return replace(
        state,
        trainings=tuple(as_of for as_of, _ in trainings)[-1:],
        trials=_trials(promotions, decisions)[-_TRIALS:],
        refused=_refused(state.champion_record, promotions, decisions),
        promoted=next(
            (e for e in reversed(promotions) if (e.action, e.version) == (PROMOTE, state.champion)),
            None,
        ),
    )


Entries = tuple[Sequence[PromotionEntry], Sequence[DecisionEntry]]


def newest_entries(
    read: Callable[[np.datetime64 | None], Entries], first: np.datetime64, newest: np.datetime64
) -> Entries:
    """The newest entries of both ledgers, as many as come to the `History` of all of them.

    Ever longer stretches are read, so that what is read follows from what matters yet, not from how
    much has happened.

    Args:
        read: gives the entries as of a moment or later, in write order; all for None.
        first: as-of of the oldest entry.
        newest: as-of of the newest.
    """
    stretch = _FIRST_STRETCH
    while newest - stretch > first:
        promotions, decisions = read(newest - stretch)
        if reach_back(promotions, decisions, newest - stretch):
            return promotions, decisions
        stretch = stretch * 2
    return read(None)


def reach_back(
    promotions: Sequence[PromotionEntry],
    decisions: Sequence[DecisionEntry],
    since: np.datetime64,
) -> bool:
    """Return whether the entries since a moment come to the same `History` as those of all time.

    They do where they hold the champion's whole drift period, a full archive, the last two trials,
    and the record of each version that came back by a rollback.
    """
    promoted: set[int | None] = set()
    for entry in promotions:
        if entry.action == PROMOTE and entry.record:
            promoted.add(entry.version)
        elif entry.action in MOVES and entry.version not in promoted:
            return False
    state = history_of(promotions, decisions)
    champion = state.champion_record
    return (
        champion is not None
        and bool(champion.drift_period >= since)
        and len(state.archive) == MOST_ARCHIVED
        and len(state.trials) == _TRIALS
    )


def _folded(promotions: Sequence[PromotionEntry]) -> History:
    state = History()
    for entry in promotions:
        state = _after(state, entry)
    return state


def _kept(state: History) -> History:
    """The same without what no later decision reads."""
    matter = {state.champion, state.before, *state.drift_period, *state.archive}
    moves, began = state.champion_history, state.began
    start = 0
    if began is not None:
        start = max((place for place, (as_of, _) in enumerate(moves) if as_of <= began), default=0)
    records = {version: each for version, each in state.records.items() if version in matter}
    return replace(state, records=records, champion_history=moves[start:])


def _after(state: History, entry: PromotionEntry) -> History:
    if entry.action not in MOVES or entry.version is None:
        return state
    as_of, version = entry.as_of, entry.version
    begins = max(
        [as_of, *(begin for begin, _ in state.champion_history[-1:])]
    )  # approved after another change: from then on
    champion_history = (*state.champion_history, (begins, version))
    if entry.action == ROLLBACK or entry.record is None:
        return replace(state, champion=version, before=None, champion_history=champion_history)
    archive, old = state.archive, state.champion_record
    answers = entry.record.version.drift_period == as_of
    if answers and old:
        archive = archived(archive, old, entry.record.version.changed_at)
    return replace(
        state,
        champion=version,
        # A rollout has compared both already: there is no probation after it.
        before=None if entry.ends_rollout else state.champion,
        records={**state.records, version: entry.record},
        archive=archive,
        began=as_of if answers or state.began is None else state.began,
        champion_history=champion_history,
    )


def _trials(
    promotions: Sequence[PromotionEntry], decisions: Sequence[DecisionEntry]
) -> tuple[Trial, ...]:
    """Return the trainings of all time.

    An alarm whose challenger was refused does not count; a refresh does, whatever became of it.
    """
    answered = {
        entry.as_of: float(entry.record.version.since_change)
        for entry in promotions
        if entry.action == PROMOTE
        and entry.record
        and entry.record.version.drift_period == entry.as_of
    }
    gains = {entry.as_of: entry.gain for entry in promotions if entry.action in VERDICTS}
    trials = [
        Trial(
            entry.as_of,
            entry.decision.evidence["labelled"],
            answered.get(entry.as_of),
            gains.get(entry.as_of, 0.0),
        )
        for entry in decisions
        if entry.decision.retrain
        and "labelled" in entry.decision.evidence
        and (entry.decision.action != RETRAIN or entry.as_of in answered)
    ]
    return tuple(trials)


def _refused(
    champion: VersionRecord | None,
    promotions: Sequence[PromotionEntry],
    decisions: Sequence[DecisionEntry],
) -> RefusedAlarm | None:
    """An alarm that training gave no challenger for was not refused: it comes again with the next
    labels.
    """
    verdicts: dict[np.datetime64, PromotionEntry] = {}
    for entry in promotions:
        if entry.action in (PROMOTE, REFUSE):
            verdicts.setdefault(
                entry.as_of, entry
            )  # the first of a night is on its alarm, if there was one
    refused = {
        as_of
        for as_of, entry in verdicts.items()
        if entry.action == REFUSE and entry.version is not None
    }
    alarms = [
        RefusedAlarm(
            entry.as_of,
            entry.decision.evidence.get("log_statistic", -np.inf),
            entry.decision.change_at,
            entry.decision.evidence.get(SINCE_CHANGE, 0.0),
        )
        for entry in decisions
        if entry.decision.action == RETRAIN
        and entry.as_of in refused
        and champion
        and entry.as_of > champion.drift_period
    ]
    return max(alarms, key=lambda alarm: alarm.log_statistic, default=None)
