"""Versions take over while micro-batches are scored: each batch has one version, the ledger's."""

import threading
from collections import defaultdict
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.scoring.scorer import Scorer
from lakehouse.storage.queries import Batch
from lakehouse.versions.actions import PROMOTE
from lakehouse.versions.ledger import PromotionLedger
from tests.support.small_model import small_lakehouse
from tests.support.written import A_DAY, second_version, write_readings

FIRST = 5 * A_DAY


def check(spark: SparkSession, folder: Path, batches: int) -> None:
    lakehouse = second_version(spark, folder / "lake")
    other = small_lakehouse(spark, folder / "lake")  # another process's
    catalog, store = lakehouse.catalog, lakehouse.store
    taken_over = {row["to_version"]: row for row in PromotionLedger(other).rows}
    assert set(taken_over) == {"1", "2"}
    ended, moved = threading.Event(), 0

    def take_turns() -> None:
        nonlocal moved
        while not ended.is_set():
            version = "12"[moved % 2]
            row = {
                name: each for name, each in taken_over[version].items() if name != "recorded_at"
            }
            PromotionLedger(other).record({**row, "action": PROMOTE})
            moved += 1

    write_readings(lakehouse, range(FIRST, FIRST + batches))
    rows = store.read(catalog.readings)
    scorer, person = Scorer(lakehouse), threading.Thread(target=take_turns)
    person.start()
    try:
        for number in range(batches):
            scorer.handle(rows.where(rows.id == FIRST + number), Batch("q", number))
    finally:
        ended.set()
        person.join()
    predicted, versions = store.rows(catalog.predictions), defaultdict(set)
    mine = [row for row in predicted if row["query_id"] == "q"]
    for row in mine:
        versions[row["batch_id"]].add(row["model_version"])
    recorded = store.rows(catalog.scoring_ledger)
    ledger = {row["batch_id"]: {row["model_version"]} for row in recorded if row["query_id"] == "q"}
    assert versions == ledger
    assert sorted(row["id"] for row in mine) == [*range(FIRST, FIRST + batches)]
    assert moved > batches // 4
    assert {version for each in versions.values() for version in each} == {"1", "2"}


def test_each_batch_is_scored_by_the_version_that_its_ledger_names(
    spark: SparkSession, tmp_path: Path
) -> None:
    check(spark, tmp_path, 8)


@pytest.mark.soak
def test_so_is_each_of_a_hundred(spark: SparkSession, tmp_path: Path) -> None:
    check(spark, tmp_path, 100)
