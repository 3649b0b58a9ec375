"""Partial values of custom metrics: what an hour keeps, so that hours merge to any window."""

import math
from collections.abc import Callable, Iterable, Mapping

Partials = Mapping[str, float | None]


def _by_sql(value: float) -> tuple[bool, float]:
    """SQL's order: NaN is greater than every number."""
    return math.isnan(value), value


MERGES: dict[str, Callable[[float, float], float]] = {
    "sum": lambda a, b: a + b,
    "min": lambda a, b: min(a, b, key=_by_sql),
    "max": lambda a, b: max(a, b, key=_by_sql),
}


def merge_partials(a: Partials, b: Partials) -> dict[str, float | None]:
    """The partials of both sets together, merged as the last word of each id says (`….sum`).

    None is SQL's NULL: no row had a value; the other side's value stands. A partial that one side
    does not know (its hours were computed before the metric was defined so) is left out: half a sum
    is no sum, and the metric is NULL.

    Raises:
        KeyError: an id does not end in one of `MERGES`.
    """
    return {key: _merged(MERGES[key.rpartition(".")[2]], a[key], b[key]) for key in a if key in b}


def _merged(
    merge: Callable[[float, float], float], a: float | None, b: float | None
) -> float | None:
    if a is None or b is None:
        return b if a is None else a
    return merge(a, b)


def as_partials(
    stored: Mapping[str, float | None] | Iterable[tuple[str, float | None]] | None,
) -> Partials:
    """A map column's value as partials, whatever Arrow returns: a mapping, pairs or None."""
    return dict(stored or ())
