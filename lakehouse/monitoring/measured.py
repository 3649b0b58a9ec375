"""From the facts of windows to the rows of `gold.profile_metrics` and `gold.drift_metrics`."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakehouse.calendar import Granularity, Window
from lakehouse.drift.comparison import drift_of, main_pvalue, non_null_columns_delta
from lakehouse.drift.two_samples import adjusted_pvalues
from lakehouse.models.expected_error.expected_quality import ExpectedQuality, expected_metrics
from lakehouse.monitoring.windows import Facts, Segment, WindowFacts
from lakehouse.profiling.baseline import Baseline
from lakehouse.profiling.profile import ColumnProfile, statistics_of
from lakehouse.quality.facts import quality_metrics

TABLE_COLUMN = ":table"
CONSECUTIVE, BASELINE, BASELINE_TABLE = "CONSECUTIVE", "BASELINE", "BASELINE_TABLE"


@dataclass(frozen=True)
class AsOf:
    """What the rows of one computation have in common.

    Attributes:
        moment: newest label time that had landed; None before any.
        horizon: how late a label may come.
        versions: Delta versions read.
        logging_table: full name of the profiled table, one of `versions`.
        monitor_version: version of the metrics' configuration.
        model_id_column: the metric tables' name for the model version.
        expects: what each version with a policy record expects of its predictions.
    """

    moment: dt.datetime | None
    horizon: dt.timedelta
    versions: Mapping[str, int]
    logging_table: str
    monitor_version: int
    model_id_column: str
    expects: Mapping[str, ExpectedQuality] = field(default_factory=dict)

    def is_past(self, window: Window) -> bool:
        """Return whether the window has ended by now."""
        return self.moment is not None and window.end <= self.moment

    def is_past_horizon(self, window: Window) -> bool:
        """Return whether the last label of the window would have landed by now."""
        return self.moment is not None and window.end + self.horizon <= self.moment


def profile_rows(facts: Facts, granularity: Granularity, as_of: AsOf) -> list[dict[str, Any]]:
    """The INPUT rows of these windows: for each segment one of the table and one of each column."""
    read = as_of.versions[as_of.logging_table]
    of_input = {"log_type": "INPUT", "logging_table_commit_version": read}
    rows = []
    for (window, segment), of_window in facts.items():
        keys = _keys(window, segment, granularity, as_of) | _window_state(window, of_window, as_of)
        rows += [keys | of_input | row for row in _table_and_columns(of_window, as_of)]
    return rows


def baseline_rows(
    log_type: str, version: str, baseline: Baseline, as_of: AsOf
) -> list[dict[str, Any]]:
    """The rows of a baseline, without window: of a version's training data or a fixed table."""
    keys = {
        "log_type": log_type,
        as_of.model_id_column: version,
        "monitor_version": as_of.monitor_version,
    }
    table = {
        "column_name": TABLE_COLUMN,
        "count": _n_rows(baseline),
        "non_null_columns": _non_null(baseline),
    }
    return [keys | table, *(keys | _column_row(profile) for profile in baseline.values())]


def edges_of(baseline: Baseline) -> dict[str, tuple[float, ...]]:
    """The bin edges of the columns that have any."""
    return {
        name: profile.bin_edges
        for name, profile in baseline.items()
        if profile.bin_edges is not None
    }


def drift_rows(
    facts: Facts,
    windows: Iterable[Window],
    granularity: Granularity,
    references: Callable[[str], Mapping[str, Baseline]],
    as_of: AsOf,
) -> list[dict[str, Any]]:
    """The rows that compare windows with the one before, and whole tables with baselines.

    Args:
        facts: of these windows and of the ones before them.
        windows: which ones to compare.
        granularity: of the windows.
        references: the baselines of a version, by drift type; `*` takes the newest version's.
        as_of: what the rows have in common.
    """
    wanted, rows = set(windows), []
    for (window, segment), current in facts.items():
        if window not in wanted:
            continue
        keys = _keys(window, segment, granularity, as_of) | _window_state(window, current, as_of)
        before = granularity.before(window)
        previous = facts.get((before, segment))
        if previous:
            against = {"drift_type": CONSECUTIVE, "window_cmp": dict(vars(before))}
            compared = _compared(current, previous.columns, previous.quality.n_rows)
            rows += [keys | against | row for row in compared]
        baselines = references(current.segment.version) if segment.slice_key is None else {}
        for drift_type, baseline in baselines.items():
            against = {"drift_type": drift_type}
            compared = _compared(current, baseline, _n_rows(baseline))
            rows += [keys | against | row for row in compared]
    return rows


def _compared(current: WindowFacts, reference: Baseline, n_reference: int) -> list[dict[str, Any]]:
    table = {
        "column_name": TABLE_COLUMN,
        "count_delta": current.quality.n_rows - n_reference,
        "non_null_columns_delta": non_null_columns_delta(
            _non_null(current.columns), _non_null(reference)
        ),
    }
    columns = [
        {
            "column_name": name,
            "data_type": profile.spec.data_type,
            **drift_of(profile, reference[name]),
        }
        for name, profile in current.columns.items()
        if name in reference
    ]
    adjusted = adjusted_pvalues([main_pvalue(row) for row in columns])
    return [
        table,
        *(row | {"adjusted_pvalue": value} for row, value in zip(columns, adjusted, strict=True)),
    ]


def _table_and_columns(facts: WindowFacts, as_of: AsOf) -> list[dict[str, Any]]:
    table = {
        "column_name": TABLE_COLUMN,
        "count": facts.quality.n_rows,
        "non_null_columns": _non_null(facts.columns),
        **quality_metrics(facts.quality),
        **expected_metrics(facts.rows_by_bin, facts.quality.n_rows, as_of.expects),
    }
    return [table, *map(_column_row, facts.columns.values())]


def _column_row(profile: ColumnProfile) -> dict[str, Any]:
    return {
        "column_name": profile.spec.name,
        "data_type": profile.spec.data_type,
        **statistics_of(profile),
    }


def _window_state(window: Window, facts: WindowFacts, as_of: AsOf) -> dict[str, Any]:
    # A window is final when all its labels are there, or when no more can come.
    rows, labelled = facts.quality.n_rows, facts.quality.n_labelled
    return {
        "n_labelled": labelled,
        "label_coverage": labelled / rows,
        "is_final": as_of.is_past_horizon(window) or (labelled == rows and as_of.is_past(window)),
        "in_training_window": facts.n_in_training > 0,
    }


def _keys(
    window: Window, segment: Segment, granularity: Granularity, as_of: AsOf
) -> dict[str, Any]:
    return {
        "window": dict(vars(window)),
        "granularity": granularity.text,
        as_of.model_id_column: segment.version,
        "slice_key": segment.slice_key,
        "slice_value": segment.slice_value,
        "monitor_version": as_of.monitor_version,
        "as_of": as_of.moment,
        "as_of_version": dict(as_of.versions),
        "window_date": window.start.date(),
    }


def _n_rows(baseline: Baseline) -> int:
    return max((profile.rows for profile in baseline.values()), default=0)


def _non_null(columns: Baseline) -> list[str]:
    return sorted(name for name, profile in columns.items() if profile.count)
