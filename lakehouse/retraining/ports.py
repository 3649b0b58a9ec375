"""What the loop asks of the world: labelled predictions, a trainer, and the ledgers.

The pipeline answers from Delta tables and MLflow, a simulation from arrays. The loop does not know
which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lakehouse.checks.check import Check
from lakehouse.retraining.policy.candidates.choice import Candidate, Fitted
from lakehouse.retraining.policy.decide import Decision
from lakehouse.retraining.policy.detection.diagnose import Diagnosis, Shifts
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.gate import GateResult
from lakehouse.retraining.policy.history import DecisionEntry, History, PromotionEntry
from lakehouse.retraining.policy.records import BinCounts, Rows
from lakehouse.retraining.policy.triggers import Window


class LabelledRows(Protocol):
    """Labelled rows, with what recorded versions predict for them."""

    @property
    def rows(self) -> Rows:
        """The rows, in order of event time."""

    def predicted_by(self, version: int) -> np.ndarray:
        """Return what a promoted version predicts for each row."""

    def known_to(self, version: int) -> np.ndarray:
        """Return which rows have a label that the version can predict: a class that it has learned,
        or any number.
        """

    def slices(self, where: np.ndarray) -> Mapping[str, np.ndarray]:
        """For each watched slice, the mask of those of the rows at `where` that lie in it."""


class LabelledPredictions(Protocol):
    """What is known of production's predictions as of a label batch, under a state of the
    ledgers.
    """

    @property
    def labelled(self) -> int:
        """Labelled predictions since the champion's change; without a champion, labelled rows of
        all time.
        """

    def counts(self, since: np.datetime64 | None = None) -> BinCounts:
        """The drift period's labelled errors by hour; from `since` on, by row."""

    def labelled_after(self, moment: np.datetime64, most: int) -> LabelledRows | None:
        """The rows whose label came after a moment; None if there are none, or more than `most`."""

    def made_since(self, moment: np.datetime64) -> LabelledRows:
        """The labelled rows whose event time is at a moment or later."""

    def shifts(self) -> Shifts:
        """Return how far the champion's newest windows are from what it was trained on."""

    def metrics(self) -> Mapping[str, Sequence[Window]]:
        """The champion's windows of each metric that a threshold rule asks for, other than
        accuracy.
        """

    def without_labels_since(self) -> np.datetime64 | None:
        """Since when labels that are due have not come; None where they come as they should."""

    def unshared_meaning(self) -> Sequence[str]:
        """In words, what the champion does not share with the settings, and the next training
        brings.
        """


@dataclass(frozen=True)
class Trained:
    """A model that was fitted to the chosen candidate's rows, and is not registered yet.

    Attributes:
        fitted: the candidate, with the model's own cross-fitted predictions.
        known: mask of the rows that have a label which it can predict.
        flaw: why it may never take over, whatever it scores; None where nothing forbids it.
        milliseconds: it takes to score a thousand rows; None where that is not measured.
        checks: tests of the model by itself.
        names: the columns of the rows that it may be told by: those of features that it reads;
            empty for all.
        model: what the trainer needs to register it.
    """

    fitted: Fitted
    known: np.ndarray
    flaw: str | None = None
    milliseconds: float | None = None
    checks: tuple[Check, ...] = ()
    names: tuple[str, ...] = ()
    model: Any = None


@dataclass(frozen=True)
class Judged:
    """A registered version with the gate's result.

    Attributes:
        version: its number.
        result: the gate's.
        record: what the policy knows of it, should it take over.
    """

    version: int
    result: GateResult
    record: PolicyRecord


class Trainer(Protocol):
    """Fits models for one decision, and registers them."""

    @property
    def labelled(self) -> LabelledRows:
        """The newest labelled rows, as many as a training takes."""

    @property
    def cost(self) -> Mapping[str, float]:
        """What the training has cost so far, for the evidence of its result; empty where that is
        not measured.
        """

    def forward_choice(
        self, candidates: Sequence[Candidate], judged: np.ndarray
    ) -> Candidate | None:
        """Return the candidate that would have predicted best lately; None where the rows do not
        tell (see `forward.forward_choice`).
        """

    def cross_fit(
        self, candidates: Sequence[Candidate], judged: np.ndarray
    ) -> Sequence[Fitted | None]:
        """Each candidate, cross-fitted (see `choice.cross_fit`); None for one that cannot be
        compared.
        """

    def fit(self, fitted: Fitted, judged: np.ndarray) -> Trained:
        """Tune and fits a model to the chosen candidate's rows.

        Raises:
            TrainingError: no model can be fitted to them.
        """

    def register(
        self, trained: Trained, judged: np.ndarray, result: GateResult, record: PolicyRecord
    ) -> int:
        """Register the model with its record, whatever the gate says of it; return the version's
        number.
        """

    def registered_before(self) -> Judged | None:
        """Return the challenger that a run that was cut off has registered for the decision."""


class Ledger(Protocol):
    """What was decided and promoted: read once a step, and written before anything is done."""

    @property
    def history(self) -> History:
        """The state that all entries come to."""

    @property
    def decisions(self) -> Sequence[DecisionEntry]:
        """The decisions on retraining, in write order."""

    @property
    def promotions(self) -> Sequence[PromotionEntry]:
        """Verdicts and rollbacks, in write order."""

    def held(self, decision: Decision) -> Decision:
        """The decision; where a challenger waits for a person, one that trains nothing."""

    def record_decision(
        self,
        as_of: np.datetime64,
        decision: Decision,
        diagnosis: Diagnosis | None,
        remarks: Sequence[str],
    ) -> None:
        """Write a decision, and what is said besides."""

    def record_outage(self, as_of: np.datetime64, since: np.datetime64) -> None:
        """Write that labels are overdue; once for a label batch."""

    def record_no_challenger(
        self, as_of: np.datetime64, reason: str, evidence: Mapping[str, float]
    ) -> None:
        """Write that a training gave no challenger, why, and with which figures."""

    def record_result(self, as_of: np.datetime64, decision: Decision, judged: Judged) -> bool:
        """Write the gate's result, and promote a version that passed; return whether it did so.

        A challenger that passes may have to wait for a person (`approval: manual`): it is not
        promoted then.
        """

    def roll_back(self, as_of: np.datetime64, version: int, result: GateResult) -> None:
        """Write that the version before is better, and bring it back."""
