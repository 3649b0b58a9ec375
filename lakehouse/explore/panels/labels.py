"""Labels: do they come, and how late?"""

from itertools import pairwise

from lakehouse.dashboard.charts import Reading, legend, time_chart
from lakehouse.dashboard.markup import joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.paths import Plane
from lakehouse.dashboard.scales import Scale
from lakehouse.dashboard.words import counted
from lakehouse.explore.bins import Bins
from lakehouse.explore.charts import heights
from lakehouse.explore.findings import Findings
from lakehouse.explore.panels.time import axis_of, middle_of, points_of, unit_of
from lakehouse.explore.subject import Column
from lakehouse.explore.words import overdue_of


def labels(findings: Findings) -> list[Panel]:
    """How late the labels are, over all and over time; which rows have none."""
    if not findings.has("delay"):
        words = nothing("No label has come yet.")
        return [Panel("delay", "How late do labels come?", "", words)]
    return [_delay(findings), _over_time(findings), _coverage(findings)]


def _delay(findings: Findings) -> Panel:
    rows, late = findings.rows("delay"), findings.rows("delays")[0]
    starts = sorted({row["hours"] for row in rows})
    width = min((b - a for a, b in pairwise(starts)), default=1.0)
    count = round((starts[-1] - starts[0]) / width) + 1
    edges = tuple(starts[0] + width * place for place in range(1, count))
    bins = Bins(Column("hours", "double"), edges, (), starts[0], starts[-1] + width)
    drawn, entries = [], []
    for span, look in zip(range(len(findings.spans)), ("area-hist0", "outline1"), strict=False):
        own = findings.rows("delay", span)
        places = {round((row["hours"] - starts[0]) / width): row["share"] for row in own}
        drawn.append((places, look))
        entries.append((look, findings.spans[span]))
    overdue = (
        f" {counted(overdue_of(findings), 'row')} will have none: it is overdue."
        if overdue_of(findings)
        else ""
    )
    words = f"Half came within {late['q'][1]:.3g} hours, 95 % within {late['q'][2]:.3g}."
    return Panel(
        "delay",
        "How late do labels come?",
        f"{words} Hours from the event to its label; the last 1 % in the last bin.{overdue}",
        joined(
            heights(bins, drawn, "How many hours labels come after their event"),
            legend(entries) if findings.is_compared else None,
        ),
        "delay",
        wide=False,
    )


def _over_time(findings: Findings) -> Panel:
    rows = [row for row in findings.rows("delay_time") if row["n_labelled"]]
    plane = Plane(axis_of(findings), Scale.over([0.0, *(row["p95"] for row in rows)], least=0.0))
    band = [(middle_of(findings, row["start"]), row["p5"], row["p95"]) for row in rows]
    layers = [
        plane.band(band, "area-loop"),
        plane.line(points_of(findings, rows, "median"), "loop"),
    ]
    reading = Reading("delay_time", ("start", "median", "p5", "p95", "n_labelled"))
    chart = time_chart(plane, layers, "Hours that labels are late, over time", reading)
    return Panel(
        "delay-time",
        "Do labels come later than they did?",
        f"Hours, median and 5 to 95 %, by the {unit_of(findings)} of the event.",
        joined(chart, legend([("loop", "median"), ("area-loop", "5 to 95 %")])),
        "delay_time",
        wide=False,
    )


def _coverage(findings: Findings) -> Panel:
    rows = findings.rows("delay_time")
    tops = [float(row["n_rows"]) for row in rows]
    plane = Plane(axis_of(findings), Scale.over([0.0, *tops], least=0.0))
    half = findings.plan.width / 2

    labelled = [(row["start"] + half, 0.0, float(row["n_labelled"])) for row in rows]
    waiting = [
        (row["start"] + half, float(row["n_labelled"]), float(row["n_rows"])) for row in rows
    ]
    width = findings.plan.width.total_seconds() / 86_400
    layers = [
        plane.bars(labelled, "bar-labelled", width),
        plane.bars(waiting, "bar-waiting", width),
    ]
    reading = Reading("delay_time", ("start", "n_rows", "n_labelled", "n_waiting"))
    chart = time_chart(plane, layers, "Rows with and without a label, over time", reading)
    return Panel(
        "coverage",
        "Which rows have a label?",
        f"Rows by the {unit_of(findings)} of the event.",
        joined(chart, legend([("bar-labelled", "with a label"), ("bar-waiting", "without")])),
        "delay_time",
        columns=("start", "n_rows", "n_labelled", "n_waiting"),
    )
