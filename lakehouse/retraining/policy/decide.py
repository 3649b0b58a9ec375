"""What is to be done as of a label batch: a pure function of recorded evidence."""

from dataclasses import dataclass, field, replace

import numpy as np

from lakehouse.retraining.policy.records import VersionRecord
from lakehouse.retraining.policy.triggers import (
    Finding,
    TriggerInput,
    findings,
    first_firing,
    held_back,
)
from lakehouse.settings import PolicySettings

WAIT, TRAIN_FIRST, KEEP, RETRAIN, REFRESH = "wait", "train_first", "keep", "retrain", "refresh"

REQUESTED = "requested"
"""The rule of a training that somebody asked for."""


@dataclass(frozen=True)
class DecisionInput:
    """What is known as of a label batch.

    Attributes:
        as_of: newest label time that has landed.
        champion: record of the version in production; None before the first.
        labelled: labelled rows since the champion's change point; of all time, where there is none.
        due: how many they must be for a refresh; None where none is made.
        record: what rules look at; None before the first champion.
        refused: whether an alarm's challenger was refused as of this same batch: what is left is
            the refresh.
    """

    as_of: np.datetime64
    champion: VersionRecord | None
    labelled: int
    due: float | None = None
    record: TriggerInput | None = None
    refused: bool = False


@dataclass(frozen=True)
class Decision:
    """What is to be done, by which rule, with which figures.

    Attributes:
        action: wait, train_first, keep, retrain or refresh.
        rule: that decided.
        reasons: in words.
        evidence: figures that it rests on.
        change_at: when the change began, by the evidence; None if none is seen.
        change_between: 90 % credible interval of that.
        confidence: P(challenger better) that the gate asks for.
    """

    action: str
    rule: str
    reasons: tuple[str, ...]
    evidence: dict[str, float] = field(default_factory=dict)
    change_at: np.datetime64 | None = None
    change_between: tuple[np.datetime64, np.datetime64] | None = None
    confidence: float = 0.0

    @property
    def retrain(self) -> bool:
        """Whether a new model is to be trained."""
        return self.action in (TRAIN_FIRST, RETRAIN, REFRESH)


def decide(inputs: DecisionInput, first_after: int, settings: PolicySettings) -> Decision:
    """An alarm first, then what was asked for, then a refresh that is expected to earn its price.

    An alarm's training answers the requests, too. A request does not wait for a cool-down's end.

    Args:
        inputs: what is known.
        first_after: labelled rows before the first model is trained.
        settings: of the policy.
    """
    champion, record = inputs.champion, inputs.record
    if champion is None or record is None:
        return _first(inputs.labelled, first_after)
    found = findings(settings, record)
    alarm = None if inputs.refused else first_firing(found)
    decision: Decision | None
    if alarm:
        decision = _asked_besides(_retrain(alarm, inputs, record, settings), record)
    else:
        decision = _requested(inputs, champion, record, settings) or _refresh(
            inputs, champion, settings
        )
    held = None if record.requests else held_back(settings.cool_down, record)
    if decision and not held:
        return decision
    words = tuple(each.words for each in found)
    evidence = {key: value for each in reversed(found) for key, value in each.evidence.items()}
    if decision:
        why, since, between = decision.reasons[0], decision.change_at, decision.change_between
        others = (each for each in words if each not in why)
        return Decision(KEEP, "held_back", (f"{held}; {why}", *others), evidence, since, between)
    return Decision(KEEP, "+".join(each.rule for each in found), words, evidence)


def _first(labelled: int, first_after: int) -> Decision:
    words = f"{labelled} of {first_after} labelled rows have come for the first model"
    evidence = {"labelled": float(labelled), "first_after": float(first_after)}
    return Decision(
        TRAIN_FIRST if labelled >= first_after else WAIT, "first_model", (words,), evidence
    )


def _retrain(
    alarm: Finding, inputs: DecisionInput, record: TriggerInput, settings: PolicySettings
) -> Decision:
    """Return what a rule asks for; where it cannot tell since when, the most probable beginning is
    taken.

    Where the rows to train on do not depend on the change, it is not acted on, and stands in the
    reasons alone.
    """
    change_at = alarm.change_at if alarm.change_at is not None else record.detection.change_at
    between = record.detection.interval()
    when = (
        ""
        if change_at is None or between is None
        else (
            f", most probably since {_minute(change_at)} (90 %: {_minute(between[0])} to "
            f"{_minute(between[1])})"
        )
    )
    acted_on = change_at if settings.candidates.rows == "adaptive" else None
    return Decision(
        RETRAIN,
        alarm.rule,
        (alarm.words + when,),
        alarm.evidence | {"labelled": float(inputs.labelled)},
        acted_on,
        between,
        settings.gate.confidence,
    )


def _requested(
    inputs: DecisionInput, champion: VersionRecord, record: TriggerInput, settings: PolicySettings
) -> Decision | None:
    """Train again because somebody asked for it; the rows are those of a refresh."""
    if not record.requests:
        return None
    return Decision(
        REFRESH,
        REQUESTED,
        tuple(request.words for request in record.requests),
        {"labelled": float(inputs.labelled), "requests": float(len(record.requests))},
        champion.changed_at,
        confidence=settings.gate.least_confidence,
    )


def _asked_besides(decision: Decision, record: TriggerInput) -> Decision:
    """The decision, with the requests that its training answers."""
    words = tuple(request.words for request in record.requests)
    return replace(decision, reasons=(*decision.reasons, *words))


def _refresh(
    inputs: DecisionInput, champion: VersionRecord, settings: PolicySettings
) -> Decision | None:
    """Train again once so many labels have come that it is expected to earn its price (see
    `refresh.due_at`).
    """
    if settings.price is None or inputs.due is None or inputs.labelled < inputs.due:
        return None
    evidence = {"labelled": float(inputs.labelled), "due": float(inputs.due)}
    words = (
        f"{inputs.labelled} labelled rows since the change, {inputs.due:.0f} asked for: training "
        f"again is expected to avoid {settings.price:g} errors or more until the next time"
    )
    return Decision(
        REFRESH,
        "price",
        (words,),
        evidence,
        champion.changed_at,
        confidence=settings.gate.least_confidence,
    )


def _minute(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[m]")).replace("T", " ")
