"""The views of gold: what operators ask, in plain columns. They hold no data.

Each is written once, in Spark's SQL (`sql/catalogue.py` makes DuckDB's from it), as a template:
names of tables, of the model id column and of the day's granularity, the label horizon and the
features come from the model's settings.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from string import Template

from lakehouse.drift.definition import LARGE, has_drifted_sql, index_sql
from lakehouse.errors import ConfigurationError
from lakehouse.labels.overdue import OverdueRule
from lakehouse.quality.intervals import wilson_interval
from lakehouse.settings import ModelSettings
from lakehouse.settings.reserved import PREDICTION
from lakehouse.sql.lineage_views import LINEAGE, history_edges
from lakehouse.sql.loop_views import COST, DECISIONS, DIFFERENCES, GAIN, HISTORY, JUDGED
from lakehouse.sql.operations_views import OPERATIONS
from lakehouse.sql.provenance_view import PROVENANCE
from lakehouse.sql.quality_views import ALARMS, DAILY, SLICES
from lakehouse.sql.rollout_views import ROLLOUT_SIDES
from lakehouse.sql.served_view import SERVED
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.declaration import Table, View

_VIEWS = (
    *(DAILY, HISTORY, DECISIONS, DIFFERENCES, ALARMS, SLICES, GAIN, COST),
    *(LINEAGE, PROVENANCE, OPERATIONS, ROLLOUT_SIDES, SERVED),
)
CHASED_FOR = dt.timedelta(days=7)
"""How long a day with overdue labels is an open alarm; later, nobody chases its labels."""

_DAY = ("1 day", "1 days", "24 hour", "24 hours")


def views_of(model: ModelSettings, catalog: Catalog) -> tuple[View, ...]:
    """The views over the tables of a model.

    Raises:
        ConfigurationError: a table of the model has the name of a view.
    """
    names = _names(model, catalog)
    views = tuple(_filled(view, names) for view in _VIEWS)
    taken = {table.full_name for table in catalog.tables}
    clash = [view.full_name for view in views if view.full_name in taken]
    for view in views:
        times = Counter(column.name for column in view.columns)
        twice = [name for name in times if times[name] > 1]
        if twice:
            raise ConfigurationError(
                f"metrics.model_id_column: {twice[0]} is a column of {view.full_name} already; "
                "write another name"
            )
    if clash:
        raise ConfigurationError(
            f"{', '.join(clash)}: is a view of the engine; give the model's table another name"
        )
    return views


def view_of(model: ModelSettings, catalog: Catalog, name: str) -> View:
    """One of them, by its name in gold."""
    return next(view for view in views_of(model, catalog) if view.name == name)


def _names(model: ModelSettings, catalog: Catalog) -> dict[str, str]:
    """Return the values of the templates' placeholders."""
    low, high = wilson_interval("p.accuracy_score", "p.n_labelled")
    error_low, error_high = wilson_interval("s.error_rate", "s.n_labelled")
    day = next((text for text in map(str, model.metrics.granularities) if text in _DAY), _DAY[0])
    of_days = f"p.granularity = '{day}' AND p.log_type = 'INPUT' AND p.column_name = ':table'"
    overdue = OverdueRule.of(model)
    chased = int((overdue.due_after + CHASED_FOR).total_seconds())
    return {
        "id": model.metrics.model_id_column,
        "day": day,
        "of_days": of_days,
        "of_whole_days": f"{of_days} AND p.slice_key IS NULL",
        "features": ", ".join(f"'{name}'" for name in model.predictions.features),
        "landed_file": catalog.landed_file.full_name,
        "profile_metrics": catalog.profile_metrics.full_name,
        "drift_metrics": catalog.drift_metrics.full_name,
        "counterfactual": catalog.counterfactual.full_name,
        "scoring_cost": catalog.scoring_cost.full_name,
        "batch_metrics": catalog.batch_metrics.full_name,
        "decision": catalog.decision.full_name,
        "promotion": catalog.promotion.full_name,
        "rollout": catalog.rollout.full_name,
        "scoring_ledger": catalog.scoring_ledger.full_name,
        "alert_event": catalog.alert_event.full_name,
        "table_commit": catalog.table_commit.full_name,
        "window_facts": catalog.window_facts.full_name,
        "bronze_readings": catalog.bronze_readings.full_name,
        "bronze": ", ".join(f"'{table.full_name}'" for table in catalog.lines),
        "history_edges": history_edges(model, catalog),
        "readings": catalog.readings.full_name,
        "labels": catalog.labels.full_name,
        "predictions": catalog.predictions.full_name,
        "source": catalog.readings.name,
        "duplicate": catalog.duplicate.full_name,
        "key": model.key,
        "prediction_type": _type_of(catalog.predictions, PREDICTION),
        "judged": JUDGED.format(promotion=catalog.promotion.full_name),
        # `score` and `threshold` are of a regression before 0.3.
        "score": "COALESCE(d.evidence['log_statistic'], d.evidence['score'])",
        "threshold": "COALESCE(d.evidence['log_alarm'], d.evidence['threshold'])",
        "accuracy_low": low,
        "accuracy_high": high,
        "error_low": error_low,
        "error_high": error_high,
        # A version is compared with the cross-fitted scores of its training, which are never quite
        # those that it gives.
        "has_drifted": f"f.column_name <> 'score' AND {has_drifted_sql('f')}",
        "drift_index": index_sql("f"),
        "large_drift": str(LARGE),
        "least_coverage": str(overdue.least_coverage),
        "is_overdue": overdue.sql("d.window.start", "d.label_coverage", "c.now"),
        "is_chased": f"d.window.start + INTERVAL '{chased}' SECOND > c.now",
    }


def _type_of(table: Table, name: str) -> str:
    """The type of a column, in Spark's DDL."""
    return next(column.ddl for column in table.columns if column.name == name)


def _filled(view: View, names: Mapping[str, str]) -> View:
    columns = tuple(
        replace(
            column,
            name=Template(column.name).substitute(names),
            ddl=Template(column.ddl).substitute(names),
        )
        for column in view.columns
    )
    return replace(view, columns=columns, sql=Template(view.sql).substitute(names).strip())
