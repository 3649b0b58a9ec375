"""The stories of a model's alarms, told from its decisions, promotions and days."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from lakehouse.dashboard.rows import ModelAnswers, Row
from lakehouse.dashboard.words import counted, moment, share, span

_COMPARED = dt.timedelta(days=10)


@dataclass(frozen=True)
class Episode:
    """One alarm, from the change to what was done.

    Attributes:
        began: most probable moment of the change, and its 90 % interval; None if none is seen.
        noticed: the label batch that raised the alarm.
        answered: the label batch of the promotion that ended it; None while it is open.
        version: the version that was promoted.
        kind: what drifted, in the policy's words.
        refusals: challengers that did not pass meanwhile.
        before: accuracy of the ten days before the change.
        during: accuracy from the change to the answer, or until now.
        after: accuracy from the answer to the next alarm's change, or until now.
        errors: errors more than the accuracy before lets expect, from the change to the answer.
    """

    began: dt.datetime | None
    between: tuple[dt.datetime, dt.datetime] | None
    noticed: dt.datetime
    answered: dt.datetime | None
    version: str | None
    kind: str
    reason: str
    refusals: int
    before: float | None
    during: float | None
    after: float | None
    errors: int | None


def episodes_of(model: ModelAnswers) -> list[Episode]:
    """Each alarm (a decision to `retrain`) with its answer, in the order of time.

    Alarms that follow one another without a promotion between them are one episode.
    """
    alarms = [row for row in model.rows("decisions") if row["action"] == "retrain"]
    promotions = [row for row in model.rows("moves") if row["action"] == "promote"]
    first: list[Row] = []
    answered_until: dt.datetime | None = None
    for alarm in alarms:
        if first and (answered_until is None or alarm["as_of"] <= answered_until):
            continue
        first.append(alarm)
        answered_until = next(
            (row["as_of"] for row in promotions if row["as_of"] >= alarm["as_of"]), None
        )
    ends = [*(alarm["as_of"] for alarm in first[1:]), None]
    return [_episode(model, alarm, end) for alarm, end in zip(first, ends, strict=False)]


def in_words(episode: Episode) -> list[str]:
    """The story in sentences: the change, the alarm, the answer, the cost."""
    return [
        sentence
        for sentence in (
            _change(episode),
            _alarm(episode),
            _answer(episode),
            _cost(episode),
        )
        if sentence
    ]


def _episode(model: ModelAnswers, alarm: Row, end: dt.datetime | None) -> Episode:
    noticed = alarm["as_of"]
    moves = [row for row in model.rows("moves") if row["as_of"] >= noticed]
    answer = next((row for row in moves if row["action"] == "promote"), None)
    if answer is not None and end is not None and answer["as_of"] > end:
        answer = None
    answered = answer["as_of"] if answer else None
    refused = [
        row
        for row in moves
        if row["action"] == "refuse" and (answered is None or row["as_of"] <= answered)
    ]
    change = next(
        (
            row
            for row in model.rows("changes")
            if row["as_of"] == noticed and row["action"] == "retrain"
        ),
        None,
    )
    began = alarm["change_at"]
    start = began or noticed
    before = _accuracy(model, start - _COMPARED, start)
    during = _accuracy(model, start, answered)
    return Episode(
        began=began,
        between=(change["change_from"], change["change_to"])
        if change and change["change_from"] and change["change_to"]
        else None,
        noticed=noticed,
        answered=answered,
        version=answer["to_version"] if answer else None,
        kind=alarm["drift"] or "",
        reason=alarm["reason"] or "",
        refusals=len(refused),
        before=before,
        during=during,
        after=_accuracy(model, answered, end) if answered else None,
        errors=_errors(model, start, answered, before),
    )


def _days(model: ModelAnswers, start: dt.datetime, end: dt.datetime | None) -> Sequence[Row]:
    """The days with labels from the one that holds `start` on, without the one that holds `end`."""
    last = end.date() if end else dt.date.max
    return [
        row
        for row in model.rows("daily")
        if start.date() <= row["day"] < last and row["accuracy"] is not None
    ]


def _accuracy(model: ModelAnswers, start: dt.datetime, end: dt.datetime | None) -> float | None:
    rows = _days(model, start, end)
    labelled = sum(row["n_labelled"] for row in rows)
    right = sum(row["accuracy"] * row["n_labelled"] for row in rows)
    return right / labelled if labelled else None


def _errors(
    model: ModelAnswers, start: dt.datetime, end: dt.datetime | None, before: float | None
) -> int | None:
    if before is None:
        return None
    rows = _days(model, start, end)
    return round(sum((before - row["accuracy"]) * row["n_labelled"] for row in rows))


def _change(episode: Episode) -> str:
    if episode.began is None:
        return ""
    kind = {"concept": "The rule", "feature": "A feature"}.get(
        episode.kind.split(",")[0], "Something"
    )
    words = f"{kind} changed {moment(episode.began)}"
    if episode.between:
        start, end = episode.between
        words += f" (90\N{NO-BREAK SPACE}%: {moment(start)} to {moment(end)})"
    return f"{words}."


def _alarm(episode: Episode) -> str:
    late = f", {span(episode.began, episode.noticed)} later" if episode.began else ""
    return f"Noticed {moment(episode.noticed)}{late}."


def _answer(episode: Episode) -> str:
    refused = (
        f" after {counted(episode.refusals, 'challenger')} did not pass" if episode.refusals else ""
    )
    if episode.answered is None:
        return f"Nothing was promoted{refused}: it is open."
    at_once = episode.answered == episode.noticed
    when = "the same night" if at_once else moment(episode.answered)
    return f"Version {episode.version} was promoted {when}{refused}."


def _cost(episode: Episode) -> str:
    if episode.before is None or episode.during is None:
        return ""
    after = f", {share(episode.after)} after" if episode.after is not None else ""
    words = f"Accuracy {share(episode.before)} before, {share(episode.during)} during{after}."
    if episode.errors is not None and episode.errors > 0:
        words += f" It cost about {counted(episode.errors, 'error')} more than before."
    return words
