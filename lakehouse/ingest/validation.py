"""What makes an incoming line a valid row: one line in, typed values and every broken rule out.

Python's own JSON parser is used because Spark's is lenient where a plant cannot be: it accepts text
behind the object, turns a wrong type into null, and lets a second value of the same name win.
"""

import datetime as dt
import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from lakehouse.ingest.timestamps import parse_moment
from lakehouse.settings import ColumnSettings, SourceSettings, StreamSettings

MALFORMED = "malformed JSON"
DUPLICATE_FIELD = "field given twice"
CONFLICT = "differs from the value that silver holds for this key"
TOO_LONG = "longer than 16 MiB; the file has all of it"
LONGEST_LINE = 16 * 2**20
BEYOND_MODELS = "beyond float32, which models compute in"
LARGEST_FLOAT32 = (2 - 2**-23) * 2.0**127
EXACT_WHOLE = 2**53
"""Up to here every whole number is a double; beyond, a double may be its neighbour."""
_LIMITS = {"integer": 2**31, "long": 2**63}
ABSENT = object()
"""What stands in place of a value that a line does not have."""
_NON_FINITE_WORDS = {"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}


class _WrongTypeError(Exception):
    pass


class _NotFiniteError(Exception):
    pass


@dataclass(frozen=True)
class Row:
    """A parsed line: each column's value (None if it broke a rule), and the broken rules."""

    values: dict[str, Any]
    reasons: list[str]


@dataclass(frozen=True)
class LineRules:
    """The rules of one source: those of its columns, and the bounds in time of its event columns.

    Attributes:
        source: names the columns and their rules.
        stream: bounds of the times.
        modelled: columns that models compute with; they cannot take a number beyond float32.
    """

    source: SourceSettings
    stream: StreamSettings
    modelled: frozenset[str] = frozenset()

    def read(self, raw: bytes, landed_at: dt.datetime) -> Row:
        """Read one line that landed at `landed_at` (UTC). Never raises; see the reasons.

        A byte order mark before the object is no fault: files that begin with one may have been
        joined.
        """
        if len(raw) > LONGEST_LINE:
            return self._rejected(TOO_LONG)
        twice: list[str] = []
        try:
            text = raw.removeprefix(BOM_UTF8).decode("utf-8")
            content = exact_json(text, twice)
        except (ValueError, RecursionError):
            return self._rejected(MALFORMED)
        if not isinstance(content, dict):
            return self._rejected(f"{MALFORMED}: not an object")
        reasons = repeated(twice)
        values = {}
        for name, column in self.source.landed.items():
            given = value_at(content, self.source.path_of(name))
            values[name], broken = self.checked(given, name, column, landed_at)
            reasons += broken
        return Row(values, reasons)

    def _rejected(self, reason: str) -> Row:
        return Row(dict.fromkeys(self.source.landed), [reason])

    def checked(
        self, given: Any, name: str, column: ColumnSettings, landed_at: dt.datetime
    ) -> tuple[Any, list[str]]:
        """The typed value of a column, and in words the rules that it breaks.

        Args:
            given: the value as `exact_json` reads it; `ABSENT` where there is none.
            name: of the column.
            column: its settings.
            landed_at: when its line landed (UTC).
        """
        value, broken = self._read_value(given, name, column, landed_at)
        return value, [f"{name}: {reason}" for reason in broken]

    def _read_value(
        self, given: Any, name: str, column: ColumnSettings, landed_at: dt.datetime
    ) -> tuple[Any, Sequence[str]]:
        if given is ABSENT or given is None:
            missing = "missing" if given is ABSENT else "null"
            return None, () if column.nullable else (missing,)
        try:
            value = self._readers[column.type](given)
        except _WrongTypeError:
            return None, [f"wrong type, {column.type} expected"]
        except _NotFiniteError:
            return None, ["NaN or infinity"]
        broken = _broken_bounds(value, column)
        if name in self.modelled and abs(value) > LARGEST_FLOAT32:
            broken.append(BEYOND_MODELS)
        if column.type == "timestamp":
            broken += self._broken_times(value, landed_at)
        return (None if broken else value), broken

    @cached_property
    def _readers(self) -> dict[str, Callable[[Any], Any]]:
        """How a value of each type is read."""
        zone = self.stream.zone
        return {
            "double": _read_double,
            "long": _read_whole(_LIMITS["long"]),
            "integer": _read_whole(_LIMITS["integer"]),
            "boolean": _read_boolean,
            "string": _read_string,
            "timestamp": lambda given: _read_timestamp(given, zone),
        }

    def _broken_times(self, value: dt.datetime, landed_at: dt.datetime) -> list[str]:
        if value < self.stream.began:
            return ["before the stream began"]
        return ["in the future"] if value > landed_at + self.stream.max_ahead else []


def exact_json(text: str | bytes, twice: list[str]) -> Any:
    """The content of a JSON text; no number loses a digit that a column's type could hold.

    Args:
        text: the document.
        twice: gets the names of fields that an object in it gives more than once.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: _object(pairs, twice),
        parse_float=_exact_number,
    )


def repeated(names: Sequence[str]) -> list[str]:
    """The reasons that fields given more than once are told by."""
    return [f"{_storable(name)}: {DUPLICATE_FIELD}" for name in dict.fromkeys(names)]


def _object(pairs: list[tuple[str, Any]], twice: list[str]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice += [name for name in names if names.count(name) > 1]
    return content


def _storable(name: str) -> str:
    """The name with half a surrogate pair written as its escape: reasons are stored as UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def value_at(content: Any, path: Sequence[str]) -> Any:
    """Return the value at the path, from the outermost object inwards; `ABSENT` for none."""
    for name in path:
        if not isinstance(content, dict) or name not in content:
            return ABSENT
        content = content[name]
    return content


class _Rounded(float):
    """A number that a double makes whole, though a fraction was written."""

    # `_read_whole` asks this: 1.00000000000000001 was not written as a whole number.
    def is_integer(self) -> bool:
        return False


def _exact_number(text: str) -> int | float:
    """A number as float; as int if it is whole and a double cannot hold it exactly."""
    value = float(text)
    if not value.is_integer():  # infinity is none, either
        return value
    try:
        exact = Decimal(text)
    except ArithmeticError:  # an exponent beyond all bounds
        return _Rounded(value)
    if exact != exact.to_integral_value():
        return _Rounded(value)
    return value if abs(value) < EXACT_WHOLE else int(exact)


def _broken_bounds(value: Any, column: ColumnSettings) -> list[str]:
    if column.values is not None and value not in column.values:
        return [f"not one of {', '.join(str(allowed) for allowed in column.values)}"]
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
    """A reader of whole numbers, whether written 1, 1.0 or 1e0."""

    def read(given: Any) -> int:
        if isinstance(given, float) and not math.isfinite(given):
            raise _NotFiniteError
        if isinstance(given, float) and given.is_integer():
            given = int(given)
        if isinstance(given, bool) or not isinstance(given, int) or not -limit <= given < limit:
            raise _WrongTypeError
        return given

    return read


def _read_boolean(given: Any) -> bool:
    """True and false, and the numbers 1 and 0 that many systems write for them."""
    if isinstance(given, bool | int | float) and given in (0, 1):
        return bool(given)
    raise _WrongTypeError


def _read_string(given: Any) -> str:
    if not isinstance(given, str) or any("\ud800" <= letter <= "\udfff" for letter in given):
        raise _WrongTypeError  # half a surrogate pair is no text: it cannot be stored as UTF-8
    return given


def _read_timestamp(given: Any, zone: dt.tzinfo) -> dt.datetime:
    if not isinstance(given, str):
        raise _WrongTypeError
    try:
        return parse_moment(given, zone)
    except ValueError:
        raise _WrongTypeError from None
