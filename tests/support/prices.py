"""A stream with a number to predict: the price of a repair, by three readings, two hundred of them
a day.

The price is linear but for the pieces above `DEARER_ABOVE`, which become half as dear again while a
change lasts.
"""

from dataclasses import dataclass

import numpy as np

from lakehouse.models import MatrixLearner, Regression, Trial
from lakehouse.retraining.policy.candidates.choice import Model
from lakehouse.retraining.policy.records import Rows

A_DAY = 200
FIRST_AFTER = 5 * A_DAY
TOLERANCE, NOISE = 25.0, 10.0
DEARER_ABOVE = 5.0
START, DAY = np.datetime64("2024-01-01", "us"), np.timedelta64(1, "D")
TREE = MatrixLearner(Trial("", "decision_tree", {"max_depth": 8}), Regression(TOLERANCE), 0)


@dataclass(frozen=True)
class Prices:
    """See `simulation.world.Plant`: a row per repair; labels come at midnight two days after its
    day.
    """

    rows: Rows
    dearer: np.ndarray

    def accuracy(self, model: Model, row: int) -> float:
        """Share of fresh repairs, priced as at that row, that the model predicts within the
        tolerance.
        """
        fresh = _features(np.random.default_rng(99), 4_000)
        true = _price(fresh, np.full(4_000, self.dearer[row]))
        return float((np.abs(model.predict(fresh) - true) <= TOLERANCE).mean())


def prices(days: int, seed: int = 0, dearer: tuple[int, int] = (0, 0)) -> Prices:
    """So many days of repairs, the dearer ones from the first to before the second of these
    days.
    """
    count = days * A_DAY
    generator = np.random.default_rng(seed)
    features = _features(generator, count)
    day = np.arange(count) // A_DAY
    is_dearer = (day >= dearer[0]) & (day < dearer[1])
    event_time = START + np.arange(count) * (DAY.astype("timedelta64[us]") // A_DAY)
    label_time = (event_time.astype("datetime64[D]") + 2).astype("datetime64[us]")
    noisy = _price(features, is_dearer) + generator.normal(0, NOISE, count)
    return Prices(
        Rows(
            ("hours", "parts", "age"),
            features,
            noisy,
            event_time,
            label_time,
            Regression(TOLERANCE),
        ),
        is_dearer,
    )


def _features(generator: np.random.Generator, count: int) -> np.ndarray:
    features = generator.uniform(0, 10, (count, 3))
    features[generator.random(count) < 0.02, 1] = np.nan
    return features


def _price(features: np.ndarray, dearer: np.ndarray) -> np.ndarray:
    plain = 20 * features[:, 0] + 5 * np.nan_to_num(features[:, 1], nan=5.0)
    return np.where(dearer & (features[:, 0] > DEARER_ABOVE), 1.5 * plain, plain)
