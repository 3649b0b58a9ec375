"""Rollouts over arrays: what waiting for a challenger to show itself costs in errors."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lakehouse.instants import moment_of
from lakehouse.retraining.policy.decide import RETRAIN, Decision
from lakehouse.retraining.policy.gate import compare
from lakehouse.retraining.policy.history import Entries, PromotionEntry
from lakehouse.retraining.policy.rollout_rules import held_for_rollout, is_rolled_out
from lakehouse.retraining.ports import Judged
from lakehouse.rollouts.actions import ENDS, FINISH, STEP
from lakehouse.rollouts.arms import answers
from lakehouse.rollouts.sequential import Block, Pairs
from lakehouse.rollouts.state import Rollout
from lakehouse.rollouts.verdict import Labelled, Scored, judge_rollout
from lakehouse.settings import RolloutSettings
from lakehouse.simulation.arrays import Event, MemoryLedger, Stream
from lakehouse.versions.actions import PROMOTE, REFUSE, ROLLOUT


class RollingLedger(MemoryLedger):
    """A ledger in memory whose winners have to show themselves first.

    Attributes:
        rollout: that runs; None for none.
    """

    def __init__(
        self, gain: Callable[[int], float], stream: Stream, settings: RolloutSettings
    ) -> None:
        """Empty; for `gain` see `MemoryLedger`."""
        super().__init__(gain)
        self.rollout: Rollout | None = None
        self._stream, self._settings = stream, settings
        self._began_at = 0  # the first row that both versions have scored
        self._event, self._entry = 0, PromotionEntry(np.datetime64(0, "us"), ROLLOUT)

    def held(self, decision: Decision) -> Decision:
        """See `Ledger`."""
        return held_for_rollout(decision, self.rollout)

    def record_result(self, as_of: np.datetime64, decision: Decision, judged: Judged) -> bool:
        """See `Ledger`."""
        if judged.result.passed and self.rollout is not None:
            self._end(REFUSE)  # it is overtaken
        champion = self.history.champion
        is_gradual = is_rolled_out(decision, champion is not None, self._settings)
        if not judged.result.passed or not is_gradual:
            return super().record_result(as_of, decision, judged)
        self._begin(as_of, decision, judged)
        return False

    def _begin(self, as_of: np.datetime64, decision: Decision, judged: Judged) -> None:
        result, version = judged.result, judged.version
        self._event, self._entry = len(self.events), self._entry_of(as_of, judged)
        candidate, gain = judged.record.candidate, self._gain(version)
        self.events.append(Event(as_of, ROLLOUT, decision, result, candidate, gain))
        self._append(self._entry)
        strategy, moment = self._settings.strategy, moment_of(as_of)
        share = self._settings.steps_of(strategy)[0]
        name, champion = f"simulated-{version}-{len(self.events)}", str(self.history.champion)
        self.rollout = Rollout(
            *(name, strategy, champion, str(version), share),
            *(moment, moment, moment),
            answers_alarm=decision.action == RETRAIN,
        )
        self._began_at = self._stream.scored

    @staticmethod
    def _entry_of(as_of: np.datetime64, judged: Judged) -> PromotionEntry:
        return PromotionEntry(
            as_of, ROLLOUT, version=judged.version, record=judged.record, gain=judged.result.gain
        )

    def answer(self, first: int) -> None:
        """Let the challenger answer its share of the rows that were scored from `first` on."""
        if self.rollout is None:
            return
        name, share, stream = self.rollout.rollout_id, self.rollout.share, self._stream
        rows = np.array(
            [row for row in range(first, stream.scored) if answers(name, row, share)], dtype=int
        )
        if len(rows):
            model = stream.models[int(self.rollout.challenger)]
            stream.predicted_in_production[rows] = model.predict(stream.rows.features[rows])

    def advance(self, night: np.datetime64) -> None:
        """Judge the rollout that runs, by the labels that have come."""
        rollout = self.rollout
        if rollout is None:
            return
        if rollout.champion != str(self.history.champion):  # probation went back
            self._end(REFUSE)
            return
        moment = moment_of(night)
        scored = Scored(self._stream.scored - self._began_at)
        verdict = judge_rollout(rollout, moment, scored, self._labelled(rollout), self._settings)
        if verdict.action in ENDS:
            self._end(PROMOTE if verdict.action == FINISH else REFUSE)
            return
        stepped = moment if verdict.action == STEP else rollout.stepped
        self.rollout = replace(rollout, share=verdict.share, stepped=stepped, seen=moment)

    def _labelled(self, rollout: Rollout) -> Labelled:
        stream = self._stream
        rows = self._began_at + np.flatnonzero(stream.known[self._began_at : stream.scored])
        taken = stream.rows.take(rows)
        if not len(rows):
            return Labelled()
        champion, challenger = (
            np.asarray(stream.models[int(version)].predict(taken.features))
            for version in (rollout.champion, rollout.challenger)
        )
        found = compare(taken.problem, taken.labels, champion, challenger)
        right = ~taken.wrong(champion), ~taken.wrong(challenger)
        arms = np.array([answers(rollout.rollout_id, row, rollout.share) for row in rows])
        times = taken.label_time.astype("datetime64[h]")
        blocks = [
            Block(
                *(int((~arms & at).sum()), int((right[0] & ~arms & at).sum())),
                *(int((arms & at).sum()), int((right[1] & arms & at).sum())),
            )
            for at in (times == hour for hour in np.unique(times))
        ]
        pairs = Pairs(found.rows, found.won, found.lost)
        return Labelled(pairs, (int(right[0].sum()), int(right[1].sum())), blocks=blocks)

    def _end(self, action: str) -> None:
        """Promote the challenger, or refuse it; its event tells what it came to."""
        event, gain = self.events[self._event], self._gain(int(self._entry.version or 0))
        self.events[self._event] = replace(event, action=action, gain=gain)
        record = self._entry.record if action == PROMOTE else None
        ended = replace(self._entry, action=action, record=record, ends_rollout=True)
        self.rollout = None
        self._append(ended)

    def _since(self, moment: np.datetime64 | None) -> Entries:
        """See `MemoryLedger`; what a rollout came to is written later than its as-of."""
        promotions, decisions = super()._since(moment)
        if moment is not None:
            promotions = [entry for entry in self.promotions if entry.as_of >= moment]
        return promotions, decisions
