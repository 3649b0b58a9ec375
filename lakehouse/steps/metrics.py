"""From the facts of windows to the rows of `gold.profile_metrics` and `gold.drift_metrics`."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.statistics.classification import metrics_of
from lakehouse.statistics.drift import drift_of, non_null_columns_delta
from lakehouse.statistics.profile import ColumnProfile, statistics_of
from lakehouse.statistics.windows import Facts, Window, WindowFacts

TABLE_COLUMN = ":table"
Baseline = Mapping[str, ColumnProfile]


@dataclass(frozen=True)
class AsOf:
    """What the rows of one computation have in common.

    Attributes:
        moment: newest label time that had landed; None before any.
        horizon: how late a label may come.
        versions: Delta versions read.
        logging_table: full name of the profiled table, one of `versions`.
        monitor_version: version of the metrics' configuration.
    """

    moment: dt.datetime | None
    horizon: dt.timedelta
    versions: Mapping[str, int]
    logging_table: str
    monitor_version: int

    def is_past(self, window: Window) -> bool:
        """Whether the window has ended by now."""
        return self.moment is not None and window.end <= self.moment

    def is_past_horizon(self, window: Window) -> bool:
        """Whether the last label of the window would have landed by now."""
        return self.moment is not None and window.end + self.horizon <= self.moment


def profile_rows(facts: Facts, granularity: str, as_of: AsOf) -> list[dict[str, Any]]:
    """The INPUT rows of these windows: for each version (and `*`) one of the table and one of each column."""
    return [
        {**_input_keys(window, version, granularity, as_of), **_window_state(window, each, as_of), **row}
        for (window, version), each in facts.items()
        for row in _table_and_columns(each)
    ]


def baseline_rows(version: str, baseline: Baseline, as_of: AsOf) -> list[dict[str, Any]]:
    """The BASELINE rows of one version: the profile of its training data, without window and granularity."""
    keys = {"log_type": "BASELINE", "model_version": version, "monitor_version": as_of.monitor_version}
    n_rows = max((profile.rows for profile in baseline.values()), default=0)
    table = {"column_name": TABLE_COLUMN, "count": n_rows, "non_null_columns": _non_null(baseline)}
    return [keys | table, *(keys | _column_row(profile) for profile in baseline.values())]


def edges_of(baseline: Baseline) -> dict[str, tuple[float, ...]]:
    """The bin edges of the columns that have bins."""
    return {name: profile.bin_edges for name, profile in baseline.items() if profile.bin_edges}


def drift_rows(
    facts: Facts, windows: Iterable[Window], granularity: str, baseline_of: Callable[[str], Baseline], as_of: AsOf
) -> list[dict[str, Any]]:
    """The drift of the given windows against the window before (where there is one) and the version's training data.

    All versions together are compared with the training data of the newest version among them.
    """
    wanted, rows = set(windows), []
    for (window, version), current in facts.items():
        if window not in wanted:
            continue
        keys = _keys(window, version, granularity, as_of)
        previous = facts.get((window.before, version))
        if previous:
            against = {"drift_type": "CONSECUTIVE", "window_cmp": _as_struct(window.before)}
            rows += [keys | against | row for row in _compared(current, previous.columns, previous.quality.n_rows)]
        baseline = baseline_of(current.version)
        n_baseline = max((profile.rows for profile in baseline.values()), default=0)
        rows += [keys | {"drift_type": "BASELINE"} | row for row in _compared(current, baseline, n_baseline)]
    return rows


def _compared(current: WindowFacts, reference: Baseline, n_reference: int) -> list[dict[str, Any]]:
    table = {
        "column_name": TABLE_COLUMN,
        "count_delta": current.quality.n_rows - n_reference,
        "non_null_columns_delta": non_null_columns_delta(_non_null(current.columns), _non_null(reference)),
    }
    columns = [
        {"column_name": name, "data_type": profile.spec.data_type, **drift_of(profile, reference[name])}
        for name, profile in current.columns.items()
        if name in reference
    ]
    return [table, *columns]


def _table_and_columns(facts: WindowFacts) -> list[dict[str, Any]]:
    table = {
        "column_name": TABLE_COLUMN,
        "count": facts.quality.n_rows,
        "non_null_columns": _non_null(facts.columns),
        **metrics_of(facts.quality),
    }
    return [table, *map(_column_row, facts.columns.values())]


def _column_row(profile: ColumnProfile) -> dict[str, Any]:
    return {"column_name": profile.spec.name, "data_type": profile.spec.data_type, **statistics_of(profile)}


def _window_state(window: Window, facts: WindowFacts, as_of: AsOf) -> dict[str, Any]:
    rows, labelled = facts.quality.n_rows, facts.quality.n_labelled
    return {
        "n_labelled": labelled,
        "label_coverage": labelled / rows,
        "is_final": as_of.is_past_horizon(window) or (labelled == rows and as_of.is_past(window)),
        "in_training_window": facts.n_in_training > 0,
    }


def _input_keys(window: Window, version: str, granularity: str, as_of: AsOf) -> dict[str, Any]:
    read = as_of.versions[as_of.logging_table]
    return {**_keys(window, version, granularity, as_of), "log_type": "INPUT", "logging_table_commit_version": read}


def _keys(window: Window, version: str, granularity: str, as_of: AsOf) -> dict[str, Any]:
    return {
        "window": _as_struct(window),
        "granularity": granularity,
        "model_version": version,
        "monitor_version": as_of.monitor_version,
        "as_of": as_of.moment,
        "as_of_version": dict(as_of.versions),
        "window_date": window.start.date(),
    }


def _as_struct(window: Window) -> dict[str, dt.datetime]:
    return {"start": window.start, "end": window.end}


def _non_null(columns: Baseline) -> list[str]:
    return sorted(name for name, profile in columns.items() if profile.count)
