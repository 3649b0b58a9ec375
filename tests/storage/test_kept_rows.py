"""Records that nothing can be made from again are kept a second time, each row once."""

import datetime as dt
import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.storage.kept_rows import as_text, from_text, keep_rows, kept_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.store import Store
from lakehouse.tables.arrow_types import arrow_schema
from lakehouse.tables.catalog import catalog_of
from tests.support.small_model import model_of

AT = dt.datetime(2024, 3, 1, 12, 30, 0, 5, tzinfo=dt.UTC)


@pytest.fixture
def lakehouse(spark: SparkSession, tmp_path: Path) -> Lakehouse:
    return opened_at(spark, tmp_path)


def opened_at(spark: SparkSession, root: Path) -> Lakehouse:
    """Its tables alone."""
    model = model_of()
    found = Lakehouse(model, None, Store(spark, str(root), catalog_of(model)))  # type: ignore[arg-type]
    found.store.create_missing()
    return found


def decide(lakehouse: Lakehouse, *days: int) -> None:
    rows = [
        {
            "as_of": AT + dt.timedelta(days=day),
            "action": "keep",
            "reasons": ["a „word“"],
            "evidence": [("rows", float(day)), ("share", float("inf"))],
            "change_between": {"from": AT, "to": None},
            "decided_at": AT,
        }
        for day in days
    ]
    lakehouse.store.append_rows(rows, lakehouse.catalog.decision)


def test_a_row_comes_back_as_it_was(lakehouse: Lakehouse) -> None:
    decide(lakehouse, 1, 2)
    keep_rows(lakehouse)
    table = lakehouse.catalog.decision
    assert kept_rows(lakehouse, table) == lakehouse.store.rows(table)
    assert kept_rows(lakehouse, lakehouse.catalog.promotion) == []


def test_what_a_run_that_was_cut_off_left_out_the_next_step_keeps(lakehouse: Lakehouse) -> None:
    for day in (1, 2, 3):
        decide(lakehouse, day)
        if day != 2:  # cut off
            keep_rows(lakehouse)
    version = lakehouse.store.version(lakehouse.catalog.kept_row)
    keep_rows(lakehouse)
    assert lakehouse.store.version(lakehouse.catalog.kept_row) == version
    assert lakehouse.store.count(lakehouse.catalog.kept_row) == 3
    kept = kept_rows(lakehouse, lakehouse.catalog.decision)
    assert [dict(row["evidence"])["rows"] for row in kept] == [1.0, 2.0, 3.0]


def test_rows_of_gathered_files_are_kept_once(lakehouse: Lakehouse) -> None:
    for day in range(5):
        decide(lakehouse, day)
    keep_rows(lakehouse)
    decide(lakehouse, 5)
    lakehouse.store._delta(lakehouse.catalog.decision).optimize.compact()
    keep_rows(lakehouse)
    assert lakehouse.store.count(lakehouse.catalog.kept_row) == 6


def test_rows_whose_files_are_gone_are_read_from_the_table(lakehouse: Lakehouse) -> None:
    decide(lakehouse, 1)
    keep_rows(lakehouse)
    decide(lakehouse, 2)
    delta = lakehouse.store._delta(lakehouse.catalog.decision)
    delta.optimize.compact()
    delta.vacuum(0, dry_run=False, enforce_retention_duration=False)
    keep_rows(lakehouse)
    assert len(kept_rows(lakehouse, lakehouse.catalog.decision)) == 2


def test_a_table_that_is_made_anew_loses_nothing_of_the_old_and_the_new(
    spark: SparkSession, lakehouse: Lakehouse
) -> None:
    for day in (1, 2, 3):
        decide(lakehouse, day)
    keep_rows(lakehouse)
    shutil.rmtree(lakehouse.store.path(lakehouse.catalog.decision))
    anew = opened_at(spark, Path(lakehouse.store.root))
    decide(anew, 4)
    keep_rows(anew)
    assert len(kept_rows(anew, anew.catalog.decision)) == 4


def test_a_column_that_an_older_row_lacks_is_null() -> None:
    schema = arrow_schema(catalog_of(model_of()).decision)
    row = from_text(as_text({"as_of": AT}), schema)
    assert row["as_of"] == AT
    assert row["gate_confidence"] is None
