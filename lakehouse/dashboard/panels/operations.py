"""Operations: does the data come in, what was turned away, and what do the tables hold?"""

from collections import defaultdict
from collections.abc import Sequence

from markupsafe import Markup

from lakehouse.dashboard.charts import Reading, bars, legend, sparkline, time_chart
from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.paths import Plane
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.scales import Scale, TimeAxis
from lakehouse.dashboard.words import counted
from lakehouse.storage.table_state import TableState

_SOURCE_LOOKS = ("bar-labelled", "bar-waiting")


def operations(model: ModelAnswers) -> list[Panel]:
    """The panels of the page."""
    return [_lines(model), _quarantine(model), _batches(model), _tables(model.tables)]


def _lines(model: ModelAnswers) -> Panel:
    rows = [row for row in model.rows("files") if row["day"] is not None]
    if not rows:
        return Panel("lines", "Do lines come in?", "", nothing("No file has landed yet."), "files")
    sources = sorted({row["source"] for row in rows})
    by_day: dict[tuple[object, str], int] = defaultdict(int)
    for row in rows:
        by_day[row["day"], row["source"]] += int(row["lines"] or 0)
    days = sorted({row["day"] for row in rows})
    totals = [sum(by_day[day, source] for source in sources) for day in days]
    plane = Plane(TimeAxis.over(days), Scale.over([0.0, *map(float, totals)], least=0.0))
    layers, feet = [], dict.fromkeys(days, 0.0)
    for source, look in zip(sources, _SOURCE_LOOKS, strict=False):
        tops = {day: feet[day] + by_day[day, source] for day in days}
        layers.append(plane.bars([(day, feet[day], tops[day]) for day in days], look))
        feet = tops
    unreadable = sum(int(row["files"]) for row in rows if row["status"] == "unreadable")
    reading = Reading("files", ("day", "source", "status", "files", "lines", "bytes"))
    keys = legend(list(zip(_SOURCE_LOOKS, sources, strict=False)))
    return Panel(
        "lines",
        "Do lines come in?",
        f"Lines by the day their files landed. {counted(unreadable, 'unreadable file')} so far.",
        joined(time_chart(plane, layers, "Lines by day and source", reading), keys),
        "files",
    )


def _quarantine(model: ModelAnswers) -> Panel:
    rows = model.rows("quarantine")
    entries = [
        (
            f"{row['source']}: {row['reason']}",
            float(row["lines"]),
            counted(int(row["lines"]), "line"),
        )
        for row in rows[:12]
    ]
    body = bars(entries, "Rejected lines by reason") if entries else nothing("None.")
    return Panel(
        "quarantine",
        "Which lines were turned away, and why?",
        "A line counts for each rule that it breaks.",
        body,
        "quarantine",
        wide=False,
    )


def _batches(model: ModelAnswers) -> Panel:
    rows: Sequence[Row] = tuple(reversed(model.rows("scoring")))
    body = (
        sparkline([row["seconds"] for row in rows], (), "Seconds of the newest micro-batches")
        if rows
        else nothing("Nothing scored yet.")
    )
    return Panel(
        "batches",
        "Does scoring become slower?",
        "Seconds of the newest 200 micro-batches, the oldest at the left.",
        body,
        "scoring",
        wide=False,
    )


def _tables(tables: Sequence[TableState]) -> Panel:
    """The state of each table, as Delta's log has it: no query is behind it."""
    columns = ("table", "Delta version", "rows", "files", "kB")
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    lines = [_state(table) for table in tables]
    return Panel(
        "tables",
        "What do the tables hold?",
        "As Delta's log tells: `VERSION AS OF` with this version gives what this page has read.",
        element(
            "div",
            element("table", element("thead", head), element("tbody", *lines)),
            class_="scroll",
        ),
    )


def _state(table: TableState) -> Markup:
    rows = "not known" if table.rows is None else f"{table.rows:,}"
    cells = (f"{table.version}", rows, f"{table.files:,}", f"{table.size / 1000:,.0f}")
    return element(
        "tr", element("th", table.name, scope="row"), *(element("td", words) for words in cells)
    )
