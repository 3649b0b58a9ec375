"""The rows of both metric tables for the windows of one granularity, with custom metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from pyspark.sql import SparkSession

from lakehouse.calendar import Window
from lakehouse.monitoring.custom.definitions import (
    CustomMetrics,
    with_custom_drift,
    with_custom_metrics,
)
from lakehouse.monitoring.measured import CONSECUTIVE, AsOf, baseline_rows, drift_rows, profile_rows
from lakehouse.monitoring.windows import Facts, Scope, Segment, WindowFacts, rolled_up
from lakehouse.profiling.baseline import Baseline

Row = dict[str, Any]
References = Callable[[str], Mapping[str, Baseline]]


class MetricRows(NamedTuple):
    """Rows of gold.profile_metrics and of gold.drift_metrics."""

    profile: list[Row]
    drift: list[Row]


@dataclass(frozen=True)
class CustomRows:
    """Fills the custom metrics of rows, where there are any; Spark evaluates them.

    Attributes:
        spark: the session.
        custom: the metrics.
        model_id: the metric tables' name for the model version.
    """

    spark: SparkSession
    custom: CustomMetrics
    model_id: str

    def of_profile(self, rows: list[Row], facts: Facts) -> list[Row]:
        """Profile rows with their aggregate and derived metrics."""
        if not self.custom.profile:
            return rows
        return with_custom_metrics(
            self.spark, rows, lambda row: facts[self._place(row)].custom, self.custom
        )

    def of_baseline(self, rows: list[Row]) -> list[Row]:
        """Rows of a baseline: a profile and no rows, so aggregates are NULL."""
        if not self.custom.profile:
            return rows
        return with_custom_metrics(self.spark, rows, lambda _: None, self.custom)

    def of_drift(
        self,
        rows: list[Row],
        profile: Sequence[Row],
        facts: Facts,
        baseline: Callable[[str, str], list[Row]],
    ) -> list[Row]:
        """Drift rows with their drift metrics.

        Args:
            rows: of gold.drift_metrics.
            profile: the profile rows of the windows compared.
            facts: of these windows.
            baseline: the profile rows of a baseline, by drift type and version.
        """
        by_place = {
            (row["window"]["start"], self._segment(row), row["column_name"]): row for row in profile
        }

        def compared(row: Mapping[str, Any]) -> tuple[Row | None, Row | None]:
            segment, column = self._segment(row), row["column_name"]
            current = by_place.get((row["window"]["start"], segment, column))
            if row["drift_type"] == CONSECUTIVE:
                return current, by_place.get((row["window_cmp"]["start"], segment, column))
            references = baseline(row["drift_type"], facts[self._place(row)].segment.version)
            return current, next((ref for ref in references if ref["column_name"] == column), None)

        return with_custom_drift(self.spark, rows, compared, self.custom)

    def _place(self, row: Mapping[str, Any]) -> tuple[Window, Segment]:
        return Window(row["window"]["start"], row["window"]["end"]), self._segment(row)

    def _segment(self, row: Mapping[str, Any]) -> Segment:
        return Segment(row[self.model_id], row["slice_key"], row["slice_value"])


def rows_of(
    scope: Scope, facts: Sequence[WindowFacts], references: References, as_of: AsOf, own: CustomRows
) -> MetricRows:
    """The rows that a scope writes."""
    merged = rolled_up(facts, scope.granularity)
    days = scope.profile_dates
    chosen = {key: facts for key, facts in merged.items() if key[0].start.date() in days}
    drifting = {window for window, _ in merged if window.start.date() in scope.drift_dates}
    drift = drift_rows(merged, drifting, scope.granularity, references, as_of)
    if not own.custom.drift:
        return MetricRows(
            own.of_profile(profile_rows(chosen, scope.granularity, as_of), chosen), drift
        )
    profile = own.of_profile(profile_rows(merged, scope.granularity, as_of), merged)
    drift = own.of_drift(drift, profile, merged, _baselines(references, as_of, own))
    return MetricRows([row for row in profile if row["window_date"] in scope.profile_dates], drift)


def _baselines(
    references: References, as_of: AsOf, own: CustomRows
) -> Callable[[str, str], list[Row]]:
    """The profile rows of baselines with their custom metrics, each made once."""

    @cache
    def rows(drift_type: str, version: str) -> list[Row]:
        baseline = references(version)[drift_type]
        return own.of_baseline(baseline_rows(drift_type, version, baseline, as_of))

    return rows
