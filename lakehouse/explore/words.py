"""What the page says of the rows, in sentences."""

from collections.abc import Sequence

from lakehouse.dashboard.rows import Row
from lakehouse.dashboard.words import cell, counted, moment, share
from lakehouse.explore.bins import Bins
from lakehouse.explore.findings import Findings
from lakehouse.explore.measures import Stretch
from lakehouse.explore.queries import PARTS
from lakehouse.explore.subject import Column

_MOST_ODD, _NAMED = 4, 6
_MANY_ZEROS, _NEARLY_ALL, _ALIKE, _FAR = 0.5, 0.99, 0.99, 10.0


def headline(findings: Findings) -> list[str]:
    """Three sentences: what the rows are, what their labels are, and what is odd."""
    if not findings.has("extent"):
        span = " and ".join(findings.spans)
        where = "" if span == "all days" else f" in the span {span}"
        return [
            f"{findings.subject.name} has no valid row{where} yet.",
            _turned_away(findings) or "No line was turned away.",
            "There is nothing to look at before the first row has come.",
        ]
    return [_rows(findings), _labels(findings), _odd(findings)]


def _rows(findings: Findings) -> str:
    extent, subject = findings.rows("extent"), findings.subject
    columns = subject.of_readings
    kinds = sum(column.is_category for column in columns)
    parts = [counted(len(columns) - kinds, "number")] if len(columns) > kinds else []
    parts += [counted(kinds, "column") + " of kinds"] if kinds else []
    spans = [
        f"{counted(row['n_rows'], 'row')} from {moment(row['first'])} to {moment(row['last'])}"
        for row in extent
    ]
    names = ", ".join(column.name for column in columns[:_NAMED])
    more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
    each = f"{' and '.join(parts)} in each: {names}{more}"
    return f"{subject.name} has {', and '.join(spans)} (UTC), with {each}."


def _labels(findings: Findings) -> str:
    extent, label = findings.rows("extent"), findings.subject.label.name
    n, labelled = (sum(row[name] for row in extent) for name in ("n_rows", "n_labelled"))
    if not labelled:
        return f"No row has a label ({label}) yet."
    late = findings.rows("delays")[0]["q"]
    came = f"half of them came within {_hours(late[1])}, 95 % within {_hours(late[2])}"
    have = "Every row has" if labelled == n else f"{share(labelled / n)} of the rows have"
    return f"{have} a label ({label}): {came}.{_of_by(findings)}"


def _of_by(findings: Findings) -> str:
    """How the column is spread that the others are looked at by."""
    by, first = findings.subject.by, findings.spans[0]
    if by.is_category:
        rows = [
            row
            for row in findings.rows("kinds", 0)
            if row["column_name"] == by.name and row["value"] != "no value"
        ]
        total = sum(row["n"] for row in rows)
        most = sorted(rows, key=lambda row: (-row["n"], row["value"]))[:3]
        parts = [f"{row['value']} in {share(row['n'] / total)}" for row in most]
        within = f" ({first})" if findings.is_compared else ""
        if len(rows) == 1:
            return f" All are {by.name} {rows[0]['value']}{within}."
        return f" {by.name} is {', '.join(parts)} of them{within}." if total else ""
    row = next((row for row in findings.rows("numbers", 0) if row["column_name"] == by.name), None)
    if row is None or row["median"] is None:
        return ""
    nine = f"{cell(row['p5'])} to {cell(row['p95'])} in nine of ten"
    return f" {by.name} is {cell(row['median'])} at the median, {nine}."


def _odd(findings: Findings) -> str:
    odd = [*_odd_numbers(findings), *_odd_kinds(findings), *_odd_pairs(findings)]
    away = _turned_away(findings)
    odd = [*odd[:_MOST_ODD], *([f"and {len(odd) - _MOST_ODD} more"] if odd[_MOST_ODD:] else [])]
    overdue = overdue_of(findings)
    if overdue:
        odd.insert(0, f"{counted(overdue, 'label')} overdue")
    if odd:
        return f"Odd: {'; '.join(odd)}.{' ' + away if away else ''}"
    return away or (
        "Nothing is odd: every value is there, finite and within its bounds, and no line was "
        "turned away."
    )


def _turned_away(findings: Findings) -> str:
    rejected = sum(
        table.rows or 0 for table in findings.model.tables if table.name == "silver.quarantine"
    )
    if not rejected:
        return ""
    rows = findings.rows("rejected")
    why = f"; most often: {rows[0]['reason']}" if rows else ""
    return f"{counted(rejected, 'line')} turned away{why}."


def _odd_numbers(findings: Findings) -> list[str]:
    label = findings.subject.label.name
    odd = []
    for row in findings.rows("numbers", 0):
        name, n = row["column_name"], row["n_rows"]
        if row["n_null"] == n:
            odd.append(f"{name} has no value in any row")
            continue
        if row["min"] is not None and row["min"] == row["max"]:
            odd.append(f"{name} is {cell(row['min'])} in every row")
        elif row["n_zero"] > _MANY_ZEROS * n:
            odd.append(f"{name} is zero in {share(row['n_zero'] / n)}")
        if row["n_null"] and name != label:
            odd.append(f"{name} is missing in {share(row['n_null'] / n)}")
        if row["n_not_finite"]:
            odd.append(f"{name} is not finite in {counted(row['n_not_finite'], 'row')}")
        if row["n_outside"]:
            odd.append(f"{name} is outside its bounds in {counted(row['n_outside'], 'row')}")
        odd += _far(row)
    return odd


