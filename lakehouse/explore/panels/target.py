"""By label: where does each column tell the classes apart, or the number?"""

from collections.abc import Sequence

from markupsafe import Markup

from lakehouse.dashboard.charts import legend
from lakehouse.dashboard.markup import joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.rows import Row
from lakehouse.dashboard.scales import PER_CENT, Scale
from lakehouse.dashboard.words import counted
from lakehouse.explore.charts import Steps, heights, value_chart
from lakehouse.explore.findings import Findings
from lakehouse.explore.panels import found_of, move_of, rows_of_focus
from lakehouse.explore.subject import Column
from lakehouse.explore.words import missing_words, of_move, of_stretch

_SPAN_LOOKS = (("loop", "area-loop"), ("daily", "area-daily"))
_CLASSES = 6


def by_target(findings: Findings) -> list[Panel]:
    """Two panels for each column, the most telling column first."""
    by = findings.subject.by.name
    if not any(findings.has(f"bins-{findings.place(each)}") for each in findings.subject.columns):
        words = nothing(f"No row has a value of {by} yet, so there is nothing to tell apart.")
        return [Panel("target", f"What tells {by} apart?", "", words)]
    return [
        panel
        for column in findings.ordered
        for panel in (_by_bin(findings, column), _histogram(findings, column))
    ]


def _by_bin(findings: Findings, column: Column) -> Panel:
    by, query = findings.subject.by.name, f"bins-{findings.place(column)}"
    found = found_of(findings, column)
    own = (found.stretch, found.name) if found else (None, None)
    moved = of_move(findings, column, move_of(findings, column))
    words = moved or of_stretch(findings, column, *own)
    missing = missing_words(rows_of_focus(findings, findings.rows(query, 0)), findings.bins(column))
    is_share = findings.focus is not None
    return Panel(
        query,
        f"Where does {column.name} tell {by} apart?"
        if is_share
        else f"How does {by} go with {column.name}?",
        f"{words} {_shown(findings)}{missing}",
        _shares(findings, column) if is_share else _means(findings, column),
        query,
        columns=_columns(findings),
        wide=False,
    )


def _shown(findings: Findings) -> str:
    if findings.focus is None:
        return "Mean, and 5 to 95 %, by bin."
    return "Share by bin, with its 95 % interval (Wilson)."


def _columns(findings: Findings) -> tuple[str, ...]:
    if findings.focus is None:
        return ("span", "bin", "n_rows", "mean", "p5", "p95")
    return ("span", "bin", "class", "n_rows", "n", "share", "low", "high")


def _shares(findings: Findings, column: Column) -> Markup:
    """The share of each class by bin; of two classes one, and of two spans both."""
    query, label = f"bins-{findings.place(column)}", findings.subject.by.name
    names = _classes_of(findings)
    lines, entries = [], []
    if findings.is_compared or len(names) == 1:
        for span, words in enumerate(findings.spans):
            rows = rows_of_focus(findings, findings.rows(query, span))
            lines.append(_line(rows, "share", ("low", "high"), *_SPAN_LOOKS[span]))
            of_span = f", {words}" if findings.is_compared else ""
            entries.append((_SPAN_LOOKS[span][0], f"share of {findings.focus_words}{of_span}"))
    else:
        for place, name in names:
            rows = [row for row in findings.rows(query, 0) if row["class"] == name]
            lines.append(
                _line(rows, "share", ("low", "high"), f"class{place}", f"area-class{place}")
            )
            entries.append((f"class{place}", f"share of {name}"))
    chart = value_chart(
        findings.bins(column),
        Scale.over([0.0, 1.0], least=0.0, most=1.0, unit=PER_CENT),
        lines,
        f"Share of {label} by bin of {column.name}",
    )
    return joined(chart, legend(entries))


def _means(findings: Findings, column: Column) -> Markup:
    query, by = f"bins-{findings.place(column)}", findings.subject.by.name
    rows = findings.rows(query)
    lines, entries = [], []
    for span, words in enumerate(findings.spans):
        lines.append(_line(findings.rows(query, span), "mean", ("p5", "p95"), *_SPAN_LOOKS[span]))
        of_span = f", {words}" if findings.is_compared else ""
        entries.append((_SPAN_LOOKS[span][0], f"mean of {by}{of_span}"))
    scale = Scale.over([*(row["p5"] for row in rows), *(row["p95"] for row in rows)])
    chart = value_chart(
        findings.bins(column), scale, lines, f"Mean of {by} by bin of {column.name}"
    )
    return joined(chart, legend([*entries, (_SPAN_LOOKS[0][1], "5 to 95 %")]))


def _line(rows: Sequence[Row], value: str, band: tuple[str, str], look: str, area: str) -> Steps:
    low, high = band
    return Steps(
        {row["code"]: row[value] for row in rows},
        look,
        {row["code"]: (row[low], row[high]) for row in rows if row[low] is not None},
        area,
    )


def _histogram(findings: Findings, column: Column) -> Panel:
    """Where the rows lie: by class, or where two spans are compared by span."""
    query, bins = f"bins-{findings.place(column)}", findings.bins(column)
    drawn, entries = [], []
    looks = ("area-hist0", "outline1", "outline2", "outline3", "outline4", "outline5")
    for (words, counts), look in zip(_groups(findings, query), looks, strict=False):
        total = sum(n for code, n in counts.items() if code < bins.size)
        if total:
            drawn.append(({code: n / total for code, n in counts.items()}, look))
            entries.append((look, f"{words}, {counted(total, 'row')}"))
    chart = heights(bins, drawn, f"Where the values of {column.name} lie")
    origin = "the bins of the metrics on record" if bins.recorded else "bins of their own"
    return Panel(
        f"rows-{findings.place(column)}",
        f"Where do the values of {column.name} lie?",
        f"Share of the rows of each by value, in {origin}; the area is the share.",
        joined(chart, legend(entries)),
        query,
        columns=_columns(findings)[:5],
        wide=False,
    )


def _groups(findings: Findings, query: str) -> list[tuple[str, dict[int, int]]]:
    if findings.is_compared or findings.focus is None:
        groups = []
        for span, words in enumerate(findings.spans):
            rows = rows_of_focus(findings, findings.rows(query, span))
            groups.append((words, {row["code"]: row["n_rows"] for row in rows}))
        return groups
    return [
        (
            f"{findings.subject.by.name} {name}",
            {row["code"]: row["n"] for row in findings.rows(query, 0) if row["class"] == name},
        )
        for _, name in enumerate(findings.classes[:_CLASSES])
    ]


def _classes_of(findings: Findings) -> list[tuple[int, str]]:
    """The classes that have a line of their own: of two one, of more the first ones."""
    if len(findings.by.values) == 2:
        assert findings.focus is not None
        return [(findings.focus, findings.focus_words)]
    return list(enumerate(findings.classes))[: min(_CLASSES, len(findings.by.values))]
