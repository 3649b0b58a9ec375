"""Over time: has a column moved, and when?"""

import datetime as dt
from collections.abc import Sequence

from markupsafe import Markup

from lakehouse.dashboard.charts import Mark, Reading, legend, time_chart
from lakehouse.dashboard.markup import joined
from lakehouse.dashboard.panels import Panel
from lakehouse.dashboard.paths import Plane, Points
from lakehouse.dashboard.rows import Row
from lakehouse.dashboard.scales import HEIGHT, PER_CENT, Moment, Scale, TimeAxis
from lakehouse.explore.findings import Findings
from lakehouse.explore.subject import Column

_UNITS = {1: "day", 7: "week"}
_LINES = 6
_SPAN_LOOKS = (("loop", "area-loop"), ("daily", "area-daily"))


def over_time(findings: Findings) -> list[Panel]:
    """A panel for each column: first the one that the others are looked at by."""
    columns = [findings.subject.by, *findings.ordered]
    return [_panel(findings, column) for column in columns]


def unit_of(findings: Findings) -> str:
    """What a stretch of time is called."""
    return _UNITS.get(findings.plan.width.days, "hour")


def axis_of(findings: Findings) -> TimeAxis:
    """The days that all charts share."""
    extent = findings.rows("extent")
    return TimeAxis.over([*(row["first"] for row in extent), *(row["last"] for row in extent)])


def middle_of(findings: Findings, start: dt.datetime) -> dt.datetime:
    """The middle of a stretch of time."""
    return start + findings.plan.width / 2


def points_of(findings: Findings, rows: Sequence[Row], name: str) -> Points:
    """A value of each stretch, at its middle; None follows a stretch after which one is missing."""
    points: list[tuple[Moment, float | None]] = []
    after: dt.datetime | None = None
    for row in rows:
        if after is not None and row["start"] > after:
            points.append((after, None))
        points.append((middle_of(findings, row["start"]), row[name]))
        after = row["start"] + findings.plan.width
    return points


def _panel(findings: Findings, column: Column) -> Panel:
    place, unit = findings.place(column), unit_of(findings)
    query, wide = f"time-{place}", place == 0
    if not findings.has(query):
        chart, note = time_chart(_plane(findings, [], ""), [], "", Reading(query, ())), ""
    elif column.is_category:
        chart, note = _kinds(findings, column), f"Share of rows by {unit}."
    else:
        chart, note = _number(findings, column), f"Median, and 5 to 95 % of the values, by {unit}."
    return Panel(
        query,
        f"How does {column.name} go over time?",
        f"{note} Lines: changes that the policy found, and promotions." if wide else note,
        chart,
        query,
        wide=wide,
    )


def _number(findings: Findings, column: Column) -> Markup:
    query = f"time-{findings.place(column)}"
    rows = findings.rows(query)
    plane = _plane(findings, [*(row["p5"] for row in rows), *(row["p95"] for row in rows)], "")
    layers, entries = [], []
    for span, name in enumerate(findings.spans):
        own, (line, area) = findings.rows(query, span), _SPAN_LOOKS[span]
        band = [(middle_of(findings, row["start"]), row["p5"], row["p95"]) for row in own]
        layers += [plane.band(_apart(findings, band), area)]
        layers += [plane.line(points_of(findings, own, "median"), line)]
        words = f"median, {name}" if findings.is_compared else "median"
        entries += [(line, words), (area, "5 to 95 %")]
    reading = Reading(query, ("start", "median", "p5", "p95", "n"))
    label = f"Median and 5 to 95 % of {column.name} by {unit_of(findings)}"
    return _chart(findings, plane, layers, label, reading, entries)


def _kinds(findings: Findings, column: Column) -> Markup:
    query, bins = f"time-{findings.place(column)}", findings.bins(column)
    names = bins.words[:-1][:_LINES]
    if column == findings.subject.by and findings.focus is not None and len(bins.values) == 2:
        names = [findings.focus_words]
    shown = [name for name in names if any(row["value"] == name for row in findings.rows(query))]
    plane = _plane(findings, [0.0, 1.0], PER_CENT)
    layers, entries = [], []
    for name in shown:
        look = f"class{bins.words.index(name)}"
        for span in range(len(findings.spans)):
            starts = {row["start"] for row in findings.rows(query, span)}
            own = {r["start"]: r for r in findings.rows(query, span) if r["value"] == name}
            filled = [own.get(start, {"start": start, "share": 0.0}) for start in sorted(starts)]
            layers.append(plane.line(points_of(findings, filled, "share"), look))
        entries.append((look, f"share of {name}"))
    reading = Reading(query, ("start", "value", "share", "n"))
    label = f"Share of each {column.name} by {unit_of(findings)}"
    return _chart(findings, plane, layers, label, reading, entries)


def _chart(
    findings: Findings,
    plane: Plane,
    layers: Sequence[Markup],
    label: str,
    reading: Reading,
    entries: Sequence[tuple[str, str]],
) -> Markup:
    """The chart with what the policy did, and its legend."""
    shown = [row for row in findings.rows("moves") if _is_within(plane.time, row["as_of"])]
    moves = [row for row in shown if row["action"] in ("promote", "rollback")]
    changes = [row["change_at"] for row in findings.rows("changes")]
    changes = [moment for moment in changes if _is_within(plane.time, moment)]
    marks = [
        Mark(
            row["as_of"],
            f"v{row['to_version']}",
            _LOOKS[row["action"]],
            f"{row['action']}: {row['reason']}",
        )
        for row in moves
    ]
    policy = [
        plane.uprights(changes, "change"),
        plane.uprights([row["as_of"] for row in moves], "promotion", HEIGHT // 20),
    ]
    keys = [*entries]
    keys += [("change", "change found")] if changes else []
    keys += [("promotion", "promotion")] if moves else []
    layers = [*policy, *layers] if any(layers) else []
    return joined(time_chart(plane, layers, label, reading, marks), legend(keys))


_LOOKS = {"promote": "promotion", "rollback": "rollback"}


def _apart(
    findings: Findings, band: Sequence[tuple[dt.datetime, float, float]]
) -> list[tuple[Moment, float | None, float | None]]:
    """A band that is broken where a stretch of time has no rows."""
    parts: list[tuple[Moment, float | None, float | None]] = []
    for place, (moment, low, high) in enumerate(band):
        if place and moment > band[place - 1][0] + findings.plan.width:
            parts.append((moment, None, None))
        parts.append((moment, low, high))
    return parts


def _plane(findings: Findings, values: Sequence[float | None], unit: str) -> Plane:
    bounds = {"least": 0.0, "most": 1.0} if unit else {}
    return Plane(axis_of(findings), Scale.over(values, unit=unit, **bounds))


def _is_within(time: TimeAxis, moment: dt.datetime) -> bool:
    return 0 <= time.at(moment) < time.days
