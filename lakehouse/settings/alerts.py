"""Alerts of a model: rules over its metrics, and the channels that events go to (docs/alerts.md).

Names are Alertmanager's and PagerDuty's where they have one.
"""

import datetime as dt
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lakehouse.settings.base import Name, Settings, Span, checked_once
from lakehouse.settings.metrics import Width

Severity = Literal["info", "warning", "error", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "critical")
"""As PagerDuty names them, the least first."""
LedgerEventName = Literal[
    "model_version.promoted",
    "model_version.refused",
    "model_version.pending",
    "model_version.rolled_back",
    "rollout.started",
    "rollout.stepped",
    "rollout.aborted",
    "rollout.finished",
    "training.asked",
]
LEDGER_EVENTS: tuple[LedgerEventName, ...] = get_args(LedgerEventName)
"""What ledgers say, by entity and action, as MLflow names events of its registry."""
EVERY_FEATURE = "*"
"""As a `column`: the rule stands for one of each feature."""
_WINDOWS = re.compile(r"(?:(\d{1,3}) of )?(\d{1,3}) windows?")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


class WindowCount(Settings):
    """So many of so many newest windows, the newest among them: `2 of 3 windows`."""

    m: Annotated[int, Field(ge=1)]
    n: Annotated[int, Field(ge=1)]


def _window_count(given: Any) -> Any:
    if isinstance(given, WindowCount | dict):
        return given
    match = _WINDOWS.fullmatch(str(given))
    if not match or not 1 <= int(match[1] or match[2]) <= int(match[2]):
        raise ValueError("write so many of so many windows, such as `2 of 3 windows`")
    return {"m": int(match[1] or match[2]), "n": int(match[2])}


def _checked_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        # Not repeated by a message of ours: it may be the secret itself.
        raise ValueError("write the name of an environment variable, such as `SLACK_WEBHOOK`")
    return name


Windows = Annotated[WindowCount, BeforeValidator(_window_count)]
Variable = Annotated[str, AfterValidator(_checked_variable)]


class ConditionSettings(Settings):
    """A metric beyond a limit, or conditions joined by `all`, `any` and `not`.

    Attributes:
        metric: its name; docs/alerts.md lists them.
        column: of the metric tables; `*` for each feature; `:table` without it.
        slice_key: of the metric tables, as is `slice_value`; the whole table without it.
        drift_type: reference of a drift metric.
        above: or `below`: the condition holds beyond this limit.
        recovers_below: or `recovers_above`: it goes on to hold until this one is passed.
    """

    metric: str | None = None
    column: str | None = None
    slice_key: str | None = None
    slice_value: str | None = None
    drift_type: Literal["BASELINE", "CONSECUTIVE", "BASELINE_TABLE"] = "BASELINE"
    above: float | None = None
    below: float | None = None
    recovers_below: float | None = None
    recovers_above: float | None = None
    all: tuple["ConditionSettings", ...] = ()
    any: tuple["ConditionSettings", ...] = ()
    not_: "ConditionSettings | None" = Field(None, alias="not")

    @model_validator(mode="after")
    def _is_one_thing(self) -> "ConditionSettings":
        kinds = [self.metric is not None, bool(self.all), bool(self.any), self.not_ is not None]
        if sum(kinds) != 1:
            raise ValueError("write one of `metric`, `all`, `any` or `not`")
        if self.metric is None:
            if self.above is not None or self.below is not None:
                raise ValueError("above and below: write them beside a `metric`")
            return self
        if (self.above is None) == (self.below is None):
            raise ValueError("write either `above` or `below`, not both")
        self._check_recovery()
        return self

    def _check_recovery(self) -> None:
        if self.above is not None:
            if self.recovers_above is not None:
                raise ValueError("recovers_above: write `recovers_below` beside `above`")
            if self.recovers_below is not None and self.recovers_below > self.above:
                raise ValueError("recovers_below is above `above`; exchange them")
        if self.below is not None:
            if self.recovers_below is not None:
                raise ValueError("recovers_below: write `recovers_above` beside `below`")
            if self.recovers_above is not None and self.recovers_above < self.below:
                raise ValueError("recovers_above is below `below`; exchange them")

    @property
    def parts(self) -> tuple["ConditionSettings", ...]:
        """The conditions that this one joins; none where it is a metric's."""
        return (*self.all, *self.any, *((self.not_,) if self.not_ else ()))

    @property
    def leaves(self) -> tuple["ConditionSettings", ...]:
        """The conditions on single metrics that it consists of."""
        if self.metric is not None:
            return (self,)
        return tuple(leaf for part in self.parts for leaf in part.leaves)


class EscalationSettings(Settings):
    """When a firing alert gets another severity: after some time, or under a condition."""

    severity: Severity
    after: Span | None = None
    when: ConditionSettings | None = None

    @model_validator(mode="after")
    def _has_a_reason(self) -> "EscalationSettings":
        if (self.after is None) == (self.when is None):
            raise ValueError("write either `after` or `when`, not both")
        return self


