"""The rules that may ask for a training: each from what is on record to a finding; combined, and
held back.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lakehouse.retraining.policy.detection.detect import Detection
from lakehouse.settings import (
    PolicySettings,
    ScheduledRule,
    ShiryaevRobertsRule,
    ThresholdRule,
)

SINCE_CHANGE = "since_change"
"""Evidence of an alarm: labelled rows since the change that it dates."""
_STRONGER = math.log(10)
_MORE_ROWS = 1.5
"""An alarm whose challenger was refused is quiet until its evidence is ten times as strong and the
rows since the change are half as many again: a real change gets there within a batch or two, a
false one does not come back, and one that goes on is not tried every night."""
_LEAST_LABELLED = 30
"""Labels that a window needs to count: the standard error of a share is below a tenth from there
on."""


@dataclass(frozen=True)
class Window:
    """A metric of the champion in one window of event time; grain: version × window.

    Attributes:
        start: of the window.
        value: of the metric; NaN where it has none.
        labelled: rows with a label that it rests on.
    """

    start: np.datetime64
    value: float
    labelled: int


@dataclass(frozen=True)
class RefusedAlarm:
    """An alarm whose challenger the gate refused.

    Attributes:
        as_of: label batch of it.
        log_statistic: its evidence.
        change_at: the change that it dated.
        rows: labelled rows since that change, as of then.
    """

    as_of: np.datetime64
    log_statistic: float
    change_at: np.datetime64 | None
    rows: float


@dataclass(frozen=True)
class TrainingRequest:
    """What somebody asked for, and no decision has answered yet.

    Attributes:
        id: unique; a decision that answers it names it.
        who: asked.
        reason: in the words of who asked.
    """

    id: str
    who: str
    reason: str

    @property
    def words(self) -> str:
        """The request in a decision's reasons."""
        return f"{self.who} asked for a training: {self.reason} ({self.mark})"

    @property
    def mark(self) -> str:
        """What a decision's reasons name it by."""
        return f"request {self.id}"


