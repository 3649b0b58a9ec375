"""The clock is set back a day: what is read in the order of its writing keeps that order."""

import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyspark.sql import SparkSession

from lakehouse.ingest.landing import landed_files
from lakehouse.ingest.landing.landed_files import take_stock
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.versions import ledger
from lakehouse.versions.actions import PROMOTE
from lakehouse.versions.ledger import PromotionLedger
from tests.support.small_model import at, land_lines, readings, small_lakehouse


@pytest.fixture
def lakehouse(spark: SparkSession, tmp_path: Path) -> Lakehouse:
    return small_lakehouse(spark, tmp_path / "lake")


def set_clock(patch: pytest.MonkeyPatch, module: object, days: int) -> None:
    """Set the wall clock of a module so many days forward, or back."""

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return dt.datetime.now(tz) + dt.timedelta(days=days)

    patch.setattr(module, "dt", SimpleNamespace(datetime=Clock, UTC=dt.UTC, timedelta=dt.timedelta))


@pytest.mark.parametrize("days", [-1, 1])
def test_a_file_that_came_anew_is_read_once_whatever_the_clock_says_then(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    store, table = lakehouse.store, lakehouse.catalog.landed_file
    land_lines(lakehouse, "a", readings([0, 1]), [])
    take_stock(lakehouse)
    land_lines(lakehouse, "a", readings([2, 3, 4]), [])
    set_clock(monkeypatch, landed_files, days)
    take_stock(lakehouse)
    monkeypatch.undo()
    version = store.version(table)
    take_stock(lakehouse)
    assert store.version(table) == version
    assert [row["landed_file_id"] for row in store.rows(table)] in ([1, 2], [2, 1])


@pytest.mark.parametrize("days", [-1, 1])
def test_the_version_that_was_promoted_last_is_the_champion_whatever_the_clock_says_then(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    def promote(version: str) -> None:
        PromotionLedger(lakehouse).record(
            {"as_of": at(int(version)), "action": PROMOTE, "who": "ada", "to_version": version}
        )

    promote("1")
    set_clock(monkeypatch, ledger, days)
    promote("2")
    monkeypatch.undo()
    assert PromotionLedger(lakehouse).champion == "2"
    promote("3")
    assert PromotionLedger(lakehouse).champion == "3"
