"""The account balances when each line is in exactly one place, and says so when it is not."""

from collections.abc import Iterator
from typing import Any

import pytest
from chispa import assert_df_equality
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.ingest.account import account
from lakehouse.ingest.reconciliation import Account, whereabouts
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.lakehouse import Lakehouse

LINE = "source_file string, line bigint, landed_file_id bigint"


def lines(spark: SparkSession, *numbers: int, file: str = "a") -> DataFrame:
    return spark.createDataFrame(
        [(file, number, None) for number in numbers], LINE
    )  # by a release without ids


def test_a_line_is_found_wherever_it_is(spark: SparkSession) -> None:
    bronze = lines(spark, 0, 1, 2, 3, 4, 5, 5)  # line 5 was read twice, from a new checkpoint
    silver = lines(spark, 0, 1, 4).union(lines(spark, 3, file="b"))  # line 3 of another file
    quarantined = lines(spark, 2, 4, 5, 5)
    found = whereabouts(
        bronze, [("silver", silver), ("quarantined", quarantined), ("duplicate", lines(spark, 99))]
    )
    expected = spark.createDataFrame(
        [
            (["silver"], 2),  # 0, 1
            (["quarantined"], 1),  # 2
            (["quarantined", "quarantined"], 1),  # 5 is there twice
            (["quarantined", "silver"], 1),  # 4 is in two places
            (None, 1),  # 3 is nowhere
        ],
        "places array<string>, lines bigint",
    )
    assert_df_equality(found, expected, ignore_row_order=True, ignore_nullable=True)


@pytest.mark.parametrize(
    ("unaccounted", "in_two_places", "says"),
    [
        (
            0,
            0,
            "things: 6 lines = 3 silver + 2 quarantined + 1 duplicate (silver: 1 scored, 2 "
            "waiting)",
        ),
        (1, 0, "(silver: 1 scored, 2 waiting); 1 unaccounted for, 0 in two places"),
        (0, 2, "(silver: 1 scored, 2 waiting); 0 unaccounted for, 2 in two places"),
    ],
)
def test_an_account_says_whether_it_balances(
    unaccounted: int, in_two_places: int, says: str
) -> None:
    places = {"silver": 3, "quarantined": 2, "duplicate": 1}
    found = Account("things", 6, places, unaccounted, in_two_places, {"scored": 1, "waiting": 2})
    assert str(found).endswith(says)
    assert found.balances is (unaccounted == in_two_places == 0)


@pytest.fixture
def lakehouse(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """Six readings and three labels, each in its place; three readings in silver, of which two are
    scored.
    """
    root = str(tmp_path_factory.mktemp("account"))
    lakehouse = open_lakehouse(
        spark, load_model_settings("conf/glassware.yaml"), EnvironmentSettings(root=root)
    )
    catalog, append = lakehouse.catalog, lakehouse.store.append_rows

    def line(number: int, **values: Any) -> dict[str, Any]:
        return {"source_file": "f", "line": number, **values}

    append([line(number) for number in range(6)], catalog.bronze_readings)
    append([line(number) for number in range(3)], catalog.bronze_labels)
    append([line(number, pid=number) for number in (0, 1, 2)], catalog.readings)
    append([line(0, pid=1), line(1, pid=77)], catalog.labels)
    # the same file and line numbers in both sources: they must not answer for each other
    append([line(3, source="sensor_reading"), line(2, source="quality_check")], catalog.quarantine)
    append([line(4, source="sensor_reading"), line(5, source="sensor_reading")], catalog.duplicate)
    append([{"pid": 0}, {"pid": 2}], catalog.predictions)
    yield lakehouse


def test_a_lost_line_and_one_in_two_places_are_noticed(lakehouse: Lakehouse) -> None:
    silver = DeltaTable(lakehouse.store.path(lakehouse.catalog.readings))
    silver.alter.set_table_properties({"delta.appendOnly": "false"})
    silver.delete("line = 2")  # a reading is lost
    again = {
        "source": "quality_check",
        "source_file": "f",
        "line": 0,
    }  # a label is in silver and a duplicate
    lakehouse.store.append_rows([again], lakehouse.catalog.duplicate)
    readings, labels = account(lakehouse)
    assert readings == Account(
        source="sensor_reading",
        lines=6,
        places={"silver": 2, "quarantined": 1, "duplicate": 2},
        unaccounted=1,
        in_two_places=0,
        followed={"scored": 1, "waiting for a model": 1},
    )
    assert labels == Account(
        source="quality_check",
        lines=3,
        places={"silver": 1, "quarantined": 1, "duplicate": 0},
        unaccounted=0,
        in_two_places=1,
        followed={"joined to a prediction": 0, "waiting for one": 2},
    )
    assert not readings.balances
    assert not labels.balances
