"""Overview: what is this data, is it whole, and what tells most about it?"""

from collections import defaultdict
from collections.abc import Sequence

from markupsafe import Markup

from lakehouse.dashboard.charts import Reading, bars, legend, time_chart
from lakehouse.dashboard.markup import element, joined, short
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.paths import Plane
from lakehouse.dashboard.rows import Row
from lakehouse.dashboard.scales import Scale, TimeAxis
from lakehouse.dashboard.words import cell, counted, share
from lakehouse.explore.findings import Findings
from lakehouse.explore.panels import found_of
from lakehouse.explore.words import headline, of_stretch, quantile_words

_REASONS = 12
_KINDS_SHOWN = 8


def opening(findings: Findings) -> Markup:
    """What stands above the panels: the name, and three sentences."""
    sentences = [element("p", text) for text in headline(findings)]
    return element(
        "section",
        element("h1", f"What is in {findings.subject.name}?", class_="headline"),
        *sentences,
        class_="opening",
    )


def overview(findings: Findings) -> list[Panel]:
    """The panels of the first page."""
    if not findings.has("extent"):
        return [_lines(findings), _rejected(findings), *_rejected_by_day(findings)]
    panels = [_told(findings), _sample(findings), *_numbers(findings), *_kinds(findings)]
    return [*panels, _lines(findings), _rejected(findings), *_rejected_by_day(findings)]


def _told(findings: Findings) -> Panel:
    """What each column tells of the one that they are looked at by."""
    by, rows = findings.subject.by.name, findings.rows("told")
    entries = [
        (_named(findings, row), row["cramers_v"], _strength(row)) for row in rows[: 2 * _REASONS]
    ]
    words = [
        element(
            "li",
            element("b", column.name),
            " ",
            of_stretch(findings, column, found.stretch, found.name),
        )
        for column in findings.ordered[:_REASONS]
        if (found := found_of(findings, column)) is not None
    ]
    body = (
        bars(entries, f"How much each column tells of {by}", 1.0)
        if entries
        else nothing("No column.")
    )
    return Panel(
        "told",
        f"Which columns tell most of {by}?",
        "Cramér's V over bins, corrected for chance: 0 tells nothing, 1 all. Beside it: the part "
        f"of the uncertainty of {by} that is gone once the column is known.",
        joined(body, element("ul", *words, class_="found") if words else None),
        "told",
    )


def _named(findings: Findings, row: Row) -> str:
    name = str(row["column_name"])
    return f"{name} ({row['span']})" if findings.is_compared else name


def _strength(row: Row) -> str:
    r = row["correlation"]
    correlation = "" if r is None else f", correlation {r:+.2f}"
    return f"V {row['cramers_v']:.2f}, {share(row['information'], 0)} of it{correlation}"


def _sample(findings: Findings) -> Panel:
    answer = findings.model.answers["sample"]
    rows = [[cell(row[name]) for name in answer.columns] for row in answer.rows]
    return Panel(
        "sample",
        "What do the rows look like?",
        "Some rows, always the same ones, with the file and line that each came in.",
        _table(answer.columns, rows),
        "sample",
    )


def _numbers(findings: Findings) -> list[Panel]:
    rows = findings.rows("numbers")
    if not rows:
        return []
    head = ["column", *(["span"] if findings.is_compared else [])]
    head += ["missing", "zero", "not finite", "outside bounds", "least", "5 %", "median", "95 %"]
    lines = [_number_of(findings, row) for row in rows]
    return [
        Panel(
            "numbers",
            "Where do the numbers lie, and what is missing?",
            "The strip is the range: the line from 5 to 95 %, the box the middle half, the tick "
            f"the median. {quantile_words(findings)}",
            _table([*head, "greatest", "range"], lines),
            "numbers",
        )
    ]


def _number_of(findings: Findings, row: Row) -> list[object]:
    name = [row["column_name"], *([row["span"]] if findings.is_compared else [])]
    outside = "–" if row["n_outside"] is None else f"{row['n_outside']:,}"
    n = row["n_rows"]
    counts = [share(row["n_null"] / n), share(row["n_zero"] / n), f"{row['n_not_finite']:,}"]
    places = [cell(row[key]) for key in ("min", "p5", "median", "p95", "max")]
    return [*name, *counts, outside, *places, _strip(row)]


