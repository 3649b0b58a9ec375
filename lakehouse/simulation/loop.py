"""The loop over a simulated stream: score, take in labels, decide, train, judge, promote; no Spark, no registry."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lakehouse.settings import PolicySettings
from lakehouse.simulation.learner import fit_tree
from lakehouse.simulation.world import Plant
from lakehouse.statistics.difficulty import N_BINS
from lakehouse.steps.policy.candidates import (
    Fitted,
    Learner,
    Model,
    candidates_of,
    choose,
    classes_called,
    cross_fit,
    judged_at_gate,
    recalled,
)
from lakehouse.steps.policy.decide import REFRESH, RETRAIN, Decision, Situation, decide
from lakehouse.steps.policy.detect import Detection, detect
from lakehouse.steps.policy.evidence import BinCounts, Pool, Recent, Rows, VersionRecord
from lakehouse.steps.policy.gate import Challenger, Judgement, duel, judge, on_probation, probation
from lakehouse.steps.policy.rules import Record
from lakehouse.steps.policy.version import archived, judged_rows, record_of, restored
from lakehouse.steps.promote import PROMOTE, REFUSE, ROLLBACK

FIRST_AFTER = 1150


@dataclass(frozen=True)
class Event:
    """A training with its verdict, or a rollback.

    Attributes:
        as_of: label batch.
        action: promote, refuse or rollback.
        decision: that asked for it.
        judgement: the gate's, or the probation's.
        candidate: on which rows.
        gain: true accuracy of the version judged, minus the one of the champion before, in the regime of then; NaN
            where nobody knows the truth.
    """

    as_of: np.datetime64
    action: str
    decision: Decision
    judgement: Judgement
    candidate: str
    gain: float


@dataclass
class Loop:
    """A plant with the policy at work.

    Labels may come in any order: those that have been told by a night are known in it, in the order of their events.

    Attributes:
        events: trainings and rollbacks, in order.
        decisions: as-of and decision of each night with labels, in order; two where an alarm was refused and a refresh
            was left of it.
        called: class code that production gave each piece; -1 before the first champion.
        judged_by: version whose call each piece's label is held against; the one that called it, until the label comes.
    """

    world: Plant
    settings: PolicySettings
    learner: Learner = fit_tree
    first_after: int = FIRST_AFTER
    events: list[Event] = field(default_factory=list)
    decisions: list[tuple[np.datetime64, Decision]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = self.world.rows
        pieces = len(self.rows)
        self.called = np.full(pieces, -1)
        self.judged_by = np.zeros(pieces, dtype=int)
        self._bin = np.zeros(pieces, dtype=int)
        self._wrong = np.zeros(pieces, dtype=bool)
        self._known = np.zeros(pieces, dtype=bool)
        self._began = self.rows.told.min()
        self._hour = self.rows.made.astype("datetime64[h]")
        self._memory = np.timedelta64(self.settings.detector.memory)
        self._scored = self._tried = 0
        self.models: dict[int, Model] = {}
        self.records: dict[int, VersionRecord] = {}
        self._archive: dict[int, Pool] = {}
        self._champion: int | None = None
        self._before: int | None = None

    def run(self, nights: Sequence[np.datetime64] | None = None) -> "Loop":
        """Goes through the given nights, or through all, to the one of the last label."""
        first, last = (moment.astype("datetime64[D]") for moment in (self.rows.made[0], self.rows.told.max()))
        for night in np.arange(first + 1, last + 1).astype("datetime64[us]") if nights is None else nights:
            self._score(night)
            new = (self.rows.told <= night) & ~self._known
            if new.any():
                self._take_in(np.flatnonzero(new))
                self._known |= new
                self._step(night, self.rows.take(self._known))
        return self

    @property
    def champion(self) -> VersionRecord | None:
        """The record of the version in production."""
        return None if self._champion is None else self.records[self._champion]

    def _score(self, night: np.datetime64) -> None:
        """The champion calls the pieces made since the last night."""
        upto = int(np.searchsorted(self.rows.made, night))
        if self._champion is not None and upto > self._scored:
            new = slice(self._scored, upto)
            champion = self.records[self._champion]
            self.called[new], self._bin[new] = self._calls(champion, self.rows.features[new])
            self.judged_by[new] = self._champion
        self._scored = upto

    def _calls(self, version: VersionRecord, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a version calls the rows, and in which bins the calls are."""
        calls = self.models[version.version].predict(features)
        return calls, calls * N_BINS + version.difficulty.bins_of_calls(features, calls)

    def _take_in(self, new: np.ndarray) -> None:
        """Labels: a row that a version of an earlier epoch called counts as the champion would have called it."""
        champion = self.champion
        calls = self.called[new].copy()
        if champion:
            epochs = {version: record.epoch == champion.epoch for version, record in self.records.items()}
            stale = np.array([not epochs.get(version, False) for version in self.judged_by[new].tolist()])
            if stale.any():
                places = new[stale]
                calls[stale], self._bin[places] = self._calls(champion, self.rows.features[places])
                self.judged_by[places] = champion.version
        self._wrong[new] = calls != self.rows.codes[new]

    def _step(self, as_of: np.datetime64, rows: Rows) -> None:
        """Probation, then a decision, and what follows from it."""
        self._watch(as_of, rows)
        champion = self.champion
        start = champion.changed_at if champion else None
        labelled = len(rows) if start is None else int((rows.made >= start).sum())
        record = self._record(as_of, champion) if champion else None
        situation = Situation(as_of, champion, labelled, self._tried, record)
        decision = decide(situation, self.first_after, self.settings)
        if champion and record and decision.action == RETRAIN and decision.change_at == record.detection.change_at:
            dated = self._detect(champion, self.rows.made).change_at
            decision = replace(decision, change_at=dated)
        self.decisions.append((as_of, decision))
        promoted = decision.retrain and self._train(decision, rows, as_of)
        if decision.action == RETRAIN and not promoted:
            again = decide(replace(situation, refused=True), self.first_after, self.settings)
            if again.retrain:
                self.decisions.append((as_of, again))
                self._train(again, rows, as_of)

    def _epoch(self) -> np.ndarray:
        """Mask of the rows whose labels came since the epoch began."""
        return self._known & (self.rows.told > self._began)

    def _detect(self, champion: VersionRecord, moments: np.ndarray) -> Detection:
        """A count per labelled piece of the epoch: they add up to what gold has by hour."""
        new = self._epoch()
        wrong = self._wrong[new].astype(int)
        ones = np.ones(len(wrong), dtype=int)
        counts = BinCounts(moments[new], self.judged_by[new], self._bin[new], ones, wrong)
        return detect(counts, self.records, champion.version, self._memory, self._recent(champion, counts, new))

    def _recent(self, champion: VersionRecord, counts: BinCounts, new: np.ndarray) -> Recent | None:
        """The newest of the counts with their rows; `new` is the mask of the counted rows."""
        recall, made = self.settings.detector.recall, self.rows.made[new]
        if recall is None or not len(made):
            return None
        late = np.flatnonzero(made > made.max() - np.timedelta64(recall))
        rows = self.rows.take(np.flatnonzero(new)[late])
        versions = recalled(self._archive, champion, self.records, self.settings.candidates)
        archived = {version: self._calls(self.records[version], rows.features)[1] for version in versions}
        return Recent(counts.take(late), rows, archived)

    def _record(self, as_of: np.datetime64, champion: VersionRecord) -> Record:
        new = self._epoch()
        hours, place = np.unique(self._hour[new], return_inverse=True)
        wrong = np.bincount(place, self._wrong[new], len(hours))
        labelled = np.bincount(place, minlength=len(hours)).astype(float)
        trainings = [event.as_of for event in self.events if event.action != ROLLBACK]
        refused = [
            event.decision.evidence.get("log_statistic", -np.inf)
            for event in self.events
            if event.as_of > champion.epoch and event.decision.action == RETRAIN and event.action == REFUSE
        ]
        detection = self._detect(champion, self._hour)
        return Record(as_of, detection, hours, labelled, wrong, {}, trainings, max(refused, default=-np.inf))

    def _watch(self, as_of: np.datetime64, rows: Rows) -> None:
        """Rolls the champion back where the labels since its promotion say that the one before was better."""
        champion = self.champion
        if champion is None or self._before is None:
            return
        new = np.flatnonzero(rows.told > champion.as_of)
        if not len(new) or not on_probation(len(new), self.settings.probation):
            return
        features = rows.features[new]
        before, now = (self.models[version].predict(features) for version in (self._before, champion.version))
        found = duel(rows.codes[new], before, now)
        judgement = probation(found, self.settings.probation)
        if not judgement.passed:
            decision = Decision(ROLLBACK, "probation", (judgement.reason,))
            gain = self._gain(self.models[self._before])
            self.events.append(Event(as_of, ROLLBACK, decision, judgement, f"version {self._before}", gain))
            self._champion, self._before = self._before, None

    def _train(self, decision: Decision, rows: Rows, as_of: np.datetime64) -> bool:
        """Trains, judges, and promotes where the verdict is so."""
        judged = judged_rows(decision, rows)
        fitted = self._fitted(decision, rows, judged)
        self._tried = self._tried if decision.action == RETRAIN else int(judged.sum())
        if fitted is None:
            return False
        record, model = self._new_version(decision, fitted, rows, as_of)
        judgement = self._judgement(decision, fitted, rows, judged)
        action = PROMOTE if judgement.passed else REFUSE
        self.events.append(Event(as_of, action, decision, judgement, fitted.candidate.name, self._gain(model)))
        if judgement.passed:
            self._promote(decision, record, model)
            self._tried = int(judged.sum())
        return judgement.passed

    def _fitted(self, decision: Decision, rows: Rows, judged: np.ndarray) -> Fitted | None:
        settings = self.settings.candidates
        candidates = candidates_of(decision, self.champion, self._archive, rows.made[-1], int(judged.sum()), settings)
        named = {version for each in candidates for version in (each.reference, each.version) if version is not None}
        calls = {version: self.models[version].predict(rows.features) for version in named}
        results = [cross_fit(each, rows, judged, calls, self.learner) for each in candidates]
        kept = [each for each in results if each is not None]
        return choose(kept, rows, judged, settings) if kept else None

    def _judgement(self, decision: Decision, fitted: Fitted, rows: Rows, judged: np.ndarray) -> Judgement:
        champion = self.champion
        if champion is None:
            return Judgement(True, "the first model")
        new = judged_at_gate(fitted, rows, judged, champion.as_of)
        calls = self.models[champion.version].predict(rows.features[new]) if new.any() else np.empty(0, int)
        called = classes_called(fitted, judged)
        challenger = Challenger(rows.codes[new], calls, fitted.calls[new], classes=called)
        return judge(challenger, decision.confidence, self.settings.gate)

    def _new_version(
        self, decision: Decision, fitted: Fitted, rows: Rows, as_of: np.datetime64
    ) -> tuple[VersionRecord, Model]:
        old = fitted.candidate.version
        if old is not None:
            return restored(self.records[old], self._archive[old], fitted, decision, as_of, rows), self.models[old]
        taken = fitted.weights > 0
        model = self.learner(rows.features[taken], rows.codes[taken], fitted.weights[taken])
        version = max(self.models, default=0) + 1
        return record_of(version, fitted, decision, as_of, rows, self.champion), model

    def _promote(self, decision: Decision, record: VersionRecord, model: Model) -> None:
        champion = self.champion
        if decision.action == RETRAIN and champion:
            self._archive = archived(self._archive, champion, decision.change_at)
        self.models[record.version], self.records[record.version] = model, record
        self._before, self._champion = self._champion, record.version
        self._began = record.as_of if decision.action != REFRESH else self._began

    def _gain(self, model: Model) -> float:
        """True accuracy of the model minus the champion's, in the regime of now."""
        if self._champion is None:
            return 0.0
        now, champion = min(self._scored, len(self.rows) - 1), self.models[self._champion]
        return self.world.accuracy(model, now) - self.world.accuracy(champion, now)
