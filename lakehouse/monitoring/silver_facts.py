"""The facts of base windows from silver: on the driver for few rows, by tasks or Spark for many."""

import datetime as dt
import logging
import math
from collections.abc import Callable
from functools import cache

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from lakehouse.errors import RegistryError
from lakehouse.labels.label_batch import labels_in_force
from lakehouse.models import problem_of
from lakehouse.models.expected_error.encoding import ErrorBins
from lakehouse.monitoring import transforms
from lakehouse.monitoring.affected import AffectedWindows
from lakehouse.monitoring.configuration import Monitor
from lakehouse.monitoring.custom.definitions import CustomMetrics, partials_column
from lakehouse.monitoring.partials import Partials, as_partials
from lakehouse.monitoring.window_profiler import Unretrained, WindowProfiler, is_in_span
from lakehouse.monitoring.windows import Segment, WindowFacts, with_partials
from lakehouse.scoring.promoted import scoring_model
from lakehouse.scoring.transforms import ScoringModel, with_other_prediction
from lakehouse.scoring.written import prediction_type
from lakehouse.settings.reserved import PREDICTION
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.versions.feature_columns import sources_of, with_features
from lakehouse.versions.ledger import PromotionLedger

_LOG = logging.getLogger(__name__)
FACT_COLUMNS = (
    "window_start",
    "model_version",
    "slice_key",
    "slice_value",
    "n_in_training",
    "quality",
    "columns",
    "custom",
    "by_difficulty",
    "rows_by_bin",
)
"""Columns of `gold.window_facts` that hold the facts themselves."""

# Values are rows times features. Spark's own join and grouping take four times as long a value.
MOST_HERE = 3_000_000
"""Values that the driver, or a task on average, takes at once."""
VALUES_A_TASK = 1_000_000
MOST_TASKS = 50
"""Where keys do not grow with time, each of them reads all labels through."""


