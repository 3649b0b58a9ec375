"""Drift: which columns have moved, since when, and how?"""

import datetime as dt
from collections.abc import Sequence

from lakehouse.dashboard.charts import LEVELS, Reading, heat_map, legend, time_chart
from lakehouse.dashboard.markup import joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.panels.distribution import distribution
from lakehouse.dashboard.panels.performance import time_axis
from lakehouse.dashboard.paths import Plane, by_day
from lakehouse.dashboard.queries import RECENT_DAYS
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.scales import Scale, TimeAxis
from lakehouse.drift.definition import LARGE, UNLIKELY, has_drifted

_MEASURES = (
    ("ks_statistic", "loop", "Kolmogorov-Smirnov"),
    ("js_distance", "never", "Jensen-Shannon"),
    ("hellinger_distance", "daily", "Hellinger"),
)
"""Column, look and name of the measures beside the index that decides."""
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
        own = model.rows_where("drift", column_name=name)
        panels += [
            _measure(own, time, name),
            *_values(model, time, name),
            *_fan(model, time, name),
            *distribution(model, name),
            *_other_measures(model, time, name),
            *_moved_by(model, time, name),
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
    rows = model.rows_where("columns", column_name=name)
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


def _fan(model: ModelAnswers, time: TimeAxis, name: str) -> list[Panel]:
    """The middle and the edges of a numeric column's values, by day."""
    rows = model.rows_where("quantiles", column_name=name)
    if not rows:
        return []
    plane = Plane(time, Scale.over([*(row["q5"] for row in rows), *(row["q95"] for row in rows)]))
    layers = [
        plane.band([(row["day"], row["q5"], row["q95"]) for row in rows], "area-loop"),
        plane.band([(row["day"], row["q25"], row["q75"]) for row in rows], "area-loop"),
        plane.line(by_day(rows, "q50"), "loop"),
    ]
    reading = Reading("quantiles", ("day", "q5", "q25", "q50", "q75", "q95"), f"column_name={name}")
    keys = legend([("loop", "median"), ("area-loop", "half of the rows, and nine tenths")])
    chart = time_chart(plane, layers, f"Quantiles of {name} by day", reading)
    return [
        Panel(
            f"quantiles-{name}",
            f"Where do most values of {name} lie?",
            f"Of the newest {RECENT_DAYS} days.",
            joined(chart, keys),
            "quantiles",
            where=f"column_name={name}",
            column=name,
        )
    ]


def _other_measures(model: ModelAnswers, time: TimeAxis, name: str) -> list[Panel]:
    rows = model.rows_where("distances", column_name=name)
    known = [measure for measure in _MEASURES if any(row[measure[0]] is not None for row in rows)]
    if not known:
        return []
    shown = [row[measure] for measure, _, _ in known for row in rows]
    plane = Plane(time, Scale.over([0.0, *shown], least=0.0, most=1.0))
    layers = [plane.line(by_day(rows, measure), look) for measure, look, _ in known]
    columns = ("day", *(measure for measure, _, _ in known))
    reading = Reading("distances", columns, f"column_name={name}")
    label = f"Other distances of {name} from the training data, by day"
    keys = legend([(look, words) for _, look, words in known])
    return [
        Panel(
            f"measures-{name}",
            f"Do other measures of {name} agree?",
            f"Of the newest {RECENT_DAYS} days. Each is between 0, the same distribution, and 1.",
            joined(time_chart(plane, layers, label, reading), keys),
            "distances",
            columns,
            where=f"column_name={name}",
            wide=False,
            column=name,
        )
    ]


def _moved_by(model: ModelAnswers, time: TimeAxis, name: str) -> list[Panel]:
    rows = model.rows_where("distances", column_name=name)
    moved = by_day(rows, "wasserstein_distance")
    if not any(value is not None for _, value in moved):
        return []
    plane = Plane(time, Scale.over([0.0, *(value for _, value in moved)], least=0.0))
    columns = ("day", "wasserstein_distance")
    label = f"Wasserstein distance of {name} from the training data, by day"
    reading = Reading("distances", columns, f"column_name={name}")
    return [
        Panel(
            f"wasserstein-{name}",
            f"By how much have values of {name} moved?",
            "Wasserstein distance from the training data, in the column's unit.",
            time_chart(plane, [plane.line(moved, "loop")], label, reading),
            "distances",
            columns,
            where=f"column_name={name}",
            wide=False,
            column=name,
        )
    ]


def _baseline(model: ModelAnswers, name: str) -> Row | None:
    """The column's training data under the newest version whose training data are on record.

    Those of a version that has just taken over are not, until its first day is aggregated.
    """
    rows = {
        row["model_version"]: row for row in model.rows("baselines") if row["column_name"] == name
    }
    versions = [row["model_version"] for row in model.rows("history")]
    return next((rows[version] for version in reversed(versions) if version in rows), None)
