"""Reads what rules look at from a lakehouse's tables, without Spark: the newest days alone."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc
from pyarrow.compute import Expression

from lakehouse.alerts.ledger_events import DECISIONS, MOMENTS, PROMOTIONS, ROLLOUTS
from lakehouse.alerts.metric_rows import DRIFTED_FEATURES, TABLE
from lakehouse.alerts.observations import Readings
from lakehouse.alerts.operations import OPERATIONS
from lakehouse.alerts.rules import features_of, granularity_of, rules_of
from lakehouse.calendar import DAY
from lakehouse.errors import StoreError
from lakehouse.labels.overdue import OverdueRule
from lakehouse.settings import ModelSettings
from lakehouse.storage.plain_tables import newest_day, read_rows, table_version
from lakehouse.tables import Catalog, Table

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MONTH = dt.timedelta(days=31)
_USUAL = dt.timedelta(days=36)  # what `accuracy_fall` compares with, and a week to spare
_OF_WINDOWS = (
    "window",
    "granularity",
    "slice_key",
    "slice_value",
    "column_name",
    "is_final",
    "in_training_window",
    "as_of",
    "label_coverage",
)
_DRIFT = {"drift_type", "population_stability_index", "tv_distance", "adjusted_pvalue"}
_DECISION = ("as_of", "action", "retrain", "reasons")
_PROMOTION = ("as_of", "action", "who", "recorded_at", "to_version", "reason")
_ROLLOUT = ("as_of", "action", "who", "challenger", "reason")
_LANDED_FILE = ("source_file", "status", "reason", "seen_at")
_SCORING_COST = ("rows", "seconds", "recorded_at")
_JOB_RUN = ("job", "pass", "outcome", "error_class", "error", "recorded_at")
_BATCH_METRICS = ("query", "backlog_files", "recorded_at")
_NUMBERS = ("double", "bigint", "int")


def readings_of(root: str, model: ModelSettings, catalog: Catalog, at: dt.datetime) -> Readings:
    """Read the rows. What they cost does not grow with the history of windows.

    Args:
        root: of the lakehouse.
        model: whose rules say which metrics are read.
        catalog: its tables.
        at: wall-clock time.

    Raises:
        StoreError: the lakehouse has no such table.
    """
    tables = (catalog.profile_metrics, catalog.drift_metrics, catalog.decision, catalog.promotion)
    newest = newest_day(root, catalog.profile_metrics)
    first = None if newest is None else newest - _lookback(model)
    profile = _window_rows(root, catalog.profile_metrics, model, _metrics(model), first)
    of_drift = _metrics(model) | _DRIFT
    drift = _window_rows(root, catalog.drift_metrics, model, of_drift, first)
    days_before = _since(first - _USUAL) if first else None
    recent = pc.field("recorded_at") > at - _USUAL - _MONTH
    # A stream may have a micro-batch every few seconds; what waits is measured each minute.
    of_today = (pc.field("recorded_at") > at - DAY) & pc.field("backlog_files").is_valid()
    decisions = read_rows(root, catalog.decision, _DECISION)
    promotions = read_rows(root, catalog.promotion, _PROMOTION)
    return Readings(
        now=_now(profile, [*decisions, *promotions]),
        at=at,
        profile=profile,
        drift=drift,
        counterfactual=read_rows(root, catalog.counterfactual, partitions=days_before),
        decisions=decisions,
        promotions=promotions,
        rollouts=_if_there(root, catalog.rollout, _ROLLOUT),
        landed=read_rows(root, catalog.landed_file, _LANDED_FILE),
        costs=read_rows(root, catalog.scoring_cost, _SCORING_COST, recent),
        deliveries=read_rows(root, catalog.alert_delivery),
        runs=_if_there(root, catalog.job_run, _JOB_RUN, recent),
        batches=_if_there(root, catalog.batch_metrics, _BATCH_METRICS, of_today),
        versions={table.full_name: table_version(root, table) for table in tables},
    )


def ledger_rows(
    root: str, catalog: Catalog, since: Mapping[str, dt.datetime]
) -> dict[str, list[dict[str, Any]]]:
    """The rows of each ledger that were written at a moment or later; none of one that is not
    there.
    """
    tables = {
        PROMOTIONS: catalog.promotion,
        ROLLOUTS: catalog.rollout,
        DECISIONS: catalog.decision,
    }
    return {
        ledger: _if_there(root, table, None, pc.field(MOMENTS[ledger]) >= since[ledger])
        for ledger, table in tables.items()
    }


def numeric_columns(table: Table) -> frozenset[str]:
    """The numbers of a table by name, fields of structs as `column.field`."""
    names = {column.name for column in table.columns if column.ddl in _NUMBERS}
    for column in table.columns:
        if column.ddl.startswith("struct<"):
            fields = column.ddl.removeprefix("struct<").split(",")
            names |= {
                f"{column.name}.{field.split(':')[0]}"
                for field in fields
                if field.rstrip(">").endswith(tuple(f":{kind}" for kind in _NUMBERS))
            }
    return frozenset(names)


def drift_columns(catalog: Catalog) -> frozenset[str]:
    """The columns that gold.drift_metrics has and gold.profile_metrics has not."""
    of_profile = {column.name for column in catalog.profile_metrics.columns}
    names = {column.name for column in catalog.drift_metrics.columns}
    return frozenset(names - of_profile)


def _if_there(
    root: str, table: Table, columns: Sequence[str] | None, where: Expression | None = None
) -> list[dict[str, Any]]:
    """Rows of a table; none where no job of the release that brought it has run yet."""
    try:
        return read_rows(root, table, columns, where)
    except StoreError:
        return []


def _window_rows(
    root: str,
    table: Table,
    model: ModelSettings,
    wanted: Iterable[str],
    first: dt.date | None,
) -> list[dict[str, Any]]:
    """Rows of all versions together, from the first day on; baselines belong to no window."""
    if first is None:
        return []
    granularities = {str(rule.granularity) for rule in rules_of(model.alerts) if rule.granularity}
    granularities |= {str(width) for width in model.metrics.granularities}
    where = (
        (pc.field(model.metrics.model_id_column) == "*")
        & pc.field("column_name").isin(list(_columns(model)))
        & pc.field("granularity").isin(list(granularities))
    )
    names = [*_OF_WINDOWS, *sorted({*wanted} - {*_OF_WINDOWS})]
    return read_rows(root, table, names, where, _since(first))


def _columns(model: ModelSettings) -> set[str]:
    """The columns that rules look at."""
    named = {leaf.column for rule in rules_of(model.alerts) for leaf in rule.every_leaf}
    every = [features_of(rule, model) for rule in rules_of(model.alerts)]
    features = {name for names in every for name in names}
    of_default = {*model.predictions.features} if _looks_at(model, DRIFTED_FEATURES) else set()
    return {name for name in named | features | of_default if name} | {TABLE}


def _metrics(model: ModelSettings) -> set[str]:
    """The columns of the metric tables that hold what rules look at."""
    named = {leaf.metric for rule in rules_of(model.alerts) for leaf in rule.every_leaf}
    own = {DRIFTED_FEATURES, *OPERATIONS}
    return {name.split(".")[0] for name in named if name and name not in own}


def _looks_at(model: ModelSettings, metric: str) -> bool:
    return any(leaf.metric == metric for rule in rules_of(model.alerts) for leaf in rule.every_leaf)


def _lookback(model: ModelSettings) -> dt.timedelta:
    """How far back the windows go that a rule may ask for."""
    settings = model.alerts
    spans = [OverdueRule.of(model).due_after + 8 * DAY]
    for rule in rules_of(settings):
        width = granularity_of(rule, model)
        span = _MONTH * width.months if width.months else width.span
        needed = (rule.for_, rule.recovers_for or rule.for_)
        n_windows = max(*(count.n for count in needed), rule.missing_after or 1) + 1
        spans.append(n_windows * span)
    return max(spans) + model.labels.horizon + settings.max_age


def _now(windows: Iterable[Mapping[str, Any]], acts: Iterable[Mapping[str, Any]]) -> dt.datetime:
    """The newest moment that the data know of: of a label, a window or a decision."""
    moments = [row["window"]["start"] for row in windows]
    moments += [row["as_of"] for row in windows if row["as_of"]]
    moments += [row["as_of"] for row in acts if row["as_of"]]
    return max(moments, default=_EPOCH)


def _since(first: dt.date) -> str:
    return f"window_date >= '{first}'"
