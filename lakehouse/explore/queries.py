"""The queries, in DuckDB's SQL: what is asked, and the whole statement that a reader can copy.

A query reads from one of these, which the reader of a lakehouse makes, and which `whole` puts
before it: `readings` (the rows of the spans), `labels` (those in force), `labelled` (both), and
`coded` (the number of each value's bin).
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lakehouse.explore.bins import Bins, finite, literal, quoted
from lakehouse.explore.subject import SQL_TYPES, Column, Span, Subject

PARTS = 1024
"""Rows are in so many parts, by the hash of their key; of many rows, some parts are looked at."""
_MICROSECONDS = 1_000_000
_MONDAY = dt.timedelta(days=4)  # the first one after the epoch
LAST_FIRST = ("landed_file_id", "line")
ORIGIN = ("source_file", "line")


@dataclass(frozen=True)
class OnDisk:
    """What the tables hold.

    Attributes:
        readings: columns of the readings' table.
        labels: columns of the labels' table.
        corrected: whether a key may have more than one label.
    """

    readings: Sequence[str]
    labels: Sequence[str]
    corrected: bool = False


@dataclass(frozen=True)
class Plan:
    """What all queries of a page share.

    Attributes:
        subject: what is explored.
        spans: one, or two that are compared.
        disk: what the tables hold.
        width: of the stretches of time.
        bins: of each column and of `by`, once they are known.
        part: parts of `PARTS` that quantiles are taken of.
        rows: that there are.
    """

    subject: Subject
    spans: tuple[Span, ...]
    disk: OnDisk
    width: dt.timedelta = dt.timedelta(days=1)
    bins: Mapping[str, Bins] | None = None
    part: int = PARTS
    rows: int = 0

    @property
    def names(self) -> str:
        """SQL of the name of a row's span."""
        return f"[{', '.join(literal(str(span)) for span in self.spans)}][_span]"

    @property
    def bucket(self) -> str:
        """SQL of the start of a row's stretch of time."""
        width = self.width // dt.timedelta(microseconds=1)
        shift = _MONDAY // dt.timedelta(microseconds=1) if self.width.days == 7 else 0
        start = f"(epoch_us(_at) - {shift}) // {width} * {width} + {shift}"
        return f"to_timestamp(({start}) / {_MICROSECONDS})"

    @property
    def few(self) -> str:
        """SQL of what quantiles are taken of: a condition on rows; empty for all of them."""
        return "" if self.part == PARTS else f" AND hash(_key) % {PARTS} < {self.part}"

    def of(self, name: str) -> Bins:
        """The bins of a column."""
        assert self.bins is not None
        return self.bins[name]


def sources(
    plan: Plan, columns: Iterable[Column] | None = None, origin: bool = True
) -> dict[str, str]:
    """What the queries read from, by name: each of the tables or of those before it.

    Args:
        plan: see there.
        columns: that are wanted; all of them, if not given.
        origin: whether `ORIGIN` is wanted, too.
    """
    wanted = plan.subject.all_columns if columns is None else tuple(columns)
    own = [column for column in wanted if column != plan.subject.label]
    found = {
        "readings": _readings(plan, own, origin),
        "labels": _labels(plan),
        "labelled": _labelled(plan),
    }
    return found | ({"coded": _coded(plan, wanted)} if plan.bins is not None else {})


def whole(plan: Plan, sql: str, columns: Iterable[Column]) -> str:
    """The statement with all that it reads from before it, for who asks the tables themselves.

    Args:
        plan: see there.
        sql: a query.
        columns: that it asks for.
    """
    parts = sources(plan, columns, ORIGIN[0] in sql)
    needed: list[str] = []
    queue = [sql]
    while queue:
        words = re.findall(r"(?:FROM|JOIN) (\w+)\b(?!\.)", queue.pop())
        for name in words:
            if name in parts and name not in needed:
                needed.append(name)
                queue.append(parts[name])
    own = [f"{name} AS (\n{parts[name]}\n)" for name in parts if name in needed]
    return f"WITH {', '.join(own)}\n{sql}" if own else sql


def _readings(plan: Plan, columns: Sequence[Column], origin: bool) -> str:
    subject = plan.subject
    own = [_typed(column, plan.disk.readings) for column in columns]
    own += [name for name in ORIGIN if origin and name in plan.disk.readings]
    head = [f"{quoted(subject.key)} AS _key", f"{quoted(subject.event_time)} AS _at", *own]
    return "\nUNION ALL ".join(
        f"SELECT {place} AS _span, {', '.join(head)} FROM {subject.readings}"
        f"{_within(quoted(subject.event_time), span)}"
        for place, span in enumerate(plan.spans, 1)
    )


def _within(time: str, span: Span) -> str:
    bounds = [f"{time} >= TIMESTAMPTZ '{span.first} 00:00:00+00'"] if span.first else []
    bounds += [f"{time} < TIMESTAMPTZ '{span.end} 00:00:00+00'"] if span.end else []
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _labels(plan: Plan) -> str:
    subject, key = plan.subject, quoted(plan.subject.key)
    label = _typed(subject.label, plan.disk.labels)
    time = quoted(subject.label_time)
    sql = f"SELECT {key} AS _key, {time} AS _told, {label} FROM {subject.labels}"
    if not plan.disk.corrected:
        return sql
    names = (subject.label_time, *LAST_FIRST)
    order = ", ".join(f"{quoted(name)} DESC NULLS LAST" for name in names)
    return f"{sql} QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}) = 1"


def _labelled(plan: Plan) -> str:
    label = quoted(plan.subject.label.name)
    return (
        f"SELECT readings.*, labels._told, labels.{label}\n"
        "FROM readings LEFT JOIN labels USING (_key)"
    )


def _coded(plan: Plan, columns: Sequence[Column]) -> str:
    subject = plan.subject
    by = plan.of(subject.by.name)
    codes = [
        f"({plan.of(column.name).sql})::UTINYINT AS {quoted(column.name)}"
        for column in columns
        if column != subject.by
    ]
    value = [f"{finite(subject.by)} AS _value"] if not subject.by.is_category else []
    head = [
        "_span",
        f"(hash(_key) % {PARTS})::USMALLINT AS _part",
        f"{plan.bucket} AS _bucket",
        "(epoch_us(_told) - epoch_us(_at)) / 3.6e9 AS _hours",
        f"({by.sql})::UTINYINT AS _by",
        *value,
        *codes,
    ]
    return f"SELECT {', '.join(head)}\nFROM labelled"


def _typed(column: Column, there: Sequence[str]) -> str:
    """A column; NULL where the table on disk does not have it yet."""
    name = quoted(column.name)
    return name if column.name in there else f"NULL::{SQL_TYPES[column.type]} AS {name}"
