"""What people do without looking: train every so often, on so many of the newest rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lakehouse.retraining.policy.candidates.choice import Learner, Model, fit_to
from lakehouse.retraining.policy.records import Rows

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Habit:
    """When to train, and on which rows.

    Attributes:
        every: days from one training to the next; None for no training after the first.
        newest: days before the newest labelled row that are trained on; None for all rows.
    """

    every: int | None
    newest: int | None = None


NEVER = "never"
HABITS: Mapping[str, Habit] = {NEVER: Habit(None)} | {
    f"{often}, {rows}": Habit(every, newest)
    for often, every in {"daily": 1, "weekly": 7}.items()
    for rows, newest in {
        "all rows": None,
        "last 3 days": 3,
        "last 7 days": 7,
        "last 30 days": 30,
    }.items()
}


def predicted_by_habit(
    rows: Rows, habit: Habit, learner: Learner, first_after: int
) -> tuple[np.ndarray, list[np.datetime64]]:
    """Return what the habit's models predict for each row, and when they were trained.

    A model is trained at a midnight (UTC), on the labels that have come by then, and predicts from
    then on; before the first one predictions are unknown. Nothing is compared: a habit does not
    look.

    Args:
        rows: of a stream, in order of event time.
        habit: which.
        learner: fits a model.
        first_after: labelled rows before the first model.
    """
    predicted = rows.problem.unknown(len(rows))
    first, last = (rows.event_time[place].astype("datetime64[D]") for place in (0, -1))
    model: Model | None = None
    trained: list[np.datetime64] = []
    for night in np.arange(first + 1, last + 1):
        known = rows.label_time <= night
        if not trained:
            is_due = int(known.sum()) >= first_after
        else:
            is_due = habit.every is not None and night - trained[-1] >= habit.every * _DAY
        if is_due:
            # The first model takes all rows: there are few, and no habit yet.
            taken = _newest(rows, known, habit.newest if trained else None)
            model = fit_to(rows, taken.astype(float), learner) or model
            trained.append(night.astype("datetime64[us]"))
        if model is not None:
            start, end = np.searchsorted(rows.event_time, [night, night + _DAY])
            if end > start:
                predicted[start:end] = model.predict(rows.features[start:end])
    return predicted, trained


def _newest(rows: Rows, known: np.ndarray, days: int | None) -> np.ndarray:
    """Return the mask of the known rows of so many days before the newest; of all, without."""
    if days is None:
        return known
    return np.asarray(known & (rows.event_time > rows.event_time[known].max() - days * _DAY))
