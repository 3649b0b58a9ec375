"""Rows that were computed twice: which of their values differ. Pure."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

WHEN_COMPUTED = frozenset({"as_of", "as_of_version", "logging_table_commit_version"})
"""Columns that tell when a row was computed, and from which Delta versions."""
_CLOSE = 1e-9
_NOTHING = 1e-12


def by_key(rows: Iterable[Row], keys: Sequence[str]) -> dict[str, Row]:
    """The rows by their keys, as JSON.

    >>> by_key([{"id": 1, "x": 0.3}], ["id"])
    {'{"id": 1}': {'id': 1, 'x': 0.3}}
    """
    return {json.dumps({key: row[key] for key in keys}, default=str): row for row in rows}


def differing_columns(row: Row, other: Row, left_out: Iterable[str] = ()) -> list[str]:
    """The columns of both rows whose values differ by more than rounding, in the order of `row`.

    >>> differing_columns({"id": 1, "x": 0.3, "at": 1}, {"id": 1, "x": 0.1 + 0.2, "at": 2}, ["at"])
    []
    """
    apart = set(left_out)
    names = [name for name in row if name in other and name not in apart]
    return [name for name in names if not is_alike(row[name], other[name])]


def is_alike(value: Any, other: Any) -> bool:
    """Whether two values are the same, but for rounding and for the order of a map.

    >>> is_alike([("a", 1.0), ("b", float("nan"))], {"b": float("nan"), "a": 1.0})
    True
    >>> is_alike(0.0, 1e-9)
    False
    """
    value, other = _as_map(value), _as_map(other)
    if isinstance(value, float) and isinstance(other, float):
        close = math.isclose(value, other, rel_tol=_CLOSE, abs_tol=_NOTHING)
        return close or (math.isnan(value) and math.isnan(other))
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return value.keys() == other.keys() and all(is_alike(value[k], other[k]) for k in value)
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(map(is_alike, value, other))
    return bool(value == other)


def _as_map(value: Any) -> Any:
    """Arrow gives a map as a list of pairs."""
    is_map = isinstance(value, list) and value and all(map(_is_entry, value))
    return dict(value) if is_map else value


def _is_entry(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
