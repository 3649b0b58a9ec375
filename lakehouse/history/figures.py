"""One figure of the rows before a row. It is the only place that computes one.

Sums are correctly rounded (`math.fsum`). So neither the order of the rows nor what runs this
changes a bit.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from lakehouse.settings import HistoryFeatureSettings, What

SECOND = 1_000_000
"""Times are whole microseconds since 1970."""
_Figure = Callable[[int, Sequence[int], Sequence[float]], float]


def figure(
    feature: HistoryFeatureSettings,
    at: int,
    own: float | None,
    times: Sequence[int],
    values: Sequence[float],
) -> float | None:
    """The feature's value; None where the rows before do not tell it, or it is not finite.

    >>> mean = HistoryFeatureSettings(what="mean", of="temp", over="1 hour")
    >>> figure(mean, 60 * SECOND, None, [10 * SECOND, 20 * SECOND], [350.0, 351.0])
    350.5

    Args:
        feature: which figure.
        at: time of the row.
        own: the row's own value of the column; None where it has none.
        times: of the rows before, ascending.
        values: theirs, without nulls.
    """
    if feature.what == "count":
        return float(len(times))
    if not times or (feature.what == "difference" and own is None):
        return None
    try:
        if feature.what == "difference":
            found = float(own or 0.0) - values[-1]
        else:
            found = _FIGURES[feature.what](at, times, values)
    except (OverflowError, ZeroDivisionError):
        return None
    return found if math.isfinite(found) else None


def _slope(at: int, times: Sequence[int], values: Sequence[float]) -> float:
    """Per second, by least squares; a time alone has none: division by zero."""
    seconds = [(time - at) / SECOND for time in times]
    middle, mean = (math.fsum(each) / len(each) for each in (seconds, values))
    apart = [second - middle for second in seconds]
    products = (x * (value - mean) for x, value in zip(apart, values, strict=True))
    return math.fsum(products) / math.fsum(x * x for x in apart)


_FIGURES: Mapping[What, _Figure] = {
    "mean": lambda at, times, values: math.fsum(values) / len(values),
    "min": lambda at, times, values: min(values),
    "max": lambda at, times, values: max(values),
    "first": lambda at, times, values: values[0],
    "last": lambda at, times, values: values[-1],
    "slope": _slope,
    "seconds_since": lambda at, times, values: (at - times[-1]) / SECOND,
}
