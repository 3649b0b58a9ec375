"""When does training again earn its price? After as many rows as the last times' gains say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_GROWTH = 2.0
"""After a change, and after the first model, training is due when the rows have doubled. A learner
of n rows errs on about c/n of the rows more than it must, so by then training again would have
avoided c/2 errors; a pruned tree has a c of 4 to 7 on the glass works."""
_LONGEST_FIRST = np.timedelta64(7, "D")
"""How long that first interval may be: a change of which a month of rows is known may still be
going on."""
_SHORTER, _LONGER = 0.5, 1.5
"""How much shorter or longer an interval may become at once: a gain of a few rows is mostly
chance."""


@dataclass(frozen=True)
class Trial:
    """A training that says when the next one is due.

    Attributes:
        as_of: label batch of it.
        labelled: rows since the change that the champion of then answered; of all time, without.
        since_change: rows since the change that the training answers; None for a refresh.
        gain: errors that the challenger avoided on rows new to the champion, others added.
    """

    as_of: np.datetime64
    labelled: float
    since_change: float | None = None
    gain: float = 0.0


def interval_after(interval: float, gain: float, price: float) -> float:
    """Return how many rows to wait for after a training that followed another by an interval.

    A model that falls behind by the same share of rows each day has lost, after an interval of m
    rows, a number of errors that grows with m². At a price p for each training, the sum of lost
    errors and prices is least where an interval loses p: the economic order quantity (Harris,
    Factory 10, 1913). The last training has shown what its interval of m rows lost, the gain g, so
    the next one is m sqrt(p / g): shorter where the gain was above the price, longer where it was
    below, and longer by half where there was none.

    After 400 rows a challenger would have avoided 12 errors, at a price of 3; or it avoids none:

        >>> interval_after(400, gain=12, price=3), interval_after(400, gain=-2, price=3)
        (200.0, 600.0)
    """
    factor = _LONGER if gain <= 0 else math.sqrt(price / gain)
    return interval * min(max(factor, _SHORTER), _LONGER)


def due_at(trials: Sequence[Trial], as_of: np.datetime64, price: float) -> float | None:
    """Return how many labelled rows since the change there must be for a refresh; None without a
    training.

    After an answered change the first interval is as long as the change is old, but no longer than
    the interval before it, shortened by what the answer gained: where one change follows another,
    waiting for the rows to double would be too long.

    A first model of 1,000 rows is due again at 2,000. That gains nothing, so the next is at 3,500:

        >>> days = np.arange("2024-03-01", "2024-03-03", dtype="datetime64[D]")
        >>> first, second = Trial(days[0], 1_000, since_change=1_000), Trial(days[1], 2_000)
        >>> due_at([first], days[0], price=3), due_at([first, second], days[1], price=3)
        (2000.0, 3500.0)

    Args:
        trials: the trainings, in order; alarms that were not answered are left out.
        as_of: the label batch of now.
        price: of a training, in errors.
    """
    last: float | None = None
    due: float | None = None
    is_first = False
    for trial in trials:
        waited = None if last is None else trial.labelled - last
        if trial.since_change is None:
            last, is_first = trial.labelled, False
            due = last + interval_after(waited or last, trial.gain, price)
            continue
        last, is_first = trial.since_change, True
        interval = last * (_GROWTH - 1)
        if waited:
            interval = min(interval, interval_after(waited, trial.gain, price))
        due = last + interval
    if is_first and as_of - trials[-1].as_of >= _LONGEST_FIRST:
        return last
    return due
