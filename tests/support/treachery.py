"""A challenger that is right in its folds and wrong in production."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lakehouse.retraining.policy.candidates.choice import Learner, Model
from lakehouse.simulation.arrays import StreamTrainer
from lakehouse.simulation.loop import Simulation


@dataclass(frozen=True)
class Lying:
    """A model whose predictions are turned into others."""

    model: Model
    lie: Callable[[np.ndarray], np.ndarray]

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.lie(self.model.predict(features))


def betrayed(
    loop: Simulation, learner: Learner, lie: Callable[[np.ndarray], np.ndarray]
) -> Simulation:
    """The same before its first night; its second version will lie."""
    fits = []

    class Treacherous(StreamTrainer):
        def fit(self, fitted, judged):
            fits.append(fitted)
            trained = super().fit(fitted, judged)
            return replace(trained, model=Lying(trained.model, lie)) if len(fits) == 2 else trained

    loop._context = replace(loop._context, trainer=lambda *_: Treacherous(loop.stream, learner))
    return loop
