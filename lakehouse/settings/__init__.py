"""A model's YAML file and the environment, validated: an error says what to write."""

from lakehouse.settings.alerts import (
    SEVERITIES,
    AlertRuleSettings,
    AlertSettings,
    ChannelSettings,
    ConditionSettings,
    EscalationSettings,
    FlappingSettings,
    LedgerEventName,
    Severity,
    WindowCount,
)
from lakehouse.settings.base import ColumnType, Scalar, Settings
from lakehouse.settings.checks import CheckName, CheckSettings
from lakehouse.settings.columns import ColumnSettings, SourceSettings, StreamSettings
from lakehouse.settings.costs import COST_METRIC, CostSettings
from lakehouse.settings.history import (
    HistoryFeatureSettings,
    HistorySettings,
    HistoryTableSettings,
    What,
)
from lakehouse.settings.metrics import CustomMetricSettings, MetricSettings
from lakehouse.settings.model import (
    EnvironmentSettings,
    Family,
    ModelSettings,
)
from lakehouse.settings.policy import (
    CandidateSettings,
    GateSettings,
    OutageSettings,
    PolicySettings,
    ProbationSettings,
    Rule,
    ScheduledRule,
    ShiryaevRobertsRule,
    ThresholdRule,
)
from lakehouse.settings.rollout import RolloutSettings
from lakehouse.settings.yaml_files import (
    load_environment_settings,
    load_model_settings,
    load_policy_settings,
)

__all__ = [
    "COST_METRIC",
    "SEVERITIES",
    "AlertRuleSettings",
    "AlertSettings",
    "CandidateSettings",
    "ChannelSettings",
    "CheckName",
    "CheckSettings",
    "ColumnSettings",
    "ColumnType",
    "ConditionSettings",
    "CostSettings",
    "CustomMetricSettings",
    "EnvironmentSettings",
    "EscalationSettings",
    "Family",
    "FlappingSettings",
    "GateSettings",
    "HistoryFeatureSettings",
    "HistorySettings",
    "HistoryTableSettings",
    "LedgerEventName",
    "MetricSettings",
    "ModelSettings",
    "OutageSettings",
    "PolicySettings",
    "ProbationSettings",
    "RolloutSettings",
    "Rule",
    "Scalar",
    "ScheduledRule",
    "Settings",
    "Severity",
    "ShiryaevRobertsRule",
    "SourceSettings",
    "StreamSettings",
    "ThresholdRule",
    "What",
    "WindowCount",
    "load_environment_settings",
    "load_model_settings",
    "load_policy_settings",
]
