"""The order of a night: watch, tell of missing labels, decide, train, judge, record, promote
(docs/policy.md).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lakehouse.checks.check import Check
from lakehouse.checks.judged_checks import JudgedRows, judged_checks
from lakehouse.errors import TrainingError
from lakehouse.models import Problem
from lakehouse.retraining.policy.candidates.choice import (
    Fitted,
    candidates_of,
    choose,
    distinct_predictions,
    judged_at_gate,
)
from lakehouse.retraining.policy.decide import REFRESH, RETRAIN, Decision, DecisionInput, decide
from lakehouse.retraining.policy.detection.detect import Detection, detect
from lakehouse.retraining.policy.detection.diagnose import (
    Diagnosis,
    diagnose,
    expectation_missed,
    where_contradicted,
)
from lakehouse.retraining.policy.difference import differences
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.gate import (
    Challenger,
    GateResult,
    compare,
    judge,
    judge_first,
    on_probation,
    probation,
    with_checks,
)
from lakehouse.retraining.policy.history import History, reasons_of
from lakehouse.retraining.policy.records import Region
from lakehouse.retraining.policy.refresh import due_at
from lakehouse.retraining.policy.triggers import TrainingRequest, TriggerInput, unanswered
from lakehouse.retraining.policy.version import judged_rows, record_of, restored
from lakehouse.retraining.ports import (
    Judged,
    LabelledPredictions,
    LabelledRows,
    Ledger,
    Trained,
    Trainer,
)
from lakehouse.settings import CostSettings, PolicySettings
from lakehouse.versions.actions import REFUSE, VERDICTS

_CERTAIN = 0.999
"""A change is dated by row within the credible interval of this level, and by hour before it."""


@dataclass(frozen=True)
class LoopContext:
    """What the loop acts in.

    Attributes:
        problem: what is predicted.
        policy: when to retrain, on which rows, and who may take over.
        first_after: labelled rows before the first model is trained.
        ledger: what was decided and promoted so far.
        predictions: the labelled predictions under a state of the ledgers.
        trainer: what trains for a decision under a state of the ledgers.
        requests: for a training, that are known; answered ones may be among them.
        costs: of calls; None where none are set.
    """

    problem: Problem
    policy: PolicySettings
    first_after: int
    ledger: Ledger
    predictions: Callable[[History], LabelledPredictions]
    trainer: Callable[[Decision, History], Trainer]
    requests: Sequence[TrainingRequest] = ()
    costs: CostSettings | None = None


class Night:
    """What is done as of one label batch.

    A night that was cut off goes on where its ledgers end.
    """

    def __init__(self, as_of: np.datetime64, context: LoopContext) -> None:
        """Read nothing yet."""
        self._as_of, self._context, self._ledger = as_of, context, context.ledger
        self._known: tuple[History, LabelledPredictions] | None = None

    def run(self) -> bool:
        """Do what is left to do as of the label batch.

        Returns:
            Whether a model was promoted.
        """
        self._report_outage()
        if not any(entry.as_of == self._as_of for entry in self._ledger.decisions):
            self._watch()
            self._decide()
        promoted = False
        while (decision := self._unanswered()) is not None:
            promoted |= self._answer(decision)
        return promoted

    @property
    def _history(self) -> History:
        return self._ledger.history

    @property
    def _predictions(self) -> LabelledPredictions:
        """The labelled predictions under the present state of the ledgers."""
        history = self._history
        if self._known is None or self._known[0] is not history:
            self._known = history, self._context.predictions(history)
        return self._known[1]

    def _report_outage(self) -> None:
        """Record overdue labels, which are an alarm of their own, not a drift."""
        since = None if self._history.champion is None else self._predictions.without_labels_since()
        if since is not None:
            self._ledger.record_outage(self._as_of, since)

    def _watch(self) -> None:
        """Roll back if labels since the promotion show that the previous version was better."""
        history, settings = self._history, self._context.policy.probation
        champion, before = history.champion_record, history.before
        if champion is None or before is None:
            return
        # Labels since the promotion are new to both: neither version was trained on them.
        new = self._predictions.labelled_after(champion.as_of, settings.rows)
        if new is None or not on_probation(len(new.rows), settings):
            return
        problem = self._context.problem
        sides = (new.predicted_by(version) for version in (before, champion.version))
        result = probation(problem, compare(problem, new.rows.labels, *sides), settings)
        if not result.passed:
            self._ledger.roll_back(self._as_of, before, result)

    def _decide(self, refused: bool = False) -> Decision:
        """Decide and record; after a refused alarm record only what asks for a training."""
        history = self._history
        if history.champion is not None and history.champion_record is None:
            decision, diagnosis = self._unrecorded_champion(), None
        else:
            record = None if history.champion is None else self._trigger_input()
            inputs = DecisionInput(
                self._as_of,
                history.champion_record,
                self._predictions.labelled,
                self._due(),
                record,
                refused,
            )
            decision = decide(inputs, self._context.first_after, self._context.policy)
            if record is not None:
                decision = self._dated(record.detection, decision)
            if refused and not decision.retrain:
                return decision
            diagnosis = None if record is None else self._diagnosis(record.detection, decision)
        # Held last: what the rules asked for, and why, stays on record.
        decision = self._ledger.held(decision)
        remarks = [] if history.champion is None else [*self._predictions.unshared_meaning()]
        if decision.action == RETRAIN and history.champion_record:
            remarks += expectation_missed(self._predictions.counts(), history.champion_record)
        self._ledger.record_decision(self._as_of, decision, diagnosis, remarks)
        return decision

    def _due(self) -> float | None:
        """Return how many labelled rows since the change a refresh asks for; None for none."""
        price = self._context.policy.price
        return None if price is None else due_at(self._history.trials, self._as_of, price)

    def _unrecorded_champion(self) -> Decision:
        """Train again for a champion of an older release: what it finds hard is not on record.

        The challenger is refused only where it is credibly worse: without a record the policy sees
        no drift.
        """
        history = self._history
        words = f"version {history.champion} was trained by a release without a policy record"
        needed = 1 - self._context.policy.probation.confidence
        since = history.promoted.changed_at if history.promoted else None
        return Decision(REFRESH, "no_record", (words,), change_at=since, confidence=needed)

    def _trigger_input(self) -> TriggerInput:
        """Read what the triggers look at."""
        history, counts = self._history, self._predictions.counts()
        hours, place = np.unique(counts.hour, return_inverse=True)
        labelled, wrong = (
            np.bincount(place, each, len(hours)).astype(float)
            for each in (counts.labelled, counts.wrong)
        )
        detection, metrics = self._detect(), self._predictions.metrics()
        return TriggerInput(
            self._as_of,
            detection,
            hours,
            labelled,
            wrong,
            metrics,
            history.trainings,
            history.refused,
            unanswered(self._context.requests, reasons_of(self._ledger.decisions)),
        )

    def _detect(self, since: np.datetime64 | None = None) -> Detection:
        """Run the detector over the drift period's counts, which are by row from `since` on."""
        history, predictions = self._history, self._predictions
        memory = np.timedelta64(self._context.policy.detector.memory)
        champion = int(history.champion or 0)
        return detect(predictions.counts(since), history.versions, champion, memory)

    def _dated(self, detection: Detection, decision: Decision) -> Decision:
        """Date an alarm to the row, where the detector dated it to an hour."""
        if decision.action != RETRAIN or decision.change_at != detection.change_at:
            return decision
        between = detection.interval(_CERTAIN)
        if between is None:
            return decision
        return replace(decision, change_at=self._detect(between[0]).change_at)

    def _diagnosis(self, detection: Detection, decision: Decision) -> Diagnosis:
        """Return the kinds of drift, and the regions in which the rule has changed."""
        context, regions = self._context, tuple[Region, ...]()
        if decision.action == RETRAIN and decision.change_at is not None:
            labelled = self._predictions.made_since(decision.change_at)
            predicted = labelled.predicted_by(int(self._history.champion or 0))
            regions = where_contradicted(labelled.rows, predicted, decision.change_at)
        log_alarm = math.log(context.policy.detector.alarm)
        is_dated = decision.change_between is not None
        shifts, kinds = self._predictions.shifts(), context.problem.kinds
        return diagnose(detection, log_alarm, shifts, regions, kinds, is_dated)

    def _unanswered(self) -> Decision | None:
        """Return the decision without a result; after a refused alarm, the rest of the night."""
        asked = [each.decision for each in self._ledger.decisions if each.as_of == self._as_of]
        asked = [decision for decision in asked if decision.retrain]
        results = [
            each for each in self._ledger.promotions if each.as_of == self._as_of and each.by_loop
        ]
        # What a rollout came to later is no second answer.
        results = [each for each in results if each.action in VERDICTS and not each.ends_rollout]
        if len(results) < len(asked):
            return asked[len(results)]
        if asked and asked[-1].action == RETRAIN and results[-1].action == REFUSE:
            again = self._decide(refused=True)
            return again if again.retrain else None
        return None

    def _answer(self, decision: Decision) -> bool:
        """Train, judge, record, and promote what passes; take up what a run that was cut off has
        registered.
        """
        trainer = self._context.trainer(decision, self._history)
        reason = self._context.problem.too_few
        try:
            judged = trainer.registered_before() or self._challenge(trainer, decision)
        except TrainingError as error:
            judged, reason = None, str(error)
        if judged is None:
            self._ledger.record_no_challenger(self._as_of, reason, trainer.cost)
            return False
        return self._ledger.record_result(self._as_of, decision, judged)

    def _challenge(self, trainer: Trainer, decision: Decision) -> Judged | None:
        """Choose rows, train on them, and judge the challenger; None where no candidate can be
        compared.
        """
        labelled = trainer.labelled
        rows, judged = labelled.rows, judged_rows(decision, labelled.rows)
        if not judged.any():
            return None
        chosen = self._chosen(trainer, decision, judged)
        if chosen is None:
            return None
        history, as_of = self._history, self._as_of
        archived = chosen.candidate.version
        if archived is not None:  # it comes back as it is: nothing is trained
            trained = Trained(chosen, labelled.known_to(archived))
            result = self._compared(decision, labelled, judged, trained)
            result = with_checks(result, result.checks).with_figures(trainer.cost)
            old = history.records[archived]
            version = restored(old.version, history.archive[archived], decision, as_of, rows)
            return Judged(archived, result, replace(old, version=version))
        trained = trainer.fit(chosen, judged)
        result = self._result(decision, labelled, judged, trained).with_figures(trainer.cost)
        current = rows.only(trained.names) if trained.names else rows
        version = record_of(0, trained.fitted, decision, as_of, current, history.champion_record)
        record = PolicyRecord(
            version, current.names, chosen.candidate.name, float(chosen.weights.max())
        )
        number = trainer.register(trained, judged, result, record)
        return Judged(number, result, record.numbered(number))

    def _chosen(self, trainer: Trainer, decision: Decision, judged: np.ndarray) -> Fitted | None:
        """Return the best candidate, cross-fitted.

        Where enough has happened since the change, that is the one whose models would have
        predicted best lately; else the one that cross-fitting prefers.
        """
        history, settings = self._history, self._context.policy.candidates
        candidates = candidates_of(
            decision, history.champion_record, history.archive, int(judged.sum()), settings
        )
        if len(candidates) > 1:
            best = trainer.forward_choice(candidates, judged)
            candidates = candidates if best is None else [best]
        fitted = [each for each in trainer.cross_fit(candidates, judged) if each is not None]
        return choose(fitted, trainer.labelled.rows, judged, settings) if fitted else None

    def _result(
        self, decision: Decision, labelled: LabelledRows, judged: np.ndarray, trained: Trained
    ) -> GateResult:
        """Return the gate's result on a newly trained model."""
        if trained.flaw:
            return GateResult(False, f"the challenger may not take over: {trained.flaw}")
        if self._history.champion is None:
            result = self._first_result(labelled, judged, trained.fitted)
        else:
            result = self._compared(decision, labelled, judged, trained)
        return with_checks(result, (*trained.checks, *result.checks))

    def _first_result(
        self, labelled: LabelledRows, judged: np.ndarray, fitted: Fitted
    ) -> GateResult:
        context, on = self._context, judged & fitted.asked
        labels, predictions = labelled.rows.labels[on], fitted.predictions[on]
        result = judge_first(context.problem, labels, predictions, context.policy.gate)
        # Slices are of predictions; before the first model there are none.
        rows = JudgedRows(context.problem, labels, predictions, None, {})
        return replace(result, checks=self._judged_checks(rows))

    def _judged_checks(self, rows: JudgedRows) -> tuple[Check, ...]:
        return judged_checks(rows, self._context.policy.checks, self._context.costs)

    def _compared(
        self, decision: Decision, labelled: LabelledRows, judged: np.ndarray, trained: Trained
    ) -> GateResult:
        """Return the gate's result on judged rows whose labels came after the champion was
        trained, and that both can predict.
        """
        history, fitted, rows = self._history, trained.fitted, labelled.rows
        champion = int(history.champion or 0)
        candidates = judged_at_gate(fitted, rows, judged, history.trained_as_of)
        to_champion = labelled.known_to(champion)
        on = candidates & trained.known & to_champion
        left_out = int(candidates.sum() - on.sum())
        if left_out and not on.any():
            return self._of_new_classes(labelled, judged, fitted, left_out)
        challenger = Challenger(
            rows.problem,
            rows.labels[on],
            labelled.predicted_by(champion)[on],
            fitted.predictions[on],
            distinct=distinct_predictions(fitted, judged),
            milliseconds=trained.milliseconds,
            slices=labelled.slices(on),
            of_new_classes=int((candidates & trained.known & ~to_champion).sum()),
        )
        sides = challenger.predictions, challenger.champion
        own = JudgedRows(rows.problem, challenger.labels, *sides, challenger.slices)
        result = replace(
            judge(challenger, decision.confidence, self._context.policy.gate),
            differences=differences(rows.take(on), challenger.champion, challenger.predictions),
            checks=self._judged_checks(own),
        )
        if not left_out:
            return result
        words = f"{result.reason}; {left_out} more have a label that one of them does not know"
        return replace(
            result, reason=words, evidence={**result.evidence, "left_out": float(left_out)}
        )

    def _of_new_classes(
        self, labelled: LabelledRows, judged: np.ndarray, fitted: Fitted, rows: int
    ) -> GateResult:
        """Judge the challenger as a first model, since the champion can predict none of the
        labels.
        """
        result = self._first_result(labelled, judged, fitted)
        words = (
            f"the champion knows none of the labels of {rows} rows, so it is judged as a first "
            "model"
        )
        return replace(result, reason=f"{words}: {result.reason}")
