"""Features of earlier rows are computed when lines come in, whatever is killed or cut on the way."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import StoreError
from lakehouse.ingest.account import account, files_account
from lakehouse.ingest.pipeline import ingest
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.store import Store
from lakehouse.tables import Table
from tests.support.kills import KilledError, Steps, stepping
from tests.support.remembering import (
    A_DAY,
    FEATURES,
    land_day,
    land_in,
    mean_before,
    remembering,
    repairs,
    with_history,
)
from tests.support.small_model import BEGAN, Settings, at, measured, readings, small_lakehouse

pytestmark = pytest.mark.spark


def features(lakehouse: Lakehouse) -> dict[int, tuple[Any, ...]]:
    """By key, the features that silver holds."""
    rows = lakehouse.store.rows(lakehouse.catalog.readings, columns=["id", *FEATURES])
    return {row["id"]: tuple(row[name] for name in FEATURES) for row in rows}


def since_repair(number: int, days: int) -> float | None:
    """Seconds since the last repair that was done, and had landed, before a piece of `land_day`.

    The files have pieces of three hours: only a repair that landed before the whole file is seen.
    """
    landed = at(number // 18 * 18 + 17)
    done = [BEGAN + dt.timedelta(days=day, hours=9, minutes=35) for day in range(days)]
    seen = [each for each in done if each < at(number) and each + dt.timedelta(minutes=1) <= landed]
    return (at(number) - max(seen)).total_seconds() if seen else None


@pytest.fixture(scope="module")
def two_days(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Two days that land before the first look. To be read alone."""
    lakehouse = remembering(spark, tmp_path_factory.mktemp("days") / "lake")
    for day in range(2):
        land_day(lakehouse, day)
    ingest(lakehouse, AVAILABLE_NOW)
    return lakehouse


def test_features_are_columns_of_silver(two_days: Lakehouse) -> None:
    assert features(two_days) == {
        number: (mean_before(number), since_repair(number, 2)) for number in range(2 * A_DAY)
    }
    balances = [str(each) for each in account(two_days) if each.balances]
    assert "repair: 2 lines = 2 silver" in balances[-1]
    assert {each.source for each in files_account(two_days)} == {"reading", "truth", "repair"}


def test_looks_and_batches_change_no_bit(
    spark: SparkSession, two_days: Lakehouse, tmp_path: Path
) -> None:
    lakehouse = remembering(spark, tmp_path / "lake")
    for start in range(0, 2 * A_DAY, 18):
        # The files are looked at in the order of their landing, some by themselves.
        if start in (54, 198):
            day = start // A_DAY
            done_at = BEGAN + dt.timedelta(days=day, hours=9, minutes=35)
            land_in(lakehouse, "repair", f"{day}", repairs((day, done_at)), done_at)
            ingest(lakehouse, AVAILABLE_NOW)
        own = range(start, start + 18)
        land_in(lakehouse, "reading", f"{start:05d}", readings(own), at(own[-1]))
        if start % 54 == 0:
            ingest(lakehouse, AVAILABLE_NOW)
    ingest(lakehouse, AVAILABLE_NOW)
    assert features(lakehouse) == features(two_days)


def test_a_run_that_dies_at_any_step_ends_with_equal_bits(
    spark: SparkSession, two_days: Lakehouse, tmp_path: Path
) -> None:
    lakehouse = remembering(spark, tmp_path / "lake")
    for day in range(2):
        land_day(lakehouse, day)
    died_at: set[str] = set()
    while True:
        steps = Steps(lambda name: name.endswith(("reading", "repair")) and name not in died_at)
        try:
            with stepping(steps):
                ingest(remembering(spark, tmp_path / "lake"), AVAILABLE_NOW)
            break
        except KilledError:
            died_at.add(steps.reached[-1])
    # Small files are gathered when the row is written.
    died_at = {name.replace("before gather of", "after write of") for name in died_at}
    tables = ("bronze.repair", "silver.repair", "bronze.reading", "silver.reading")
    assert {f"{side} write of {table}" for side in ("before", "after") for table in tables} <= (
        died_at
    )
    assert features(lakehouse) == features(two_days)


