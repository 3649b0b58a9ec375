"""Predicates that skip files find each row that is asked for, and no other."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.instants import ARROW_MOMENT
from lakehouse.labels.label_batch import labels_of
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import among_keys, since_moment
from tests.support.rows import moment
from tests.support.small_model import Settings, small_lakehouse

START = "0123456789abcdef" * 2
# Statistics tell of a text its first 32 characters, and cut or round up what comes after.
KEYS = [
    "",
    "z",
    START,
    *(f"{START}-{end:04}" for end in range(5)),
    f"{START}\U0001f600-1",
    f"{START[:31]}\U0001f600\U0001f600",
    f"{START}\uffff\uffff",
    "é" * 40,
]


def with_text_keys(settings: Settings) -> None:
    for each, table in (("readings", "reading"), ("labels", "truth")):
        assert settings[each]["table"] == table
        settings[each]["columns"]["id"] = {"type": "string"}


@pytest.fixture
def lakehouse(spark: SparkSession, tmp_path: Path) -> Lakehouse:
    """A file of labels for each key: by Spark, and by delta-rs."""
    found = small_lakehouse(spark, tmp_path / "lake", with_text_keys)
    table = found.catalog.labels
    told = moment("2024-03-01T00:00:00")
    for place, key in enumerate(KEYS):
        row = {"id": key, "told": told, "y": "ok", "landed_file_id": place, "line": 0}
        if place % 2:
            found.store.append_rows([row], table)
        else:
            frame = spark.createDataFrame([row], "id string, told timestamp, y string")
            frame.write.format("delta").mode("append").save(found.store.path(table))
    return found


def test_a_row_is_found_by_its_key_whatever_statistics_tell_of_long_keys(
    lakehouse: Lakehouse,
) -> None:
    for asked in [[key] for key in KEYS] + [KEYS[2:6], KEYS[::3], KEYS]:
        where = among_keys("id", pa.chunked_array([asked]))
        found = lakehouse.store.arrow(lakehouse.catalog.labels, where, ["id"])["id"].to_pylist()
        assert sorted(found) == sorted(asked)


def test_a_row_is_found_since_its_own_moment_though_statistics_cut_times(
    spark: SparkSession, tmp_path: Path
) -> None:
    lake = small_lakehouse(spark, tmp_path / "lake", with_text_keys)
    told = moment("2024-03-01T00:00:00") + dt.timedelta(microseconds=900)
    row = {"id": "a", "told": told, "y": "ok", "landed_file_id": 0, "line": 0}
    frame = spark.createDataFrame([row], "id string, told timestamp, y string")
    frame.write.format("delta").mode("append").save(lake.store.path(lake.catalog.labels))
    for since in (told, pa.scalar(told, ARROW_MOMENT).value):
        assert len(lake.store.rows(lake.catalog.labels, since_moment("told", since))) == 1
    later = told + dt.timedelta(microseconds=1)
    assert not lake.store.rows(lake.catalog.labels, since_moment("told", later))


def test_labels_between_the_keys_that_are_asked_for_are_not_held(lakehouse: Lakehouse) -> None:
    asked = pa.chunked_array([[min(KEYS), max(KEYS)], ["no such key"]])
    assert sorted(labels_of(lakehouse, asked)["id"].to_pylist()) == sorted([min(KEYS), max(KEYS)])
