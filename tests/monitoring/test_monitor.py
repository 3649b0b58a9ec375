"""Another configuration of the metrics is another version; what was computed under an old one never
mixes with it.
"""

import dataclasses
import datetime as dt
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from scipy.stats import ks_2samp

from lakehouse.calendar import Granularity
from lakehouse.errors import ConfigurationError
from lakehouse.monitoring.affected import AffectedWindows
from lakehouse.monitoring.aggregator import Aggregator, backfill
from tests.monitoring.test_aggregator import FRESHNESS, assert_same, contents
from tests.support.rows import moment
from tests.support.small_model import at, measured
from tests.support.written import (
    A_DAY,
    CHANGED,
    aggregate,
    by_week,
    copy_of,
    first_version,
    model_file,
    told_at,
    train,
    write_labels,
    write_predictions,
    write_readings,
)

FIRST, LAST = dt.date(2024, 3, 1), dt.date(2024, 3, 5)
SLICES = {"slices": ("x > 0",)}


def with_metrics(lakehouse, **changes: Any):
    metrics = lakehouse.model.metrics.model_copy(update=changes)
    return dataclasses.replace(
        lakehouse, model=lakehouse.model.model_copy(update={"metrics": metrics})
    )


def touch(lakehouse, day: dt.date) -> None:
    Aggregator(lakehouse).compute(AffectedWindows(days=frozenset([day])), "a test's own")


def versions_by_day(
    lakehouse, table_name: str, granularity: str | None = None
) -> dict[dt.date, set[int]]:
    found: dict[dt.date, set[int]] = {}
    for row in lakehouse.store.rows(getattr(lakehouse.catalog, table_name)):
        if row["window_date"] and (granularity is None or row["granularity"] == granularity):
            found.setdefault(row["window_date"], set()).add(row["monitor_version"])
    return found


@pytest.fixture(scope="module")
def works(spark, tmp_path_factory):
    """Version 1 has predicted five days: Friday to Sunday of a week, and two days of the next; not
    to be written to.
    """
    lakehouse = first_version(spark, tmp_path_factory.mktemp("monitor") / "lake", by_week)
    write_readings(lakehouse, range(2 * A_DAY, 5 * A_DAY))
    write_predictions(lakehouse, range(2 * A_DAY, 5 * A_DAY), "1")
    write_labels(lakehouse, range(A_DAY, 4 * A_DAY))
    aggregate(lakehouse, A_DAY, 5 * A_DAY - 1, told_at(4 * A_DAY - 1))
    return lakehouse


@pytest.fixture
def lakehouse(works, tmp_path):
    """A copy to write to."""
    return copy_of(works, tmp_path / "lake", by_week)


@pytest.fixture(scope="module")
def sliced(works, tmp_path_factory):
    """Slices are new, and a label of the second week comes: its windows are computed under them."""
    root = tmp_path_factory.mktemp("sliced") / "lake"
    lakehouse = with_metrics(copy_of(works, root, by_week), **SLICES)
    touch(lakehouse, LAST)
    return lakehouse


def test_the_same_configuration_stays_the_same_version(works):
    """Two batches were computed."""
    recorded = works.store.rows(works.catalog.monitor)
    assert [row["monitor_version"] for row in recorded] == [1]
    assert set().union(*versions_by_day(works, "window_facts").values()) == {1}


def test_another_configuration_is_on_record_as_the_next_version(sliced):
    recorded = {row["monitor_version"]: row for row in sliced.store.rows(sliced.catalog.monitor)}
    configurations = {
        version: json.loads(row["configuration"]) for version, row in recorded.items()
    }
    assert {version: each["slices"] for version, each in configurations.items()} == {
        1: [],
        2: ["x > 0"],
    }
    assert configurations[1]["edges"] == configurations[2]["edges"]


