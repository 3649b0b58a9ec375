"""Which windows a micro-batch touches, their facts, and from facts the metric tables."""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.calendar import DAY
from lakehouse.labels.label_batch import recorded_as_of
from lakehouse.models import Regression, problem_of
from lakehouse.models.expected_error.expected_quality import ErrorRates, ExpectedQuality
from lakehouse.monitoring import transforms
from lakehouse.monitoring.affected import AffectedWindows, affected_by
from lakehouse.monitoring.configuration import Monitor
from lakehouse.monitoring.custom.check import custom_metrics_of
from lakehouse.monitoring.measured import BASELINE, BASELINE_TABLE, AsOf, baseline_rows
from lakehouse.monitoring.metric_rows import CustomRows, rows_of
from lakehouse.monitoring.recorded_configuration import current_monitor
from lakehouse.monitoring.silver_facts import FACT_COLUMNS, SilverFacts
from lakehouse.monitoring.windows import ALL_VERSIONS, Scope, WindowFacts
from lakehouse.profiling.baseline import Baseline
from lakehouse.storage import queries
from lakehouse.storage.commits import record_commits
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.log_check import check_newest
from lakehouse.storage.partitions import NO_DAY, on_days
from lakehouse.storage.queries import Batch
from lakehouse.storage.store import Row
from lakehouse.tables import Table
from lakehouse.versions.ledger import PromotionLedger

QUERY = "aggregate_kpis"
_LOG = logging.getLogger(__name__)
_BACKFILLED_AT_ONCE = 7 * DAY