class AlertRuleSettings(ConditionSettings):
    """A condition that somebody is told of.

    Attributes:
        for_: in how many windows it must hold before the alert fires.
        recovers_for: in how many it must be over before the alert is resolved; as `for`.
        missing_after: windows without data after which the alert says so; None for never.
        missing_severity: of that.
        granularity: width of the windows; a day without it, or the model's first.
        inhibited_by: rules that tell the cause: while one fires, this one is held.
        summary: what is the matter, in a few words.
        runbook: address of what to do about it.
    """

    name: Name
    for_: Windows = Field(WindowCount(m=1, n=1), alias="for")
    recovers_for: Windows | None = None
    missing_after: Annotated[int, Field(ge=1)] | None = 3
    missing_severity: Severity = "warning"
    severity: Severity = "warning"
    escalate: EscalationSettings | None = None
    granularity: Width | None = None
    inhibited_by: tuple[Name, ...] = ()
    summary: str = ""
    runbook: str = ""

    @property
    def every_leaf(self) -> tuple[ConditionSettings, ...]:
        """The conditions on single metrics, those of the escalation among them."""
        when = self.escalate.when if self.escalate else None
        return (*self.leaves, *(when.leaves if when else ()))


class FlappingSettings(Settings):
    """When an alert changes so often that it is said once, and then held.

    Attributes:
        changes: from firing to resolved, or back.
        windows: in which they come; without a change for a quarter of them it is steady again.
    """

    changes: Annotated[int, Field(ge=2)] = 6
    windows: Annotated[int, Field(ge=4)] = 24


class ChannelSettings(Settings):
    """A receiver. Its secrets stand in environment variables, whose names stand here.

    Attributes:
        name: unique; the kind without it.
        severity: what it is told of; everything without it.
        key_from: variable with PagerDuty's routing key.
        url_from: variable with the address: of Slack's or your webhook, of PagerDuty where it is
            not the usual one, of the mail server (`smtp://user:password@host:587`), of any
            receiver that Apprise knows.
        token_from: variable with a bearer token for the webhook.
        secret_from: variable with the secret that signs events of ledgers; or `secret_file`, a
            file that nobody else may read.
        events: of ledgers, that it is told of; everything without it.
        sender: of e-mails, as `to` is of their receivers.
    """

    kind: Literal["pagerduty", "slack", "email", "webhook", "apprise", "events"]
    name: Name = ""
    severity: Annotated[tuple[Severity, ...], AfterValidator(checked_once)] = SEVERITIES
    key_from: Variable | None = None
    url_from: Variable | None = None
    token_from: Variable | None = None
    secret_from: Variable | None = None
    secret_file: str | None = None
    events: Annotated[tuple[LedgerEventName, ...], AfterValidator(checked_once)] = LEDGER_EVENTS
    sender: str | None = None
    to: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_kind(cls, given: Any) -> Any:
        return {"name": given.get("kind"), **given} if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "ChannelSettings":
        needed = {
            "pagerduty": ("key_from",),
            "slack": ("url_from",),
            "webhook": ("url_from",),
            "apprise": ("url_from",),
            "events": ("url_from",),
            "email": ("url_from", "sender", "to"),
        }[self.kind]
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise ValueError(f"{', '.join(missing)}: is missing; write it for {self.kind}")
        of_events = {"secret_from", "secret_file", "events"} & self.model_fields_set
        if self.kind != "events" and of_events:
            raise ValueError(
                f"{', '.join(sorted(of_events))}: write it for the kind `events` alone"
            )
        if self.kind == "events":
            if (self.secret_from is None) == (self.secret_file is None):
                raise ValueError("write either `secret_from` or `secret_file`, not both")
            if "severity" in self.model_fields_set:
                raise ValueError("severity: events of ledgers have none; choose by `events`")
        return self

    @property
    def is_of_ledgers(self) -> bool:
        """Whether it is told of what ledgers say, and not of alerts."""
        return self.kind == "events"


class AlertSettings(Settings):
    """Who is told of what.

    Attributes:
        rules: the model's own; one with the name of a default rule takes its place.
        without: default rules that are left out.
        group_by: labels; alerts that share them come in one message.
        repeat_after: a reminder while an alert is open.
        max_age: what is older is not looked at, and not sent.
        dashboard: address of a page that events link to.
    """

    rules: Annotated[tuple[AlertRuleSettings, ...], AfterValidator(checked_once)] = ()
    without: tuple[Name, ...] = ()
    group_by: tuple[Literal["model", "severity", "alertname", "column"], ...] = (
        "model",
        "severity",
    )
    repeat_after: Span = dt.timedelta(days=3)
    max_age: Span = dt.timedelta(days=3)
    flapping: FlappingSettings = FlappingSettings()
    dashboard: str = ""
    channels: Annotated[tuple[ChannelSettings, ...], AfterValidator(checked_once)] = ()
