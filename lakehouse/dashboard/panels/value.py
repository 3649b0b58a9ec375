"""Value and cost: what did retraining gain, against which alternative, and what did it take?"""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from lakehouse.dashboard.charts import Reading, legend, time_chart
from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, nothing
from lakehouse.dashboard.panels.performance import time_axis
from lakehouse.dashboard.paths import Plane, by_day
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.scales import Scale, TimeAxis, quantile
from lakehouse.dashboard.words import number, share


def value(model: ModelAnswers) -> list[Panel]:
    """The panels of the page."""
    time = time_axis(model)
    return [_sum(model), _gain(model, time), _trainings(model, time), _scoring(model)]


def facts(entries: Mapping[str, str]) -> Markup:
    """Figures with their names."""
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", words))
            for name, words in entries.items()
        ),
        class_="facts",
    )


def mean_accuracy(rows: Sequence[Row], name: str) -> float | None:
    """The accuracy of all days together, of those on which it is known."""
    known = [row for row in rows if row[name] is not None]
    labelled = sum(row["n_labelled"] for row in known)
    return sum(row[name] * row["n_labelled"] for row in known) / labelled if labelled else None


def _sum(model: ModelAnswers) -> Panel:
    rows = model.rows("gain")
    if not rows:
        words = nothing("No labelled day since the first promotion yet.")
        return Panel("sum", "Was it worth it?", "", words, "gain")
    newest = rows[-1]
    trainings = model.rows("trainings")
    entries = {
        "Errors avoided against never retraining": number(newest["errors_avoided_so_far"]),
        "Errors avoided against retraining daily": number(
            newest["errors_avoided_against_daily_so_far"]
        ),
        "Accuracy of the loop": share(mean_accuracy(rows, "accuracy")),
        "… of the first model, left alone": share(
            mean_accuracy(rows, "accuracy_without_retraining")
        ),
        "… of one trained each midnight": share(mean_accuracy(rows, "accuracy_retrained_daily")),
        "Trainings of the loop": number(len(trainings)),
        "Trainings, if daily": number(newest["daily_trainings_so_far"]),
        "Seconds of training": number(sum(row["seconds"] or 0 for row in trainings)),
    }
    return Panel(
        "sum",
        "Was it worth it?",
        "Since the first promotion, on rows that no model was trained on.",
        facts(entries),
        "gain",
    )


def _gain(model: ModelAnswers, time: TimeAxis) -> Panel:
    rows = model.rows("gain")
    names = ("errors_avoided_so_far", "errors_avoided_against_daily_so_far")
    values = [row[name] for row in rows for name in names]
    plane = Plane(time, Scale.over([0.0, *(v for v in values if v is not None)]))
    layers = [
        plane.level(0.0, "baseline") if rows else joined(),
        plane.line(by_day(rows, names[0]), "loop"),
        plane.line(by_day(rows, names[1]), "daily"),
    ]
    reading = Reading("gain", ("day", *names, "errors_avoided", "n_labelled"))
    keys = legend([("loop", "against never retraining"), ("daily", "against retraining daily")])
    chart = time_chart(plane, layers, "Errors avoided so far, by day", reading)
    return Panel(
        "gain",
        "How many errors did it avoid so far?",
        "A line that rises gains; one that falls costs.",
        joined(chart, keys),
        "gain",
    )


def _trainings(model: ModelAnswers, time: TimeAxis) -> Panel:
    rows = [row for row in model.rows("trainings") if row["seconds"] is not None]
    plane = Plane(time, Scale.over([0.0, *(row["seconds"] for row in rows)], least=0.0))
    bars = [(row["as_of"].date(), 0.0, row["seconds"]) for row in rows]
    reading = Reading("trainings", ("as_of", "model_version", "rows", "seconds"))
    chart = time_chart(
        plane, [plane.bars(bars, "bar-labelled")], "Seconds of each training", reading
    )
    return Panel(
        "trainings",
        "What did each training take?",
        "Seconds from reading the rows to the verdict, at the label batch that asked for it.",
        chart,
        "trainings",
    )


def _scoring(model: ModelAnswers) -> Panel:
    rows = model.rows("scoring")
    if not rows:
        return Panel("scoring", "What does scoring take?", "", nothing("Nothing scored yet."))
    rates = sorted(row["seconds_per_1000_rows"] for row in rows)
    entries = {
        "Newest micro-batches": number(len(rows)),
        "Seconds for 1,000 rows, median": number(quantile(rates, 50)),
        "… 95th percentile": number(quantile(rates, 95)),
        "Rows scored in them": number(sum(row["rows"] for row in rows)),
    }
    return Panel(
        "scoring",
        "What does scoring take?",
        "The newest 200 micro-batches. Small ones take long for their rows.",
        facts(entries),
        "scoring",
    )
