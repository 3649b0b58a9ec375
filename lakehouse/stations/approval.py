"""Approval: with `approval: manual`, a challenger that passes the gate waits for a person's word."""

from dataclasses import replace
from typing import TypeVar

from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import answer, waiting_for_approval
from lakehouse.steps import decide as margins
from lakehouse.steps.policy import decide as policy

RULE = "approval"
AnyDecision = TypeVar("AnyDecision", policy.Decision, margins.Decision)


def unless_held(lakehouse: Lakehouse, decision: AnyDecision) -> AnyDecision:
    """The decision; while a challenger waits for a person, nothing is trained, and what was asked for is a reason."""
    waiting = waiting_for_approval(lakehouse) if lakehouse.model.approval == "manual" and decision.retrain else None
    if waiting is None:
        return decision
    words = f"version {waiting['to_version']} waits for approval since {waiting['as_of']:%Y-%m-%d %H:%M}"
    action = policy.WAIT if decision.action == policy.TRAIN_FIRST else policy.KEEP
    return replace(decision, action=action, rule=RULE, reasons=(words, *decision.reasons))


def decide_on_waiting(lakehouse: Lakehouse, approved: bool, who: str, reason: str, version: str | None = None) -> str:
    """Promotes or refuses the version that waits, on record first; returns it (see `promotion.answer`)."""
    with lakehouse.store.writing(lakehouse.catalog.promotion):
        return answer(lakehouse, approved, who, reason, version)