def _far(row: Row) -> list[str]:
    """Whether the greatest or the least value lies far beyond the others."""
    if row["median"] is None:
        return []
    width = row["p95"] - row["p5"]
    if not width:
        return []
    far = [value for value in (row["min"], row["max"]) if abs(value - row["median"]) > _FAR * width]
    return [f"{row['column_name']} reaches {cell(value)}" for value in far]


def _odd_kinds(findings: Findings) -> list[str]:
    odd = []
    for column in findings.subject.all_columns:
        if not column.is_category:
            continue
        own = [row for row in findings.rows("kinds", 0) if row["column_name"] == column.name]
        missing = next((row["share"] for row in own if row["value"] == "no value"), 0.0)
        known = [row for row in own if row["value"] != "no value"]
        if not known:
            odd.append(f"{column.name} has no value in any row")
        elif column != findings.subject.label and missing:
            odd.append(f"{column.name} is missing in {share(missing)}")
        top = max(known, key=lambda row: row["n"], default=None)
        if top is not None and top["n"] > _NEARLY_ALL * sum(row["n"] for row in known):
            odd.append(f"{column.name} is {top['value']} in nearly every row")
    return odd


def _odd_pairs(findings: Findings) -> list[str]:
    return [
        f"{row['x']} and {row['y']} say the same"
        for row in findings.rows("between", 0)
        if abs(row["correlation"] or 0.0) > _ALIKE
    ]


def of_stretch(
    findings: Findings, column: Column, stretch: Stretch | None, name: str | None
) -> str:
    """Where a column's share or mean of `by` stands out: one sentence.

    "Between 351 and 359 the share of 1 is 86.1 %, elsewhere 4.2 %."
    """
    bins, by = findings.bins(column), findings.subject.by.name
    if stretch is None:
        return f"No stretch of {column.name} stands out."
    what, inside, elsewhere = (
        (f"share of {name}", share(stretch.inside), share(stretch.elsewhere))
        if name is not None
        else (f"mean of {by}", cell(stretch.inside), cell(stretch.elsewhere))
    )
    where = _capital(bins.between(stretch.first, stretch.last))
    rows = f"{stretch.n_inside:,} and {stretch.n_elsewhere:,} rows"
    return f"{where} the {what} is {inside}, elsewhere {elsewhere} ({rows})."


def of_move(findings: Findings, column: Column, stretch: Stretch | None) -> str:
    """Where a column's share of `by` moved from one span to another: one sentence."""
    if stretch is None:
        return ""
    where = findings.bins(column).between(stretch.first, stretch.last)
    what = f"the share of {findings.focus_words}"
    return (
        f"Where {column.name} is {where}, {what} went from {share(stretch.elsewhere)} "
        f"({findings.spans[1]}) to {share(stretch.inside)} ({findings.spans[0]})."
    ).replace(" is at ", " is ")


def of_drift(findings: Findings) -> str:
    """Which column moved most between the two spans."""
    rows = [row for row in findings.rows("moved") if row["drift_index"] is not None]
    if not rows:
        return "One of the spans has no values to compare."
    drifted = [row["column_name"] for row in rows if row["has_drifted"]]
    most = rows[0]
    by = findings.subject.by.name
    features = [name for name in drifted if name != by]
    said = f"{most['column_name']} moved most (index {cell(most['drift_index'])})"
    if not drifted:
        return f"{said}, but no column has drifted."
    if not features:
        return f"{said}; no other column has drifted: the rule may have moved, not the values."
    return f"{said}; drifted: {', '.join(drifted)}."


def missing_words(rows: Sequence[Row], bins: Bins) -> str:
    """How many rows a chart leaves out, as their value is missing."""
    n = sum(
        row["n_rows"]
        for row in {row["code"]: row for row in rows if row["code"] >= bins.size}.values()
    )
    return f" {counted(n, 'row')} without a value left out." if n else ""


def overdue_of(findings: Findings) -> int:
    """How many rows have no label though the horizon is over."""
    return sum(row["n_overdue"] for row in findings.rows("extent"))


def quantile_words(findings: Findings) -> str:
    """How exact quantiles are."""
    plan = findings.plan
    if plan.part == PARTS:
        return "Quantiles are exact; distinct values are counted to about a fifth."
    rows = plan.rows * plan.part / PARTS
    stretches = max((len(findings.rows(f"time-{place}")) for place in (0, 1)), default=1)
    over_all, by_stretch = (share(n**-0.5, 2) for n in (rows, rows / max(stretches, 1)))
    return (
        f"Quantiles are of {share(plan.part / PARTS)} of the rows, chosen by a hash of the key: "
        f"their ranks are off by less than {over_all} (two standard errors), over time by "
        f"{by_stretch}. Distinct values are counted to about a fifth."
    )


def _hours(hours: float) -> str:
    return f"{hours:.3g} hours" if hours < 72 else f"{hours / 24:.3g} days"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
