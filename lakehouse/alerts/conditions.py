"""Whether a condition holds, with separate limits for its beginning and its end.

The logic has three values: True, False, and None where data are missing (Kleene 1952, section 64).
"""

import math
from collections.abc import Callable

from lakehouse.settings import ConditionSettings

ValueOf = Callable[[ConditionSettings], float | None]


def begins(condition: ConditionSettings, value_of: ValueOf) -> bool | None:
    """Whether the condition holds by its own limits; None where that is not known.

    >>> slow = ConditionSettings(metric="seconds", above=2.0, recovers_below=1.6)
    >>> [begins(slow, lambda _: value) for value in (1.5, 1.8, 2.1, None)]
    [False, False, True, None]
    """
    return _holds(condition, value_of, begun=False)


def goes_on(condition: ConditionSettings, value_of: ValueOf) -> bool | None:
    """Whether a condition that held still does, by its recovery limits.

    >>> slow = ConditionSettings(metric="seconds", above=2.0, recovers_below=1.6)
    >>> [goes_on(slow, lambda _: value) for value in (1.5, 1.8, 2.1, None)]
    [False, True, True, None]
    """
    return _holds(condition, value_of, begun=True)


def _holds(condition: ConditionSettings, value_of: ValueOf, begun: bool) -> bool | None:
    if condition.not_ is not None:
        # It begins when the inner one is over, and ends when the inner one begins.
        inner = _holds(condition.not_, value_of, not begun)
        return None if inner is None else not inner
    if condition.metric is None:
        parts = [_holds(part, value_of, begun) for part in condition.parts]
        decides = bool(condition.any)  # one True decides `any`, one False decides `all`
        if decides in parts:
            return decides
        return None if None in parts else not decides
    value = value_of(condition)
    return None if value is None or math.isnan(value) else _is_beyond(condition, value, begun)


def _is_beyond(condition: ConditionSettings, value: float, begun: bool) -> bool:
    if condition.above is not None:
        if begun and condition.recovers_below is not None:
            return value >= condition.recovers_below
        return value > condition.above
    assert condition.below is not None
    if begun and condition.recovers_above is not None:
        return value <= condition.recovers_above
    return value < condition.below
