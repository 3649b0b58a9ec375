"""The state machine of an alert: ok, pending, firing, recovering, and no data. Pure.

It steps from window to window. Nothing but the windows and the state before decides.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lakehouse.settings import AlertRuleSettings, WindowCount


class Status(StrEnum):
    """Where an alert stands."""

    OK = "ok"
    PENDING = "pending"
    """The condition holds, in too few windows so far."""
    FIRING = "firing"
    RECOVERING = "recovering"
    """Still firing; the condition is over, in too few windows so far."""
    NO_DATA = "no_data"
    """Not firing, and nobody can say whether it should."""

    @property
    def told(self) -> "Status":
        """What of it is said: pending is ok, recovering is firing."""
        return {Status.PENDING: Status.OK, Status.RECOVERING: Status.FIRING}.get(self, self)


@dataclass(frozen=True)
class Step:
    """One window of a rule on one subject.

    Attributes:
        begins: whether the condition holds by its limits; None: data are missing.
        goes_on: the same by its recovery limits.
        escalates: whether the condition of the escalation holds.
        figures: values of the metrics; those that are missing are left out.
        detail: more in words.
    """

    start: dt.datetime
    end: dt.datetime
    begins: bool | None
    goes_on: bool | None
    escalates: bool | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    detail: str = ""

    @property
    def is_of_now(self) -> bool:
        """Whether it is no window, but a moment."""
        return self.start == self.end


@dataclass(frozen=True)
class State:
    """An alert after a step.

    Attributes:
        began_at: end of the window since which it is firing, or without data; None if it is ok.
        changed_at: end of the window in which it last began or ended; None before that.
        seen_to: end of the newest window that it was stepped through.
    """

    status: Status = Status.OK
    began_at: dt.datetime | None = None
    changed_at: dt.datetime | None = None
    seen_to: dt.datetime | None = None


def follow(
    state: State, steps: Sequence[Step], rule: AlertRuleSettings
) -> Iterator[tuple[State, Step]]:
    """The state after each window that is newer than what the state has seen.

    With two of three windows to fire and to recover, and limits 2 and 1:

        >>> from lakehouse.settings import AlertRuleSettings
        >>> rule = AlertRuleSettings.model_validate(
        ...     {"name": "slow", "metric": "s", "above": 2, "recovers_below": 1,
        ...      "for": "2 of 3 windows"})
        >>> days = [dt.datetime(2024, 3, day, tzinfo=dt.UTC) for day in range(1, 9)]
        >>> values = [0.5, 3, 1.5, 3, 1.5, 0.5, 0.5]
        >>> steps = [Step(start, end, value > 2, value >= 1)
        ...          for start, end, value in zip(days, days[1:], values)]
        >>> [str(state.status) for state, _ in follow(State(), steps, rule)]
        ['ok', 'pending', 'ok', 'firing', 'firing', 'recovering', 'ok']

    Args:
        state: before the first of them.
        steps: in order of time. Older ones count towards m of n windows.
        rule: how many windows it takes.
    """
    for place, step in enumerate(steps):
        if state.seen_to is not None and step.end <= state.seen_to:
            continue
        state = _after(state, steps[: place + 1], rule)
        yield state, step


def _after(state: State, steps: Sequence[Step], rule: AlertRuleSettings) -> State:
    newest = steps[-1]
    status = _next(state, steps, rule)
    after = replace(state, status=status, seen_to=newest.end)
    if status.told == state.status.told:
        return after
    began = None if status.told == Status.OK else newest.end
    return replace(after, began_at=began, changed_at=newest.end)


def _next(state: State, steps: Sequence[Step], rule: AlertRuleSettings) -> Status:
    newest = steps[-1]
    if state.status.told == Status.FIRING:
        if newest.goes_on is None:
            return state.status  # what is not known ends nothing
        if newest.goes_on:
            return Status.FIRING
        over = [step.goes_on is False for step in _since(state.changed_at, steps)]
        return Status.OK if _enough(over, rule.recovers_for or rule.for_) else Status.RECOVERING
    if newest.begins is None:
        silent = rule.missing_after is not None and _missing(steps) >= rule.missing_after
        return Status.NO_DATA if silent else state.status
    if not newest.begins:
        return Status.OK
    held = [step.begins is True for step in _since(state.changed_at, steps)]
    return Status.FIRING if _enough(held, rule.for_) else Status.PENDING


def _since(changed_at: dt.datetime | None, steps: Sequence[Step]) -> list[Step]:
    """The steps after the last change: what led to it counts no second time."""
    return [step for step in steps if changed_at is None or step.is_of_now or step.end > changed_at]


def _enough(windows: Sequence[bool], count: WindowCount) -> bool:
    return sum(windows[-count.n :]) >= count.m


def _missing(steps: Sequence[Step]) -> int:
    """How many of the newest windows have no data."""
    for place, step in enumerate(reversed(steps)):
        if step.begins is not None:
            return place
    return len(steps)
