"""The loop's ports over arrays: labelled rows, predictions and a trainer without Spark, a ledger
without tables.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

import numpy as np

from lakehouse.models.expected_error.spline_logistic import bins_of
from lakehouse.retraining.policy.candidates.choice import (
    Candidate,
    Fitted,
    Learner,
    Model,
    cross_fit,
    named_versions,
)
from lakehouse.retraining.policy.candidates.forward import forward_choice
from lakehouse.retraining.policy.decide import Decision
from lakehouse.retraining.policy.detection.diagnose import Shifts
from lakehouse.retraining.policy.gate import GateResult
from lakehouse.retraining.policy.history import (
    DecisionEntry,
    Entries,
    History,
    PromotionEntry,
    history_of,
    newest_entries,
)
from lakehouse.retraining.policy.records import BinCounts, Rows
from lakehouse.retraining.policy.triggers import Window
from lakehouse.retraining.ports import Judged, Trained
from lakehouse.settings import PolicySettings
from lakehouse.settings.model import TrainingSettings
from lakehouse.versions.actions import PROMOTE, REFUSE, ROLLBACK

MOST_ROWS: int = TrainingSettings.model_fields["max_rows"].default
"""As many of the newest labelled rows as a training takes."""


@dataclass
class Stream:
    """The pieces of a stream, and what production has predicted for them so far.

    Attributes:
        rows: all of the stream, in order of event time.
        most_rows: as many of the newest labelled rows as a training takes.
        models: by version.
        predicted_in_production: what production predicted for each piece; unknown before the first
            champion.
        judged_by: version whose prediction each piece's label is held against: the one that made
            it; but for a label that came in a later drift period, the champion of the moment of the
            label.
        judged: that prediction.
        bin: kind × number of error bins + error bin of it.
        wrong: whether it is wrong.
        known: whether the label has come.
    """

    rows: Rows
    most_rows: int = MOST_ROWS
    models: dict[int, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pieces = len(self.rows)
        self.predicted_in_production, self.judged = (
            self.rows.problem.unknown(pieces) for _ in range(2)
        )
        self.judged_by, self.bin = np.zeros(pieces, dtype=int), np.zeros(pieces, dtype=int)
        self.wrong, self.known = np.zeros(pieces, dtype=bool), np.zeros(pieces, dtype=bool)
        self.scored = 0

    def score(self, night: np.datetime64, history: History) -> None:
        """The champion predicts for the pieces made since the last night."""
        upto = int(np.searchsorted(self.rows.event_time, night))
        if history.champion is not None and upto > self.scored:
            new = slice(self.scored, upto)
            self.judged[new], self.bin[new] = self.predicted(
                history, history.champion, self.rows.features[new]
            )
            self.predicted_in_production[new], self.judged_by[new] = (
                self.judged[new],
                history.champion,
            )
        self.scored = upto

    def predicted(
        self, history: History, version: int, features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what a version predicts for rows, and in which bins its predictions are."""
        predictions = self.models[version].predict(features)
        kinds = self.rows.problem.kind_of(predictions)
        return predictions, bins_of(
            history.records[version].version.expected_error, features, kinds
        )

    def take_in(self, night: np.datetime64, history: History) -> bool:
        """Take in the labels that have come by the night; return whether there are new ones."""
        new = np.flatnonzero((self.rows.label_time <= night) & ~self.known)
        if not len(new):
            return False
        stale = new[~np.isin(self.judged_by[new], sorted(history.drift_period))]
        if history.champion is not None and len(stale):
            self.judged[stale], self.bin[stale] = self.predicted(
                history, history.champion, self.rows.features[stale]
            )
            self.judged_by[stale] = history.champion
        self.wrong[new] = self.rows.take(new).wrong(self.judged[new])
        self.known[new] = True
        return True


