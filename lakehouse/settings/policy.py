"""When to retrain, on which rows, and who may take over: the settings of the policy
(docs/policy-settings.md).
"""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lakehouse.settings.base import Name, Settings, Span
from lakehouse.settings.checks import CheckSettings


class ShiryaevRobertsRule(Settings):
    """Labelled errors, by prediction and expected error, say that the champion became worse.

    Attributes:
        alarm: rows that pass between two false alarms, on average, at least.
        memory: how far back from the newest label a change is looked for.
    """

    rule: Literal["shiryaev_roberts"] = "shiryaev_roberts"
    alarm: Annotated[float, Field(gt=1)] = 15_000.0
    memory: Span = dt.timedelta(days=56)


class ThresholdRule(Settings):
    """A metric of the model breaches a limit in the newest window, and in m of the last n.

    Attributes:
        metric: its name.
        direction: the bad side of the limit.
        limit: a value of the metric.
        change: the limit, told by the distance from the champion's first window.
        window: width of a window.
        breaches: m.
        windows: n.
    """

    rule: Literal["threshold"]
    metric: Name = "accuracy_score"
    direction: Literal["below", "above"] = "below"
    limit: float | None = None
    change: Annotated[float, Field(gt=0)] | None = None
    window: Span = dt.timedelta(days=1)
    breaches: Annotated[int, Field(ge=1)] = 1
    windows: Annotated[int, Field(ge=1)] = 1

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


Rule = Annotated[ShiryaevRobertsRule | ThresholdRule | ScheduledRule, Field(discriminator="rule")]


class CandidateSettings(Settings):
    """On which rows a model may be trained.

    Attributes:
        rows: `adaptive` compares candidates; `everything` and `newest` (the first of the windows)
            take those rows without a comparison.
        windows: stretches of the newest rows that are compared.
        preference: how probably a candidate must be better than the ones before it.
    """

    rows: Literal["adaptive", "everything", "newest"] = "adaptive"
    windows: Annotated[tuple[Span, ...], Field(min_length=1)] = (
        dt.timedelta(days=30),
        dt.timedelta(days=7),
        dt.timedelta(days=3),
    )
    preference: Annotated[float, Field(ge=0.5, lt=1)] = 0.9


class GateSettings(Settings):
    """What a challenger must show.

    Attributes:
        first_gain: share of the errors of "no model" that the first model must avoid: of classes,
            of always predicting the majority; of numbers, R².
        confidence: how probably it must be better at an alarm.
        least_confidence: below which probability of being better it is refused at a refresh.
        slice_fall: how much worse it may be in a slice, as a share of the rows.
        milliseconds_per_thousand: how long it may take to score a thousand rows.
    """

    first_gain: Annotated[float, Field(ge=0, lt=1)] = 0.05
    confidence: Annotated[float, Field(ge=0, lt=1)] = 0.6
    least_confidence: Annotated[float, Field(ge=0, lt=1)] = 0.4
    slice_fall: Annotated[float, Field(ge=0, le=1)] = 0.05
    milliseconds_per_thousand: Annotated[float, Field(gt=0)] | None = None


class ProbationSettings(Settings):
    """How long a promoted model is compared with the one before, and how sure a rollback must
    be.
    """

    rows: Annotated[int, Field(ge=0)] = 400
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99


class OutageSettings(Settings):
    """When missing labels are an alarm of their own."""

    least_coverage: Annotated[float, Field(gt=0, le=1)] = 0.5
    patience: Span = dt.timedelta(days=1)


class PolicySettings(Settings):
    """When to retrain, on which rows, and who may take over; the defaults are the best measured
    (docs/policy-evidence.md).

    Attributes:
        rules: any of them may ask for a training.
        cool_down: no training for so long after the last one.
        price: what a training must be expected to earn, in errors avoided; None for no training
            without an alarm.
    """

    rules: Annotated[tuple[Rule, ...], Field(min_length=1)] = (ShiryaevRobertsRule(),)
    cool_down: Span | None = None
    price: Annotated[float, Field(gt=0)] | None = 3.0
    candidates: CandidateSettings = CandidateSettings()
    gate: GateSettings = GateSettings()
    probation: ProbationSettings = ProbationSettings()
    outage: OutageSettings = OutageSettings()
    checks: CheckSettings = CheckSettings()

    @property
    def detector(self) -> ShiryaevRobertsRule:
        """The rule that dates changes: as configured, else with its defaults."""
        found = (rule for rule in self.rules if isinstance(rule, ShiryaevRobertsRule))
        return next(found, ShiryaevRobertsRule())