def test_what_a_touched_window_needs_is_computed_anew_and_history_stays(sliced):
    # The touched day lies in the second week: its window needs the days of that week and of the one
    # before it.
    assert set(map(frozenset, versions_by_day(sliced, "window_facts").values())) == {frozenset({2})}
    days = versions_by_day(sliced, "profile_metrics", "1 day")
    assert days[LAST] == {2}
    assert days[FIRST] == {1}
    assert versions_by_day(sliced, "profile_metrics", "1 week") == {
        dt.date(2024, 3, 4): {2},
        dt.date(2024, 2, 26): {1},
    }


def test_a_window_after_the_change_sums_nothing_of_the_old_configuration(sliced):
    rows = sliced.store.rows(sliced.catalog.profile_metrics, pc.field("window_date") == LAST)
    tables = {
        (row["granularity"], row["slice_value"]): row
        for row in rows
        if row["column_name"] == ":table"
    }
    for granularity in ("1 day",):
        parts = [tables[granularity, value]["count"] for value in ("true", "false")]
        assert sum(parts) == tables[granularity, None]["count"]
        assert min(parts) > 0


def test_a_backfill_brings_all_of_history_under_the_configuration(sliced, lakehouse):
    backfill(sliced, FIRST, LAST)
    for name in ("window_facts", "profile_metrics", "drift_metrics"):
        assert set(map(frozenset, versions_by_day(sliced, name).values())) == {frozenset({2})}
    anew = with_metrics(lakehouse, **SLICES)
    for table in (
        anew.catalog.window_facts,
        anew.catalog.profile_metrics,
        anew.catalog.drift_metrics,
    ):
        DeltaTable(anew.store.path(table)).delete()
    backfill(anew, FIRST, LAST)
    for name in ("profile_metrics", "drift_metrics"):
        without = FRESHNESS | {"monitor_version"}
        inputs = [
            {key: row for key, row in contents(each, name, without).items() if row["window_date"]}
            for each in (sliced, anew)
        ]
        assert_same(*inputs, name)


def test_why_windows_were_computed_stands_in_the_history_of_the_tables(sliced):
    for table in (
        sliced.catalog.window_facts,
        sliced.catalog.profile_metrics,
        sliced.catalog.drift_metrics,
    ):
        history = sliced.spark.sql(f"DESCRIBE HISTORY delta.`{sliced.store.path(table)}`")
        assert "a test's own" in {row["userMetadata"] for row in history.collect()}


def test_other_bins_are_made_of_the_baseline_and_its_values_counted_in_them(lakehouse):
    lakehouse = with_metrics(lakehouse, bins=8)
    touch(lakehouse, LAST)
    row = max(
        lakehouse.store.rows(lakehouse.catalog.monitor), key=lambda each: each["monitor_version"]
    )
    edges = json.loads(row["configuration"])["edges"]["x"]
    assert (row["monitor_version"], len(edges)) == (2, 7)
    sides = [
        [measured(number)[0] for number in numbers]
        for numbers in (
            range(4 * A_DAY, 5 * A_DAY),
            range(A_DAY),
        )  # the day; what it was trained on
    ]
    expected = ks_2samp(*(np.searchsorted(edges, side) for side in sides))
    drift = lakehouse.store.rows(lakehouse.catalog.drift_metrics, pc.field("window_date") == LAST)
    keys = ("drift_type", "column_name", "granularity", "model_version")
    [found] = [
        each["ks_test"]
        for each in drift
        if tuple(each[name] for name in keys) == ("BASELINE", "x", "1 day", "*")
    ]
    assert found["statistic"] == pytest.approx(expected.statistic, abs=1e-12)


