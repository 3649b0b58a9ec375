"""Operations: do jobs end well and streams keep up, what came in, and what do tables hold?"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from markupsafe import Markup

from lakehouse.dashboard.charts import Reading, bars, legend, sparkline, time_chart
from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.paths import Plane
from lakehouse.dashboard.queries import RECENT_DAYS, RECENT_RUNS
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.scales import Scale, TimeAxis, quantile
from lakehouse.dashboard.words import cell, counted, number
from lakehouse.storage.table_state import TableState

_SOURCE_LOOKS = ("bar-labelled", "bar-waiting")


def operations(model: ModelAnswers) -> list[Panel]:
    """The panels of the page."""
    return [
        _jobs(model),
        _phases(model),
        _failures(model),
        _streams(model),
        _lines(model),
        _quarantine(model),
        _tables(model.tables),
    ]


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


def _jobs(model: ModelAnswers) -> Panel:
    rows = model.rows("jobs")
    columns = ("job", "newest run", "ended", "seconds", "runs", "not well", "error")
    body = _table(columns, [_job(row) for row in rows]) if rows else nothing("No job has run yet.")
    failed = [row["job"] for row in rows if row["outcome"] != "ok"]
    words = f" The newest run of {', '.join(failed)} did not." if failed else ""
    note = f"Its newest run, by the wall clock.{words}"
    return Panel("jobs", "Did each job end well?", note, body, "jobs")


def _job(row: Row) -> Sequence[object]:
    look = "right" if row["outcome"] == "ok" else "wrong"
    words = f"{row['error_class']}: {row['error']}" if row["error_class"] else row["error"]
    return (
        row["job"],
        element("b", row["outcome"], class_=look),
        cell(row["recorded_at"]),
        number(row["seconds"]),
        f"{row['n_runs']:,}",
        f"{row['n_failed']:,}",
        words or "",
    )


def _failures(model: ModelAnswers) -> Panel:
    entries = Counter(
        f"{row['job']}: {row['error_class'] or row['outcome']}" for row in model.rows("failures")
    )
    found = [(name, float(n), counted(n, "run")) for name, n in entries.most_common(12)]
    return Panel(
        "failures",
        "Which runs failed, and why?",
        "The newest fifty that did not end well.",
        bars(found, "Failed runs by job and error") if found else nothing("None."),
        "failures",
        wide=False,
    )


def _phases(model: ModelAnswers) -> Panel:
    entries = [
        (
            f"{row['job']}: {row['phase']}",
            row["seconds_mean"],
            f"{number(row['seconds_mean'])} s, at most {number(row['seconds_most'])}",
        )
        for row in model.rows("phases")
    ]
    return Panel(
        "phases",
        "Where do the seconds go?",
        f"Mean seconds of a run by phase, over the newest {RECENT_RUNS} runs of each job.",
        bars(entries, "Seconds by job and phase") if entries else nothing("No job has run yet."),
        "phases",
        wide=False,
    )


def _streams(model: ModelAnswers) -> Panel:
    """A line for each stream or step: its newest batches, the oldest at the left."""
    by_query: dict[str, list[Row]] = defaultdict(list)
    for row in reversed(model.rows("batches")):
        by_query[row["query"]].append(row)
    columns = ("stream", "seconds", "median", "95 %", "rows/s", "lag s", "waiting", "failed")
    lines = [_stream(query, rows) for query, rows in sorted(by_query.items())]
    return Panel(
        "streams",
        "Does a stream become slower, or fall behind?",
        f"The newest 200 micro-batches of each in {RECENT_DAYS} days, the oldest at the left; lag "
        "is the newest one's.",
        _table(columns, lines) if lines else nothing("No micro-batch has run yet."),
        "batches",
    )


def _stream(query: str, rows: Sequence[Row]) -> Sequence[object]:
    ended_well = [row for row in rows if row["outcome"] == "ok"]
    seconds = sorted(row["seconds"] for row in ended_well)
    n_rows = sum(row["rows_in"] or 0 for row in ended_well)
    newest = rows[-1]
    return (
        query,
        sparkline([row["seconds"] for row in rows], (), f"Seconds of {query}'s batches"),
        number(quantile(seconds, 50) if seconds else None),
        number(quantile(seconds, 95) if seconds else None),
        number(n_rows / sum(seconds)) if sum(seconds) else "–",
        number(newest["lag_seconds"]),
        _waiting(newest),
        f"{len(rows) - len(ended_well):,}",
    )


def _waiting(row: Row) -> str:
    if row["backlog_files"] is None:
        return "–"
    if not row["backlog_files"]:
        return "nothing"
    age = number(row["oldest_waiting_seconds"])
    return f"{counted(row['backlog_files'], 'file')}, the oldest for {age} s"


def _tables(tables: Sequence[TableState]) -> Panel:
    """The state of each table, as Delta's log has it: no query is behind it."""
    columns = ("table", "Delta version", "rows", "files", "kB")
    return Panel(
        "tables",
        "What do the tables hold?",
        "As Delta's log tells: `VERSION AS OF` with this version gives what this page has read.",
        _table(columns, [_state(table) for table in tables]),
    )


def _state(table: TableState) -> Sequence[object]:
    rows = "not known" if table.rows is None else f"{table.rows:,}"
    return (
        table.name,
        f"{table.version}",
        rows,
        f"{table.files:,}",
        f"{table.size / 1000:,.0f}",
    )


def _table(columns: Sequence[str], lines: Sequence[Sequence[object]]) -> Markup:
    """A table whose lines begin with their names."""
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    rows = [
        element("tr", element("th", name, scope="row"), *(element("td", each) for each in cells))
        for name, *cells in lines
    ]
    return element(
        "div",
        element("table", element("thead", head), element("tbody", *rows)),
        class_="scroll",
    )
