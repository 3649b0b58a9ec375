"""The tables of one model, by the part that they play."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from lakehouse.errors import ConfigurationError
from lakehouse.settings import ModelSettings
from lakehouse.tables import alerts, gold, lineage, operations, rollouts, silver
from lakehouse.tables.declaration import Table


@dataclass(frozen=True)
class Catalog:
    """The tables of one model, by the part that they play.

    Attributes:
        bronze_history: lines of `history.tables`, in the order of the settings.
        history: their valid rows.
    """

    landed_file: Table
    bronze_history: tuple[Table, ...]
    bronze_readings: Table
    bronze_labels: Table
    kept_row: Table
    history: tuple[Table, ...]
    readings: Table
    labels: Table
    quarantine: Table
    duplicate: Table
    scoring_ledger: Table
    predictions: Table
    shadow_predictions: Table
    unscorable: Table
    scoring_cost: Table
    window_facts: Table
    profile_metrics: Table
    drift_metrics: Table
    monitor: Table
    counterfactual: Table
    decision: Table
    promotion: Table
    rollout: Table
    alert_event: Table
    alert_delivery: Table
    alert_silence: Table
    table_commit: Table
    batch_metrics: Table
    job_run: Table

    @property
    def lines(self) -> tuple[Table, ...]:
        """Bronze's tables of lines, one for each source."""
        return *self.bronze_history, self.bronze_readings, self.bronze_labels

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of them, in the order of the way of the data."""
        parts = (getattr(self, field.name) for field in fields(self))
        return tuple(
            table for part in parts for table in (part if isinstance(part, tuple) else (part,))
        )


def catalog_of(model: ModelSettings) -> Catalog:
    """The tables of a model: the engine's own, and those that its YAML file names."""
    profile, drift = gold.metric_tables(model)
    catalog = Catalog(
        landed_file=silver.LANDED_FILE,
        bronze_history=tuple(map(silver.bronze, model.history.sources().values())),
        bronze_readings=silver.bronze(model.readings),
        bronze_labels=silver.bronze(model.labels),
        kept_row=silver.KEPT_ROW,
        history=tuple(
            silver.silver_rows(source, *model.history.key_and_time(name))
            for name, source in model.history.sources().items()
        ),
        readings=silver.silver_rows(model.readings, model.key, model.event_time),
        labels=silver.silver_labels(model.labels, model.key, model.labels.time),
        quarantine=silver.QUARANTINE,
        duplicate=silver.DUPLICATE,
        scoring_ledger=silver.SCORING_LEDGER,
        predictions=silver.predictions(model),
        shadow_predictions=rollouts.shadow_predictions(model),
        unscorable=silver.UNSCORABLE,
        scoring_cost=silver.SCORING_COST,
        window_facts=gold.WINDOW_FACTS,
        profile_metrics=profile,
        drift_metrics=drift,
        monitor=gold.MONITOR,
        counterfactual=gold.COUNTERFACTUAL,
        decision=gold.DECISION,
        promotion=gold.PROMOTION,
        rollout=rollouts.ROLLOUT,
        alert_event=alerts.ALERT_EVENT,
        alert_delivery=alerts.ALERT_DELIVERY,
        alert_silence=alerts.ALERT_SILENCE,
        table_commit=lineage.TABLE_COMMIT,
        batch_metrics=operations.BATCH_METRICS,
        job_run=operations.JOB_RUN,
    )
    _check(catalog, model)
    return catalog


def _check(catalog: Catalog, model: ModelSettings) -> None:
    """Refuse names that would mean two things."""
    named_twice = _twice(table.full_name for table in catalog.tables)
    if named_twice:
        raise ConfigurationError(
            f"{', '.join(named_twice)}: is a table of the engine; give the model's another name"
        )
    for table in catalog.tables:
        _check_names(table)
    _check_primary_names(catalog, model)
    _check_names_while_ingested(catalog, model)


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _check_names(table: Table) -> None:
    twice = _twice(column.name for column in table.columns)
    if twice:
        raise ConfigurationError(
            f"{', '.join(twice)}: {table.full_name} has that column already; give the model's "
            "another name"
        )


def _check_names_while_ingested(catalog: Catalog, model: ModelSettings) -> None:
    for source, table in (
        (model.readings, catalog.bronze_readings),
        (model.labels, catalog.bronze_labels),
        *zip(model.history.sources().values(), catalog.bronze_history, strict=True),
    ):
        while_ingested = (*silver.typed_columns(source), *silver.WHILE_INGESTED, *table.columns)
        _check_names(replace(table, columns=while_ingested))


def _check_primary_names(catalog: Catalog, model: ModelSettings) -> None:
    """Check names across predictions, readings and labels: metrics see them as one row."""
    in_predictions = (model.key, model.event_time, *model.predictions.features)
    others = [name for name in model.readings.columns if name not in in_predictions]
    of_label = [model.labels.label, model.labels.time]
    own = [column.name for column in catalog.predictions.columns]
    twice = _twice([*own, *others, *of_label])
    if twice:
        where = catalog.predictions.full_name
        raise ConfigurationError(
            f"{', '.join(twice)}: two of the readings, the label, its time and the columns of "
            f"{where} have that name; give the model's another"
        )