def test_a_fixed_baseline_table_is_a_third_reference(lakehouse, tmp_path):
    fixed = pd.DataFrame({"x": np.linspace(-1, 1, 500), "unknown": "x"})
    write_deltalake(str(tmp_path / "fixed"), fixed)
    lakehouse = with_metrics(lakehouse, baseline_table=str(tmp_path / "fixed"))
    touch(lakehouse, LAST)
    rows = lakehouse.store.rows(lakehouse.catalog.drift_metrics, pc.field("window_date") == LAST)
    found = {
        row["column_name"]: row
        for row in rows
        if row["drift_type"] == "BASELINE_TABLE" and row["granularity"] == "1 day"
    }
    assert set(found) == {":table", "x"}
    assert {row["window_cmp"] for row in found.values()} == {None}
    day = np.array([measured(number)[0] for number in range(4 * A_DAY, 5 * A_DAY)])
    assert found["x"]["count_delta"] == A_DAY - 500
    assert found["x"]["avg_delta"] == pytest.approx(day.mean())
    newest = max(
        lakehouse.store.rows(lakehouse.catalog.monitor), key=lambda each: each["monitor_version"]
    )
    edges = json.loads(newest["configuration"])["edges"]["x"]
    expected = ks_2samp(*(np.searchsorted(edges, side) for side in (day, fixed["x"].to_numpy())))
    assert found["x"]["ks_test"]["statistic"] == pytest.approx(expected.statistic, abs=1e-12)
    profile = lakehouse.store.rows(
        lakehouse.catalog.profile_metrics, pc.field("log_type") == "BASELINE_TABLE"
    )
    assert {row["column_name"]: row["count"] for row in profile} == {":table": 500, "x": 500}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/nowhere", "is not a Delta table"),
        ("gold.decision", "has none of the monitored columns; name another table"),
    ],
)
def test_a_baseline_table_that_cannot_be_one_is_one_sentence(works, name, says):
    lakehouse = with_metrics(works, baseline_table=name)
    with pytest.raises(ConfigurationError, match=rf"metrics\.baseline_table: .* {says}"):
        touch(lakehouse, LAST)


def test_without_the_first_models_file_one_figure_is_empty_and_the_others_stand(lakehouse):
    train(lakehouse, told_at(4 * A_DAY - 1), at(CHANGED))
    model_file(lakehouse, "1").unlink()
    day = dt.date(2024, 3, 4)
    touch(lakehouse, day)
    rows = lakehouse.store.rows(lakehouse.catalog.profile_metrics, pc.field("window_date") == day)
    table = next(
        row for row in rows if (row["column_name"], row["granularity"]) == (":table", "1 day")
    )
    assert table["accuracy_without_retraining"] is None
    assert table["accuracy_score"] > 0.6


def test_finer_windows_begin_with_the_days_that_are_touched(lakehouse):
    finer = tuple(map(Granularity, ("30 minutes", "1 day")))
    lakehouse = with_metrics(lakehouse, granularities=finer)
    touch(lakehouse, LAST)
    where = pc.field("window_date") == LAST
    facts = lakehouse.store.rows(lakehouse.catalog.window_facts, where, ["window_start"])
    assert {row["window_start"].minute for row in facts} == {0, 30}
    rows = lakehouse.store.rows(
        lakehouse.catalog.profile_metrics, where & (pc.field("column_name") == ":table")
    )
    counts = {
        name: [row["count"] for row in rows if row["granularity"] == name]
        for name in ("30 minutes", "1 day")
    }
    assert len(counts["30 minutes"]) == 2 * 48  # of the one version and of all together
    assert sum(counts["30 minutes"]) == sum(counts["1 day"])


def test_another_tolerance_is_another_configuration_and_mixes_with_none(shop, tmp_path):
    lakehouse = shop.copy(tmp_path)
    predictions = lakehouse.model.predictions.model_copy(update={"tolerance": 100.0})
    lakehouse = dataclasses.replace(
        lakehouse, model=lakehouse.model.model_copy(update={"predictions": predictions})
    )
    Aggregator(lakehouse).compute(
        AffectedWindows(windows=frozenset([moment("2024-05-02T05:00:00")])), "a test's own"
    )
    facts = lakehouse.store.rows(
        lakehouse.catalog.window_facts, pc.field("window_date") == dt.date(2024, 5, 2)
    )
    assert {(row["monitor_version"], row["quality"]["tolerance"]) for row in facts} == {(2, 100.0)}


def test_a_touched_versions_baseline_rows_are_those_of_the_configuration(sliced):
    rows = sliced.store.rows(sliced.catalog.profile_metrics, pc.field("log_type") == "BASELINE")
    assert {row["monitor_version"] for row in rows} == {2}
    assert len({row["column_name"] for row in rows}) == len(rows)
