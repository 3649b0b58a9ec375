"""From when on a training takes rows, by the labelled rows that the facts count."""

import datetime as dt
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.labels.label_batch import start_of_trainable
from lakehouse.storage.lakehouse import Lakehouse
from tests.support.rows import moment
from tests.support.small_model import Settings, small_lakehouse

AS_OF = moment("2024-06-01T00:00:00")


def of_few_rows(settings: Settings) -> None:
    settings["training"]["max_rows"] = 100


@pytest.fixture
def lakehouse(spark: SparkSession, tmp_path: Path) -> Lakehouse:
    return small_lakehouse(spark, tmp_path / "lake", of_few_rows)


def count(lakehouse: Lakehouse, days_ago: int, labelled: int, slice_key: str | None = None) -> None:
    """A window of the facts, so many days before."""
    start = AS_OF - dt.timedelta(days=days_ago)
    row = {"window_start": start, "window_date": start.date(), "model_version": "1"}
    row |= {"quality": {"n_labelled": labelled}, "slice_key": slice_key}
    lakehouse.store.append_rows([row], lakehouse.catalog.window_facts)


def test_all_rows_are_taken_where_there_are_no_more_than_a_training_takes(
    lakehouse: Lakehouse,
) -> None:
    assert start_of_trainable(lakehouse, AS_OF) is None
    count(lakehouse, 1, 99)
    assert start_of_trainable(lakehouse, AS_OF) is None


def test_rows_are_taken_from_the_newest_windows_that_hold_enough(lakehouse: Lakehouse) -> None:
    for days_ago in (1, 2, 3):
        count(lakehouse, days_ago, 60)
    count(lakehouse, 1, 1000, "x > 0")  # the same rows once more
    assert start_of_trainable(lakehouse, AS_OF) == AS_OF - dt.timedelta(days=2)


def test_it_looks_back_further_where_the_newest_weeks_hold_too_few(lakehouse: Lakehouse) -> None:
    for days_ago in (1, 50, 90):
        count(lakehouse, days_ago, 60)
    assert start_of_trainable(lakehouse, AS_OF) == AS_OF - dt.timedelta(days=50)
