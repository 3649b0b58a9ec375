"""The policy's settings: when to retrain, on which rows, who may take over (docs/policy.md)."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lakehouse.settings.base import Name, Settings, Span


class ShiryaevRobertsRule(Settings):
    """Labelled errors, by prediction and expected error, say that the champion became worse."""

    rule: Literal["shiryaev_roberts"] = "shiryaev_roberts"
    alarm: Annotated[float, Field(gt=1)] = 15_000.0
    suspicion: Annotated[float, Field(gt=1)] | None = None
    memory: Span = dt.timedelta(days=56)
    recall: Span | None = dt.timedelta(days=7)

    @model_validator(mode="after")
    def _suspicion_comes_first(self) -> "ShiryaevRobertsRule":
        if self.suspected > self.alarm:
            raise ValueError("suspicion is above alarm; write a smaller one, or none")
        return self

    @property
    def suspected(self) -> float:
        """Where a surer challenger may prove the change: by default, the alarm itself."""
        return self.alarm if self.suspicion is None else self.suspicion


class ThresholdRule(Settings):
    """A metric of the model breaches a limit in the newest window, and in m of the last n."""

    rule: Literal["threshold"]
    metric: Name = "accuracy_score"
    direction: Literal["below", "above"] = "below"
    limit: float | None = None
    change: Annotated[float, Field(gt=0)] | None = None
    window: Span = dt.timedelta(days=1)
    breaches: Annotated[int, Field(ge=1)] = 1
    windows: Annotated[int, Field(ge=1)] = 1
    least_labelled: Annotated[int, Field(ge=1)] = 30
    hysteresis: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _one_limit(self) -> "ThresholdRule":
        if (self.limit is None) == (self.change is None):
            raise ValueError(
                "write either `limit` (a value) or `change` (from the model's first window), not "
                "both"
            )
        if self.breaches > self.windows:
            raise ValueError("breaches is above windows; write m <= n")
        return self


class ScheduledRule(Settings):
    """So long after the last training, whatever the figures."""

    rule: Literal["scheduled"]
    every: Span


class PageHinkleyRule(Settings):
    """Page-Hinkley test on the labelled errors, in the order of their events."""

    rule: Literal["page_hinkley"]
    tolerance: Annotated[float, Field(ge=0)] = 0.01
    threshold: Annotated[float, Field(gt=0)] = 12.0


class AdwinRule(Settings):
    """ADWIN's cut test on the labelled errors, window by window."""

    rule: Literal["adwin"]
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.002
    window: Span = dt.timedelta(days=1)


Rule = Annotated[
    ShiryaevRobertsRule | ThresholdRule | ScheduledRule | PageHinkleyRule | AdwinRule,
    Field(discriminator="rule"),
]


class GuardSettings(Settings):
    """What holds a rule back, or trains without one."""

    cool_down: Span | None = None
    most_a_week: Annotated[int, Field(ge=1)] | None = None
    safety_net: Span | None = None


class CandidateSettings(Settings):
    """On which rows a model may be trained after a change."""

    rows: Literal["adaptive", "everything", "newest"] = "adaptive"
    newest: Span = dt.timedelta(days=7)
    new_weight: Annotated[float, Field(ge=1)] = 3.0
    least_rows: Annotated[int, Field(ge=2)] = 40
    archived: Annotated[int, Field(ge=0)] = 4
    preference: Annotated[float, Field(ge=0.5, lt=1)] = 0.9
    moving: Span | None = dt.timedelta(days=6)


class GateSettings(Settings):
    """What a challenger must show.

    Attributes:
        first_gain: how much better than no model the first one must be, in accuracy or R².
        first_right: share of rows that the first one must be right on at least.
    """

    first_gain: Annotated[float, Field(ge=0, lt=1)] = 0.05
    first_right: Annotated[float, Field(ge=0, lt=1)] = 0.1
    confidence: Annotated[float, Field(ge=0, lt=1)] = 0.6
    suspicion_confidence: Annotated[float, Field(ge=0, lt=1)] = 0.99
    least_confidence: Annotated[float, Field(ge=0, lt=1)] = 0.4
    moving_confidence: Annotated[float, Field(ge=0, lt=1)] = 0.1
    slice_fall: Annotated[float, Field(ge=0, le=1)] = 0.05
    milliseconds_per_thousand: Annotated[float, Field(gt=0)] | None = None


class ProbationSettings(Settings):
    """How long a new champion is compared with the last, and how sure a rollback must be."""

    rows: Annotated[int, Field(ge=0)] = 400
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99


class OutageSettings(Settings):
    """When missing labels are an alarm of their own."""

    least_coverage: Annotated[float, Field(gt=0, le=1)] = 0.5
    patience: Span = dt.timedelta(days=1)


class PolicySettings(Settings):
    """When to retrain, on which rows, who may take over; the defaults measured best."""

    rules: Annotated[tuple[Rule, ...], Field(min_length=1)] = (ShiryaevRobertsRule(),)
    combine: Literal["any", "all"] = "any"
    guards: GuardSettings = GuardSettings()
    candidates: CandidateSettings = CandidateSettings()
    gate: GateSettings = GateSettings()
    growth: Annotated[float, Field(gt=1)] | None = 1.25
    probation: ProbationSettings = ProbationSettings()
    outage: OutageSettings = OutageSettings()

    @property
    def detector(self) -> ShiryaevRobertsRule:
        """The rule that dates changes: as configured, else with its defaults."""
        detectors = (rule for rule in self.rules if isinstance(rule, ShiryaevRobertsRule))
        return next(detectors, ShiryaevRobertsRule())
