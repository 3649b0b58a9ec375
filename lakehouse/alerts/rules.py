"""The rules of a model: its own, and those that stand without any YAML."""

from collections.abc import Iterable, Iterator

from lakehouse.alerts.metric_rows import DRIFTED_FEATURES
from lakehouse.alerts.operations import BY_WINDOW, OPERATIONS
from lakehouse.calendar import DAY, Granularity
from lakehouse.errors import ConfigurationError
from lakehouse.settings import AlertRuleSettings, AlertSettings, ConditionSettings, ModelSettings
from lakehouse.settings.alerts import EVERY_FEATURE

_RUNBOOK = "docs/alerts.md#"
_DEFAULTS = (
    {
        "name": "labels_overdue",
        "metric": "labels_overdue",
        "above": 0,
        "severity": "error",
        "summary": "Labels are overdue",
        "inhibited_by": ["files_unreadable"],
    },
    {
        "name": "accuracy_alarm",
        "metric": "accuracy_alarms",
        "above": 0,
        "severity": "warning",
        "summary": "The retraining policy saw accuracy fall",
    },
    {
        "name": "accuracy_low",
        "metric": "accuracy_fall",
        "above": 0.01,
        "recovers_below": 0.005,
        "for": "2 of 3 windows",
        "severity": "error",
        "summary": "Accuracy stays credibly below its usual value",
    },
    {
        "name": "features_drifted",
        "metric": DRIFTED_FEATURES,
        "above": 0,
        "for": "2 of 3 windows",
        "summary": "Features have drifted from the training data",
        "inhibited_by": ["accuracy_alarm", "accuracy_low"],
    },
    {
        "name": "promotion_refused",
        "metric": "refused_alarms",
        "above": 0,
        "summary": "The gate refused a model that an alarm asked for",
    },
    {
        "name": "training_failed",
        "metric": "trainings_without_verdict",
        "above": 0,
        "severity": "error",
        "summary": "A training that was decided on did not end",
    },
    {
        "name": "rolled_back",
        "metric": "rollbacks",
        "above": 0,
        "severity": "error",
        "summary": "The version in production was rolled back",
    },
    {
        "name": "rollout_aborted",
        "metric": "aborted_rollouts",
        "above": 0,
        "summary": "A rollout was aborted",
    },
    {
        "name": "approval_waits",
        "metric": "approvals_waiting",
        "above": 0,
        "summary": "A version waits for approval",
        "escalate": {"severity": "error", "after": "2 days"},
    },
    {
        "name": "files_unreadable",
        "metric": "files_unreadable",
        "above": 0,
        "severity": "error",
        "summary": "Landed files cannot be read",
    },
    {
        "name": "nothing_scored",
        "metric": "hours_since_scoring",
        "above": 48,
        "summary": "Nothing has been scored for two days",
    },
    {
        "name": "undeliverable",
        "metric": "undelivered_events",
        "above": 0,
        "severity": "critical",
        "summary": "A channel does not take alerts",
    },
    {
        "name": "job_failed",
        "metric": "failed_jobs",
        "above": 0,
        "severity": "error",
        "summary": "A job failed",
    },
    {
        "name": "job_missing",
        "metric": "jobs_overdue",
        "above": 0,
        "severity": "error",
        "summary": "A job has not run",
    },
    {
        "name": "backlog_grows",
        "metric": "growing_backlogs",
        "above": 0,
        "summary": "A backlog grows",
    },
)


def default_rules() -> tuple[AlertRuleSettings, ...]:
    """The rules that stand without any YAML."""
    return tuple(
        AlertRuleSettings.model_validate(
            {"missing_after": 3, "runbook": _RUNBOOK + str(given["name"]), **given}
        )
        for given in _DEFAULTS
    )


def rules_of(settings: AlertSettings) -> tuple[AlertRuleSettings, ...]:
    """The default rules that are not left out or replaced, then the model's own."""
    own = {rule.name for rule in settings.rules}
    kept = [rule for rule in default_rules() if rule.name not in own | {*settings.without}]
    return (*kept, *settings.rules)


def check_rules(model: ModelSettings, in_tables: Iterable[str]) -> None:
    """Check what settings alone cannot see.

    Args:
        model: whose rules.
        in_tables: names of the numeric columns of its metric tables.

    Raises:
        ConfigurationError: a sentence for each rule that names what is not there.
    """
    metrics = {*in_tables, *OPERATIONS, DRIFTED_FEATURES}
    wrong = list(_wrong(model, metrics))
    if wrong:
        raise ConfigurationError("\n".join(wrong))


def features_of(rule: AlertRuleSettings, model: ModelSettings) -> tuple[str | None, ...]:
    """The features that a rule with the column `*` stands for; else None alone."""
    if any(leaf.column == EVERY_FEATURE for leaf in rule.every_leaf):
        return model.predictions.features
    return (None,)


def granularity_of(rule: AlertRuleSettings, model: ModelSettings) -> Granularity:
    """The width of a rule's windows: its own, else a day where the model has it, else the first."""
    widths = model.metrics.granularities
    days = (width for width in widths if not width.months and width.span == DAY)
    return rule.granularity or next(days, widths[0])


def is_of_now(leaf: ConditionSettings) -> bool:
    """Whether the metric is known as of now alone, not by window."""
    return leaf.metric in OPERATIONS and leaf.metric not in BY_WINDOW


def _wrong(model: ModelSettings, metrics: set[str]) -> Iterator[str]:
    settings = model.alerts
    known = {rule.name for rule in rules_of(settings)}
    defaults = {rule.name for rule in default_rules()}
    for name in settings.without:
        if name not in defaults:
            yield f"alerts.without: {name} is no default rule; write one of {_listed(defaults)}"
    for place, rule in enumerate(settings.rules):
        key = f"alerts.rules.{place}"
        for leaf in rule.every_leaf:
            if leaf.metric not in metrics:
                yield (
                    f"{key}: {leaf.metric} is no metric; write one of "
                    f"{_listed({*OPERATIONS, DRIFTED_FEATURES})}, or a number's column of the "
                    "metric tables (docs/tables.md)"
                )
        if any(map(is_of_now, rule.leaves)) and rule.for_.n > 1:
            yield f"{key}.for: leave it out; one of the metrics is known as of now alone"
        by_day = [leaf.metric in BY_WINDOW for leaf in rule.every_leaf]
        width = granularity_of(rule, model)
        if width not in model.metrics.granularities:
            widths = ", ".join(f"`{each}`" for each in model.metrics.granularities)
            yield f"{key}.granularity: there are no such windows; write one of {widths}"
        if any(by_day) and not all(by_day) and (width.months or width.span != DAY):
            yield f"{key}.granularity: write `1 day`; one of the metrics is known day by day"
        for name in rule.inhibited_by:
            # A default rule that is left out inhibits nothing.
            if name not in known | defaults:
                yield f"{key}.inhibited_by: {name} is no rule; write the name of one"
    for name in sorted(known):
        if name in _causes(name, settings):
            yield f"alerts.rules: {name} inhibits itself by way of others; break the circle"


def _causes(name: str, settings: AlertSettings) -> set[str]:
    """The rules that inhibit a rule, and those that inhibit them, and so on."""
    by_name = {rule.name: rule.inhibited_by for rule in rules_of(settings)}
    found: set[str] = set()
    left = list(by_name[name])
    while left:
        cause = left.pop()
        if cause not in found:
            found.add(cause)
            left += by_name.get(cause, ())
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
