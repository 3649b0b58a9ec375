"""What a rollout changes in the loop: which winner has to show itself first, and what waits."""

from dataclasses import replace

from lakehouse.instants import instant
from lakehouse.retraining.policy.decide import (
    KEEP,
    REFRESH,
    RETRAIN,
    TRAIN_FIRST,
    WAIT,
    Decision,
)
from lakehouse.rollouts.state import Rollout
from lakehouse.settings import RolloutSettings

HELD_FOR_ROLLOUT = "rollout"


def is_rolled_out(decision: Decision, has_champion: bool, settings: RolloutSettings) -> bool:
    """Whether the winner of a decision has to show itself first.

    The first model has not; an alarm's winner where `at_alarm` says so.
    """
    if not settings.is_gradual or not has_champion:
        return False
    return decision.action != RETRAIN or settings.at_alarm == "rollout"


def held_for_rollout(decision: Decision, rollout: Rollout | None) -> Decision:
    """The decision; one that waits while a rollout runs trains nothing.

    A refresh waits. An alarm does not, unless the version that is rolled out was trained for an
    alarm, and nothing has changed since: the champion is still wrong, and would raise it each
    night.
    """
    if rollout is None or not decision.retrain:
        return decision
    began = instant(rollout.began)
    is_new = decision.change_at is not None and decision.change_at > began
    if decision.action != REFRESH and (is_new or not rollout.answers_alarm):
        return decision
    since = f"{rollout.began:%Y-%m-%d %H:%M}"
    words = f"version {rollout.challenger} is rolled out since {since}"
    return held(decision, HELD_FOR_ROLLOUT, words)


def held(decision: Decision, rule: str, words: str) -> Decision:
    """One that trains nothing; what was asked for stays among the reasons."""
    action = WAIT if decision.action == TRAIN_FIRST else KEEP
    return replace(decision, action=action, rule=rule, reasons=(words, *decision.reasons))