@dataclass(frozen=True)
class StreamRows:
    """Labelled rows of a stream (see `ports.LabelledRows`)."""

    rows: Rows
    models: Mapping[int, Model]

    def predicted_by(self, version: int) -> np.ndarray:
        """See `LabelledRows`."""
        if not len(self.rows):
            return self.rows.problem.unknown(0)
        return np.asarray(self.models[version].predict(self.rows.features))

    def known_to(self, _: int) -> np.ndarray:
        """All rows: every model has learned all classes."""
        return np.ones(len(self.rows), dtype=bool)

    def slices(self, _: np.ndarray) -> Mapping[str, np.ndarray]:
        """None."""
        return {}


class StreamPredictions:
    """A stream's labelled predictions (see `ports.LabelledPredictions`)."""

    def __init__(self, stream: Stream, settings: PolicySettings, history: History) -> None:
        """Of the labels that have come."""
        self._stream, self._history, self._settings = stream, history, settings

    @property
    def labelled(self) -> int:
        """See `LabelledPredictions`."""
        champion = self._history.champion_record
        start, known = champion.changed_at if champion else None, self._stream.known
        is_new = known if start is None else known & (self._stream.rows.event_time >= start)
        return int(is_new.sum())

    def counts(self, since: np.datetime64 | None = None) -> BinCounts:
        """See `LabelledPredictions`: a count per piece; those of an hour add up to what gold
        has.
        """
        stream, new = self._stream, self._is_of_period
        ones = np.ones(int(new.sum()), dtype=int)
        hour = self._hours(stream.rows.event_time[new], since)
        return BinCounts(
            hour, stream.judged_by[new], stream.bin[new], ones, stream.wrong[new].astype(int)
        )

    def labelled_after(self, moment: np.datetime64, most: int) -> StreamRows | None:
        """See `LabelledPredictions`."""
        stream = self._stream
        new = np.flatnonzero(stream.known & (stream.rows.label_time > moment))
        return StreamRows(stream.rows.take(new), stream.models) if 0 < len(new) <= most else None

    def made_since(self, moment: np.datetime64) -> StreamRows:
        """See `LabelledPredictions`."""
        stream = self._stream
        new = np.flatnonzero(stream.known & (stream.rows.event_time >= moment))
        return StreamRows(stream.rows.take(new[-stream.most_rows :]), stream.models)

    def shifts(self) -> Shifts:
        """None: no columns are profiled."""
        return Shifts()

    def metrics(self) -> Mapping[str, Sequence[Window]]:
        """None but accuracy, which is made from the counts."""
        return {}

    def without_labels_since(self) -> None:
        """Labels come as they do."""

    def unshared_meaning(self) -> Sequence[str]:
        """None: the settings do not change."""
        return ()

    @property
    def _is_of_period(self) -> np.ndarray:
        """Mask of the rows whose labels came since the drift period began."""
        began = self._history.began
        return (
            self._stream.known & (self._stream.rows.label_time > began)
            if began is not None
            else self._stream.known
        )

    @staticmethod
    def _hours(moments: np.ndarray, since: np.datetime64 | None) -> np.ndarray:
        hours = moments.astype("datetime64[h]").astype(moments.dtype)
        return hours if since is None else np.where(hours < since, hours, moments)


@dataclass(frozen=True)
class StreamTrainer:
    """Fits a learner to arrays (see `ports.Trainer`)."""

    stream: Stream
    learner: Learner

    @cached_property
    def labelled(self) -> StreamRows:
        """See `Trainer`."""
        known = np.flatnonzero(self.stream.known)[-self.stream.most_rows :]
        return StreamRows(self.stream.rows.take(known), self.stream.models)

    @property
    def cost(self) -> Mapping[str, float]:
        """Not measured: a replay is the same to the last digit."""
        return {}

    def forward_choice(
        self, candidates: Sequence[Candidate], judged: np.ndarray
    ) -> Candidate | None:
        """See `Trainer`."""
        predictions = self._predictions(candidates)
        return forward_choice(candidates, self.labelled.rows, judged, predictions, self.learner)

    def cross_fit(self, candidates: Sequence[Candidate], judged: np.ndarray) -> list[Fitted | None]:
        """See `Trainer`."""
        predictions = self._predictions(candidates)
        return [
            cross_fit(each, self.labelled.rows, judged, predictions, self.learner)
            for each in candidates
        ]

    def _predictions(self, candidates: Sequence[Candidate]) -> dict[int, np.ndarray]:
        """What the versions that the candidates name predict for the labelled rows."""
        return {each: self.labelled.predicted_by(each) for each in named_versions(candidates)}

    def fit(self, fitted: Fitted, _: np.ndarray) -> Trained:
        """See `Trainer`: nothing is tuned."""
        rows, taken = self.labelled.rows, fitted.weights > 0
        model = self.learner(rows.features[taken], rows.labels[taken], fitted.weights[taken])
        return Trained(fitted, np.ones(len(rows), dtype=bool), model=model)

    def register(self, trained: Trained, *_: object) -> int:
        """See `Trainer`."""
        version = max(self.stream.models, default=0) + 1
        self.stream.models[version] = trained.model
        return version

    def registered_before(self) -> None:
        """Nothing is cut off."""


