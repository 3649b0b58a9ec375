"""Lines in blocks: plain ones are parsed column by column, others one by one by exact rules.

A line is plain where the fast parser cannot differ from the exact one: JSON without escapes, no
field given twice, values of the declared types that break no rule. What a line comes to never
depends on which of the two has read it.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.ingest.validation import EXACT_WHOLE, LARGEST_FLOAT32, LineRules
from lakehouse.instants import ARROW_MOMENT
from lakehouse.profiling import columns as profiling
from lakehouse.settings import ColumnSettings

_DEEPEST = 8  # nesting of plain lines; the parsers have other limits of their own
_NONE: dict[str, Any] = {}
_WRITTEN_AS_TEXT = ("string", "timestamp")
_INTEGERS = {"integer": 2**31, "long": 2**63}
_PYTHON_TYPES: dict[str, set[type]] = {
    "double": {float, int},
    "long": {int},
    "integer": {int},
    "boolean": {bool},
    "string": {str},
    "timestamp": {str},
}
ARROW_TYPES = {**profiling.ARROW_TYPES, "timestamp": ARROW_MOMENT}
# Days that every year has, and no times but those that Arrow reads as the exact rules do.
_PLAIN_MOMENT = (
    r"^[12]\d{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"[T ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?"
)
_PLAIN_ZONE = r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$"


@dataclass(frozen=True)
class Parsed:
    """A block of lines, typed.

    Attributes:
        columns: the values of each column, null where a line breaks a rule.
        reasons: every rule that each line breaks (list of strings); empty for a valid one.
    """

    columns: dict[str, pa.Array]
    reasons: pa.Array


@dataclass(frozen=True)
class BlockParser:
    """Reads lines in blocks, with the results of `rules.read` for each."""

    rules: LineRules

    def parse(self, lines: Sequence[bytes], landed_at: pa.Array) -> Parsed:
        """Read a block.

        Args:
            lines: as they came.
            landed_at: when the file of each landed (timestamp, UTC).
        """
        documents = _documents(lines)
        # Lines that are odd in any column are read again, whole, by the exact rules.
        odd = np.array([document is _NONE for document in documents], dtype=bool)
        texts = np.zeros(len(lines), dtype=np.int64)
        columns = {}
        for name, column in self.rules.source.landed.items():
            values = _values(documents, self.rules.source.path_of(name))
            columns[name] = self._plain(values, name, column, odd)
            if column.type == "timestamp":
                odd |= self._is_out_of_time(columns[name], landed_at)
            if column.type in _WRITTEN_AS_TEXT:
                texts += columns[name].is_valid().to_numpy(zero_copy_only=False)
        odd |= _may_repeat_a_field(lines, documents, texts)
        return self._with_exact(columns, lines, landed_at, np.flatnonzero(odd))

    def _plain(
        self, values: list[Any], name: str, column: ColumnSettings, odd: np.ndarray
    ) -> pa.Array:
        """The values, typed; marks the lines whose value is not plain as odd."""
        typed = _typed(values, column.type, odd, self.rules.stream.time_zone == "UTC")
        odd |= _mask(_breaks_bounds(typed, column))
        if name in self.rules.modelled:
            odd |= _mask(pc.greater(pc.abs(typed), LARGEST_FLOAT32))
        if not column.nullable and typed.null_count:
            odd |= typed.is_null().to_numpy(zero_copy_only=False)
        return typed

    def _is_out_of_time(self, moments: pa.Array, landed_at: pa.Array) -> np.ndarray:
        stream = self.rules.stream
        latest = pc.add(landed_at, pa.scalar(stream.max_ahead, pa.duration("us")))
        too_early = pc.less(moments, pa.scalar(stream.began, ARROW_MOMENT))
        return _mask(pc.or_(too_early, pc.greater(moments, latest)))

    def _with_exact(
        self,
        columns: dict[str, pa.Array],
        lines: Sequence[bytes],
        landed_at: pa.Array,
        places: np.ndarray,
    ) -> Parsed:
        """The columns with the lines at these places read by the exact rules."""
        if not len(places):
            return Parsed(columns, _no_reasons(len(lines)))
        moments: list[dt.datetime] = landed_at.take(pa.array(places)).to_pylist()
        rows = [
            self.rules.read(lines[place], moment)
            for place, moment in zip(places, moments, strict=True)
        ]
        is_exact = np.zeros(len(lines), dtype=bool)
        is_exact[places] = True
        mask = pa.array(is_exact)
        patched = {
            name: pc.replace_with_mask(
                column, mask, pa.array([row.values[name] for row in rows], column.type)
            )
            for name, column in columns.items()
        }
        sizes = np.zeros(len(lines), dtype=np.int32)
        sizes[places] = [len(row.reasons) for row in rows]
        offsets = np.append(np.int32(0), np.cumsum(sizes, dtype=np.int32))
        reasons = pa.array([reason for row in rows for reason in row.reasons], pa.string())
        return Parsed(patched, pa.ListArray.from_arrays(pa.array(offsets), reasons))


def _documents(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """The object of each line; `_NONE` where the fast parser finds none."""
    try:
        documents = list(map(orjson.loads, lines))
    except ValueError:
        documents = list(map(_document, lines))
    if set(map(type, documents)) == {dict}:
        return documents
    return [document if type(document) is dict else _NONE for document in documents]


def _document(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:
        return _NONE


def _values(documents: list[dict[str, Any]], path: tuple[str, ...]) -> list[Any]:
    """Return what stands at the path in each document; None where nothing does."""
    if len(path) == 1:
        name = path[0]
        return [document.get(name) for document in documents]
    return [_at(document, path) for document in documents]


def _at(content: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if type(content) is not dict:
            return None
        content = content.get(name)
    return content


def _typed(values: list[Any], kind: str, odd: np.ndarray, utc_by_default: bool) -> pa.Array:
    """The values as Arrow has them: null, and marked as odd, where the type is another."""
    _leave_out(values, odd, _PYTHON_TYPES[kind])
    if kind == "timestamp":
        return _moments(pa.array(values, pa.string()), odd, utc_by_default)
    if kind in _INTEGERS:
        return _integers(values, _INTEGERS[kind], odd).cast(ARROW_TYPES[kind])
    # Arrow refuses whole numbers that a double does not hold exactly; Python rounds them.
    if kind == "double" and int in set(map(type, values)):
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, ARROW_TYPES[kind])


def _leave_out(values: list[Any], odd: np.ndarray, kinds: set[type]) -> None:
    """Put None for each value of a type that is none of `kinds`, and marks its line."""
    # Most columns are of one type, which one pass in C tells.
    if set(map(type, values)) <= kinds | {type(None)}:
        return
    for place, value in enumerate(values):
        if value is not None and type(value) not in kinds:
            values[place], odd[place] = None, True


def _integers(values: list[Any], limit: int, odd: np.ndarray) -> pa.Array:
    try:
        typed = pa.array(values, pa.int64())
    except OverflowError:  # a number beyond 64 bits
        _leave_out_where(values, odd, lambda value: not -(2**63) <= value < 2**63)
        typed = pa.array(values, pa.int64())
    if limit < 2**63:
        outside = _mask(pc.or_(pc.less(typed, -limit), pc.greater_equal(typed, limit)))
        if outside.any():
            odd |= outside
            typed = pc.if_else(pa.array(outside), pa.scalar(None, pa.int64()), typed)
    return typed


def _leave_out_where(values: list[Any], odd: np.ndarray, is_wrong: Callable[[Any], bool]) -> None:
    for place, value in enumerate(values):
        if value is not None and is_wrong(value):
            values[place], odd[place] = None, True


def _moments(texts: pa.Array, odd: np.ndarray, utc_by_default: bool) -> pa.Array:
    if utc_by_default:
        is_bare = pc.match_substring_regex(texts, f"{_PLAIN_MOMENT}$")
        if pc.any(is_bare).as_py():
            texts = pc.if_else(is_bare, pc.binary_join_element_wise(texts, "Z", ""), texts)
    strange = _mask(pc.invert(pc.match_substring_regex(texts, f"{_PLAIN_MOMENT}{_PLAIN_ZONE}")))
    if strange.any():
        odd |= strange
        texts = pc.if_else(pa.array(strange), pa.scalar(None, pa.string()), texts)
    # Arrow refuses what it would have to round; digits beyond the microsecond are cut off.
    return pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1").cast(ARROW_MOMENT)


def _breaks_bounds(typed: pa.Array, column: ColumnSettings) -> pa.Array:
    """Return which values may break a bound; inexact whole numbers go to the exact rules."""
    broken = pa.repeat(pa.scalar(False), len(typed))
    if column.values is not None:
        broken = pc.or_(broken, pc.invert(pc.is_in(typed, pa.array(column.values, typed.type))))
        broken = pc.and_(broken, typed.is_valid())
    if column.min is None and column.max is None:
        return broken
    numbers = typed.cast(pa.float64(), safe=False)
    if column.min is not None:
        broken = pc.or_(broken, pc.less(numbers, float(column.min)))
    if column.max is not None:
        broken = pc.or_(broken, pc.greater(numbers, float(column.max)))
    if column.type != "double":
        broken = pc.or_(broken, pc.greater_equal(pc.abs(numbers), float(EXACT_WHOLE)))
    return broken


def _may_repeat_a_field(
    lines: Sequence[bytes], documents: list[dict[str, Any]], texts: np.ndarray
) -> np.ndarray:
    """Return whether a line may give a field twice: it has more quotation marks than it should.

    The parser keeps the last value of a field that is given twice. A field takes two marks for its
    name and two more for a text, so where the fields and the `texts` that are known of account for
    all marks, nothing is hidden. An escape may add marks that are none, so a line with a backslash
    is never plain.
    """
    marks = np.array([line.count(b'"') for line in lines])
    fields = np.array([len(document) for document in documents])
    suspect = marks != 2 * (fields + texts)
    # The others have fields that nobody declared, or a field that is given twice.
    for place in np.flatnonzero(suspect):
        suspect[place] = marks[place] != _quotes(documents[place], _DEEPEST)
    return suspect | np.array([b"\\" in line for line in lines], dtype=bool)


def _quotes(document: dict[str, Any], depth: int) -> int:
    """The quotation marks of a document without escapes; -1 if nested deeper than `depth`."""
    kinds = list(map(type, document.values()))
    marks = 2 * (len(kinds) + kinds.count(str))
    if dict not in kinds and list not in kinds:
        return marks
    for value in document.values():
        inner = _quotes_within(value, depth - 1)
        if inner < 0:
            return -1
        marks += inner
    return marks


def _quotes_within(value: Any, depth: int) -> int:
    """Those of an object or a list; a text of its own is counted where it stands."""
    if type(value) is dict:
        return -1 if depth < 0 else _quotes(value, depth)
    if type(value) is not list:
        return 0
    if depth < 0:
        return -1
    inner = [_quotes_within(item, depth - 1) + 2 * (type(item) is str) for item in value]
    return -1 if any(item < 0 for item in inner) else sum(inner)


def _mask(condition: pa.Array) -> np.ndarray:
    """Return where the condition holds; null is no."""
    return pc.fill_null(condition, False).to_numpy(zero_copy_only=False)


def _no_reasons(rows: int) -> pa.Array:
    return pa.ListArray.from_arrays(
        pa.array(np.zeros(rows + 1, dtype=np.int32)), pa.array([], pa.string())
    )
