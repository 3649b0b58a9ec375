"""What makes an incoming line a valid row: one line in, typed values and every broken rule out.

Python's own JSON parser is used because Spark's is lenient where a plant cannot be: it accepts text behind the object,
turns a wrong type into null, and lets a second value of the same name win.
"""

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.settings import ColumnSettings, SourceSettings, StreamSettings

MALFORMED = "malformed JSON"
DUPLICATE_FIELD = "field given twice"
CONFLICT = "differs from the value that silver holds for this key"
_LIMITS = {"integer": 2**31, "long": 2**63}
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
_NON_FINITE_WORDS = {"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}


class _WrongTypeError(Exception):
    pass


class _NotFiniteError(Exception):
    pass


@dataclass(frozen=True)
class Row:
    """A parsed line: the value of each column (None where it broke a rule), and the rules that it breaks."""

    values: dict[str, Any]
    reasons: list[str]


@dataclass(frozen=True)
class LineRules:
    """The rules of one source: those of its columns, and the bounds in time of its event columns."""

    source: SourceSettings
    stream: StreamSettings

    def read(self, raw: bytes, landed_at: dt.datetime) -> Row:
        """Reads one line that landed at `landed_at` (UTC). Never raises: what is wrong is in the reasons."""
        try:
            twice: list[str] = []
            content = json.loads(raw.decode("utf-8"), object_pairs_hook=lambda pairs: _object(pairs, twice))
        except (ValueError, RecursionError):
            return self._rejected(MALFORMED)
        if not isinstance(content, dict):
            return self._rejected(f"{MALFORMED}: not an object")
        reasons = [f"{_storable(name)}: {DUPLICATE_FIELD}" for name in dict.fromkeys(twice)]
        values = {}
        for name, column in self.source.columns.items():
            values[name], broken = self._checked(content.get(name), column, landed_at)
            reasons += [f"{name}: {reason}" for reason in ([_missing(name, content)] if broken is None else broken)]
        return Row(values, reasons)

    def _rejected(self, reason: str) -> Row:
        return Row(dict.fromkeys(self.source.columns), [reason])

    def _checked(self, given: Any, column: ColumnSettings, landed_at: dt.datetime) -> tuple[Any, list[str] | None]:
        """The typed value and its broken rules; None for the rules says that a required value is not there."""
        if given is None:
            return None, ([] if column.nullable else None)
        try:
            value = _READERS[column.type](given)
        except _WrongTypeError:
            return None, [f"wrong type, {column.type} expected"]
        except _NotFiniteError:
            return None, ["NaN or infinity"]
        broken = _broken_bounds(value, column)
        if column.type == "timestamp":
            broken += self._broken_times(value, landed_at)
        return (None if broken else value), broken

    def _broken_times(self, value: dt.datetime, landed_at: dt.datetime) -> list[str]:
        if value < self.stream.began:
            return ["before the stream began"]
        return ["in the future"] if value > landed_at + self.stream.max_ahead else []


def _object(pairs: list[tuple[str, Any]], twice: list[str]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice += [name for name in names if names.count(name) > 1]
    return content


def _storable(name: str) -> str:
    """The name with half a surrogate pair written as its escape: reasons are stored as UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _missing(name: str, content: Mapping[str, Any]) -> str:
    return "null" if name in content else "missing"


def _broken_bounds(value: Any, column: ColumnSettings) -> list[str]:
    if column.values is not None and value not in column.values:
        return [f"not one of {', '.join(str(each) for each in column.values)}"]
    below = column.min is not None and value < column.min
    above = column.max is not None and value > column.max
    return ["out of range"] if below or above else []


def _read_double(given: Any) -> float:
    if isinstance(given, str) and given.strip().lower() in _NON_FINITE_WORDS:
        raise _NotFiniteError
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise _WrongTypeError
    try:
        value = float(given)
    except OverflowError:
        raise _NotFiniteError from None
    if not math.isfinite(value):
        raise _NotFiniteError
    return value


def _read_whole(limit: int) -> Callable[[Any], int]:
    def read(given: Any) -> int:
        if isinstance(given, float) and not math.isfinite(given):
            raise _NotFiniteError
        if isinstance(given, bool) or not isinstance(given, int) or not -limit <= given < limit:
            raise _WrongTypeError
        return given

    return read


def _read_boolean(given: Any) -> bool:
    if not isinstance(given, bool):
        raise _WrongTypeError
    return given


def _read_string(given: Any) -> str:
    if not isinstance(given, str) or any("\ud800" <= letter <= "\udfff" for letter in given):
        raise _WrongTypeError  # half a surrogate pair is no text: it cannot be stored as UTF-8
    return given


def _read_timestamp(given: Any) -> dt.datetime:
    if not isinstance(given, str) or not _TIMESTAMP.fullmatch(given):
        raise _WrongTypeError
    try:
        moment = dt.datetime.fromisoformat(given)
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise _WrongTypeError from None


_READERS: dict[str, Callable[[Any], Any]] = {
    "double": _read_double,
    "long": _read_whole(_LIMITS["long"]),
    "integer": _read_whole(_LIMITS["integer"]),
    "boolean": _read_boolean,
    "string": _read_string,
    "timestamp": _read_timestamp,
}
