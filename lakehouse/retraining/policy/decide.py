"""What is to be done as of a label batch: a pure function of recorded evidence."""

from dataclasses import dataclass, field

import numpy as np

from lakehouse.retraining.policy.records import VersionRecord
from lakehouse.retraining.policy.triggers import (
    Finding,
    TriggerInput,
    combined,
    findings,
    held_back,
    is_overdue,
)
from lakehouse.settings import PolicySettings

WAIT, TRAIN_FIRST, KEEP, RETRAIN, REFRESH = "wait", "train_first", "keep", "retrain", "refresh"


@dataclass(frozen=True)
class DecisionInput:
    """What is known as of a label batch.

    Attributes:
        as_of: newest label time that has landed.
        champion: record of the version in production; None before the first.
        labelled: labelled rows since the champion's change point; of all time, where there is none.
        tried: how many they were at the last training of the champion's drift period, promoted or
            refused.
        record: what rules look at; None before the first champion.
        refused: whether an alarm's challenger was refused as of this same batch: what is left is
            the refresh.
    """

    as_of: np.datetime64
    champion: VersionRecord | None
    labelled: int
    tried: int = 0
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
        sure: whether a rule is sure by itself; where not, it is the challenger that proves the
            change.
    """

    action: str
    rule: str
    reasons: tuple[str, ...]
    evidence: dict[str, float] = field(default_factory=dict)
    change_at: np.datetime64 | None = None
    change_between: tuple[np.datetime64, np.datetime64] | None = None
    confidence: float = 0.0
    sure: bool = True

    @property
    def retrain(self) -> bool:
        """Whether a new model is to be trained."""
        return self.action in (TRAIN_FIRST, RETRAIN, REFRESH)


def decide(inputs: DecisionInput, first_after: int, settings: PolicySettings) -> Decision:
    """An alarm first, then the safety net, then a refresh by growth, then nothing.

    Args:
        inputs: what is known.
        first_after: labelled rows before the first model is trained.
        settings: of the policy.
    """
    champion, record = inputs.champion, inputs.record
    if champion is None or record is None:
        return _first(inputs.labelled, first_after)
    found = findings(settings, record)
    alarm = None if inputs.refused else combined(found, settings.combine)
    decision = (
        _retrain(alarm, record, settings) if alarm else _refresh(inputs, champion, record, settings)
    )
    held = held_back(settings.guards, record)
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


def _retrain(alarm: Finding, record: TriggerInput, settings: PolicySettings) -> Decision:
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
    confidence = settings.gate.confidence if alarm.sure else settings.gate.suspicion_confidence
    return Decision(
        RETRAIN,
        alarm.rule,
        (alarm.words + when,),
        alarm.evidence,
        acted_on,
        between,
        confidence,
        alarm.sure,
    )


def _refresh(
    inputs: DecisionInput, champion: VersionRecord, record: TriggerInput, settings: PolicySettings
) -> Decision | None:
    """Train again when there is much more to learn from, or when the safety net asks for it.

    By growth: the rows since the change have grown by the factor since the last training. A young
    champion is trained again with each batch, an old one ever more rarely: trainings grow with the
    logarithm of the rows.
    """
    gate = settings.gate
    needed = gate.moving_confidence if champion.row_rule.is_moving else gate.least_confidence
    evidence = {"labelled": float(inputs.labelled), "tried": float(inputs.tried)}
    if is_overdue(settings.guards, record):
        words = f"no training since {_minute(record.trainings[-1])}"
        return Decision(
            REFRESH, "safety_net", (words,), evidence, champion.changed_at, confidence=needed
        )
    if champion.row_rule.is_moving:
        is_due = inputs.labelled > inputs.tried
    else:
        is_due = settings.growth is not None and inputs.labelled >= inputs.tried * settings.growth
    if not is_due:
        return None
    words = f"{inputs.labelled} labelled rows since the change, {inputs.tried} at the last training"
    return Decision(REFRESH, "growth", (words,), evidence, champion.changed_at, confidence=needed)


def _minute(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[m]")).replace("T", " ")
