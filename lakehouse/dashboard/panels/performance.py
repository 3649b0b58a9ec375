"""Performance: is the model right, since when not, and what was done about it?"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from lakehouse.dashboard.charts import (
    Mark,
    Reading,
    bars,
    legend,
    matrix,
    reliability,
    time_chart,
)
from lakehouse.dashboard.markup import joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.paths import Plane, by_day
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.scales import HEIGHT, PER_CENT, Scale, TimeAxis
from lakehouse.dashboard.words import counted, moment, share

_MONTH = dt.timedelta(days=30)
_LOOK = {
    **{"promote": "promotion", "rollback": "rollback", "refuse": "refusal"},
    **{"pending": "pending", "rollout": "rollout"},
}
_Bounds = tuple[float | None, float | None]
_LOSS: _Bounds = (0.0, None)
_SKILL: _Bounds = (None, 1.0)
_MEASURES = (
    ("log_loss", "How sure is it when it is wrong?", "Log loss; lower is better.", _LOSS),
    ("roc_auc_score", "Does it rank well?", "Area under the ROC curve; higher is better.", _SKILL),
    ("brier_score", "How good are its probabilities?", "Brier score; lower is better.", _LOSS),
    (
        "expected_calibration_error",
        "Do its probabilities mean what they say?",
        "Expected calibration error; lower is better.",
        _LOSS,
    ),
    ("mean_average_error", "How far off is it?", "Mean absolute error; lower is better.", _LOSS),
    ("r2_score", "How much does it explain?", "R²; higher is better.", _SKILL),
)
"""Column, question, note, and the least and greatest value that is possible."""


def time_axis(model: ModelAnswers) -> TimeAxis:
    """The days that all charts of the model share."""
    days = [row["day"] for row in model.rows("daily")]
    return TimeAxis.over([*days, *(row["as_of"] for row in model.rows("decisions"))])


def performance(model: ModelAnswers) -> list[Panel]:
    """The panels of the page."""
    time = time_axis(model)
    panels = [
        _rmse(model, time) if is_regression(model) else _accuracy(model, time),
        _labels(model, time),
        *_measures(model, time),
        _confusion(model),
        _reliability(model),
        _slices(model),
        _moves(model),
    ]
    return [panel for panel in panels if panel is not None]


def is_regression(model: ModelAnswers) -> bool:
    """Whether the model predicts a number: its days have an error in the label's unit."""
    return any(row["root_mean_squared_error"] is not None for row in model.rows("daily"))


def _accuracy(model: ModelAnswers, time: TimeAxis) -> Panel:
    rows, gain = model.rows("daily"), model.rows("gain")
    shown = [*_values(rows, "accuracy_low"), *_values(gain, "accuracy_without_retraining")]
    plane = Plane(time, Scale.over([*shown, 1.0], least=0.0, most=1.0, unit=PER_CENT))
    layers = [
        *_spans(plane, rows),
        plane.band([(r["day"], r["accuracy_low"], r["accuracy_high"]) for r in rows], "area-loop"),
        plane.line(by_day(gain, "accuracy_without_retraining"), "never"),
        plane.line(by_day(gain, "accuracy_retrained_daily"), "daily"),
        *_events(plane, model),
        plane.line(by_day(rows, "accuracy"), "loop"),
        *_dots(plane, rows, "accuracy"),
    ]
    reading = Reading(
        "daily",
        ("day", "accuracy", "accuracy_low", "accuracy_high", "n_labelled", "is_final", "champion"),
    )
    chart = time_chart(plane, layers, _said(rows, "accuracy"), reading, _marks(model))
    return Panel(
        "accuracy",
        "Is it right, and since when not?",
        "Share of labelled predictions that were right, by day, with its 95 % interval.",
        joined(chart, _legend(layers)),
        "daily",
    )


def _rmse(model: ModelAnswers, time: TimeAxis) -> Panel:
    rows, name = model.rows("daily"), "root_mean_squared_error"
    plane = Plane(time, Scale.over([*_values(rows, name), 0.0], least=0.0))
    layers = [
        *_spans(plane, rows),
        *_events(plane, model),
        plane.line(by_day(rows, name), "loop"),
        *_dots(plane, rows, name),
    ]
    reading = Reading("daily", ("day", name, "n_labelled", "is_final", "champion"))
    chart = time_chart(plane, layers, _said(rows, name), reading, _marks(model))
    return Panel(
        "accuracy",
        "How far off is it, and since when more?",
        "Root mean squared error of labelled predictions by day, in the label's unit.",
        joined(chart, _legend(layers)),
        "daily",
    )