@dataclass(frozen=True)
class TriggerInput:
    """What rules look at, as of a label batch.

    Attributes:
        as_of: newest label time that has landed.
        detection: Shiryaev-Roberts over the champion's drift period.
        hours: starts of the hours in which versions of the drift period predicted, ascending.
        labelled: by hour, labelled rows.
        wrong: by hour, how many of them were predicted wrong.
        metrics: by name, the champion's windows, ascending; accuracy is made from the hours where
            it is not given.
        trainings: as-of of earlier trainings, ascending.
        refused: the drift period's strongest alarm whose challenger the gate refused; None for
            none.
        requests: those that no decision has answered, in the order in which they came.
    """

    as_of: np.datetime64
    detection: Detection
    hours: np.ndarray
    labelled: np.ndarray
    wrong: np.ndarray
    metrics: Mapping[str, Sequence[Window]] = field(default_factory=dict)
    trainings: Sequence[np.datetime64] = ()
    refused: RefusedAlarm | None = None
    requests: Sequence[TrainingRequest] = ()

    def rows_since(self, moment: np.datetime64 | None) -> float:
        """Labelled rows of the hours from a moment on."""
        if moment is None:
            return 0.0
        return float(self.labelled[self.hours >= moment.astype("datetime64[h]")].sum())

    def windows(self, metric: str, width: dt.timedelta) -> Sequence[Window]:
        """The metric's windows; a window whose labels are not complete counts for what it has."""
        if metric in self.metrics or metric != "accuracy_score":
            return self.metrics.get(metric, ())
        return [
            Window(start, float(1 - wrong / rows), int(rows))
            for start, rows, wrong in zip(*self.sums(width), strict=True)
            if rows
        ]

    def sums(self, width: dt.timedelta) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start of the windows with hours, their labelled rows and their errors."""
        step = np.timedelta64(width).astype("timedelta64[s]").astype(int)
        starts, place = np.unique(
            self.hours.astype("datetime64[s]").astype(int) // step, return_inverse=True
        )
        rows, wrong = (
            np.bincount(place, each, len(starts)) for each in (self.labelled, self.wrong)
        )
        return (starts * step).astype("datetime64[s]"), rows, wrong


@dataclass(frozen=True)
class Finding:
    """What a rule says.

    Attributes:
        rule: its name.
        fires: whether it asks for a training.
        words: why, or why not.
        evidence: figures that it rests on.
        change_at: when the change began, where the rule can tell.
    """

    rule: str
    fires: bool
    words: str
    evidence: dict[str, float] = field(default_factory=dict)
    change_at: np.datetime64 | None = None


def shiryaev_roberts_rule(rule: ShiryaevRobertsRule, inputs: TriggerInput) -> Finding:
    """Fire where the Shiryaev-Roberts statistic exceeds the alarm."""
    found, log_alarm = inputs.detection, math.log(rule.alarm)
    evidence = {"log_statistic": found.log_statistic, "log_alarm": log_alarm}
    evidence[SINCE_CHANGE] = inputs.rows_since(found.change_at)
    strength = f"evidence e^{found.log_statistic:.1f}"
    if found.log_statistic <= log_alarm:
        words = f"no credible fall of accuracy: {strength} of e^{log_alarm:.1f}"
        return Finding(rule.rule, False, words, evidence)
    if inputs.refused is not None and _is_as_before(inputs.refused, inputs):
        words = f"the alarm stands, but no better model was found: {strength}"
        return Finding(rule.rule, False, words, evidence)
    words = f"accuracy fell: {strength} exceeds alarm, e^{log_alarm:.1f}"
    return Finding(rule.rule, True, words, evidence, found.change_at)


def _is_as_before(refused: RefusedAlarm, inputs: TriggerInput) -> bool:
    """Return whether there is not much more to learn from than when an alarm was refused."""
    found = inputs.detection
    if found.log_statistic <= refused.log_statistic + _STRONGER:
        return True
    is_another = found.change_at is not None and found.change_at > refused.as_of
    return not is_another and inputs.rows_since(refused.change_at) < _MORE_ROWS * refused.rows


def threshold_rule(rule: ThresholdRule, inputs: TriggerInput) -> Finding:
    """Fire where the newest window breaches the limit, and m of the last n do.

    Windows with fewer labels than asked for do not count, neither as breaches nor among the n.

    Three days of accuracy; the limit is .9, to be breached on two of the last three:

        >>> days = np.arange("2024-03-01", "2024-03-04", dtype="datetime64[D]")
        >>> windows = [Window(day, value, 100) for day, value in zip(days, (0.95, 0.88, 0.85))]
        >>> rule = ThresholdRule(
        ...     rule="threshold", metric="recall", limit=0.9, breaches=2, windows=3
        ... )
        >>> nothing = Detection(-np.inf, days[:0], np.empty(0))
        >>> inputs = TriggerInput(days[-1], nothing, days, days, days, {"recall": windows})
        >>> threshold_rule(rule, inputs).fires
        True
    """
    kept = [
        each
        for each in inputs.windows(rule.metric, rule.window)
        if each.labelled >= _LEAST_LABELLED
    ]
    if not kept:
        return Finding(
            "threshold", False, f"{rule.metric}: no window with {_LEAST_LABELLED} labels yet"
        )
    sign = -1 if rule.direction == "below" else 1
    limit = rule.limit if rule.limit is not None else kept[0].value + sign * (rule.change or 0)
    over = [sign * (each.value - limit) for each in kept]
    last = over[-rule.windows :]
    breaches = sum(each > 0 for each in last)
    fires = bool(last[-1] > 0 and breaches >= rule.breaches)
    words = (
        f"{rule.metric} {rule.direction} {limit:.4g} in {breaches} of the last {len(last)} "
        "windows, "
        f"newest {kept[-1].value:.4g} on {kept[-1].labelled} labels"
    )
    first = next(place for place, each in enumerate(last) if each > 0) if breaches else 0
    evidence = {"value": kept[-1].value, "limit": limit, "breaches": float(breaches)}
    return Finding(
        "threshold", fires, words, evidence, kept[-len(last) :][first].start if fires else None
    )


def scheduled_rule(rule: ScheduledRule, inputs: TriggerInput) -> Finding:
    """Fire so long after the last training."""
    if not inputs.trainings:
        return Finding("scheduled", False, "no training yet")
    passed = inputs.as_of - inputs.trainings[-1]
    days = float(passed / np.timedelta64(1, "D"))
    return Finding(
        "scheduled",
        bool(passed >= np.timedelta64(rule.every)),
        f"{days:.1f} days since the last training",
        {"days": days},
    )


def unanswered(
    requests: Sequence[TrainingRequest], answers: Iterable[str]
) -> list[TrainingRequest]:
    """The requests that no decision has answered.

    Args:
        requests: all that are known.
        answers: reasons of the decisions that asked for a training.
    """
    told = "\n".join(answers)
    return [request for request in requests if request.mark not in told]


_RULES: dict[type, Callable[[Any, TriggerInput], Finding]] = {
    ShiryaevRobertsRule: shiryaev_roberts_rule,
    ThresholdRule: threshold_rule,
    ScheduledRule: scheduled_rule,
}


def findings(settings: PolicySettings, inputs: TriggerInput) -> list[Finding]:
    """Ask each trigger, in the order of the settings."""
    return [_RULES[type(rule)](rule, inputs) for rule in settings.rules]


def first_firing(found: Sequence[Finding]) -> Finding | None:
    """Join the findings that ask for a training; None where there are none.

    The change point is the first that one of them can tell.
    """
    firing = [each for each in found if each.fires]
    if not firing:
        return None
    at = next((each.change_at for each in firing if each.change_at is not None), None)
    evidence = {key: value for each in reversed(firing) for key, value in each.evidence.items()}
    words = "; ".join(each.words for each in firing)
    return Finding("+".join(each.rule for each in firing), True, words, evidence, at)


def held_back(cool_down: dt.timedelta | None, inputs: TriggerInput) -> str | None:
    """Return why no training may be made now; None where one may."""
    if cool_down is None or not inputs.trainings:
        return None
    since = inputs.as_of - inputs.trainings[-1]
    if since < np.timedelta64(cool_down):
        return f"cooling down: {since / np.timedelta64(1, 'h'):.0f} h since the last training"
    return None