def _strip(row: Row) -> Markup | None:
    """A box plot of a number over its range."""
    if row["median"] is None or row["max"] == row["min"]:
        return None
    width = row["max"] - row["min"]

    def at(key: str) -> str:
        return short(100 * (row[key] - row["min"]) / width)

    return element(
        "svg",
        element("path", d="M0 10H100", class_="whisker"),
        element("path", d=f"M{at('p5')} 10H{at('p95')}", class_="loop"),
        element("path", d=f"M{at('p25')} 3H{at('p75')}V17H{at('p25')}z", class_="area-box"),
        element("path", d=f"M{at('median')} 1V19", class_="middle-tick"),
        class_="strip",
        viewBox="0 0 100 20",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _kinds(findings: Findings) -> list[Panel]:
    rows = findings.rows("kinds")
    if not rows:
        return []
    by_column: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_column[row["column_name"]].append(row)
    parts = []
    for name, own in by_column.items():
        entries = [
            (_kind_of(findings, row), row["share"], f"{share(row['share'])} ({row['n']:,})")
            for row in own[: _KINDS_SHOWN * len(findings.spans)]
        ]
        parts.append(element("h3", name))
        parts.append(bars(entries, f"How often each value of {name} occurs", 1.0))
    return [
        Panel(
            "kinds",
            "Which kinds are there, and how many of each?",
            f"Share of rows; beyond the {_REASONS} most frequent values they are `other`.",
            element("div", *parts, class_="of-kinds"),
            "kinds",
        )
    ]


def _kind_of(findings: Findings, row: Row) -> str:
    return f"{row['value']} ({row['span']})" if findings.is_compared else str(row["value"])


def _lines(findings: Findings) -> Panel:
    rows = findings.rows("lines")
    entries = [(row["table_name"], float(row["n"]), f"{row['n']:,} rows") for row in rows]
    return Panel(
        "lines",
        "What became of the lines?",
        "Of all days: valid rows, labels, lines turned away, and lines that said the same again.",
        bars(entries, "Rows of each table"),
        "lines",
        wide=False,
    )


def _rejected_by_day(findings: Findings) -> list[Panel]:
    rows = [row for row in findings.rows("rejected_days") if row["day"] is not None]
    if not rows:
        return []
    return [
        Panel(
            "rejected-days",
            "On which days were lines turned away?",
            "By the day that their files landed on.",
            _by_day(rows),
            "rejected_days",
        )
    ]


def _by_day(rows: Sequence[Row]) -> Markup:
    days = [row["day"] for row in rows]
    totals = [float(row["n_rejected"] + row["n_duplicate"]) for row in rows]
    plane = Plane(TimeAxis.over(days), Scale.over([0.0, *totals], least=0.0))
    layers = [
        plane.bars([(row["day"], 0.0, float(row["n_rejected"])) for row in rows], "bar-waiting"),
        plane.bars(
            [
                (
                    row["day"],
                    float(row["n_rejected"]),
                    float(row["n_rejected"] + row["n_duplicate"]),
                )
                for row in rows
            ],
            "bar-reign other",
        ),
    ]
    reading = Reading("rejected_days", ("day", "n_rejected", "n_duplicate"))
    chart = time_chart(plane, layers, "Lines turned away or said again, by day", reading)
    return joined(
        chart, legend([("bar-waiting", "turned away"), ("bar-reign other", "said again")])
    )


def _rejected(findings: Findings) -> Panel:
    rows = findings.rows("rejected")
    entries = [
        (f"{row['source']}: {row['reason']}", float(row["n"]), counted(row["n"], "line"))
        for row in rows[:_REASONS]
    ]
    return Panel(
        "rejected",
        "Which lines were turned away, and why?",
        "Of all days; a line counts for each rule that it breaks.",
        bars(entries, "Lines turned away, by reason") if entries else nothing("No line."),
        "rejected" if "rejected" in findings.model.answers else None,
        wide=False,
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    titles = element("tr", *(element("th", name, scope="col") for name in head))
    lines = [element("tr", *(element("td", value) for value in row)) for row in rows]
    table = element("table", element("thead", titles), element("tbody", *lines))
    return element("div", table, class_="scroll", tabindex=0)
