"""When to train: a pure function from labelled hours in gold and the champion's record to a decision."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from scipy.special import betaincinv

from lakehouse.settings import MarginSettings, TrainingSettings
from lakehouse.statistics.change import cusum

WAIT, TRAIN_FIRST, KEEP, RETRAIN, REFRESH = "wait", "train_first", "keep", "retrain", "refresh"
_REFERENCE_QUANTILE = 0.8  # the champion's error rate is taken at its upper 80 % bound: it was measured on few rows
_LEAST_ERROR_RATE = 0.01


@dataclass(frozen=True)
class LabelledHour:
    """One hour of one version's labelled predictions that it was not trained on."""

    start: dt.datetime
    model_version: str
    n_labelled: int
    n_wrong: int


@dataclass(frozen=True)
class Champion:
    """What the decision needs to know of the model in production.

    Attributes:
        version: registered version.
        judged: labelled rows that it was cross-fitted on when it was trained.
        wrong: how many of them it got wrong.
        changed_at: change point that it was trained from; None for a first model.
        since_change: labelled rows since then that it was trained on.
    """

    version: str
    judged: int
    wrong: int
    changed_at: dt.datetime | None
    since_change: int


@dataclass(frozen=True)
class Decision:
    """What is to be done, by which rule, with which figures."""

    action: str
    rule: str
    reasons: tuple[str, ...]
    evidence: dict[str, float] = field(default_factory=dict)
    change_at: dt.datetime | None = None

    @property
    def retrain(self) -> bool:
        """Whether a new model is to be trained."""
        return self.action in (TRAIN_FIRST, RETRAIN, REFRESH)


def decide(
    champion: Champion | None,
    hours: Sequence[LabelledHour],
    n_labelled: int,
    training: TrainingSettings,
    margins: MarginSettings,
) -> Decision:
    """The first rule that asks for a training decides.

    Args:
        champion: the model in production; None before the first.
        hours: labelled hours since the champion's change point or first prediction, in order of time.
        n_labelled: labelled readings of all time; asked for only before the first champion.
        training: settings of the training.
        margins: settings of the decision.
    """
    if champion is None:
        return _first(n_labelled, training.first_after)
    alarm = _alarm(champion, hours, margins)
    return alarm if alarm.retrain else _refresh(champion, hours, margins) or alarm


def _first(n_labelled: int, first_after: int) -> Decision:
    """Train the first model when enough rows are labelled."""
    enough = n_labelled >= first_after
    words = f"{n_labelled} of {first_after} labelled rows have come for the first model"
    evidence = {"n_labelled": float(n_labelled), "first_after": float(first_after)}
    return Decision(TRAIN_FIRST if enough else WAIT, "first_model", (words,), evidence)


def _alarm(champion: Champion, hours: Sequence[LabelledHour], margins: MarginSettings) -> Decision:
    """Retrain when the evidence that the champion's accuracy has fallen by the margin exceeds the threshold.

    The evidence is Page's cumulative sum (1954) of the log likelihood ratio of its labelled errors, hour by hour.
    """
    own = [hour for hour in hours if hour.model_version == champion.version]
    p0 = reference_error_rate(champion)
    p1 = min(p0 + margins.accuracy_drop, 0.99)
    result = cusum([hour.n_wrong for hour in own], [hour.n_labelled for hour in own], p0, p1)
    change_at = None if result.change_index is None else own[result.change_index].start
    since = own[result.change_index :] if result.change_index is not None else []
    labelled, wrong = sum(hour.n_labelled for hour in since), sum(hour.n_wrong for hour in since)
    evidence = {
        "score": result.score,
        "threshold": margins.alarm,
        "reference_error_rate": p0,
        "labelled_since_change": float(labelled),
        "wrong_since_change": float(wrong),
    }
    if result.score <= margins.alarm:
        words = f"no credible fall of accuracy: evidence {result.score:.1f} of {margins.alarm:g}"
        return Decision(KEEP, "cusum", (words,), evidence)
    words = (
        f"accuracy fell: {wrong} of {labelled} pieces since {change_at:%Y-%m-%d %H:%M} wrong, "
        f"{p0:.1%} expected; evidence {result.score:.1f} exceeds {margins.alarm:g}"
    )
    return Decision(RETRAIN, "cusum", (words,), evidence, change_at)


def _refresh(champion: Champion, hours: Sequence[LabelledHour], margins: MarginSettings) -> Decision | None:
    """After an alarm, train again when the rows since the change have grown by the factor, until there are enough."""
    if champion.changed_at is None or champion.since_change >= margins.refresh_until:
        return None
    now = sum(hour.n_labelled for hour in hours if hour.start >= champion.changed_at)
    if now < champion.since_change * margins.refresh_growth:
        return None
    words = f"{now} labelled pieces since the change; the champion was trained on {champion.since_change}"
    evidence = {"labelled_since_change": float(now), "trained_since_change": float(champion.since_change)}
    return Decision(REFRESH, "refresh", (words,), evidence, champion.changed_at)


def reference_error_rate(champion: Champion) -> float:
    """The champion's error rate under no change: the upper 80 % bound of its cross-fitted errors (Jeffreys prior)."""
    right = champion.judged - champion.wrong
    return max(float(betaincinv(champion.wrong + 0.5, right + 0.5, _REFERENCE_QUANTILE)), _LEAST_ERROR_RATE)