class Aggregator:
    """Computes whole what a micro-batch, or a backfill, touches, and overwrites it."""

    def __init__(self, lakehouse: Lakehouse) -> None:
        """Read nothing yet."""
        self._lakehouse, self._model = lakehouse, lakehouse.model
        self._store, self._catalog = lakehouse.store, lakehouse.catalog
        self._baseline = cache(lambda version: PromotionLedger(lakehouse).baseline(version))
        self._expected_quality: Callable[[str, str], ExpectedQuality] = cache(self._fetched_quality)
        metrics = custom_metrics_of(lakehouse.spark, lakehouse.catalog, lakehouse.model)
        self._facts = SilverFacts(lakehouse, metrics)
        model_id = lakehouse.model.metrics.model_id_column
        self._custom = CustomRows(lakehouse.spark, metrics, model_id)
        self._with_baseline_rows: set[tuple[int, str]] = set()

    def handle(self, rows: DataFrame, batch: Batch) -> None:
        """Compute the windows of a micro-batch, and those that became final; replays agree."""
        why = f"aggregate_kpis batch {batch.number}"
        batch.count(rows_out=self.compute(affected_by(self._lakehouse, rows), why))

    def compute(
        self, affected: AffectedWindows, why: str, recorded: dt.datetime | None = None
    ) -> int:
        """Overwrite the windows of what is affected; return how many rows were written.

        Args:
            affected: what is to be computed anew.
            why: kept in the tables' history.
            recorded: the newest label time that the facts know of, where the caller has it.
        """
        ledger = PromotionLedger(self._lakehouse)
        version = ledger.champion
        if version is None:
            return 0  # labels that came before the first prediction
        monitor = current_monitor(self._lakehouse, self._baseline(version))
        recorded = recorded or self.recorded_as_of(affected)
        newest = max(filter(None, (recorded, affected.newest_label)), default=None)
        moment = newest or self._newest_label()
        scopes = self._scopes(affected, _newly_final(recorded, moment, self._model.labels.horizon))
        days = {day for scope in scopes for day in scope.fact_dates}
        stored, affected = self._stored_facts(days, affected, monitor)
        facts = [*stored, *self._facts.of(affected, monitor, ledger)]
        if not facts:
            return 0
        as_of = self._as_of(moment, monitor, ledger)
        return self._write(scopes, affected, facts, monitor, as_of, why)

    def recorded_as_of(self, affected: AffectedWindows) -> dt.datetime | None:
        """The newest label time that the facts know of.

        It stands on the newest rows, so the last weeks tell it; the whole table is asked only where
        they are empty.
        """
        newest = max([*affected.windows, *filter(None, [affected.newest_label])], default=None)
        near = recorded_as_of(self._lakehouse, newest) if newest else None
        return near or recorded_as_of(self._lakehouse, None)

    def _newest_label(self) -> dt.datetime | None:
        """The newest label time in silver: labels before any prediction are in no facts."""
        newest = F.max(self._model.labels.time).alias("newest")
        return self._store.read(self._catalog.labels).agg(newest).toArrow()["newest"][0].as_py()

    def _scopes(
        self, affected: AffectedWindows, newly_final: tuple[dt.datetime, dt.datetime] | None
    ) -> list[Scope]:
        starts = affected.starts(self._model.metrics.base_window)
        widths = self._model.metrics.granularities
        return [Scope.of(granularity, starts, newly_final) for granularity in widths]

    def _stored_facts(
        self, days: set[dt.date], affected: AffectedWindows, monitor: Monitor
    ) -> tuple[list[WindowFacts], AffectedWindows]:
        """The stored facts of those days that can stay, and what is affected besides.

        Such days get facts of now; their own metric rows stay as they were, until they are affected
        or backfilled.
        """
        if not days:
            return [], affected
        columns = (*FACT_COLUMNS, "window_date", "monitor_version")
        stored = self._store.rows(self._catalog.window_facts, None, columns, on_days(days))
        outdated = {
            row["window_date"] for row in stored if row["monitor_version"] != monitor.version
        }
        affected = replace(affected, days=affected.days | outdated)
        valid = [row for row in stored if not affected.holds(row["window_start"])]
        return [WindowFacts.from_row(row) for row in valid], affected

    def _as_of(self, moment: dt.datetime | None, monitor: Monitor, ledger: PromotionLedger) -> AsOf:
        return AsOf(
            moment=moment,
            horizon=self._model.labels.horizon,
            versions=self._store.versions(self._catalog.predictions, self._catalog.labels),
            logging_table=self._catalog.predictions.full_name,
            monitor_version=monitor.version,
            model_id_column=self._model.metrics.model_id_column,
            expects={
                version: self._expected_quality(version, text)
                for version, text in ledger.policy_records.items()
            },
        )

    def _fetched_quality(self, version: str, record: str) -> ExpectedQuality:
        """What a version expects of its predictions; how far they are off, if they are numbers."""
        is_number = isinstance(problem_of(self._model), Regression)
        errors = PromotionLedger(self._lakehouse).absolute_errors(version) if is_number else None
        return ExpectedQuality(ErrorRates.of_record(record), errors)

    def _write(
        self,
        scopes: Iterable[Scope],
        affected: AffectedWindows,
        facts: list[WindowFacts],
        monitor: Monitor,
        as_of: AsOf,
        why: str,
    ) -> int:
        """Write the three tables by whole days; return how many rows they were."""
        profiles: list[Row] = []
        drifts: list[Row] = []
        references = self._references(monitor)
        for scope in scopes:
            added = rows_of(scope, facts, references, as_of, self._custom)
            profiles += added.profile
            drifts += added.drift
        days = affected.all_days
        stored: list[Row] = [
            self._fact_row(window, as_of) for window in facts if window.start.date() in days
        ]
        catalog = self._catalog
        self._add_baseline_rows({window.segment.version for window in facts}, monitor, as_of)
        # The facts last: their as-of says how far the other two tables are.
        written = (
            (catalog.profile_metrics, profiles),
            (catalog.drift_metrics, drifts),
            (catalog.window_facts, stored),
        )
        for table, rows in written:
            if rows:
                self._store.replace_partitions(rows, table, why)
        record_commits(self._lakehouse, catalog.window_facts)
        return sum(len(rows) for _, rows in written)

    def _fact_row(self, facts: WindowFacts, as_of: AsOf) -> dict[str, Any]:
        return {
            **facts.to_row(),
            "monitor_version": as_of.monitor_version,
            "as_of": as_of.moment,
            "as_of_version": dict(as_of.versions),
            "window_date": facts.start.date(),
        }

    def _references(self, monitor: Monitor) -> Callable[[str], Mapping[str, Baseline]]:
        """A version's references: its training data, and the fixed baseline table if any."""
        fixed = {BASELINE_TABLE: monitor.baseline} if monitor.baseline else {}
        return cache(lambda version: {BASELINE: monitor.rebinned(self._baseline(version)), **fixed})

    def _add_baseline_rows(self, versions: set[str], monitor: Monitor, as_of: AsOf) -> None:
        """Add the baseline rows that are missing: of versions, and of a fixed table."""
        wanted = {(monitor.version, version) for version in versions}
        # Baselines do not change, so one look for each version and configuration is enough.
        if wanted <= self._with_baseline_rows:
            return
        table, name = self._catalog.profile_metrics, as_of.model_id_column
        stored = self._store.rows(table, partitions=NO_DAY)
        valid = [
            row
            for row in stored
            if row["monitor_version"] == monitor.version or _is_of_another(row, name, versions)
        ]
        there = {(row["log_type"], row[name]) for row in valid}
        added: list[Row] = []
        missing = [version for version in versions if (BASELINE, version) not in there]
        for version in sorted(missing, key=int):
            rows = baseline_rows(BASELINE, version, self._baseline(version), as_of)
            added += self._custom.of_baseline(rows)
        if monitor.baseline and (BASELINE_TABLE, ALL_VERSIONS) not in there:
            fixed = baseline_rows(BASELINE_TABLE, ALL_VERSIONS, monitor.baseline, as_of)
            added += self._custom.of_baseline(fixed)
        if added:
            self._store.replace_partitions([*valid, *added], table, "baselines")
        self._with_baseline_rows |= wanted


