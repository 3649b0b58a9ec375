"""A lakehouse that release 0.1.0 wrote is opened, gains the columns it lacks, and goes on; other
differences are told.

`tests/data/lakehouse-0.1.0.tar.xz` was written by commit 527bb77: glassware, scenario `demo`, seed
0, the midnights of 5, 6 and 7 July 2019 (first_after 300), without its landing folder and the
checkpoints of it, which hold absolute paths.
"""

import datetime as dt
import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from lakehouse.app.opening import open_lakehouse
from lakehouse.app.whole_way import run_pipeline
from lakehouse.errors import StoreError
from lakehouse.glassware.gateway import land_until
from lakehouse.glassware.pieces import Stream
from lakehouse.monitoring.aggregator import backfill
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables import Column, Table
from lakehouse.tables.declaration import VERSION_PROPERTY
from lakehouse.tables.migration import AddedColumn, migration_of
from tests.support.rows import moment

ARCHIVE = Path("tests/data/lakehouse-0.1.0.tar.xz")
WRITTEN_AT = "/tmp/lakehouse-of-0.1.0"
FIRST, LAST = dt.date(2019, 7, 1), dt.date(2019, 7, 7)


def table(*columns: Column, version: int = 1, takes_columns: bool = False) -> Table:
    return Table(
        "gold", "things", "a thing", ("a",), columns, version=version, takes_columns=takes_columns
    )


A, B = (
    Column("a", "bigint", "first"),
    Column("b", "struct<x:bigint,y:array<struct<z:double>>>", "second"),
)


def test_columns_and_fields_within_them_are_added(spark: SparkSession) -> None:
    found = StructType.fromDDL("a bigint, b struct<y:array<struct<w:string>>>")
    assert isinstance(found, StructType)
    migration = migration_of(table(A, B, Column("c", "double", "third")), found, 1)
    assert migration.added == (
        AddedColumn(("b", "x"), "bigint", ""),
        AddedColumn(("b", "y", "element", "z"), "double", ""),
        AddedColumn(("c",), "double", "third"),
    )
    assert migration.obstacles == ()


def test_what_adding_cannot_mend_is_told(spark: SparkSession) -> None:
    found = StructType.fromDDL("a string, b struct<x:string,y:array<struct<z:double>>>, old int")
    assert isinstance(found, StructType)
    assert migration_of(table(A, B), found, 1).obstacles == (
        "a is string, declared bigint",
        "b.x is string, declared bigint",
        "old is int, not declared",
    )
    assert (
        "old is int, not declared"
        not in migration_of(table(A, B, takes_columns=True), found, 1).obstacles
    )


def test_a_table_of_a_newer_release_is_refused(spark: SparkSession) -> None:
    found = StructType.fromDDL("a bigint, new int")
    assert isinstance(found, StructType)
    assert migration_of(table(A), found, 2).obstacles == (
        "it was written by a newer release (schema version 2); update this one",
    )


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    shutil.unpack_archive(ARCHIVE, folder)
    return folder / Path(WRITTEN_AT).name  # elsewhere than where it was written


def gold(lakehouse: Lakehouse, name: str) -> list:
    return lakehouse.store.rows(
        getattr(lakehouse.catalog, name), pc.field("window_date").is_valid()
    )


@pytest.fixture(scope="module")
def gone_on(spark: SparkSession, unpacked: Path) -> tuple[dict, Lakehouse]:
    """The row counts before, and the lakehouse after it was opened and has taken in another
    night.
    """
    names = ("window_facts", "profile_metrics", "drift_metrics")
    before = {
        name: DeltaTable(unpacked / "gold" / name).to_pyarrow_dataset().count_rows()
        for name in names
    }
    model = load_model_settings("conf/glassware.yaml")
    lakehouse = open_lakehouse(spark, model, EnvironmentSettings(root=str(unpacked)))
    stream, aside = Stream("demo", seed=0), unpacked / "aside"
    land_until(stream, aside, moment("2019-07-07T00:00:00"))
    known = set(aside.glob("*/*.jsonl"))  # the archive holds their lines
    land_until(stream, aside, moment("2019-07-08T00:00:00"))
    for path in set(aside.glob("*/*.jsonl")) - known:
        target = Path(lakehouse.landing) / path.relative_to(aside)
        target.parent.mkdir(parents=True)
        path.rename(target)
    run_pipeline(lakehouse)
    return before, lakehouse


def test_every_table_has_its_version_in_its_properties(gone_on: tuple[dict, Lakehouse]) -> None:
    _, lakehouse = gone_on
    for each in lakehouse.catalog.tables:
        delta = DeltaTable(lakehouse.store.path(each))
        assert delta.metadata().configuration.get(VERSION_PROPERTY, "1") == str(each.version)
        migration = migration_of(
            each, StructType.fromJson(json.loads(delta.schema().to_json())), each.version
        )
        assert (migration.added, migration.obstacles) == ((), ())


def test_an_old_lakehouse_goes_on_and_loses_nothing(gone_on: tuple[dict, Lakehouse]) -> None:
    before, lakehouse = gone_on
    for name, rows in before.items():
        assert len(gold(lakehouse, name)) > rows - 30  # baselines have no window
    days = {row["window_date"]: row for row in gold(lakehouse, "profile_metrics") if is_table(row)}
    assert sorted(days) == [FIRST + dt.timedelta(days=n) for n in range(7)]
    assert (
        sum(row["count"] for row in days.values())
        == lakehouse.store.read(lakehouse.catalog.predictions).count()
    )


def is_table(row: dict) -> bool:
    return (row["column_name"], row["granularity"], row["model_version"]) == (
        ":table",
        "1 day",
        "*",
    )


def test_history_keeps_nulls_in_new_columns_until_a_backfill(
    gone_on: tuple[dict, Lakehouse],
) -> None:
    _, lakehouse = gone_on
    errors = {
        row["window_date"]: row["expected_calibration_error"]
        for row in gold(lakehouse, "profile_metrics")
        if is_table(row)
    }
    assert errors[FIRST] is None
    backfill(lakehouse, FIRST, LAST)
    rows = [
        row for row in gold(lakehouse, "profile_metrics") if is_table(row) and row["n_labelled"]
    ]
    assert len(rows) >= 5
    assert all(row["expected_calibration_error"] is not None for row in rows)


def test_a_table_that_differs_otherwise_is_refused_by_name(
    spark: SparkSession, gone_on: tuple[dict, Lakehouse]
) -> None:
    _, lakehouse = gone_on
    path = lakehouse.store.path(lakehouse.catalog.promotion)
    spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS (colour string)")
    with pytest.raises(StoreError, match=r"gold\.promotion in .*: colour is string, not declared"):
        lakehouse.store.create_missing()
