"""The overview: which of the models need somebody, since when and why."""

import datetime as dt
from collections.abc import Sequence
from statistics import median

from markupsafe import Markup

from lakehouse.dashboard.charts import LEVELS, sparkline
from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import to_copy
from lakehouse.dashboard.panels.health import (
    Health,
    alarm_words,
    headline,
    health_of,
    quality_words,
    worst_first,
)
from lakehouse.dashboard.rows import ModelAnswers
from lakehouse.dashboard.words import cell, moment, share, span

_DAYS = 90


def overview(models: Sequence[tuple[str, ModelAnswers]]) -> Markup:
    """The whole page: a card for each model, all alarms, and a row of days for each."""
    lines = worst_first([health_of(model, name) for name, model in models])
    return joined(
        element("h1", headline(lines), class_="headline"),
        element("div", *map(_card, lines), class_="cards"),
        _alarms(lines, _queries(models, "alarms")),
        _days(models, _queries(models, "daily")) if len(models) > 1 else None,
    )


def _card(model: Health) -> Markup:
    """A model's state, its quality with its course, and what stands behind it."""
    state = "▲" if model.needs_somebody else "●"
    words = alarm_words(model.alarms[0]) if model.alarms else "Nothing to do"
    more = f" (+{len(model.alarms) - 1} more)" if len(model.alarms) > 1 else ""
    return element(
        "article",
        element(
            "header",
            element("span", state, class_="state", aria_hidden="true"),
            element("h2", element("a", model.name, href=f"#model={model.name}&page=performance")),
            element("p", words, more, class_="why"),
            element("p", model.story, class_="why then") if model.story else None,
        ),
        element("div", _quality(model), class_="figure"),
        sparkline(model.spark, model.promotions, f"Quality of {model.name}, newest {_DAYS} days"),
        element("dl", *_facts(model)),
        class_="card needs" if model.needs_somebody else "card",
    )


def _quality(model: Health) -> Markup:
    interval = (
        f"{share(model.interval[0])} – {share(model.interval[1])}"
        if model.interval and None not in model.interval
        else ""
    )
    name = "error (RMSE)" if model.is_regression else "accuracy"
    day = f"{name} on {model.day}" if model.day else "no final day yet"
    return joined(
        element("b", quality_words(model)),
        element("span", _moved(model), class_=_moved_look(model)),
        element("small", day, element("br"), interval),
    )


def _moved(model: Health) -> str:
    if model.moved is None:
        return ""
    if model.is_regression:
        return f"{model.moved:+.3g}"
    return f"{100 * model.moved:+.1f} points"


def _moved_look(model: Health) -> str:
    moved = -(model.moved or 0.0) if model.is_regression else (model.moved or 0.0)
    return "moved fell" if moved < 0 else "moved"


def _facts(model: Health) -> list[Markup]:
    champion = f"v{model.champion}" if model.champion else "none yet"
    if model.champion_since and model.newest_label:
        champion += f", {span(model.champion_since, model.newest_label)} old"
    facts = {
        "In production": champion,
        "Labels that came": share(model.label_share),
        "Newest label": moment(model.newest_label) if model.newest_label else "none yet",
        "Drifted": model.drifted or "nothing",
        "Errors avoided": cell(model.errors_avoided) or "–",
        "Newest day": cell(model.newest) or "none yet",
    }
    return [
        element("div", element("dt", name), element("dd", words)) for name, words in facts.items()
    ]


def _queries(models: Sequence[tuple[str, ModelAnswers]], query: str) -> Markup | None:
    """A query, to be copied; models whose model id column has other names ask it otherwise."""
    asked = dict.fromkeys(model.answers[query].sql for _, model in models)
    return element("div", *map(to_copy, asked), class_="below") if asked else None


def _alarms(lines: Sequence[Health], query: Markup | None) -> Markup:
    """All open alarms of all models."""
    columns = ("model", "alarm", "subject", "since", "value", "threshold", "detail")
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    rows = [
        element(
            "tr",
            element(
                "th",
                element("a", model.name, href=f"#model={model.name}&page=decisions"),
                scope="row",
            ),
            *(element("td", cell(alarm[name])) for name in columns[1:]),
        )
        for model in lines
        for alarm in model.alarms
    ]
    body = (
        element(
            "div",
            element("table", element("thead", head), element("tbody", *rows)),
            class_="scroll",
        )
        if rows
        else element("p", "None.", class_="nothing")
    )
    return element(
        "section",
        element("h2", "What is open now?"),
        element("p", "The rows of gold.open_alarms.", class_="note"),
        body,
        query,
        class_="panel wide",
        id="alarms",
    )


def _days(models: Sequence[tuple[str, ModelAnswers]], query: Markup | None) -> Markup:
    """Each model's newest days against its own median."""
    rows = []
    for name, model in sorted(models, key=lambda pair: pair[0]):
        recent = [
            (row["day"], row["accuracy"])
            for row in model.rows("daily")[-_DAYS:]
            if row["accuracy"] is not None
        ]
        rows.append(
            element(
                "tr",
                element(
                    "th", element("a", name, href=f"#model={name}&page=performance"), scope="row"
                ),
                element("td", _strip(recent)),
                element("td", _lowest(recent)),
            )
        )
    head = element(
        "tr",
        *(element("th", word, scope="col") for word in ("model", f"newest {_DAYS} days", "lowest")),
    )
    return element(
        "section",
        element("h2", "On which days was one worse than it usually is?"),
        element(
            "p",
            "Accuracy below its own median of these days: the darker, the further.",
            class_="note",
        ),
        element("table", element("thead", head), element("tbody", *rows), class_="strips"),
        query,
        class_="panel wide",
        id="days",
    )


def fall_levels(days: Sequence[tuple[dt.date, float]]) -> list[int]:
    """How far each day lies below the median of all: 0 (not by 2 points) to 4 (by 20 or more)."""
    usual = median(value for _, value in days) if days else 0.0
    limits = (0.02, 0.05, 0.1, 0.2)
    return [min(sum(usual - value >= limit for limit in limits), LEVELS - 1) for _, value in days]


def _strip(days: Sequence[tuple[dt.date, float]]) -> Markup:
    steps: dict[int, list[str]] = {}
    for place, level in enumerate(fall_levels(days)):
        steps.setdefault(level, []).append(f"M{place} 0h1v1h-1z")
    shades = (
        element("path", d="".join(cells), class_=f"heat{level}")
        for level, cells in sorted(steps.items())
    )
    return element(
        "svg",
        *shades,
        class_="strip",
        viewBox=f"0 0 {max(len(days), 1)} 1",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _lowest(days: Sequence[tuple[dt.date, float]]) -> str:
    if not days:
        return ""
    day, value = min(days, key=lambda pair: pair[1])
    return f"{share(value)} on {day}"
