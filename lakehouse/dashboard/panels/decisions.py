"""Decisions: what did the loop see, what did it do, and was that right?"""

from markupsafe import Markup

from lakehouse.dashboard.charts import Reading, legend, time_chart
from lakehouse.dashboard.markup import element, joined
from lakehouse.dashboard.panels import Panel, nothing, stories
from lakehouse.dashboard.panels.episodes import Episode, episodes_of, in_words
from lakehouse.dashboard.panels.performance import time_axis
from lakehouse.dashboard.paths import Plane
from lakehouse.dashboard.rows import ModelAnswers
from lakehouse.dashboard.scales import Scale, TimeAxis
from lakehouse.dashboard.words import moment

_LANES = (
    ("retrain", "alarm", "change"),
    ("refresh", "refresh", "refresh"),
    ("blind", "labels overdue", "blind"),
    ("keep", "kept", "keep"),
)


def decisions(model: ModelAnswers) -> list[Panel]:
    """The panels of the page."""
    time = time_axis(model)
    return [
        _stories(model),
        _evidence(model, time),
        _lanes(model, time),
        _newest(model),
    ]


def _stories(model: ModelAnswers) -> Panel:
    """A story for each alarm, the newest first."""
    articles = [_story(episode) for episode in reversed(episodes_of(model))]
    body = stories(articles) if articles else nothing("No alarm so far.")
    return Panel(
        "stories",
        "What happened at each alarm?",
        "The newest first. Times are of the data: an alarm cannot come before its labels.",
        body,
        "decisions",
        (
            "as_of",
            "action",
            "change_at",
            "drift",
            "verdict",
            "challenger",
            "reason",
            "verdict_reason",
        ),
    )


def _story(episode: Episode) -> Markup:
    state = "open" if episode.answered is None else "answered"
    return element(
        "article",
        element("h3", moment(episode.noticed), element("span", state, class_=state)),
        *(element("p", sentence) for sentence in in_words(episode)),
        element(
            "details", element("summary", "The evidence in words"), element("p", episode.reason)
        ),
        class_="story",
    )


def _evidence(model: ModelAnswers, time: TimeAxis) -> Panel:
    rows = [row for row in model.rows("decisions") if row["score"] is not None]
    thresholds = [row["threshold"] for row in rows]
    plane = Plane(time, Scale.over([0.0, *(row["score"] for row in rows), *thresholds]))
    layers = [
        plane.line([(row["as_of"], row["threshold"]) for row in rows], "threshold"),
        plane.line([(row["as_of"], row["score"]) for row in rows], "loop"),
        plane.dots(
            [(row["as_of"], row["score"]) for row in rows if row["action"] == "retrain"],
            "dot-alarm",
        ),
    ]
    reading = Reading("decisions", ("as_of", "action", "score", "threshold", "reason"))
    label = f"Evidence at {len(rows)} decisions, against its threshold"
    keys = legend(
        [("loop", "evidence"), ("threshold", "threshold"), ("dot-alarm", "it was retrained")]
    )
    return Panel(
        "evidence",
        "How near was it to an alarm?",
        "Evidence that accuracy has fallen, a natural logarithm: one more is e times as strong.",
        joined(time_chart(plane, layers, label, reading), keys),
        "decisions",
        ("as_of", "action", "score", "threshold", "confidence", "change_at", "reason"),
    )


def _lanes(model: ModelAnswers, time: TimeAxis) -> Panel:
    """Decisions by kind, and under them the reigns of versions."""
    rows = model.rows("decisions")
    plane = Plane(time, Scale(0.0, float(len(_LANES) + 1)))
    layers = []
    for place, (action, _, look) in enumerate(_LANES):
        height = len(_LANES) - place + 0.5
        points = [(row["as_of"], height) for row in rows if row["action"] == action]
        layers.append(plane.dots(points, f"dot-{look}"))
    layers.append(_reigns(model, plane))
    names = {len(_LANES) - place + 0.5: name for place, (_, name, _) in enumerate(_LANES)}
    reading = Reading("decisions", ("as_of", "action", "rule", "verdict", "challenger", "reason"))
    chart = time_chart(
        plane,
        layers,
        "Decisions by kind, and reigns of versions",
        reading,
        lanes={**names, 0.5: "version"},
    )
    return Panel(
        "lanes",
        "What was decided, and which version was in production?",
        "A dot is a night's decision; the bars at the foot are versions, in two shades in turn.",
        chart,
        "history",
    )


def _reigns(model: ModelAnswers, plane: Plane) -> Markup:
    """Bars of two shades in turn, from the start of each version's time to its end."""
    parts = []
    for place, row in enumerate(model.rows("history")):
        left = plane.time.at(row["champion_from"])
        end = row["champion_to"]
        right = plane.time.at(end) if end else plane.time.days
        top, bottom = plane.scale.at(0.8), plane.scale.at(0.2)
        parts.append(
            element(
                "path",
                element("title", f"v{row['model_version']} from {moment(row['champion_from'])}"),
                d=f"M{left:.2f} {top:.0f}H{right:.2f}V{bottom:.0f}H{left:.2f}z",
                class_="bar-reign" if place % 2 == 0 else "bar-reign other",
            )
        )
    return joined(*parts)


def _newest(model: ModelAnswers) -> Panel:
    rows = model.rows("decisions")
    if not rows:
        body = nothing("No decision yet.")
    else:
        newest = rows[-1]
        advice = newest["advice"] if newest["advice"] not in (None, "nothing") else ""
        words = f"{moment(newest['as_of'])}: {newest['action']}. {newest['reason']}. {advice}"
        body = element("p", words)
    return Panel(
        "newest",
        "What did it decide last, and on what grounds?",
        "",
        body,
        "decisions",
    )