def _is_of_another(row: Row, model_id: str, versions: set[str]) -> bool:
    """Return whether a row is the baseline of a version that is not looked at now."""
    return row["log_type"] == BASELINE and row[model_id] not in {None, *versions}


def _newly_final(
    recorded: dt.datetime | None, moment: dt.datetime | None, horizon: dt.timedelta
) -> tuple[dt.datetime, dt.datetime] | None:
    """The span in which windows may have become final since the last facts."""
    if recorded is None or moment is None or moment <= recorded:
        return None
    return recorded - horizon, moment


def aggregate_kpis(lakehouse: Lakehouse, trigger: str) -> None:
    """Bring the gold metric tables up to date: once, or for ever at an interval."""
    with lakehouse.store.writing(*written_by_aggregation(lakehouse)):
        check_newest(lakehouse)
        queries.run_all([start_aggregation(lakehouse, trigger)], trigger)


def start_aggregation(lakehouse: Lakehouse, trigger: str | float) -> queries.Query:
    """Start the stream of aggregation. The caller holds the right to write."""
    catalog, store = lakehouse.catalog, lakehouse.store
    predictions = store.read_stream(catalog.predictions)
    labels = store.read_stream(catalog.labels)
    news = transforms.touching(predictions, labels, lakehouse.model)
    return queries.run(store, QUERY, news, Aggregator(lakehouse).handle, trigger)


def backfill(lakehouse: Lakehouse, first: dt.date, last: dt.date) -> None:
    """Compute the windows of these days anew, both included, under the configuration of now."""
    with lakehouse.store.writing(*written_by_aggregation(lakehouse)):
        recompute(lakehouse, first, last)


def recompute(lakehouse: Lakehouse, first: dt.date, last: dt.date) -> None:
    """`backfill`, where the caller holds the right to write, or nobody else writes the tables."""
    aggregator = Aggregator(lakehouse)
    recorded = aggregator.recorded_as_of(AffectedWindows())
    for number in count():
        if first > last:
            return
        until = min(first + _BACKFILLED_AT_ONCE - DAY, last)
        days = frozenset(first + place * DAY for place in range((until - first) // DAY + 1))
        why = f"backfill of {first} to {until}"
        with queries.step(lakehouse.store, "backfill", number) as attempt:
            n_rows = aggregator.compute(AffectedWindows(days=days), why, recorded)
            attempt.counts.update(rows_out=n_rows)
        first = until + DAY


def computed_tables(lakehouse: Lakehouse) -> tuple[Table, ...]:
    """The tables that hold what is computed from silver, and nothing else."""
    catalog = lakehouse.catalog
    return catalog.window_facts, catalog.profile_metrics, catalog.drift_metrics


def written_by_aggregation(lakehouse: Lakehouse) -> tuple[Table, ...]:
    """The tables that aggregation writes."""
    return *computed_tables(lakehouse), lakehouse.catalog.monitor
