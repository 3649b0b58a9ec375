"""Labels that come a hundred days late, contradict each other, or are of no reading."""

import datetime as dt
from collections import Counter
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.ingest.account import account
from lakehouse.ingest.pipeline import ingest
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from tests.support.small_model import at, is_ok, land_lines, truths
from tests.support.written import A_DAY, first_version

LATE = A_DAY + 50
UNKNOWN = 99_999


def labelled(lakehouse: Lakehouse) -> Counter[dt.datetime]:
    rows = lakehouse.store.rows(lakehouse.catalog.window_facts, columns=["window_start", "quality"])
    return Counter({row["window_start"]: row["quality"]["n_labelled"] for row in rows})


def test_each_is_in_its_place_and_changes_the_window_that_it_is_of_alone(
    spark: SparkSession, tmp_path: Path
) -> None:
    lakehouse = first_version(spark, tmp_path / "lake")
    before = labelled(lakehouse)
    late = truths([LATE, UNKNOWN], told=dt.timedelta(days=100))
    other = {**late[0], "y": "broken" if is_ok(LATE) == "ok" else "ok"}
    land_lines(lakehouse, "late", [], [late[0], other, late[1]])
    for job in (ingest, aggregate_kpis):
        job(lakehouse, AVAILABLE_NOW)
    [_, labels] = account(lakehouse)
    assert labels.places["quarantined"] == 1
    assert labels.followed["waiting for one"] == 1
    hour = at(LATE).replace(minute=0)
    assert labelled(lakehouse) - before == Counter({hour: 1})
    held = {row["id"]: row["y"] for row in lakehouse.store.rows(lakehouse.catalog.labels)}
    assert held[LATE] == is_ok(LATE)
