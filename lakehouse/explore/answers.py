"""Asks a lakehouse everything that its page shows."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from lakehouse.dashboard.rows import Answer, ModelAnswers
from lakehouse.errors import ConfigurationError
from lakehouse.explore import asks
from lakehouse.explore.bins import (
    MISSING,
    OTHER,
    SINGLE,
    Bins,
    bins_of,
    categories_of,
    finite,
    quoted,
)
from lakehouse.explore.findings import PAIRED, Findings
from lakehouse.explore.panels import move_of
from lakehouse.explore.queries import PARTS, Plan, whole
from lakehouse.explore.reader import Reader, opened
from lakehouse.explore.relations import (
    Correlations,
    between,
    correlations_of,
    moved,
    profile_of,
    told,
)
from lakehouse.explore.subject import Column, Span, Subject
from lakehouse.profiling.profile import ColumnProfile
from lakehouse.sql.catalogue import no_lakehouse

QUANTILE_VALUES = 40_000_000
"""Values of all numbers up to which quantiles are exact; of more, a part of the rows is taken."""
EDGE_ROWS, PAIR_ROWS = 50_000, 500_000
"""About so many rows tell where bins end, and what two columns have to do with each other."""
CLASSES = 6
_HOURS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 168)
_HOUR, _DAY, _WEEK = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(days=7)
_MOVES = """SELECT as_of, action, from_version, to_version, reason
FROM gold.promotion ORDER BY as_of, action"""
_CHANGES = """SELECT DISTINCT change_at FROM gold.decision
WHERE change_at IS NOT NULL AND action = 'retrain' ORDER BY change_at"""


def findings_of(root: Path, subject: Subject, spans: Sequence[Span]) -> Findings:
    """Ask a lakehouse.

    Args:
        root: of the lakehouse.
        subject: what is explored.
        spans: one, or two that are compared.

    Raises:
        ConfigurationError: there is no lakehouse, it is another model's, or the spans are the same.
    """
    _check(root, subject)
    if len(set(spans)) < len(spans):
        raise ConfigurationError(
            f"--compare-from, --compare-to: both spans are {spans[0]}; write other days"
        )
    with opened(root) as reader:
        plan = Plan(subject, tuple(spans), reader.on_disk(subject))
        reader.prepare(plan)
        answers = {"extent": reader.answer(plan, asks.extent(plan))}
        plan = _planned(reader, plan, answers["extent"])
        reader.prepare(plan)
        paired: tuple[Column, ...] = ()
        focus = 0 if subject.by.is_category else None
        answers |= _of_lines(reader, plan)
        if answers["extent"].rows:
            answers |= _of_columns(reader, plan)
            focus = _focus(plan, answers)
            answers |= _of_relations(reader, plan)
            paired = _paired(subject, answers["told"])
            if len(paired) > 1:
                sql = asks.pairs(plan, paired, focus or 0)
                answers["pairs"] = reader.answer(plan, sql, (*paired, subject.by))
            answers |= _of_labels(reader, plan)
        state = reader.snapshot
        tables = tuple(state.state(name) for name in _tables(subject) if state.has(name))
    findings = Findings(plan, ModelAnswers(subject.name, answers, tables), paired, focus)
    if findings.is_compared and focus is not None:
        answers["rule"] = _rule(findings)
    return findings


def _tables(subject: Subject) -> tuple[str, ...]:
    """Where the lines may have gone."""
    return (subject.readings, subject.labels, "silver.quarantine", "silver.duplicate")


def _rule(findings: Findings) -> Answer:
    """Where the share of a class moved from the second span to the first, the farthest first."""
    rows: list[dict[str, Any]] = []
    statements = []
    for column in findings.subject.columns:
        moved_to = move_of(findings, column)
        if moved_to is not None:
            rows.append(
                {
                    "column_name": column.name,
                    "bins": findings.bins(column).between(moved_to.first, moved_to.last),
                    "share_before": moved_to.elsewhere,
                    "share_after": moved_to.inside,
                    "n_before": moved_to.n_elsewhere,
                    "n_after": moved_to.n_inside,
                }
            )
            statements.append(findings.model.answers[f"bins-{findings.place(column)}"].sql)
    rows.sort(key=lambda row: -abs(row["share_after"] - row["share_before"]))
    columns = ("column_name", "bins", "share_before", "share_after", "n_before", "n_after")
    return Answer(";\n\n".join(statements), columns, tuple(rows))


def _check(root: Path, subject: Subject) -> None:
    try:
        owner = (root / "_system" / "model").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise no_lakehouse(root) from None
    if owner != subject.name:
        raise ConfigurationError(
            f"--root: {root} holds the model {owner}; write its YAML file after --model"
        )


def _planned(reader: Reader, plan: Plan, extent: Answer) -> Plan:
    """The plan with what the rows say: their number, how long they reach, and where bins end."""
    rows = sum(row["n_rows"] for row in extent.rows)
    columns = plan.subject.all_columns
    numbers = [column for column in columns if not column.is_category]
    part = _part(rows, QUANTILE_VALUES // max(len(numbers), 1))
    plan = replace(plan, part=part, width=_width(extent), rows=rows)
    kinds = [column for column in columns if column.is_category]
    bins = _number_bins(reader, plan, numbers, _part(rows, EDGE_ROWS))
    for column in kinds:
        source = asks.source_of(plan, column)
        sql = f"""SELECT {quoted(column.name)} FROM {source} WHERE {quoted(column.name)} IS NOT NULL
GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT {SINGLE + 1}"""
        frequent = reader.arrow(sql).column(0).to_pylist()
        most = CLASSES if column == plan.subject.by else SINGLE
        bins[column.name] = categories_of(column, frequent, most)
    return replace(plan, bins=bins)


def _part(rows: int, most: int) -> int:
    """How many parts of the rows are about `most` of them; all, if there are not more."""
    return PARTS if rows <= most else max(1, PARTS * most // rows)


def _width(extent: Answer) -> dt.timedelta:
    """Stretches of time that make some dozens to some hundreds of the whole."""
    if not extent.rows:
        return _DAY
    first, last = (choose(row[key] for row in extent.rows) for choose, key in _ENDS)
    length = last - first
    if length <= 4 * _DAY:
        return _HOUR
    return _DAY if length <= 400 * _DAY else _WEEK


_ENDS: tuple[tuple[Any, str], ...] = ((min, "first"), (max, "last"))


def _number_bins(
    reader: Reader, plan: Plan, numbers: Sequence[Column], part: int
) -> dict[str, Bins]:
    if not numbers:
        return {}
    recorded, source = _recorded_edges(reader), asks.source_of(plan, *numbers)
    values = ", ".join(f"{finite(column)} AS {quoted(column.name)}" for column in numbers)
    few = f" WHERE hash(_key) % {PARTS} < {part}" if part < PARTS else ""
    rows = reader.arrow(f"SELECT {values} FROM {source}{few}")
    return {
        column.name: bins_of(
            column,
            rows[column.name].drop_null().to_numpy(),
            recorded.get(column.name),
            part == PARTS,
        )
        for column in numbers
    }


def _recorded_edges(reader: Reader) -> Mapping[str, Sequence[float]]:
    """The edges that the metrics on record count in; none before the first."""
    if not reader.snapshot.has("gold.monitor"):
        return {}
    names = ("monitor_version", "configuration")
    rows = reader.snapshot.arrow("gold.monitor", {name: pc.field(name) for name in names})
    newest = max(rows.to_pylist(), key=lambda row: row[names[0]], default=None)
    edges = json.loads(newest["configuration"]).get("edges", {}) if newest else {}
    return {name: own for name, own in edges.items() if own}


def _focus(plan: Plan, answers: Mapping[str, Answer]) -> int | None:
    """The code of the class whose share is told; None where `by` is a number.

    Of two classes the one that the settings name, of more the most frequent one.
    """
    subject, by = plan.subject, plan.of(plan.subject.by.name)
    if not subject.by.is_category:
        return None
    if len(by.values) <= 2 and subject.focus in by.values:
        return by.values.index(subject.focus)
    kinds = answers["kinds"].rows if "kinds" in answers else ()
    own = (row["value"] for row in kinds if row["column_name"] == subject.by.name)
    return next((by.words.index(name) for name in own if name not in (OTHER, MISSING)), 0)


def _of_lines(reader: Reader, plan: Plan) -> dict[str, Answer]:
    """What of the lines became rows, and what the policy did meanwhile."""
    there = [name for name in _tables(plan.subject) if reader.snapshot.has(name)]
    reader.know(*there)
    asked = {"lines": reader.answer(plan, asks.lines(there))}
    tables: dict[tuple[str, ...], dict[str, str]] = {
        ("silver.quarantine",): {"rejected": asks.REJECTED},
        ("silver.quarantine", "silver.duplicate"): {"rejected_days": asks.REJECTED_BY_DAY},
        ("gold.promotion",): {"moves": _MOVES},
        ("gold.decision",): {"changes": _CHANGES},
    }
    for names, queries in tables.items():
        if all(map(reader.snapshot.has, names)):
            reader.know(*names)
            asked |= {name: reader.answer(plan, sql) for name, sql in queries.items()}
    return asked


def _of_columns(reader: Reader, plan: Plan) -> dict[str, Answer]:
    """Each column by itself, over time, and by `by`."""
    columns = plan.subject.all_columns
    numbers = [column for column in columns if not column.is_category]
    kinds = [column for column in columns if column.is_category]
    answers = {"sample": reader.answer(plan, asks.sample(plan), columns)}
    if numbers:
        answers["numbers"] = _numbers(reader, plan, numbers)
    if kinds:
        answers["kinds"] = reader.answer(plan, asks.kinds(plan, kinds), kinds)
    for place, column in enumerate(columns):
        sql = asks.over_time(plan, column)
        answers[f"time-{place}"] = reader.answer(plan, sql, [column])
        if place:
            sql = asks.by_bin(plan, column)
            answers[f"bins-{place}"] = reader.answer(plan, sql, [column, plan.subject.by])
    return answers


def _numbers(reader: Reader, plan: Plan, numbers: Sequence[Column]) -> Answer:
    """The line of each number, asked one by one: exact quantiles hold a column in memory."""
    parts = [reader.arrow(asks.numbers(plan, [column])) for column in numbers]
    rows = [row for part in parts for row in part.to_pylist()]
    rows.sort(key=lambda row: (row["column_name"], row["span"]))
    sql = whole(plan, asks.numbers(plan, numbers), numbers)
    return Answer(sql, tuple(parts[0].column_names), tuple(rows))


def _of_relations(reader: Reader, plan: Plan) -> dict[str, Answer]:
    """What columns have to do with `by` and with each other; where two spans differ."""
    columns = plan.subject.all_columns
    part = _part(reader.value("SELECT COUNT(*) FROM coded"), PAIR_ROWS)
    sql = asks.codes(plan, plan.subject.columns, part)
    codes = reader.arrow(sql)
    correlated: Correlations = {}
    if sum(not column.is_category for column in columns) > 1:
        rows = reader.arrow(asks.correlations(plan, columns, part)).to_pylist()
        correlated = correlations_of(rows)
    answers = {
        "told": told(plan, sql, codes, correlated),
        "between": between(plan, sql, codes, correlated),
    }
    if len(plan.spans) == 2:
        profiles = {column.name: _profiles(reader, plan, column) for column in columns}
        answers["moved"] = moved(plan, profiles)
    return answers


def _profiles(reader: Reader, plan: Plan, column: Column) -> tuple[ColumnProfile, ColumnProfile]:
    first, second = (
        profile_of(
            plan.of(column.name),
            (batch.column(0) for batch in reader.batches(asks.values(plan, [column], span))),
        )
        for span in (1, 2)
    )
    return first, second


def _paired(subject: Subject, relations: Answer) -> tuple[Column, ...]:
    """The columns that tell most of `by`, in the order of the settings."""
    first = relations.rows[0]["span"] if relations.rows else None
    own = [row for row in relations.rows if row["span"] == first]
    best = {row["column_name"] for row in own[:PAIRED]}
    return tuple(column for column in subject.columns if column.name in best)


def _of_labels(reader: Reader, plan: Plan) -> dict[str, Answer]:
    """How late labels come."""
    answers = {"delays": reader.answer(plan, asks.delays(plan))}
    late = answers["delays"].rows[0]
    if late["n"]:
        most = max(late["q"][3], 0.0)
        width = next((each for each in _HOURS if most / each <= 30), 24.0 * (1 + most // 720))
        answers["delay"] = reader.answer(plan, asks.delay(plan, width, most))
        answers["delay_time"] = reader.answer(plan, asks.delay_over_time(plan))
    return answers
