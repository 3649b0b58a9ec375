"""What each panel asks: SQL over the sources of `queries`."""

import datetime as dt
from collections.abc import Sequence
from itertools import combinations

from lakehouse.explore.bins import MISSING, OTHER, Bins, finite, literal, quoted
from lakehouse.explore.queries import ORIGIN, PARTS, Plan
from lakehouse.explore.subject import Column
from lakehouse.quality.intervals import wilson_interval

SAMPLE = 12
"""Rows that are shown as they are."""
COARSE = 10
"""Bins of a pair's column at most, where more than `FINE` columns are paired."""
FINE = 4
ROWS_A_CELL = 15
"""Rows of a pair's cell, on average, that finer bins ask for."""
_LOW, _MIDDLE, _HIGH = 0.05, 0.5, 0.95


def extent(plan: Plan) -> str:
    """Rows, labels, and the first and last time of each span."""
    label = quoted(plan.subject.label.name)
    horizon = f"INTERVAL '{plan.subject.horizon // dt.timedelta(seconds=1)} seconds'"
    return f"""SELECT {plan.names} AS span, COUNT(*) AS n_rows, COUNT({label}) AS n_labelled,
  MIN(_at) AS first, MAX(_at) AS last,
  COUNT(*) FILTER (_told IS NULL AND _at < (SELECT MAX(_told) FROM labels) - {horizon})
    AS n_overdue
FROM labelled GROUP BY _span ORDER BY _span"""


def sample(plan: Plan) -> str:
    """A few rows with where they came from: those of the least hashes of their keys."""
    subject = plan.subject
    shown = [f"_at AS {quoted(subject.event_time)}", f"_key AS {quoted(subject.key)}"]
    shown += [quoted(column.name) for column in subject.of_readings]
    shown += [quoted(subject.label.name), f"_told AS {quoted(label_time(plan))}"]
    shown += [name for name in ORIGIN if name in plan.disk.readings]
    least = f"SELECT _key FROM readings WHERE _span = 1 ORDER BY hash(_key), _key LIMIT {SAMPLE}"
    return f"""SELECT {", ".join(shown)}
FROM labelled WHERE _span = 1 AND _key IN ({least})
ORDER BY _at, _key"""


def label_time(plan: Plan) -> str:
    """What the label's time is called beside the readings' columns."""
    taken = (plan.subject.event_time, *(column.name for column in plan.subject.of_readings))
    name = plan.subject.label_time
    return f"{name}_of_label" if name in taken else name


def numbers(plan: Plan, columns: Sequence[Column]) -> str:
    """A line for each number: what is odd of its values, and where they lie."""
    parts = [_number(plan, column) for column in columns]
    return "\nUNION ALL ".join(parts) + "\nORDER BY column_name, span"


def _number(plan: Plan, column: Column) -> str:
    name, value = quoted(column.name), finite(column)
    few = f" FILTER (TRUE{plan.few})" if plan.few else ""
    bounds = [f"{value} < {literal(float(column.low))}"] if column.low is not None else []
    bounds += [f"{value} > {literal(float(column.high))}"] if column.high is not None else []
    outside = f"COUNT(*) FILTER ({' OR '.join(bounds)})" if bounds else "NULL::BIGINT"
    return f"""SELECT {literal(column.name)} AS column_name, {plan.names} AS span, n_rows, n_null,
  n_not_finite, n_zero, n_outside, about_distinct, mean, stddev, min, q[1] AS p5, q[2] AS p25,
  q[3] AS median, q[4] AS p75, q[5] AS p95, max
FROM (SELECT _span, COUNT(*) AS n_rows, COUNT(*) - COUNT({name}) AS n_null,
  COUNT({name}) - COUNT({value}) AS n_not_finite, COUNT(*) FILTER ({value} = 0) AS n_zero,
  {outside} AS n_outside, LEAST(APPROX_COUNT_DISTINCT({value}), COUNT({value})) AS about_distinct,
  FAVG({value}) AS mean, STDDEV_SAMP({value}) AS stddev, MIN({value}) AS min,
  QUANTILE_CONT({value}, [0.05, 0.25, 0.5, 0.75, 0.95]){few} AS q, MAX({value}) AS max
FROM {source_of(plan, column)} GROUP BY _span)"""


def kinds(plan: Plan, columns: Sequence[Column]) -> str:
    """How often each kind occurs in each column of kinds."""
    parts = [_kind(plan, column) for column in columns]
    return "\nUNION ALL ".join(parts) + "\nORDER BY column_name, span, n DESC, value"


def _kind(plan: Plan, column: Column) -> str:
    code = code_of(plan, column)
    return f"""SELECT {literal(column.name)} AS column_name, {plan.names} AS span,
  {_words(plan.of(column.name))}[{code} + 1] AS value, COUNT(*) AS n,
  COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY _span) AS share
FROM coded GROUP BY _span, {code}"""


