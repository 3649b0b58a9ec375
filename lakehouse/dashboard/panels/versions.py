"""Versions: which were in production, and why does one differ from the one before?"""

import datetime as dt
import json
from collections.abc import Sequence

from markupsafe import Markup

from lakehouse.dashboard.charts import bars
from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, nothing, stories
from lakehouse.dashboard.panels.otherwise import otherwise, refusals
from lakehouse.dashboard.panels.rollouts import rollouts
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.words import cell, counted, moment, number, share

_MOVED = 0.25
"""Standard deviations by which a column's mean differs enough to be named."""


def versions(model: ModelAnswers) -> list[Panel]:
    """The panels of the page."""
    return [
        *(_differences(model), rollouts(model), refusals(model)),
        *(_compared(model), _baselines(model)),
    ]


def difference_of(model: ModelAnswers, row: Row) -> list[str]:
    """Why a version took over and what it was trained on, in sentences.

    Args:
        model: whose version it is.
        row: of `gold.production_history`.
    """
    sentences = [_training(row), _gate(row)]
    decision = next(
        (
            each
            for each in model.rows("decisions")
            if each["challenger"] == row["model_version"] and each["verdict"] == "promote"
        ),
        None,
    )
    if decision and decision["region"]:
        sentences.append(f"New labels contradict the version before: {decision['region']}.")
    verdict = {"as_of": row["champion_from"], "to_version": row["model_version"]}
    sentences += otherwise(model, {**verdict, "action": row["action"]})
    if row["from_version"]:
        sentences.append(_rows_moved(model, row["from_version"], row["model_version"]))
    return [sentence for sentence in sentences if sentence]


def features_of(model: ModelAnswers) -> frozenset[str]:
    """The numeric columns that are measured, but for what the model says itself."""
    rows = model.rows("monitor")
    edges = json.loads(rows[-1]["configuration"]).get("edges", {}) if rows else {}
    return frozenset(edges) - {"score", "prediction"}


def _training(row: Row) -> str:
    if row["action"] == "rollback":
        return f"It was gone back to: {row['reason']}."
    if row["trained_rows"] is None or row["trained_from"] is None:
        return ""
    since = f", with the change of {moment(row['changed_at'])} in mind" if row["changed_at"] else ""
    return (
        f"Trained on {counted(row['trained_rows'], 'row')} from {moment(row['trained_from'])} to "
        f"{moment(row['trained_to'])}{since}."
    )


def _gate(row: Row) -> str:
    figure = _figure_of(row)
    if figure is None or row["rows_compared"] is None:
        return ""
    value, value_before, words = figure
    before = f", where v{row['from_version']} has {value_before}" if value_before else ""
    better = (
        f"; better with probability {number(row['probability_better'])}"
        if row["probability_better"] is not None
        else ""
    )
    rows = counted(int(row["rows_compared"]), "row")
    return f"At the gate: {words.format(value)} on {rows}{before}{better}."


def _figure_of(row: Row) -> tuple[str, str, str] | None:
    """A version's figure on the rows that the gate compared on, that of the one before, and what
    they are: accuracy, or of numbers the mean absolute error.
    """
    for name, written, words in (
        ("accuracy", share, "{} right"),
        ("mean_absolute_error", number, "a mean absolute error of {}"),
    ):
        value, before = row[name], row[f"{name}_before"]
        if value is not None:
            return written(value), "" if before is None else written(before), words
    return None


def _rows_moved(model: ModelAnswers, before: str, after: str) -> str:
    """Which columns of the training rows have another mean."""
    rows = {(row["model_version"], row["column_name"]): row for row in model.rows("baselines")}
    features = features_of(model)
    moved = []
    for (version, name), row in rows.items():
        old = rows.get((before, name))
        if version != after or name not in features or old is None or not old["stddev"]:
            continue
        by = (row["avg"] - old["avg"]) / old["stddev"]
        if abs(by) >= _MOVED:
            moved.append(f"{name} {number(old['avg'])} → {number(row['avg'])}")
    if not moved:
        return f"Its training rows have the same feature means as those of v{before}."
    return f"Means of its training rows, against those of v{before}: {', '.join(moved)}."


def _differences(model: ModelAnswers) -> Panel:
    rows = list(reversed(model.rows("history")))
    articles = [_version(model, row) for row in rows]
    body = stories(articles) if rows else nothing("No version has been promoted yet.")
    return Panel(
        "differences",
        "Why does a version differ from the one before?",
        "The newest first.",
        body,
        "history",
    )


def _version(model: ModelAnswers, row: Row) -> Markup:
    until = moment(row["champion_to"]) if row["champion_to"] else "now"
    ended = {"promote": "until the next promotion", "rollback": "until it was rolled back"}
    state = "in production" if row["is_champion"] else ended.get(row["ended_by"], "")
    return element(
        "article",
        element("h3", f"v{row['model_version']}", element("span", state)),
        element("p", f"{moment(row['champion_from'])} to {until}."),
        *(element("p", sentence) for sentence in difference_of(model, row)),
        element(
            "details", element("summary", "The verdict in words"), element("p", row["reason"] or "")
        ),
        class_="story",
    )


def _compared(model: ModelAnswers) -> Panel:
    rows = model.rows("history")
    name = "accuracy" if any(row["accuracy"] is not None for row in rows) else "mean_absolute_error"
    entries = []
    for row in rows:
        if row[name] is not None and (figure := _figure_of(row)):
            value, before, _ = figure
            label = f"v{row['model_version']} ({moment(row['champion_from'])[:10]})"
            entries.append((label, row[name], f"{value}, before {before or '–'}"))
    what = name.replace("_", " ").capitalize()
    body = bars(entries, f"{what} of each version at the gate") if entries else nothing("None.")
    return Panel(
        "compared",
        "How good was each version when it took over?",
        f"{what} on the rows that the gate compared on, and that of the version before on them.",
        body,
        "history",
        (
            "model_version",
            "champion_from",
            name,
            f"{name}_before",
            "rows_compared",
            "probability_better",
            "trained_rows",
        ),
        wide=False,
    )


def _baselines(model: ModelAnswers) -> Panel:
    rows = model.rows("baselines")
    known = {row["model_version"] for row in rows}
    newest = [
        row["model_version"] for row in model.rows("history") if row["model_version"] in known
    ]
    own = [row for row in rows if row["model_version"] in newest[-1:]]
    shown = [_with_times(row) if row["data_type"] == "timestamp" else row for row in own]
    return Panel(
        "baselines",
        "What was the version in production trained on?",
        _of_version(newest),
        _as_table(shown, ("column_name", "n", "avg", "stddev", "min", "median", "max")),
        "baselines",
        wide=False,
    )


def _with_times(row: Row) -> Row:
    """Seconds since 1970 as times; their spread stays in seconds."""
    times = {
        name: dt.datetime.fromtimestamp(row[name], dt.UTC)
        for name in ("avg", "min", "median", "max")
        if row[name] is not None
    }
    return {**row, **times}


def _of_version(known: Sequence[str]) -> str:
    of = f" of v{known[-1]}, the newest that is on record" if known else ""
    return f"The training rows{of}, column by column; the table has all versions."


def _as_table(rows: Sequence[Row], columns: Sequence[str]) -> Markup:
    if not rows:
        return nothing("None.")
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    lines = (element("tr", *(element("td", cell(row[name])) for name in columns)) for row in rows)
    return joined(
        element(
            "div",
            element("table", element("thead", head), element("tbody", *lines)),
            class_="scroll",
        )
    )