class SilverFacts:
    """Computes facts from predictions, labels and readings."""

    def __init__(self, lakehouse: Lakehouse, metrics: CustomMetrics) -> None:
        """Read nothing yet.

        Args:
            lakehouse: whose silver tables are read.
            metrics: the custom ones.
        """
        self._lakehouse, self._model, self._metrics = lakehouse, lakehouse.model, metrics
        self._first_model: Callable[[str], ScoringModel | None] = cache(self._fetched_first)

    def of(
        self, affected: AffectedWindows, monitor: Monitor, ledger: PromotionLedger
    ) -> list[WindowFacts]:
        """The facts of what is affected.

        Args:
            affected: base windows and days.
            monitor: the configuration of now.
            ledger: of promotions.
        """
        if not (affected.windows or affected.days):
            return []
        profiling = self.profiling(monitor, ledger)
        if transforms.is_wide(self._model):
            return self.by_spark(affected, profiling, ledger)
        values = self._values(affected)
        profiler = WindowProfiler(self._lakehouse, profiling, self._unretrained(ledger))
        if values <= MOST_HERE:
            return profiler.facts(affected)
        width = self._model.metrics.base_window
        stretches = affected.stretches(width, math.ceil(values / VALUES_A_TASK))
        # There are no more stretches than windows, however many rows these have.
        if len(stretches) > MOST_TASKS or values > MOST_HERE * len(stretches):
            return self.by_spark(affected, profiling, ledger)
        return self._by_tasks(profiler, stretches)

    def _values(self, affected: AffectedWindows) -> int:
        """Rows times features from the first affected moment to the last."""
        where = is_in_span(self._model, affected)
        rows = self._lakehouse.store.count(self._lakehouse.catalog.predictions, where)
        return rows * len(self._model.predictions.features)

    def _unretrained(self, ledger: PromotionLedger) -> Unretrained:
        """How the first model's word is told, with the versions of a ledger."""
        promoted = ledger.promoted_versions
        if len(promoted) == 1:
            return Unretrained(is_only=True)
        first = self._first_model(promoted[0])
        if first is None:
            return Unretrained(is_only=False)
        table = self._lakehouse.catalog.predictions
        sources = sources_of(ledger, table, first.features.names)
        return Unretrained(is_only=False, model=first, sources=sources)

    def _by_tasks(
        self, profiler: WindowProfiler, stretches: list[AffectedWindows]
    ) -> list[WindowFacts]:
        context, facts_of = self._lakehouse.spark.sparkContext, profiler.for_workers().facts
        parts = context.parallelize(stretches, len(stretches)).map(facts_of).collect()
        return [facts for part in parts for facts in part]

    def by_spark(
        self, affected: AffectedWindows, profiling: transforms.Profiling, ledger: PromotionLedger
    ) -> list[WindowFacts]:
        """The same by Spark, for any number of rows and for all settings."""
        model = self._model
        predictions, labels, readings = self._silver(affected)
        primary = transforms.primary_rows(
            self._with_unretrained(predictions, self._unretrained(ledger)), labels, readings, model
        )
        rows = transforms.in_segments(primary, model, model.metrics.slices)
        schema = self._lakehouse.catalog.window_facts.schema
        facts = transforms.facts_of_windows(
            rows, model, profiling, StructType([schema[name] for name in FACT_COLUMNS])
        )
        found = map(WindowFacts.from_row, facts.toArrow().to_pylist())
        return with_partials(found, self._partials(rows))

    def profiling(self, monitor: Monitor, ledger: PromotionLedger) -> transforms.Profiling:
        """How rows become facts, under a configuration and with the versions of a ledger."""
        return transforms.Profiling(
            specs=transforms.specs_of(self._model),
            edges=monitor.edges,
            label=self._model.labels.label,
            problem=problem_of(self._model),
            trained_spans=ledger.trained_spans,
            error_bins={
                version: ErrorBins.of_record(text)
                for version, text in ledger.policy_records.items()
            },
        )

    def _silver(self, affected: AffectedWindows) -> tuple[DataFrame, DataFrame, DataFrame | None]:
        """The predictions of what is affected, and labels and readings near them.

        The readings are None where the metrics ask for no column of theirs.
        """
        model, catalog, store = self._model, self._lakehouse.catalog, self._lakehouse.store
        key, time, (start, end) = model.key, model.event_time, affected.span
        # Windows tell the rows exactly; the span besides lets Delta skip files.
        is_touched = transforms.window_start(time, model.metrics.base_window).isin(
            sorted(affected.windows)
        )
        if affected.days:
            is_touched |= F.to_date(time).isin(sorted(affected.days))
        predictions = store.read(catalog.predictions).where(
            F.col(time).between(start, end) & is_touched
        )
        # Labels are dated later than their rows, so they are sought by key.
        bounds = store.key_range(catalog.predictions, key, time, start, end)
        near = F.col(key).between(*bounds) if bounds else F.lit(True)
        labels = labels_in_force(self._lakehouse).where(near)
        readings = store.read(catalog.readings).where(near) if transforms.is_wide(model) else None
        return predictions, labels, readings

    def _with_unretrained(self, predictions: DataFrame, unretrained: Unretrained) -> DataFrame:
        """The predictions with the first model's; without them if its file is gone."""
        if unretrained.is_only:
            return predictions.withColumn(transforms.UNRETRAINED, F.col(PREDICTION))
        first = unretrained.model
        if first is None:
            return predictions
        readable = with_features(predictions, unretrained.sources, predictions.columns)
        predicted = with_other_prediction(
            readable, first, prediction_type(self._lakehouse), transforms.UNRETRAINED
        )
        return predicted.select(*predictions.columns, transforms.UNRETRAINED)

    def _fetched_first(self, version: str) -> ScoringModel | None:
        try:
            return scoring_model(PromotionLedger(self._lakehouse), version)
        except RegistryError as error:
            _LOG.warning("accuracy_without_retraining stays empty: %s", error)
            return None

    def _partials(self, rows: DataFrame) -> dict[tuple[dt.datetime, Segment], Partials]:
        """Return what the custom metrics are computed from, by base window and segment."""
        if not self._metrics.partials:
            return {}
        partials = partials_column(self._metrics).alias("_partials")
        grouped = rows.groupBy(*transforms.SEGMENT).agg(partials)
        window, *segment = transforms.SEGMENT
        return {
            (row[window], Segment(*(row[name] for name in segment))): as_partials(row["_partials"])
            for row in grouped.toArrow().to_pylist()
        }