def over_time(plan: Plan, column: Column) -> str:
    """A number's quantiles by stretch of time; of kinds, the share of each."""
    if column.is_category:
        return _kinds_over_time(plan, column)
    few = f" WHERE {plan.few.removeprefix(' AND ')}" if plan.few else ""
    value = finite(column)
    return f"""SELECT {plan.names} AS span, start, n, q[1] AS p5, q[2] AS median, q[3] AS p95
FROM (SELECT _span, {plan.bucket} AS start, COUNT({value}) AS n,
  QUANTILE_CONT({value}, [{_LOW}, {_MIDDLE}, {_HIGH}]) AS q
FROM {source_of(plan, column)}{few} GROUP BY ALL)
WHERE n > 0 ORDER BY _span, start"""


def _kinds_over_time(plan: Plan, column: Column) -> str:
    bins, code = plan.of(column.name), code_of(plan, column)
    return f"""SELECT {plan.names} AS span, _bucket AS start, {_words(bins)}[{code} + 1] AS value,
  COUNT(*) AS n, COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY _span, _bucket) AS share
FROM coded WHERE {code} < {bins.size} GROUP BY _span, _bucket, {code}
ORDER BY _span, start, {code}"""


def source_of(plan: Plan, *columns: Column) -> str:
    """Where columns' values are read from: joined to the labels only if that is needed."""
    return "labelled" if plan.subject.label in columns else "readings"


def by_bin(plan: Plan, column: Column) -> str:
    """For each bin of a column, the share of each class, or where the number of `by` lies."""
    bins, code = plan.of(column.name), quoted(column.name)
    head = f"""SELECT {plan.names} AS span, code, {_words(bins)}[code + 1] AS bin"""
    if not plan.subject.by.is_category:
        quantiles = f"QUANTILE_CONT(_value, [{_LOW}, {_HIGH}]){_of_part(plan)}"
        return f"""{head}, n_rows, mean, q[1] AS p5, q[2] AS p95, stddev
FROM (SELECT _span, {code} AS code, COUNT(_value) AS n_rows, FAVG(_value) AS mean,
  STDDEV_SAMP(_value) AS stddev, {quantiles} AS q
FROM coded WHERE _value IS NOT NULL GROUP BY ALL)
ORDER BY _span, code"""
    by = plan.of(plan.subject.by.name)
    known = [(i, word) for i, word in enumerate(by.words) if word != MISSING]
    counts = ", ".join(f"COUNT(*) FILTER (_by = {i})" for i, _ in known)
    classes = ", ".join(literal(word) for _, word in known)
    low, high = wilson_interval("(n / n_rows)", "n_rows")
    return f"""{head}, class, n_rows, n, n / n_rows AS share,
  {low} AS low,
  {high} AS high
FROM (SELECT _span, {code} AS code, COUNT(*) AS n_rows, UNNEST([{counts}]) AS n,
  UNNEST([{classes}]) AS class, UNNEST(RANGE({len(known)})) AS place
FROM coded WHERE _by <> {by.size} GROUP BY _span, {code})
WHERE NOT (class = '{OTHER}' AND n = 0)
ORDER BY _span, code, place"""


def pairs(plan: Plan, columns: Sequence[Column], focus: int) -> str:
    """Rows of each two bins of each two columns, with the share of a class or the mean of `by`.

    Args:
        plan: see there.
        columns: that are paired.
        focus: code of the class.
    """
    if plan.subject.by.is_category:
        by = plan.of(plan.subject.by.name)
        measure = f"COUNT(*) FILTER (_by = {focus}) / COUNT(*) AS share"
        known = f"_by <> {by.size}"
    else:
        measure, known = "FAVG(_value) AS mean", "_value IS NOT NULL"
    step = {column.name: step_of(plan, plan.of(column.name), len(columns)) for column in columns}
    words = {
        column.name: _words(plan.of(column.name).coarse(step[column.name])) for column in columns
    }
    parts = []
    for x, y in combinations(columns, 2):
        across, down = (f"{quoted(each.name)} // {step[each.name]}" for each in (x, y))
        present = " AND ".join(
            f"{quoted(each.name)} <> {plan.of(each.name).size}" for each in (x, y)
        )
        names = f"{literal(x.name)} AS x, {literal(y.name)} AS y"
        parts.append(f"""SELECT {plan.names} AS span, {names},
  {across} AS x_code, {down} AS y_code, {words[x.name]}[{across} + 1] AS x_bin,
  {words[y.name]}[{down} + 1] AS y_bin, COUNT(*) AS n_rows, {measure}
FROM coded WHERE {known} AND {present} GROUP BY _span, {across}, {down}""")
    return "\nUNION ALL ".join(parts) + "\nORDER BY span, x, y, x_code, y_code"


