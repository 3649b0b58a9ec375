"""Aggregate: predictions and labels that have come to the facts of their hours, and those to the metric tables."""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from lakehouse import stream
from lakehouse.errors import RegistryError
from lakehouse.settings import BASE_WINDOW
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.training import baseline_of
from lakehouse.statistics.windows import Scope, WindowFacts, rolled_up
from lakehouse.steps import aggregate_kpis as steps
from lakehouse.steps.metrics import AsOf, Baseline, baseline_rows, drift_rows, edges_of, profile_rows
from lakehouse.store import Row, Transaction
from lakehouse.stream import Batch

QUERY = "aggregate_kpis"
_FACT_COLUMNS = ("window_start", "model_version", "n_in_training", "quality", "columns")


@dataclass(frozen=True)
class Touched:
    """What a micro-batch touched: hours of predictions, and the newest label time in it."""

    hours: frozenset[dt.datetime]
    newest_label: dt.datetime | None


class Aggregator:
    """The handler of the aggregation's micro-batches: recomputes whole what a batch touched, and overwrites it."""

    def __init__(self, lakehouse: Lakehouse) -> None:
        """Reads nothing yet."""
        self._lakehouse, self._model = lakehouse, lakehouse.model
        self._store, self._catalog = lakehouse.store, lakehouse.catalog
        self._baseline: Callable[[str], Baseline] = cache(self._fetched_baseline)
        self._with_baseline_rows: set[str] | None = None

    def handle(self, rows: DataFrame, _: Batch) -> None:
        """Overwrites the windows of the touched hours, and of those that became final; a replay does the same again."""
        touched = self._touched(rows)
        recorded = self._recorded_as_of(touched)
        moment = max(filter(None, (recorded, touched.newest_label)), default=None) or self._newest_label()
        scopes = [
            Scope.of(granularity, touched.hours, self._newly_final(recorded, moment))
            for granularity in self._model.metrics.granularities
        ]
        kept = self._stored_facts({day for scope in scopes for day in scope.hour_dates}, touched.hours)
        hours = [*kept, *self._recomputed(touched.hours)]
        if hours:
            self._write(scopes, touched.hours, hours, self._as_of(moment))

    def _touched(self, rows: DataFrame) -> Touched:
        """The hours of new predictions, and those of the predictions that new labels belong to."""
        key, is_label = self._model.key, F.col("_kind") == steps.LABEL
        label_key = F.when(is_label, F.col(key))
        found = (
            rows.agg(
                F.collect_set(F.when(~is_label, F.date_trunc("hour", "_moment"))).alias("hours"),
                F.min(label_key).alias("least"),
                F.max(label_key).alias("greatest"),
                F.max(F.when(is_label, F.col("_moment"))).alias("newest_label"),
            )
            .toArrow()
            .to_pylist()[0]
        )
        hours = set(found["hours"])
        if found["newest_label"] is not None:
            predicted = self._store.read(self._catalog.predictions)
            candidates = predicted.where(F.col(key).between(found["least"], found["greatest"]))
            labelled = candidates.join(rows.where(is_label).select(key), key, "left_semi")
            hour = F.date_trunc("hour", self._model.event_time).alias("hour")
            hours |= set(labelled.select(hour).distinct().toArrow()["hour"].to_pylist())
        return Touched(frozenset(hours), found["newest_label"])

    def _recorded_as_of(self, touched: Touched) -> dt.datetime | None:
        """The newest label time that the facts know of.

        It stands on the newest rows, so the last weeks tell it; the whole table is asked only where they are empty.
        """
        facts = self._catalog.window_facts
        newest = max([*touched.hours, *filter(None, [touched.newest_label])], default=None)
        if newest is None:
            return None
        since = (newest - self._model.labels.horizon - dt.timedelta(days=14)).date()
        for where in (pc.field("window_date") >= since, None):
            found = [row["as_of"] for row in self._store.rows(facts, where, ["as_of"]) if row["as_of"]]
            if found:
                return max(found)
        return None

    def _newest_label(self) -> dt.datetime | None:
        """The newest label time in silver: labels that came before any prediction have left no trace in the facts."""
        newest = F.max(self._model.labels.time).alias("newest")
        return self._store.read(self._catalog.labels).agg(newest).toArrow()["newest"][0].as_py()

    def _newly_final(
        self, recorded: dt.datetime | None, moment: dt.datetime | None
    ) -> tuple[dt.datetime, dt.datetime] | None:
        """The span in which a window ends that may have become final since the facts were last written."""
        if recorded is None or moment is None or moment <= recorded:
            return None
        return recorded - self._model.labels.horizon, moment

    def _stored_facts(self, days: set[dt.date], touched: frozenset[dt.datetime]) -> list[WindowFacts]:
        """What is stored of those days, without the touched hours."""
        if not days:
            return []
        where = pc.field("window_date").isin(sorted(days))
        found = self._store.rows(self._catalog.window_facts, where, _FACT_COLUMNS)
        return [WindowFacts.from_row(row) for row in found if row["window_start"] not in touched]

    def _recomputed(self, hours: frozenset[dt.datetime]) -> list[WindowFacts]:
        if not hours:
            return []
        key, time = self._model.key, self._model.event_time
        start, end = min(hours), max(hours) + BASE_WINDOW
        predictions = self._store.read(self._catalog.predictions)
        rows = predictions.where(F.col(time).between(start, end) & F.date_trunc("hour", time).isin(sorted(hours)))
        labels = self._store.read(self._catalog.labels)
        bounds = self._store.key_range(self._catalog.predictions, key, time, start, end)
        if bounds:
            labels = labels.where(F.col(key).between(*bounds))
        schema = StructType([self._catalog.window_facts.schema[name] for name in _FACT_COLUMNS])
        facts = steps.facts_of_hours(rows, labels, self._model, self._profiling(), schema)
        return [WindowFacts.from_row(row) for row in facts.toArrow().to_pylist()]

    def _profiling(self) -> steps.Profiling:
        """The bins are the champion's; every version has inherited them from the first champion."""
        model, registry = self._model, self._lakehouse.registry
        champion = registry.champion()
        if champion is None:
            raise RegistryError(f"{model.name} has predictions and no champion any more; move the alias to a version")
        return steps.Profiling(
            specs=steps.specs_of(model),
            edges=edges_of(self._baseline(champion)),
            label=model.labels.label,
            classes=model.classes,
            positive=model.positive if len(model.classes) == 2 else None,
            trained_until=registry.trained_until(),
        )

    def _as_of(self, moment: dt.datetime | None) -> AsOf:
        return AsOf(
            moment=moment,
            horizon=self._model.labels.horizon,
            versions=self._store.versions(self._catalog.predictions, self._catalog.labels),
            logging_table=self._catalog.predictions.full_name,
            monitor_version=self._model.metrics.version,
        )

    def _write(
        self, scopes: Iterable[Scope], touched: frozenset[dt.datetime], hours: list[WindowFacts], as_of: AsOf
    ) -> None:
        """Writes the three tables by whole days; the facts last, since their as-of says how far the others are."""
        profiles: list[Row] = []
        drifts: list[Row] = []
        for scope in scopes:
            facts = rolled_up(hours, scope.granularity)
            chosen = {key: each for key, each in facts.items() if key[0].start.date() in scope.profile_dates}
            drifting = {window for window, _ in facts if window.start.date() in scope.drift_dates}
            profiles += profile_rows(chosen, scope.granularity, as_of)
            drifts += drift_rows(facts, drifting, scope.granularity, self._baseline, as_of)
        days = {hour.date() for hour in touched}
        stored: list[Row] = [self._fact_row(each, as_of) for each in hours if each.start.date() in days]
        catalog = self._catalog
        self._add_baseline_rows({each.version for each in hours}, as_of)
        written = ((catalog.profile_metrics, profiles), (catalog.drift_metrics, drifts), (catalog.window_facts, stored))
        for table, rows in written:
            if rows:
                self._store.replace_partitions(rows, table)

    def _fact_row(self, facts: WindowFacts, as_of: AsOf) -> dict[str, Any]:
        return {
            **facts.to_row(),
            "monitor_version": as_of.monitor_version,
            "as_of": as_of.moment,
            "as_of_version": dict(as_of.versions),
            "window_date": facts.start.date(),
        }

    def _add_baseline_rows(self, versions: set[str], as_of: AsOf) -> None:
        """Adds the profile of the training data of versions that have none yet."""
        table = self._catalog.profile_metrics
        if self._with_baseline_rows is None:
            rows = self._store.rows(table, pc.field("window_date").is_null(), ["model_version"])
            self._with_baseline_rows = {row["model_version"] for row in rows}
        for version in sorted(versions - self._with_baseline_rows, key=int):
            profile = baseline_rows(version, self._baseline(version), as_of)
            self._store.append_rows(profile, table, Transaction(f"baseline:{version}", as_of.monitor_version))
        self._with_baseline_rows |= versions

    def _fetched_baseline(self, version: str) -> Baseline:
        return baseline_of(self._lakehouse, self._lakehouse.registry.version(version))


def aggregate_kpis(lakehouse: Lakehouse, trigger: str) -> None:
    """Brings the gold metric tables up to date with predictions and labels: once, or for ever at an interval."""
    catalog, store = lakehouse.catalog, lakehouse.store
    with store.writing(catalog.window_facts, catalog.profile_metrics, catalog.drift_metrics):
        news = steps.touching(
            store.read_stream(catalog.predictions), store.read_stream(catalog.labels), lakehouse.model
        )
        query = stream.run(store, QUERY, news, Aggregator(lakehouse).handle, trigger)
        stream.run_all([query], trigger)
