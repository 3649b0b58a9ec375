"""One figure of the rows before a row. It is the only place that computes one.

Sums are correctly rounded. So neither the order of the rows nor what runs this changes a bit.
"""

import math
from collections.abc import Callable, Mapping
from itertools import chain
from operator import attrgetter

from lakehouse.history.lanes import Seen
from lakehouse.settings import HistoryFeatureSettings, What

SECOND = 1_000_000
"""Times are whole microseconds since 1970."""
_Figure = Callable[[int, Seen], float]
_LEAST, _GREATEST = attrgetter("least"), attrgetter("greatest")


def figure(feature: HistoryFeatureSettings, at: int, own: float | None, seen: Seen) -> float | None:
    """The feature's value; None where the rows before do not tell it, or it is not finite.

    >>> from lakehouse.history.lanes import Lane
    >>> lane = Lane()
    >>> lane.add(10 * SECOND, 350.0)
    >>> lane.add(20 * SECOND, 351.0)
    >>> mean = HistoryFeatureSettings(what="mean", of="temp", over="1 hour")
    >>> figure(mean, 60 * SECOND, None, lane.seen(0, 60 * SECOND))
    350.5

    Args:
        feature: which figure.
        at: time of the row.
        own: the row's own value of the column; None where it has none.
        seen: the rows before that have a value; without a column, all of them.
    """
    if feature.what == "count":
        return float(len(seen))
    if not len(seen) or (feature.what == "difference" and own is None):
        return None
    try:
        found = _FIGURES[feature.what](at, seen)
    except (OverflowError, ZeroDivisionError):
        return None
    if feature.what == "difference":
        found = float(own or 0.0) - found
    return found if math.isfinite(found) else None


def _slope(at: int, seen: Seen) -> float:
    """Per second, by least squares; a time alone has none: division by zero."""
    times = chain.from_iterable(block.times for block in seen.blocks)
    values = list(chain.from_iterable(block.values for block in seen.blocks))
    seconds = [(time - at) / SECOND for time in times]
    middle, mean = (math.fsum(each) / len(each) for each in (seconds, values))
    apart = [second - middle for second in seconds]
    products = (x * (value - mean) for x, value in zip(apart, values, strict=True))
    return math.fsum(products) / math.fsum(x * x for x in apart)


_FIGURES: Mapping[What, _Figure] = {
    "mean": lambda at, seen: seen.total() / len(seen),
    "min": lambda at, seen: min(map(_LEAST, seen.blocks)),
    "max": lambda at, seen: max(map(_GREATEST, seen.blocks)),
    "first": lambda at, seen: seen.first.values[0],
    "last": lambda at, seen: seen.last.values[-1],
    "difference": lambda at, seen: seen.last.values[-1],
    "slope": _slope,
    "seconds_since": lambda at, seen: (at - seen.last.times[-1]) / SECOND,
}