def step_of(plan: Plan, bins: Bins, columns: int) -> int:
    """How many bins of a column are one in the pairs: more, if columns are many or rows few."""
    few = plan.rows < ROWS_A_CELL * bins.size**2
    return -(-bins.size // COARSE) if (columns > FINE or few) and bins.is_number else 1


def codes(plan: Plan, columns: Sequence[Column], part: int) -> str:
    """The bins of each row, or of a part of the rows: what association is computed from."""
    names = ", ".join(quoted(column.name) for column in columns)
    few = f" WHERE _part < {part}" if part < PARTS else ""
    return f"SELECT _span, _by{', ' if names else ''}{names} FROM coded{few}"


def correlations(plan: Plan, columns: Sequence[Column], part: int) -> str:
    """Pearson's correlation of each two numbers.

    Args:
        plan: see there.
        columns: all, `by` among them.
        part: parts of the rows that are looked at.
    """
    numbers = [column for column in columns if not column.is_category]
    values = ", ".join(f"{finite(column)} AS {quoted(column.name)}" for column in numbers)
    few = f" WHERE hash(_key) % {PARTS} < {part}" if part < PARTS else ""
    found = list(combinations(numbers, 2))
    names = (", ".join(literal(pair[side].name) for pair in found) for side in (0, 1))
    measures = ", ".join(f"CORR({quoted(x.name)}, {quoted(y.name)})" for x, y in found)
    x, y = names
    return f"""SELECT {plan.names} AS span, UNNEST([{x}]) AS x, UNNEST([{y}]) AS y,
  UNNEST([{measures}]) AS correlation
FROM (SELECT _span, {values} FROM {source_of(plan, *numbers)}{few}) GROUP BY _span ORDER BY _span"""


def values(plan: Plan, columns: Sequence[Column], span: int | None = None) -> str:
    """The values of columns; of one span, if its place is given."""
    names = ", ".join(quoted(column.name) for column in columns)
    few = [f"_span = {span}"] if span else []
    few += [plan.few.removeprefix(" AND ")] if plan.few else []
    where = f" WHERE {' AND '.join(few)}" if few else ""
    source = source_of(plan, *columns)
    return f"SELECT {names if span else f'_span, {names}'} FROM {source}{where}"


def delay(plan: Plan, width: float, most: float) -> str:
    """How many labels came after so many hours; those above `most` are in the last bin."""
    hours = f"FLOOR(LEAST(_hours, {literal(most)}) / {width}) * {width}"
    return f"""SELECT {plan.names} AS span, {hours} AS hours, COUNT(*) AS n,
  COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY _span) AS share
FROM coded WHERE _hours IS NOT NULL GROUP BY _span, hours ORDER BY _span, hours"""


def delays(plan: Plan) -> str:
    """How late the labels are, over all."""
    return f"""SELECT COUNT(_hours) AS n, MIN(_hours) AS min, MAX(_hours) AS max,
  QUANTILE_CONT(_hours, [0.05, 0.5, 0.95, 0.99]){_of_part(plan)} AS q
FROM coded"""


def delay_over_time(plan: Plan) -> str:
    """For the rows of each stretch of time: how many have a label, and how late it came."""
    return f"""SELECT start, n_rows, n_labelled, n_rows - n_labelled AS n_waiting,
  q[1] AS p5, q[2] AS median, q[3] AS p95
FROM (SELECT _bucket AS start, COUNT(*) AS n_rows, COUNT(_hours) AS n_labelled,
  QUANTILE_CONT(_hours, [{_LOW}, {_MIDDLE}, {_HIGH}]){_of_part(plan)} AS q
FROM coded GROUP BY ALL) ORDER BY start"""


def lines(names: Sequence[str]) -> str:
    """How many rows each table holds, of all days."""
    parts = [f"SELECT {literal(name)} AS table_name, COUNT(*) AS n FROM {name}" for name in names]
    return "\nUNION ALL ".join(parts)


REJECTED = """SELECT source, reason, COUNT(*) AS n, MIN(landed_at) AS first, MAX(landed_at) AS last
FROM (SELECT source, landed_at, UNNEST(reasons) AS reason FROM silver.quarantine)
GROUP BY source, reason ORDER BY n DESC, source, reason LIMIT 100"""

REJECTED_BY_DAY = """SELECT day, SUM(n_rejected)::BIGINT AS n_rejected,
  SUM(n_duplicate)::BIGINT AS n_duplicate
FROM (SELECT CAST(landed_at AS DATE) AS day, 1 AS n_rejected, 0 AS n_duplicate
  FROM silver.quarantine
UNION ALL SELECT CAST(landed_at AS DATE), 0, 1 FROM silver.duplicate)
WHERE day IS NOT NULL GROUP BY day ORDER BY day"""


def _of_part(plan: Plan) -> str:
    """SQL that takes a part of the coded rows, where they are many."""
    return f" FILTER (_part < {plan.part})" if plan.few else ""


def code_of(plan: Plan, column: Column) -> str:
    """SQL of a column's bin."""
    return "_by" if column == plan.subject.by else quoted(column.name)


def _words(bins: Bins) -> str:
    return f"[{', '.join(literal(word) for word in bins.words)}]"