@dataclass(frozen=True)
class Event:
    """A training with its result, or a rollback.

    Attributes:
        as_of: label batch.
        action: promote, refuse or rollback.
        decision: that asked for it.
        result: the gate's, or the probation's.
        candidate: on which rows.
        gain: true accuracy of the version judged, minus the one of the champion before, in the
            regime of then; NaN where nobody knows the truth.
    """

    as_of: np.datetime64
    action: str
    decision: Decision
    result: GateResult
    candidate: str
    gain: float


class MemoryLedger:
    """A ledger in memory (see `ports.Ledger`)."""

    def __init__(self, gain: Callable[[int], float]) -> None:
        """Empty.

        Args:
            gain: of a version, for its event; asked before the version takes over.
        """
        self.decisions: list[DecisionEntry] = []
        self.promotions: list[PromotionEntry] = []
        self.events: list[Event] = []
        self._gain = gain
        self._history: History | None = None

    @property
    def history(self) -> History:
        """See `Ledger`."""
        if self._history is None:
            # A decision comes before its result.
            as_ofs = [entry.as_of for entry in self.decisions] or [np.datetime64(0, "us")]
            entries = newest_entries(self._since, as_ofs[0], as_ofs[-1])
            self._history = history_of(*entries)
        return self._history

    def held(self, decision: Decision) -> Decision:
        """The decision itself: nobody is asked."""
        return decision

    def record_decision(self, as_of: np.datetime64, decision: Decision, *_: object) -> None:
        """See `Ledger`."""
        self.decisions.append(DecisionEntry(as_of, decision))
        self._history = None

    def record_outage(self, as_of: np.datetime64, since: np.datetime64) -> None:
        """Nobody reads it."""

    def record_no_challenger(self, as_of: np.datetime64, *_: object) -> None:
        """See `Ledger`."""
        self._append(PromotionEntry(as_of, REFUSE))

    def record_result(self, as_of: np.datetime64, decision: Decision, judged: Judged) -> bool:
        """See `Ledger`."""
        action, result = PROMOTE if judged.result.passed else REFUSE, judged.result
        gain = self._gain(judged.version)
        self.events.append(Event(as_of, action, decision, result, judged.record.candidate, gain))
        self._append(
            PromotionEntry(
                as_of,
                action,
                version=judged.version,
                record=judged.record,
                gain=result.gain,
            )
        )
        return result.passed

    def roll_back(self, as_of: np.datetime64, version: int, result: GateResult) -> None:
        """See `Ledger`."""
        decision = Decision(ROLLBACK, "probation", (result.reason,))
        self.events.append(
            Event(as_of, ROLLBACK, decision, result, f"version {version}", self._gain(version))
        )
        self._append(PromotionEntry(as_of, ROLLBACK, version=version))

    def _since(self, moment: np.datetime64 | None) -> Entries:
        """The entries as of a moment or later; all for None."""
        if moment is None:
            return self.promotions, self.decisions
        by_moment = attrgetter("as_of")
        return (
            self.promotions[bisect_left(self.promotions, moment, key=by_moment) :],
            self.decisions[bisect_left(self.decisions, moment, key=by_moment) :],
        )

    def _append(self, entry: PromotionEntry) -> None:
        self.promotions.append(entry)
        self._history = None
