"""A stream with the policy at work: night by night it is scored, its labels come, and the loop does
the rest.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from lakehouse.retraining.loop import LoopContext, Night
from lakehouse.retraining.policy.candidates.choice import Learner
from lakehouse.settings import PolicySettings, RolloutSettings
from lakehouse.simulation.arrays import (
    MOST_ROWS,
    Event,
    MemoryLedger,
    Stream,
    StreamPredictions,
    StreamTrainer,
)
from lakehouse.simulation.learner import learner_for
from lakehouse.simulation.rollouts import RollingLedger
from lakehouse.simulation.world import Plant

FIRST_AFTER = 1150


class Simulation:
    """A plant under the loop.

    Labels may come in any order: those that have been told by a night are known in it, in the order
    of their events.

    Attributes:
        stream: the pieces, and what was predicted for them.
        ledger: decisions, promotions, and events with their true gain.
    """

    def __init__(
        self,
        plant: Plant,
        settings: PolicySettings,
        learner: Learner | None = None,
        first_after: int = FIRST_AFTER,
        most_rows: int = MOST_ROWS,
        rollout: RolloutSettings | None = None,
    ) -> None:
        """Before the first night; without `rollout`, a winner is promoted at once."""
        self._plant = plant
        self.stream = Stream(plant.rows, most_rows)
        self._rolling: RollingLedger | None = None
        self.ledger = MemoryLedger(self._gain)
        if rollout is not None and rollout.is_gradual:
            self.ledger = self._rolling = RollingLedger(self._gain, self.stream, rollout)
        fits = learner or learner_for(plant.rows.problem)
        self._context = LoopContext(
            plant.rows.problem,
            settings,
            first_after,
            self.ledger,
            partial(StreamPredictions, self.stream, settings),
            lambda *_: StreamTrainer(self.stream, fits),
        )

    def run(self, nights: Sequence[np.datetime64] | None = None) -> "Simulation":
        """Go through the given nights, or through all, to the one of the last label."""
        rows, ledger = self.stream.rows, self.ledger
        earliest, last = (
            moment.astype("datetime64[D]") for moment in (rows.event_time[0], rows.label_time.max())
        )
        for night in (
            np.arange(earliest + 1, last + 1).astype("datetime64[us]") if nights is None else nights
        ):
            first = self.stream.scored
            self.stream.score(night, ledger.history)
            if self._rolling:
                self._rolling.answer(first)
            if self.stream.take_in(night, ledger.history):
                if self._rolling:
                    self._rolling.advance(night)
                Night(night, self._context).run()
        return self

    @property
    def events(self) -> Sequence[Event]:
        """Trainings and rollbacks, in order."""
        return self.ledger.events

    @property
    def predicted_in_production(self) -> np.ndarray:
        """What production predicted for each piece; unknown before the first champion."""
        return self.stream.predicted_in_production

    def _gain(self, version: int) -> float:
        """True accuracy of a version minus the champion's, in the regime of now."""
        champion, models = self.ledger.history.champion, self.stream.models
        if champion is None:
            return 0.0
        now = min(self.stream.scored, len(self.stream.rows) - 1)
        return self._plant.accuracy(models[version], now) - self._plant.accuracy(
            models[champion], now
        )
