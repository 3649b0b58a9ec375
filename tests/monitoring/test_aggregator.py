import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.store import Row
from tests.support.rows import moment
from tests.support.small_model import at, small_lakehouse
from tests.support.written import (
    A_DAY,
    CHANGED,
    by_week,
    copy_of,
    forget_newest_batch,
    told_at,
    train,
    write_labels,
    write_predictions,
    write_readings,
)

FRESHNESS = {"as_of", "as_of_version", "logging_table_commit_version"}
TABLES = ("window_facts", "profile_metrics", "drift_metrics")


def contents(lakehouse, table_name: str, without: set[str]) -> dict:
    """A table's rows by key, without the columns that depend on when a row was computed."""
    table = getattr(lakehouse.catalog, table_name)
    return {
        tuple(str(row[name]) for name in table.keys): {
            k: v for k, v in row.items() if k not in without
        }
        for row in lakehouse.store.rows(table)
    }


def assert_same(found, expected, path="") -> None:
    """Equal, up to the rounding of floating-point sums."""
    if isinstance(expected, dict):
        assert set(found) == set(expected), path
        for key in expected:
            assert_same(found[key], expected[key], f"{path}/{key}")
    elif isinstance(expected, list | tuple) and len(expected) == len(found):
        for place, (mine, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(mine, other, f"{path}/{place}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), path
    else:
        assert found == expected, path


WITHHELD = 12
"""The row whose label does not come with the others: of 1 March, two o'clock."""


@pytest.fixture(scope="module")
def works(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Three micro-batches of aggregation, the last one of a second version; not to be written
    to.
    """
    lakehouse = small_lakehouse(spark, tmp_path_factory.mktemp("facts") / "lake", by_week)
    write_readings(lakehouse, range(7 * A_DAY))
    write_labels(lakehouse, sorted(set(range(A_DAY)) - {WITHHELD}))
    train(lakehouse, told_at(A_DAY - 1))
    write_predictions(lakehouse, range(2 * A_DAY), "1")
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    write_predictions(lakehouse, range(2 * A_DAY, 5 * A_DAY), "1")
    write_labels(lakehouse, range(A_DAY, 4 * A_DAY))
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    train(lakehouse, told_at(4 * A_DAY - 1), at(CHANGED))
    write_predictions(lakehouse, range(5 * A_DAY, 7 * A_DAY), "2")
    write_labels(lakehouse, range(4 * A_DAY, 6 * A_DAY))
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    return lakehouse


@pytest.fixture(scope="module")
def late(works: Lakehouse, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """The withheld label comes three months late, in a batch of its own."""
    lakehouse = copy_of(works, tmp_path_factory.mktemp("late") / "lake", by_week)
    label = {"id": WITHHELD, "told": moment("2024-06-01T00:00:00"), "y": "broken"}
    lakehouse.store.append_rows([label], lakehouse.catalog.labels)
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    return lakehouse


def changed(works: Lakehouse, late: Lakehouse, table_name: str, without: set[str]) -> set:
    before, after = (contents(each, table_name, without) for each in (works, late))
    assert set(before) == set(after)
    return {key for key in before if before[key] != after[key]}


def test_a_late_label_changes_the_facts_of_its_hour_alone(
    works: Lakehouse, late: Lakehouse
) -> None:
    found = changed(works, late, "window_facts", FRESHNESS)
    assert {key[:2] for key in found} == {("2024-03-01 02:00:00+00:00", "1")}


def test_a_late_label_changes_the_quality_of_the_windows_that_hold_it_alone(
    works: Lakehouse, late: Lakehouse
) -> None:
    table, dated = late.catalog.profile_metrics, {"is_final", "n_labelled", "label_coverage"}
    found = changed(works, late, "profile_metrics", FRESHNESS | dated)
    place = [table.keys.index(name) for name in ("granularity", "model_version", "column_name")]
    windows = {"1 day": "2024, 3, 1, 0, 0", "1 week": "2024, 2, 26, 0, 0"}
    assert all(windows[key[place[0]]] in key[0] for key in found)
    assert {tuple(key[each] for each in place) for key in found} == {
        (granularity, version, name)
        for granularity in windows
        for version in ("1", "*")
        for name in (":table", "y")
    }


def test_a_late_label_is_counted(works: Lakehouse, late: Lakehouse) -> None:
    def day(lakehouse: Lakehouse) -> Row:
        return next(
            row
            for row in lakehouse.store.rows(lakehouse.catalog.profile_metrics)
            if row["granularity"] == "1 day"
            and row["window"]["start"] == moment("2024-03-01T00:00:00")
            and (row["model_version"], row["column_name"]) == ("*", ":table")
        )

    before, after = day(works), day(late)
    assert (before["n_labelled"], after["n_labelled"]) == (before["count"] - 1, before["count"])
    assert before["is_final"]  # past the horizon, though one label had not come
    assert after["label_coverage"] == 1


def test_the_late_labels_time_makes_all_older_windows_final(late: Lakehouse) -> None:
    found = late.store.rows(late.catalog.profile_metrics)
    assert all(row["is_final"] for row in found if row["log_type"] == "INPUT")


def test_many_small_batches_give_the_same_tables_as_one(late: Lakehouse, tmp_path: Path) -> None:
    root = tmp_path / "anew"
    shutil.copytree(late.store.root, root)
    shutil.rmtree(root / "gold")
    shutil.rmtree(root / "_system" / "checkpoints" / "aggregate_kpis")
    shutil.copytree(Path(late.store.root) / "gold" / "promotion", root / "gold" / "promotion")
    anew = small_lakehouse(late.spark, root, by_week)
    aggregate_kpis(anew, AVAILABLE_NOW)
    for name in TABLES:
        sketches = {"columns"} if name == "window_facts" else set()
        assert_same(
            contents(late, name, FRESHNESS | sketches),
            contents(anew, name, FRESHNESS | sketches),
            name,
        )


def test_a_replayed_batch_gives_the_same_rows(late: Lakehouse, tmp_path: Path) -> None:
    root = Path(shutil.copytree(late.store.root, tmp_path / "lake"))
    forget_newest_batch(root, "aggregate_kpis")
    lakehouse = small_lakehouse(late.spark, root, by_week)
    version = lakehouse.store.version(lakehouse.catalog.window_facts)
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.version(lakehouse.catalog.window_facts) > version  # it was replayed
    for name in TABLES:
        assert_same(contents(lakehouse, name, set()), contents(late, name, set()), name)
