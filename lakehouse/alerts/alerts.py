"""Alerts: each rule on each subject, with the steps that its state machine takes. Pure."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from lakehouse.alerts.conditions import ValueOf, begins, goes_on
from lakehouse.alerts.machine import Step
from lakehouse.alerts.metric_rows import (
    DRIFTED_FEATURES,
    drift_series,
    drifted_features,
    profile_series,
)
from lakehouse.alerts.observations import Level, Observed, Readings, Series
from lakehouse.alerts.operations import OPERATIONS
from lakehouse.alerts.rules import features_of, granularity_of, rules_of
from lakehouse.calendar import Granularity, Window
from lakehouse.settings import AlertRuleSettings, ConditionSettings, ModelSettings
from lakehouse.settings.alerts import EVERY_FEATURE


@dataclass(frozen=True)
class Alert:
    """A rule on a subject.

    Attributes:
        labels: the subject, as Alertmanager has it: alertname, model, column, slice.
        steps: by window, oldest first; one where the rule is of now.
        now: by the rule's clock.
        width: of a window; a day where the rule has none.
    """

    rule: AlertRuleSettings
    labels: Mapping[str, str]
    steps: tuple[Step, ...]
    now: dt.datetime
    width: dt.timedelta

    @property
    def fingerprint(self) -> str:
        """Names the alert for ever: PagerDuty's dedup_key, Alertmanager's fingerprint."""
        return fingerprint_of(self.labels)


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """The digest of an alert's labels."""
    return hashlib.sha256(json.dumps(dict(labels), sort_keys=True).encode()).hexdigest()[:32]


def alerts_of(
    readings: Readings, model: ModelSettings, drift_columns: frozenset[str]
) -> list[Alert]:
    """Every rule on every subject.

    Args:
        readings: rows of the tables.
        model: whose rules.
        drift_columns: columns that gold.drift_metrics has and gold.profile_metrics has not.
    """
    observe = partial(_observed, readings=readings, model=model, drift_columns=drift_columns)
    alerts = []
    for rule in rules_of(model.alerts):
        granularity = granularity_of(rule, model)
        for feature in features_of(rule, model):
            # A condition stands in a rule more than once at times; it is looked at once.
            seen: dict[str, tuple[Observed, Mapping[Window, str]]] = {}
            for leaf in rule.every_leaf:
                bound = _bound(leaf, feature)
                seen[_key(leaf)] = observe(bound, granularity)
            alerts.append(_alert(rule, feature, seen, readings, model))
    return alerts


def _alert(
    rule: AlertRuleSettings,
    feature: str | None,
    seen: Mapping[str, tuple[Observed, Mapping[Window, str]]],
    readings: Readings,
    model: ModelSettings,
) -> Alert:
    observed = [value for value, _ in seen.values()]
    by_wall_clock = any(isinstance(value, Level) and value.by_wall_clock for value in observed)
    now = readings.at if by_wall_clock else readings.now
    series = [value for value in observed if isinstance(value, Series)]
    if len(series) == len(observed):
        steps = [_step(rule, window, seen) for window in _windows(series)]
        granularity = series[0].granularity
        width = dt.timedelta(days=30 * granularity.months) or granularity.span
    else:
        # Of what is known as of now alone nothing is said about windows before.
        steps = [_step(rule, None, seen, now)]
        width = dt.timedelta(days=1)
    return Alert(rule, _labels(rule, feature, model), tuple(steps), now, width)


def _labels(rule: AlertRuleSettings, feature: str | None, model: ModelSettings) -> dict[str, str]:
    """The subject; a column or slice is told where all conditions are on the same one."""
    leaves = rule.leaves
    columns = {_bound(leaf, feature).column for leaf in leaves} - {None}
    slices = {(leaf.slice_key, leaf.slice_value) for leaf in leaves} - {(None, None)}
    labels = {"alertname": rule.name, "model": model.name}
    if len(columns) == 1:
        labels["column"] = str(columns.pop())
    if len(slices) == 1:
        labels["slice"] = "=".join(map(str, slices.pop()))
    return labels


def _observed(
    leaf: ConditionSettings,
    granularity: Granularity,
    readings: Readings,
    model: ModelSettings,
    drift_columns: frozenset[str],
) -> tuple[Observed, Mapping[Window, str]]:
    """The metric of a condition, and words by window where it has some."""
    metric = leaf.metric or ""
    if metric == DRIFTED_FEATURES:
        return drifted_features(granularity, readings, model)
    if metric in OPERATIONS:
        return OPERATIONS[metric](readings, model), {}
    of_table = drift_series if metric.split(".")[0] in drift_columns else profile_series
    return of_table(leaf, granularity, readings, model), {}


def _windows(series: list[Series]) -> list[Window]:
    """The windows that all metrics can be judged in, gaps among them, without those left out.

    Labels come later than readings: the newest window is one that both are known of.
    """
    if not all(each.values for each in series):
        return []
    window = min(min(each.values) for each in series)
    newest = min(max(each.values) for each in series)
    left_out = {window for each in series for window in each.left_out}
    windows: list[Window] = []
    while window <= newest:
        windows.append(window)
        window = series[0].granularity.after(window)
    return [window for window in windows if window not in left_out]


def _step(
    rule: AlertRuleSettings,
    window: Window | None,
    seen: Mapping[str, tuple[Observed, Mapping[Window, str]]],
    now: dt.datetime | None = None,
) -> Step:
    """The rule in one window, or as of now."""

    def value_of(leaf: ConditionSettings) -> float | None:
        return _value(seen[_key(leaf)][0], window)

    details = [
        words.get(window, "") if window else getattr(value, "detail", "")
        for value, words in seen.values()
    ]
    start, end = (window.start, window.end) if window else (now, now)
    assert start is not None and end is not None
    return Step(
        start=start,
        end=end,
        begins=begins(rule, value_of),
        goes_on=goes_on(rule, value_of),
        escalates=_escalates(rule, value_of),
        figures={
            leaf.metric: value
            for leaf in rule.every_leaf
            if leaf.metric and (value := value_of(leaf)) is not None
        },
        detail="; ".join(filter(None, details)),
    )


def _value(observed: Observed, window: Window | None) -> float | None:
    if isinstance(observed, Level):
        return observed.value
    if window is None:
        window = max(observed.values, default=None)
    return observed.values.get(window) if window else None


def _escalates(rule: AlertRuleSettings, value_of: ValueOf) -> bool | None:
    when = rule.escalate.when if rule.escalate else None
    return begins(when, value_of) if when else None


def _bound(leaf: ConditionSettings, feature: str | None) -> ConditionSettings:
    if leaf.column != EVERY_FEATURE:
        return leaf
    return leaf.model_copy(update={"column": feature})


def _key(leaf: ConditionSettings) -> str:
    return leaf.model_dump_json(
        include={"metric", "column", "slice_key", "slice_value", "drift_type"}
    )