def _spans(plane: Plane, rows: Sequence[Row]) -> list[Markup]:
    """Areas behind the lines: days that a version was trained on, and those not final."""
    day = dt.timedelta(days=1)
    trained = [(_midnight(row), _midnight(row) + day) for row in rows if row["in_training_window"]]
    open_days = [row for row in rows if not row["is_final"]]
    layers = [plane.stretches(trained, "area-training")]
    if open_days:
        layers.append(
            plane.stretches(
                [(_midnight(open_days[0]), _midnight(rows[-1]) + day)], "area-provisional"
            )
        )
    return layers


def _events(plane: Plane, model: ModelAnswers) -> list[Markup]:
    """Lines at promotions and the like; at change points, with their interval as a bar below."""
    layers = [
        plane.uprights(
            [row["as_of"] for row in model.rows("moves") if row["action"] == action],
            look,
            low=HEIGHT * 3 // 5 if action == "refuse" else 0,
        )
        for action, look in _LOOK.items()
    ]
    changes = [row for row in model.rows("changes") if row["action"] == "retrain"]
    between = [(r["change_from"], r["change_to"]) for r in changes if r["change_from"]]
    return [
        plane.stretches(between, "area-change", top=HEIGHT - 20),
        *layers,
        plane.uprights([row["change_at"] for row in changes], "change"),
    ]


def _marks(model: ModelAnswers) -> list[Mark]:
    moves = [
        Mark(
            row["as_of"],
            f"↩v{row['to_version']}" if row["action"] == "rollback" else f"v{row['to_version']}",
            _LOOK[row["action"]],
            f"{moment(row['as_of'])} {row['action']} v{row['to_version']}: {row['reason']}",
        )
        for row in model.rows("moves")
        if row["action"] in ("promote", "rollback")
    ]
    return sorted(moves, key=lambda mark: mark.at)


def _dots(plane: Plane, rows: Sequence[Row], name: str) -> list[Markup]:
    final = [(row["day"], row[name]) for row in rows if row["is_final"]]
    others = [(row["day"], row[name]) for row in rows if not row["is_final"]]
    return [
        plane.dots(final, "dot-loop"),
        plane.dots(others, "dot-loop"),
        plane.dots(others, "dot-hollow"),
    ]


def _legend(layers: Sequence[Markup]) -> Markup:
    """What the looks mean, of those that are there."""
    drawn = joined(*layers)
    entries = (
        ("loop", "the loop"),
        ("area-loop", "95 % interval"),
        ("never", "first model, left alone"),
        ("daily", "trained each midnight"),
        ("promotion", "promotion"),
        ("rollback", "rollback"),
        ("refusal", "challenger refused"),
        ("pending", "waits for a person"),
        ("rollout", "rollout begins"),
        ("change", "change behind an alarm"),
        ("area-change", "its 90 % interval"),
        ("area-training", "trained on these days"),
        ("area-provisional", "labels may still come"),
    )
    return legend([(look, words) for look, words in entries if f'class="{look}"' in drawn])


def _labels(model: ModelAnswers, time: TimeAxis) -> Panel:
    rows = model.rows("daily")
    plane = Plane(time, Scale.over([0.0, *_values(rows, "n_rows")], least=0.0))
    come = [(row["day"], 0.0, float(row["n_labelled"] or 0)) for row in rows]
    waiting = [(row["day"], float(row["n_labelled"] or 0), float(row["n_rows"])) for row in rows]
    layers = [plane.bars(come, "bar-labelled"), plane.bars(waiting, "bar-waiting")]
    reading = Reading("daily", ("day", "n_rows", "n_labelled", "n_waiting", "label_coverage"))
    chart = time_chart(plane, layers, "Predictions by day, with and without a label", reading)
    keys = legend([("bar-labelled", "label has come"), ("bar-waiting", "no label yet")])
    return Panel(
        "labels",
        "Have the labels come?",
        label_delay(rows),
        joined(chart, keys),
        "daily",
        ("day", "n_rows", "n_labelled", "n_waiting", "label_coverage", "is_final"),
    )


def label_delay(rows: Sequence[Row]) -> str:
    """How far labels lag behind predictions, in a sentence."""
    if not rows:
        return "There is no prediction yet."
    waiting = sum(row["n_rows"] - (row["n_labelled"] or 0) for row in rows)
    labelled = [row["day"] for row in rows if (row["n_labelled"] or 0) * 2 >= row["n_rows"] > 0]
    if not labelled:
        return f"No day has most of its labels; {counted(waiting, 'row')} wait."
    behind = (rows[-1]["day"] - labelled[-1]).days
    return (
        f"{counted(waiting, 'row')} wait for a label. The newest day with most of its labels is "
        f"{labelled[-1]}, {counted(behind, 'day')} behind the newest prediction."
    )


