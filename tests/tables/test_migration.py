"""A lakehouse that an earlier release wrote is opened, gains the columns it lacks, and goes on;
other differences are told.
"""

import datetime as dt
import json
from dataclasses import dataclass

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from lakehouse.app.opening import open_lakehouse
from lakehouse.errors import StoreError
from lakehouse.monitoring.aggregator import backfill
from lakehouse.retraining.policy.decide import KEEP, REFRESH, TRAIN_FIRST
from lakehouse.retraining.policy.history import DecisionEntry
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables import Column, Table
from lakehouse.tables.declaration import VERSION_PROPERTY
from lakehouse.tables.migration import AddedColumn, migration_of
from tests.support.old_lakehouses import take_in_until, unpack

GROWING = ("window_facts", "profile_metrics", "drift_metrics")
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


def test_a_computed_column_keeps_its_definition(spark: SparkSession) -> None:
    def mean(words: str) -> Table:
        return table(A, Column("mean", "double", words, is_computed=True), takes_columns=True)

    hourly = mean("mean of x over 1 hour")
    assert migration_of(hourly, hourly.schema, 1).obstacles == ()
    assert migration_of(table(A), hourly.schema, 1).added == ()
    assert migration_of(mean("mean of x over 2 hours"), hourly.schema, 1).obstacles == (
        "mean holds `mean of x over 1 hour`, declared `mean of x over 2 hours`: give it another "
        "name, or put the settings back",
    )


def test_what_adding_cannot_mend_is_named(spark: SparkSession) -> None:
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


def gold(lakehouse: Lakehouse, name: str) -> list:
    return lakehouse.store.rows(
        getattr(lakehouse.catalog, name), pc.field("window_date").is_valid()
    )


@dataclass(frozen=True)
class GoneOn:
    """A lakehouse that was opened and has taken in another night.

    Attributes:
        lakehouse: the lakehouse after it.
        rows: the rows of each table of `GROWING` before it.
        decisions: what the new release read of the old decisions.
    """

    lakehouse: Lakehouse
    rows: dict[str, int]
    decisions: list[DecisionEntry]


@pytest.fixture(scope="module", params=["0.1.0", "0.2.0"])
def gone_on(
    request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> GoneOn:
    root = unpack(request.param, tmp_path_factory.mktemp("old"))
    rows = {
        name: DeltaTable(root / "gold" / name).to_pyarrow_dataset().count_rows() for name in GROWING
    }
    model = load_model_settings("conf/glassware.yaml")
    lakehouse = open_lakehouse(spark, model, EnvironmentSettings(root=str(root)))
    decisions = list(TableLedger(lakehouse).decisions)
    take_in_until(lakehouse, "2019-07-08")
    return GoneOn(lakehouse, rows, decisions)


def test_every_table_has_its_version_in_its_properties(gone_on: GoneOn) -> None:
    lakehouse = gone_on.lakehouse
    for each in lakehouse.catalog.tables:
        delta = DeltaTable(lakehouse.store.path(each))
        assert delta.metadata().configuration.get(VERSION_PROPERTY, "1") == str(each.version)
        migration = migration_of(
            each, StructType.fromJson(json.loads(delta.schema().to_json())), each.version
        )
        assert (migration.added, migration.obstacles) == ((), ())


def test_an_old_lakehouse_goes_on_and_loses_nothing(gone_on: GoneOn) -> None:
    lakehouse = gone_on.lakehouse
    for name, rows in gone_on.rows.items():
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


@pytest.mark.parametrize("gone_on", ["0.1.0"], indirect=True)
def test_history_keeps_nulls_in_new_columns_until_a_backfill(gone_on: GoneOn) -> None:
    lakehouse = gone_on.lakehouse
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


@pytest.mark.parametrize("gone_on", ["0.2.0"], indirect=True)
def test_old_decisions_are_read_with_the_confidence_that_their_evidence_holds(
    gone_on: GoneOn,
) -> None:
    decisions = [entry.decision for entry in gone_on.decisions]
    assert [(each.action, each.confidence) for each in decisions] == [
        (TRAIN_FIRST, 0.0),
        (REFRESH, 0.4),
        (REFRESH, 0.4),
    ]
    assert not any({"needed", "sure"} & set(each.evidence) for each in decisions)


@pytest.mark.parametrize("gone_on", ["0.2.0"], indirect=True)
def test_the_champion_of_an_old_lakehouse_keeps_its_record_and_can_be_replaced(
    gone_on: GoneOn,
) -> None:
    take_in_until(gone_on.lakehouse, "2019-07-09")
    ledger = TableLedger(gone_on.lakehouse)
    *old, kept, refreshed = (entry.decision for entry in ledger.decisions)
    assert old == [entry.decision for entry in gone_on.decisions]
    assert kept.action == KEEP
    assert (refreshed.action, refreshed.rule) == (REFRESH, "price")
    # Version 3, which 0.2.0 wrote, was trained on 959 rows.
    assert 959.0 < refreshed.evidence["due"] <= refreshed.evidence["labelled"]
    assert [entry.version for entry in ledger.promotions] == [1, 2, 3, 4]


@pytest.mark.parametrize("gone_on", ["0.2.0"], indirect=True)
def test_a_table_that_differs_otherwise_is_refused_by_name(
    spark: SparkSession, gone_on: GoneOn
) -> None:
    lakehouse = gone_on.lakehouse
    path = lakehouse.store.path(lakehouse.catalog.promotion)
    spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS (colour string)")
    with pytest.raises(StoreError, match=r"gold\.promotion in .*: colour is string, not declared"):
        lakehouse.store.create_missing()
