"""What does it cost to aggregate one more day, on day 10 and on day 1,000?

`days`: a glassware lakehouse gets its first model by the pipeline; then 192 predictions a day and
the labels of two days before are appended, a commit a day as scoring and ingest would, and
aggregated by the job's own station: 25 days at once while it grows old, its logs a day older every
day. Then the old one and one that is ten days old take turns, a day each. Limit: 1.10.

`rows`: a day has so many predictions, and as many labels of the day before; a week of them. Spark
gets settings for data of that size, as a cluster would.

    spark-submit --properties-file conf/spark-local.properties tests/benchmarks/aggregate.py days
    [DAYS] spark-submit --properties-file conf/spark-local.properties --driver-memory 8g \\
      --conf spark.sql.shuffle.partitions=48 --conf spark.sql.codegen.wholeStage=true \\
      --conf spark.sql.codegen.factoryMode=FALLBACK tests/benchmarks/aggregate.py rows [ROWS]

Figures of 2026-11-21, 2 cores that others used too:

    days 1000: 25 days at once 5 to 16 s; day 1000: 2.04 s, day 10 to 30: 1.97 s, median ratio of
    pairs 1.06 rows 10000000: 29 and 26 s on the first two days (no labels yet), then 64, 57, 63, 58
        and 60 s: 167 thousand predictions and as many late labels a second, the same on day 7 as on
        day 3
"""

import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.app.opening import open_lakehouse
from lakehouse.app.whole_way import run_pipeline
from lakehouse.calendar import DAY
from lakehouse.glassware.gateway import land_until
from lakehouse.glassware.pieces import START, Stream
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.session import open_session
from lakehouse.storage.store import Transaction

A_DAY = 192
FIRST_PID = 200_000_000
LABEL_DELAY = 2
ROWS_A_FILE = 2_000_000


def begun(folder: Path) -> tuple[Lakehouse, int]:
    """A lakehouse of eight nights with its first champion, and the number of days that it has
    predictions of.
    """
    lakehouse = open_lakehouse(
        open_session(),
        load_model_settings("conf/glassware.yaml"),
        EnvironmentSettings(root=str(folder)),
    )
    for night in (8, 9):
        land_until(Stream("stable"), folder / "landing", START + night * DAY)
        run_pipeline(lakehouse)
    return lakehouse, 9


def append_day(lakehouse: Lakehouse, day: int, n_rows: int) -> None:
    """Appends a day's predictions and the labels of two days before, by Spark."""
    catalog, store = lakehouse.catalog, lakehouse.store
    first = FIRST_PID + day * n_rows
    n_files = 1 + n_rows // ROWS_A_FILE
    ids = lakehouse.spark.range(first, first + n_rows, numPartitions=n_files).withColumnRenamed(
        "id", "pid"
    )
    store.append(_predictions(ids, day, n_rows), catalog.predictions, Transaction("benchmark", day))
    labels = ids.select(
        (F.col("pid") - LABEL_DELAY * n_rows).alias("pid"),
        F.lit(START + (day + 1) * DAY).alias("qualitycheck_time"),
        (F.rand(day) < 0.6).cast("int").alias("quality"),
        F.lit("benchmark").alias("source_file"),
        F.lit(0).cast("bigint").alias("line"),
    )
    store.append(labels, catalog.labels, Transaction("benchmark", day))


def _predictions(ids: DataFrame, day: int, n_rows: int) -> DataFrame:
    place = F.col("pid") % n_rows
    return ids.select(
        "pid",
        (F.lit(START + day * DAY).cast("double") + place * (86_400 / n_rows))
        .cast("timestamp")
        .alias("process_time"),
        (350 + 10 * F.rand(day + 2)).alias("temp"),
        (12 + 2 * F.randn(day + 3)).alias("pressure"),
        (28.5 + 4 * F.rand(day + 4)).alias("duration"),
        F.rand(day + 1).alias("score"),
        F.lit("1").alias("model_version"),
        F.lit("benchmark").alias("query_id"),
        F.lit(day).cast("bigint").alias("batch_id"),
    ).withColumns(
        {
            "prediction": (F.col("score") > 0.5).cast("int"),
            "probability": F.create_map(F.lit("0"), 1 - F.col("score"), F.lit("1"), F.col("score")),
        }
    )


def age_log(folder: Path) -> None:
    """Makes every commit of Delta's logs one day older: those of more than a month are cleaned up
    as time goes by.
    """
    for file in folder.glob("*/*/_delta_log/*"):
        os.utime(file, (file.stat().st_mtime - 86_400,) * 2)


def timed(lakehouse: Lakehouse) -> float:
    """The seconds that one aggregation takes."""
    began = time.perf_counter()
    aggregate_kpis(lakehouse, "available-now")
    return time.perf_counter() - began


def timed_days(lakehouse: Lakehouse, first: int) -> Iterator[float]:
    """Appends and aggregates one day after the other; the seconds that each aggregation took."""
    for day in itertools.count(first):
        append_day(lakehouse, day, A_DAY)
        yield timed(lakehouse)


def days(folder: Path, n_days: int) -> None:
    """Prints the seconds a day of an old lakehouse and of a young one, and their ratio."""
    lakehouse, first = begun(folder / "old")
    for day in range(first, n_days):
        append_day(lakehouse, day, A_DAY)
        if day % 25 == 0 or day == n_days - 1:
            print(f"aggregated up to day {day} in {timed(lakehouse):.1f} s", flush=True)
        age_log(folder / "old")
    old, young = timed_days(lakehouse, n_days), timed_days(*begun(folder / "young"))
    pairs = [(next(old), next(young)) for _ in range(21)]
    medians = [statistics.median(side) for side in zip(*pairs, strict=True)]
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"day {n_days}: {medians[0]:.2f} s, day 10 to 30: {medians[1]:.2f} s, median ratio of "
        f"pairs {ratio:.2f}"
    )


def rows(folder: Path, n_rows: int) -> None:
    """Prints the seconds of each day of a week."""
    lakehouse, first = begun(folder / "wide")
    for day in range(7):
        append_day(lakehouse, first + 5 + day, n_rows)  # from a Monday on
        took = timed(lakehouse)
        print(
            f"day {day + 1}: {took:.0f} s, {n_rows / took / 1000:.0f} thousand predictions a "
            "second",
            flush=True,
        )


if __name__ == "__main__":
    place = Path(tempfile.mkdtemp(prefix="benchmark-", dir="/tmp"))
    try:
        (days if sys.argv[1] == "days" else rows)(place, int(sys.argv[2]))
    finally:
        shutil.rmtree(place, ignore_errors=True)
