"""What another policy would have predicted: the models that people get who retrain
every day, whatever the labels say.

The alternative trains at each midnight, on the newest labelled rows there are then, and its model
predicts the pieces of the day that begins. Nothing is tuned, judged or refused: that is what makes
it cheap, and what it is compared for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lakehouse.retraining.policy.records import Rows

Learner: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], Any]
"""Features, class codes and weights of rows to a model with `predict`."""
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Retrained:
    """What the daily model predicts for a day's rows.

    Attributes:
        predictions: class code of each.
        trained_rows: how many rows it was fitted to.
    """

    predictions: np.ndarray
    trained_rows: int


def known_at(
    rows: Rows, midnight: np.datetime64, window: np.timedelta64, least: int, most: int
) -> np.ndarray:
    """Mask of the rows that a training at that midnight takes: of those whose label had come, the
    newest.

    They are the rows of the window that ends with the newest of them: if labels fail to come, the
    model stays what it was. Where these are fewer than a first training takes, it reaches back as
    far as it must.

    Args:
        rows: in order of event time.
        midnight: the moment of the training; a label that comes at this moment has come.
        window: how far back it looks.
        least: rows that it takes at least, if there are so many.
        most: rows that it takes at most.
    """
    known = np.flatnonzero((rows.label_time <= midnight) & (rows.event_time < midnight))
    taken = np.zeros(len(rows), dtype=bool)
    if len(known):
        within = int((rows.event_time[known] > rows.event_time[known[-1]] - window).sum())
        taken[known[-min(max(within, least), most) :]] = True
    return taken


def retrained_daily(
    rows: Rows, day: np.datetime64, taken: np.ndarray, learner: Learner
) -> Retrained:
    """Fit a model to the rows that are taken, and let it predict those of the day.

    Args:
        rows: those of the day among them.
        day: datetime64, its midnight.
        taken: mask of the rows to fit to, one at least.
        learner: fits a model.
    """
    asked = (rows.event_time >= day) & (rows.event_time < day + _DAY)
    labels = rows.labels[taken]
    if (labels == labels[0]).all():  # not every family can be fitted to a single class
        return Retrained(np.full(int(asked.sum()), labels[0]), len(labels))
    model = learner(rows.features[taken], labels, np.ones(len(labels)))
    return Retrained(np.asarray(model.predict(rows.features[asked])), len(labels))