def _measures(model: ModelAnswers, time: TimeAxis) -> list[Panel]:
    rows = model.rows("measures")
    return [
        _measure(rows, time, measure)
        for measure in _MEASURES
        if any(row[measure[0]] is not None for row in rows)
    ]


def _measure(rows: Sequence[Row], time: TimeAxis, measure: tuple[str, str, str, _Bounds]) -> Panel:
    name, question, note, (least, most) = measure
    plane = Plane(time, Scale.over(_values(rows, name), least, most))
    layers = [plane.line(by_day(rows, name), "loop")]
    chart = time_chart(plane, layers, _said(rows, name), Reading("measures", ("day", name)))
    return Panel(name, question, note, chart, "measures", ("day", name), wide=False)


def _confusion(model: ModelAnswers) -> Panel | None:
    rows = model.rows("confusion")
    if not rows:
        return None
    newest = max(row["day"] for row in rows)
    now = _counts([row for row in rows if row["day"] > newest - _MONTH])
    before = _counts([row for row in rows if newest - 2 * _MONTH < row["day"] <= newest - _MONTH])
    return Panel(
        "confusion",
        "Which classes does it mix up?",
        "The newest 30 days with labels; in brackets, points against the 30 days before.",
        matrix(now, before),
        "confusion",
        wide=False,
    )


def _counts(rows: Sequence[Row]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counts[row["label"], row["prediction"]] += int(row["n"])
    return counts


def _reliability(model: ModelAnswers) -> Panel | None:
    rows = model.rows("reliability")
    if not rows:
        return None
    newest = max(row["day"] for row in rows)
    recent = [row for row in rows if row["day"] > newest - _MONTH]
    bins = []
    for place in sorted({row["bin"] for row in recent}):
        own = [row for row in recent if row["bin"] == place]
        n = sum(int(row["n"]) for row in own)
        right = sum(int(row["n_right"]) for row in own)
        bins.append((sum(row["sum_confidence"] for row in own) / n, right / n, n))
    words = "; ".join(f"{share(said)} sure: {share(was)} right" for said, was, _ in bins)
    return Panel(
        "reliability",
        "When it is 90 % sure, is it right 90 % of the time?",
        "Confidence across, share right up, of the newest 30 days. On the line is honest.",
        reliability(bins, words),
        "reliability",
        wide=False,
    )


def _slices(model: ModelAnswers) -> Panel | None:
    rows = [row for row in model.rows("slices") if row["error_rate"] is not None]
    if not any(row["slice_key"] for row in rows):
        return None
    entries = [
        (
            _slice_name(row),
            float(row["error_rate"]),
            f"{share(float(row['error_rate']))} of {int(row['n_labelled']):,}",
        )
        for row in rows
    ]
    return Panel(
        "slices",
        "Where is it wrong most often?",
        "Error rate of each slice over the newest 30 final days.",
        bars(entries, "Error rate by slice"),
        "slices",
        wide=False,
    )


def _slice_name(row: Row) -> str:
    if not row["slice_key"]:
        return "all rows"
    value = "NULL" if row["slice_value"] is None else row["slice_value"]
    return f"{row['slice_key']}: {value}"


def _moves(model: ModelAnswers) -> Panel:
    moves = Counter(row["action"] for row in model.rows("moves"))
    words = ", ".join(f"{n} × {action}" for action, n in sorted(moves.items()))
    return Panel(
        "moves",
        "What was done?",
        "Verdicts on challengers, and rollbacks; the table has the reason of each.",
        nothing(words or "Nothing yet."),
        "moves",
    )


def _values(rows: Sequence[Row], name: str) -> list[float | None]:
    return [row[name] for row in rows]


def _midnight(row: Row) -> dt.datetime:
    day: dt.date = row["day"]
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)


def _said(rows: Sequence[Row], name: str) -> str:
    """What a chart shows, for who cannot see it."""
    known = [(row["day"], row[name]) for row in rows if row[name] is not None]
    words = name.replace("_", " ")
    if not known:
        return f"{words} by day; there is none yet"
    values = [value for _, value in known]
    return (
        f"{words} by day from {known[0][0]} to {known[-1][0]}: lowest {min(values):.3g}, highest "
        f"{max(values):.3g}, newest {values[-1]:.3g}"
    )
