"""Drift: which columns have moved, since when, and how?"""

import datetime as dt
from collections.abc import Sequence

from lakehouse.dashboard.charts import LEVELS, Reading, heat_map, legend, time_chart
from lakehouse.dashboard.markup import joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.panels.distribution import distribution
from lakehouse.dashboard.panels.performance import time_axis
from lakehouse.dashboard.paths import Plane, by_day
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.scales import Scale, TimeAxis
from lakehouse.drift.definition import LARGE, UNLIKELY, has_drifted

_LIMITS = (0.1, LARGE, 0.3, 0.5)


def drift(model: ModelAnswers) -> list[Panel]:
    """The panels of the page: a map of all columns, and for each column what it was like."""
    rows = model.rows("drift")
    if not rows:
        words = nothing("No day has been compared with a version's training data yet.")
        return [Panel("map", "Which columns have moved?", "", words)]
    time = time_axis(model)
    names = sorted({row["column_name"] for row in rows})
    panels = [_map(model, time, names)]
    for name in names:
        own = [row for row in rows if row["column_name"] == name]
        panels += [
            _measure(own, time, name),
            *_values(model, time, name),
            *distribution(model, name),
        ]
    return panels


def drifted(row: Row) -> bool:
    """Whether the column has drifted on that day."""
    index, pvalue = row["drift_index"], row["adjusted_pvalue"]
    return index is not None and pvalue is not None and has_drifted(index, pvalue)


def calm_words(model: ModelAnswers) -> str:
    """What the columns tell about the newest alarm: whether one of them moved, or the rule did."""
    alarms = [row for row in model.rows("decisions") if row["action"] == "retrain"]
    if not alarms:
        return "No alarm so far."
    newest = alarms[-1]["as_of"].date()
    week = newest - dt.timedelta(days=7)
    moved = sorted(
        {
            row["column_name"]
            for row in model.rows("drift")
            if week <= row["day"] <= newest and drifted(row)
        }
    )
    if moved:
        return f"In the week before the alarm of {newest}, {', '.join(moved)} had moved."
    return f"In the week before the alarm of {newest}, no column moved: the rule did."


def _map(model: ModelAnswers, time: TimeAxis, names: Sequence[str]) -> Panel:
    rows = [row for row in model.rows("drift") if row["drift_index"] is not None]
    levels = {(row["column_name"], row["day"]): _level(row["drift_index"]) for row in rows}
    flags = [(row["column_name"], row["day"]) for row in rows if drifted(row)]
    label = f"Drift of {len(names)} columns by day; {len(flags)} cells have drifted"
    reading = Reading("drift", ("day", "column_name", "drift_index", "adjusted_pvalue"))
    chart = heat_map(time, names, levels, flags, label, reading)
    shades = ("below 0.1", "0.1", f"{LARGE}", "0.3", "0.5 and above")
    keys = legend(
        [
            *((f"heat{place}", words) for place, words in enumerate(shades)),
            ("flag", f"drifted: {LARGE} or more, p below {UNLIKELY}"),
        ]
    )
    return Panel(
        "map",
        "Which columns have moved?",
        f"{calm_words(model)} Shade: distance from the training data of the version in use "
        "(population stability index; total variation of categories). Choose a column.",
        joined(chart, keys),
        "drift",
    )


def _level(index: float) -> int:
    return min(sum(index >= limit for limit in _LIMITS), LEVELS - 1)


def _measure(rows: Sequence[Row], time: TimeAxis, name: str) -> Panel:
    points = by_day(rows, "drift_index")
    plane = Plane(time, Scale.over([0.0, 0.3, *(value for _, value in points)], least=0.0))
    flags = [(row["day"], row["drift_index"]) for row in rows if drifted(row)]
    layers = [
        plane.level(LARGE, "threshold"),
        plane.line(points, "loop"),
        plane.dots(flags, "dot-alarm"),
    ]
    reading = Reading("drift", ("day", "drift_index", "adjusted_pvalue"), f"column_name={name}")
    label = f"Distance of {name} from the training data, by day"
    keys = legend(
        [("loop", "distance"), ("threshold", "least distance of a drift"), ("dot-alarm", "drifted")]
    )
    return Panel(
        f"distance-{name}",
        f"How far is {name} from the training data?",
        "With few rows a day the distance is noisy: a drift needs the test, too.",
        joined(time_chart(plane, layers, label, reading), keys),
        "drift",
        where=f"column_name={name}",
        column=name,
    )


def _values(model: ModelAnswers, time: TimeAxis, name: str) -> list[Panel]:
    """What a numeric column was like, against the training data of the version in production."""
    rows = [row for row in model.rows("columns") if row["column_name"] == name]
    if not any(row["avg"] is not None for row in rows):
        return []
    baseline = _baseline(model, name)
    bounds = [*(row["min"] for row in rows), *(row["max"] for row in rows)]
    plane = Plane(time, Scale.over(bounds))
    layers = [
        plane.band([(row["day"], row["min"], row["max"]) for row in rows], "area-loop"),
        plane.line(by_day(rows, "avg"), "loop"),
    ]
    if baseline is not None and baseline["avg"] is not None:
        layers.append(plane.level(baseline["avg"], "baseline"))
    reading = Reading(
        "columns",
        ("day", "avg", "min", "max", "percent_null", "n"),
        f"column_name={name}",
    )
    keys = legend(
        [
            ("loop", "mean"),
            ("area-loop", "least to greatest"),
            ("baseline", "mean of the training data"),
        ]
    )
    chart = time_chart(plane, layers, f"Mean, least and greatest {name} by day", reading)
    return [
        Panel(
            f"values-{name}",
            f"What was {name} like?",
            "",
            joined(chart, keys),
            "columns",
            where=f"column_name={name}",
            column=name,
        )
    ]


def _baseline(model: ModelAnswers, name: str) -> Row | None:
    champion = next((row for row in model.rows("history") if row["is_champion"]), None)
    version = champion["model_version"] if champion else None
    return next(
        (
            row
            for row in model.rows("baselines")
            if (row["model_version"], row["column_name"]) == (version, name)
        ),
        None,
    )
