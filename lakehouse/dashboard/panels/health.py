"""How a model is, in the figures of one line of the overview."""

import datetime as dt
from dataclasses import dataclass

from lakehouse.dashboard.panels.episodes import episodes_of, in_words
from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.words import counted, moment, number, share

_WORST_FIRST = ("retraining", "approval", "labels overdue", "drift", "file")
_IN_WORDS = {
    "retraining": "Its accuracy fell, and no new version has passed",
    "approval": "Version {subject} waits for a person's word",
    "labels overdue": "Labels of {subject} have not come",
    "drift": "{subject} has drifted",
    "file": "A landed file is odd: {subject}",
}
_WEEK = 7
_SPARK_DAYS = 90


@dataclass(frozen=True)
class Health:
    """A model's line.

    Attributes:
        name: of the model; unique on the page.
        alarms: open ones, the worst first.
        quality: of the newest final day: accuracy, or the error of a regression.
        interval: 95 % of it; None of a regression.
        moved: quality less the mean of the seven final days before.
        errors_avoided: since the first promotion, against never retraining.
        story: of the newest alarm, while it is open; else empty.
    """

    name: str
    alarms: list[Row]
    is_regression: bool
    day: dt.date | None
    quality: float | None
    interval: tuple[float, float] | None
    moved: float | None
    spark: list[float | None]
    promotions: list[int]
    label_share: float | None
    newest_label: dt.datetime | None
    champion: str | None
    champion_since: dt.datetime | None
    drifted: str
    errors_avoided: int | None
    newest: dt.date | None
    story: str

    @property
    def needs_somebody(self) -> bool:
        """Whether an alarm is open."""
        return bool(self.alarms)


def health_of(model: ModelAnswers, name: str) -> Health:
    """The line of a model under the name that the page gives it."""
    daily = model.rows("daily")
    measure = "accuracy"
    is_regression = any(row["root_mean_squared_error"] is not None for row in daily)
    if is_regression:
        measure = "root_mean_squared_error"
    final = [row for row in daily if row["is_final"] and row[measure] is not None]
    newest = final[-1] if final else None
    week = [row[measure] for row in final[-1 - _WEEK : -1]]
    champion = next((row for row in model.rows("history") if row["is_champion"]), None)
    labelled = sum(row["n_labelled"] or 0 for row in daily[-_SPARK_DAYS:])
    rows = sum(row["n_rows"] or 0 for row in daily[-_SPARK_DAYS:])
    gain = model.rows("gain")
    decisions = model.rows("decisions")
    spark, promotions = _spark(model, daily, measure)
    return Health(
        name=name,
        alarms=sorted(
            model.rows("alarms"),
            key=lambda row: (
                _WORST_FIRST.index(row["alarm"])
                if row["alarm"] in _WORST_FIRST
                else len(_WORST_FIRST)
            ),
        ),
        is_regression=is_regression,
        day=newest["day"] if newest else None,
        quality=newest[measure] if newest else None,
        interval=(newest["accuracy_low"], newest["accuracy_high"])
        if newest and not is_regression
        else None,
        moved=newest[measure] - sum(week) / len(week) if newest and week else None,
        spark=spark,
        promotions=promotions,
        label_share=labelled / rows if rows else None,
        newest_label=decisions[-1]["as_of"] if decisions else None,
        champion=champion["model_version"] if champion else None,
        champion_since=champion["champion_from"] if champion else None,
        drifted=(newest["drifted_columns"] or "") if newest else "",
        errors_avoided=gain[-1]["errors_avoided_so_far"] if gain else None,
        newest=daily[-1]["day"] if daily else None,
        story=_open_story(model),
    )


def worst_first(models: list[Health]) -> list[Health]:
    """Those that need somebody first, by their worst alarm; then by how far they fell."""

    def need(model: Health) -> tuple[int, float, str]:
        rank = len(_WORST_FIRST) + 1
        if model.alarms:
            kind = model.alarms[0]["alarm"]
            rank = _WORST_FIRST.index(kind) if kind in _WORST_FIRST else len(_WORST_FIRST)
        moved = model.moved or 0.0
        return rank, -moved if model.is_regression else moved, model.name

    return sorted(models, key=need)


def headline(models: list[Health]) -> str:
    """The sentence at the top of the page.

    With two models, one of them in want of a person: "1 of 2 models needs somebody".
    """
    if not models:
        return "There is no model"
    needing = sum(model.needs_somebody for model in models)
    if not needing:
        return "No model needs anybody" if len(models) > 1 else "It needs nobody"
    verb = "needs" if needing == 1 else "need"
    return f"{needing} of {counted(len(models), 'model')} {verb} somebody"


def alarm_words(alarm: Row) -> str:
    """An open alarm in a sentence."""
    words = _IN_WORDS.get(alarm["alarm"], "{alarm}: {subject}")
    dated = alarm["since"] is None or alarm["alarm"] == "labels overdue"  # its subject is the day
    since = "" if dated else f", since {moment(alarm['since'])}"
    return words.format(alarm=alarm["alarm"], subject=alarm["subject"]) + since


def quality_words(model: Health) -> str:
    """The quality of the newest final day, large on the page."""
    return number(model.quality) if model.is_regression else share(model.quality)


def _open_story(model: ModelAnswers) -> str:
    episodes = episodes_of(model)
    return " ".join(in_words(episodes[-1])) if episodes and not episodes[-1].answered else ""


def _spark(
    model: ModelAnswers, daily: tuple[Row, ...], measure: str
) -> tuple[list[float | None], list[int]]:
    """Quality of the newest 90 days, and the places of promotions among them."""
    recent = list(daily[-_SPARK_DAYS:])
    promoted = {row["as_of"].date() for row in model.rows("moves") if row["action"] == "promote"}
    places = [place for place, row in enumerate(recent) if row["day"] in promoted]
    return [row[measure] for row in recent], places