def test_late_rows_are_seen_by_what_lands_after_them(spark: SparkSession, tmp_path: Path) -> None:
    lakehouse = remembering(spark, tmp_path / "lake")
    late = at(40)
    done_at = at(1)
    for name, numbers, landed in (("1", (0, 2, 3), at(3)), ("2", (1, 4), late)):
        land_in(lakehouse, "reading", name, readings(numbers), landed)
    # It is told after the first file, and before the second.
    land_in(lakehouse, "repair", "1", repairs((1, done_at)), at(5))
    land_in(lakehouse, "reading", "3", [*readings([1]), {**readings([5])[0], "x": "much"}], late)
    ingest(lakehouse, AVAILABLE_NOW)
    x = [measured(number)[0] for number in range(5)]
    found = features(lakehouse)
    assert found == {
        0: (None, None),
        2: (x[0], None),
        3: ((x[0] + x[2]) / 2, None),
        1: (x[0], None),  # late: of its hour only the first piece comes before it
        4: (pytest.approx((x[0] + x[1] + x[2] + x[3]) / 4, rel=1e-15), 1800.0),
    }
    again = [*readings([6])]
    land_in(lakehouse, "reading", "4", again, at(41))
    ingest(lakehouse, AVAILABLE_NOW)
    # Neither the repeated line nor the broken one counts.
    expected = (x[1] + x[2] + x[3] + x[4]) / 4
    assert features(lakehouse)[6] == (pytest.approx(expected, rel=1e-15), 3000.0)


def test_new_keys_need_no_look_at_the_rows_of_silver(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakehouse, read = remembering(spark, tmp_path / "lake"), Store.arrow
    looks: list[Any] = []

    def arrow(
        self: Store, table: Table, where: Any = None, columns: Any = None, *more: Any, **others: Any
    ) -> Any:
        if table == lakehouse.catalog.readings:
            looks.append(columns)
        return read(self, table, where, columns, *more, **others)

    monkeypatch.setattr(Store, "arrow", arrow)
    for name, numbers in (("1", range(3)), ("2", range(3, 5))):
        land_in(lakehouse, "reading", name, readings(numbers), at(numbers[-1]))
        ingest(lakehouse, AVAILABLE_NOW)
    assert looks == [["at", "x", "landed_file_id", "line"]] * 2


def test_a_feature_that_is_defined_otherwise_is_refused(
    spark: SparkSession, two_days: Lakehouse
) -> None:
    def other(settings: Settings) -> None:
        with_history(settings)
        longer = {"what": "mean", "of": "x", "over": "2 hours"}
        settings["history"]["features"]["x_mean_1h"] = longer

    def same(settings: Settings) -> None:
        with_history(settings)
        settings["history"]["features"]["x_mean_1h"]["over"] = "60 minutes"

    root = Path(two_days.store.root)
    with pytest.raises(StoreError) as error:
        remembering(spark, root, other)
    assert (
        "x_mean_1h holds `mean of x over 1 hour`, declared `mean of x over 2 hours`: give it "
        "another name, or put the settings back"
    ) in str(error.value)
    remembering(spark, root, same)


def test_a_lakehouse_gets_history_features_later(spark: SparkSession, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    before = small_lakehouse(spark, root)
    lines: Sequence[dict[str, Any]] = readings(range(3))
    land_in(before, "reading", "1", lines, at(2))
    ingest(before, AVAILABLE_NOW)
    after = remembering(spark, root)
    land_in(after, "reading", "2", readings(range(3, 5)), at(4))
    ingest(after, AVAILABLE_NOW)
    found = features(after)
    assert [found[number][0] for number in range(3)] == [None] * 3
    assert [found[number][0] for number in (3, 4)] == [mean_before(3), mean_before(4)]
