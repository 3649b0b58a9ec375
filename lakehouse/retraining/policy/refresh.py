"""When does training again earn its price? After as many rows as the last time's gain says."""

import math

import numpy as np

GROWTH = 2.0
"""After an alarm, and after the first model, training is due when the rows have doubled: a learner
that errs on c/n rows more than it must, of n rows, gains about c/2 by then; a pruned tree has c = 6
on the glass works (docs/policy-evidence.md)."""
LONGEST_FIRST = np.timedelta64(7, "D")
"""How long that first interval may be: a change of which a month of rows is known may still be
going on."""
_SHORTER, _LONGER = 0.5, 1.5
"""How much shorter or longer an interval may become at once: a gain of a few rows is mostly
chance."""


def due_at(labelled: float, before: float, gain: float, price: float) -> float:
    """Return how many labelled rows there must be for the next training.

    A model that falls behind by the same share of rows each day has lost, after an interval of m
    rows, a number of errors that grows with m². At a price p for each training, the sum of lost
    errors and prices is least where an interval loses p: the economic order quantity (Harris,
    Factory 10, 1913). The last training has shown what its interval of m rows lost, the gain g, so
    the next one is m sqrt(p / g): shorter where the gain was above the price, longer where it was
    below, and longer by half where there was none.

    After 400 rows a challenger would have avoided 12 errors, at a price of 3; or it avoids none:

        >>> due_at(1_400, 1_000, gain=12, price=3)
        1600.0
        >>> due_at(1_400, 1_000, gain=-2, price=3)
        2000.0

    Args:
        labelled: rows since the change at the last training.
        before: rows since the change at the training before that one.
        gain: errors that the last training's model avoids on the rows between, others added.
        price: of a training, in errors.
    """
    factor = _LONGER if gain <= 0 else math.sqrt(price / gain)
    return labelled + (labelled - before) * min(max(factor, _SHORTER), _LONGER)
