"""Columns of gold.profile_metrics and gold.drift_metrics as metrics by window. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from lakehouse.alerts.observations import Readings, Row, Series
from lakehouse.calendar import Granularity, Window
from lakehouse.drift.definition import has_drifted
from lakehouse.settings import ConditionSettings, ModelSettings

TABLE = ":table"
DRIFTED_FEATURES = "drifted_features"
"""Features that have drifted from the training data, by `lakehouse/drift/definition.py`."""

# What readings alone tell: known when the window is over. All else waits for the labels.
_OF_READINGS_ALONE = """
    count num_nulls avg min max stddev num_zeros num_nan min_length max_length avg_length median
    distinct_count percent_nan percent_null percent_zeros percent_distinct expected_accuracy
    expected_accuracy_low expected_accuracy_high expected_absolute_error
    expected_absolute_error_low expected_absolute_error_high
    count_delta avg_delta percent_null_delta percent_zeros_delta percent_distinct_delta js_distance
    ks_test wasserstein_distance population_stability_index chi_squared_test tv_distance
    l_infinity_distance hellinger_distance kl_divergence mann_whitney_test levene_test
    adjusted_pvalue
"""
_OF_READINGS = frozenset(_OF_READINGS_ALONE.split())


def profile_series(
    leaf: ConditionSettings, granularity: Granularity, readings: Readings, model: ModelSettings
) -> Series:
    """A column of gold.profile_metrics by window."""
    return _series(leaf, readings.profile, granularity, readings, model)


def drift_series(
    leaf: ConditionSettings, granularity: Granularity, readings: Readings, model: ModelSettings
) -> Series:
    """A column of gold.drift_metrics by window, against the reference that the leaf names."""
    rows = [row for row in readings.drift if row["drift_type"] == leaf.drift_type]
    return _series(leaf, rows, granularity, readings, model)


def drifted_features(
    granularity: Granularity, readings: Readings, model: ModelSettings
) -> tuple[Series, Mapping[Window, str]]:
    """How many features have drifted in each window, and their names."""
    drifted: dict[Window, list[str]] = defaultdict(list)
    for row in readings.drift:
        if row["drift_type"] != "BASELINE" or row["slice_key"] is not None:
            continue
        if row["granularity"] != str(granularity):
            continue
        if row["column_name"] not in model.predictions.features:
            continue
        names = drifted[_window(row)]
        psi, pvalue = row["population_stability_index"], row["adjusted_pvalue"]
        index = row["tv_distance"] if psi is None else psi
        if index is not None and pvalue is not None and has_drifted(index, pvalue):
            names.append(row["column_name"])
    over = _calendar(readings, granularity, model, rests_on_labels=False)
    counts = {window: float(len(drifted[window])) if window in drifted else None for window in over}
    words = {window: ", ".join(sorted(names)) for window, names in drifted.items()}
    return Series(counts, granularity), words


def _series(
    leaf: ConditionSettings,
    rows: Any,
    granularity: Granularity,
    readings: Readings,
    model: ModelSettings,
) -> Series:
    assert leaf.metric is not None
    name, _, field = leaf.metric.partition(".")
    rests_on_labels = name not in _OF_READINGS or leaf.column == model.labels.label
    values = {
        _window(row): _number(row, name, field)
        for row in rows
        if row["granularity"] == str(granularity)
        and row["column_name"] == (leaf.column or TABLE)
        and (row["slice_key"], row["slice_value"]) == (leaf.slice_key, leaf.slice_value)
    }
    calendar = _calendar(readings, granularity, model, rests_on_labels)
    trained_on = {window for window, row in calendar.items() if row["in_training_window"]}
    return Series(
        {window: values.get(window) for window in calendar},
        granularity,
        frozenset(trained_on if rests_on_labels else ()),
    )


def _calendar(
    readings: Readings, granularity: Granularity, model: ModelSettings, rests_on_labels: bool
) -> dict[Window, Row]:
    """The windows that can be judged, with their row of the whole table."""
    return {
        _window(row): row
        for row in readings.profile
        if row["granularity"] == str(granularity)
        and row["column_name"] == TABLE
        and row["slice_key"] is None
        and (row["is_final"] if rests_on_labels else row["window"]["end"] <= readings.now)
    }


def _window(row: Row) -> Window:
    return Window(row["window"]["start"], row["window"]["end"])


def _number(row: Row, name: str, field: str) -> float | None:
    value = row.get(name)
    if field and value is not None:
        value = value.get(field)
    return None if value is None else float(value)
