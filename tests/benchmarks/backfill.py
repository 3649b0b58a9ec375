"""What does a backfill cost beside plain Spark that reads and writes the same, and does it grow?

So many pieces of the glass works and their labels have landed, in parts. Each part is one pass of
the pipeline, from landing to gold, in one application with the cluster's properties. Then plain
Spark does the reading and the writing of each step, and nothing else:

- ingest: lines of JSON with a schema, written to Delta;
- score: the readings of silver, written with a constant prediction and its probabilities;
- aggregate: predictions joined with labels by the key, counted by day, version and outcome.

    PYTHONPATH=. spark-submit --master 'local[2]' --properties-file conf/spark-cluster.properties \\
      --driver-memory 6g tests/benchmarks/backfill.py [PIECES] [PARTS] [ROOT]

The tables of ROOT stay where it is given. Retraining and the comparison with other policies have no
peer: their seconds are told, and count in no ratio.

The cluster's properties have Java compile once, which makes plain Spark two to three times slower
and this work no slower. So give plain Spark both compilers, and this work with it, by
`--conf spark.driver.extraJavaOptions=-Dboth=compilers`.

Figures of 2026-12-03, two cores, 10,000,000 pieces with their labels in five parts, both compilers,
thousand pieces a second:

    ingest 201, plain Spark 239: 0.84
    score 240, plain Spark 519: 0.46
    aggregate 129, plain Spark 1,160: 0.11
    in all 59, plain Spark 143: 0.41

Seconds of each part, and what Python held at most:

    part        1     2     3     4     5
    ingest     17     9     8     8     8
    score      15     7     9     5     6
    aggregate  20    17    15    12    13
    compare    13    17    17    15    17
    retrain    38    35     1     0    32
    GB        3.7   4.0   4.3   4.4   4.3

Before a model ran once for a row, and facts came from tasks, six million gave 26 in all, 0.25 of
plain Spark (tests ran beside the second part); after that, 39 and 0.36.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.app.opening import open_lakehouse
from lakehouse.app.whole_way import run_pipeline
from lakehouse.glassware.gateway import land_until
from lakehouse.glassware.pieces import START, Stream
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.plain_tables import read_rows
from lakehouse.storage.session import open_session
from lakehouse.tables import JOB_RUN, Table, catalog_of
from tests.support.processes import family_of, memory_of

READINGS = "pid long, process_time timestamp, temp double, pressure double, duration double"
LABELS = "pid long, qualitycheck_time timestamp, quality int"
STEPS = ("ingest", "score", "aggregate")


MODEL = load_model_settings("conf/glassware.yaml")
PAUSE = 1.0  # seconds between two looks at the memory


class Memory:
    """The most resident memory of this application's processes, in megabytes, by their kind."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.most: dict[str, float] = {}

    def look(self) -> None:
        """Ask the system once; the Python workers count together."""
        now: dict[str, float] = {}
        for pid in family_of(os.getppid()):
            with suppress(OSError):  # it has just ended
                kind = Path(f"/proc/{pid}/comm").read_text().strip()
                now[kind] = now.get(kind, 0.0) + memory_of(pid)
        for kind, size in now.items():
            self.most[kind] = max(self.most.get(kind, 0.0), size)

    def __str__(self) -> str:
        """Each kind's most."""
        return ", ".join(f"{kind} {size:,.0f} MB" for kind, size in sorted(self.most.items()))


@contextmanager
def watched_memory() -> Iterator[Memory]:
    """Look at the memory while something runs."""
    memory, done = Memory(), threading.Event()

    def watch() -> None:
        while not done.wait(PAUSE):
            memory.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()


def by_lakehouse(spark: SparkSession, root: Path, pieces: int, parts: int) -> dict[str, float]:
    """Land and run part by part; return the seconds of each step of all parts."""
    lakehouse = open_lakehouse(spark, MODEL, EnvironmentSettings(root=str(root)))
    stream, together = Stream(pieces=pieces, period=1.0), dict.fromkeys(STEPS, 0.0)
    for part in range(1, parts + 1):
        land_until(stream, root / "landing", START + (stream.end - START) * part / parts)
        seconds = seconds_of_pass(lakehouse, part)
        for step in STEPS:
            together[step] += seconds.get(step, 0.0)
    return together


def seconds_of_pass(lakehouse: Lakehouse, part: int) -> dict[str, float]:
    """Run the pipeline over what has landed; print, and return, the seconds of each phase."""
    with watched_memory() as memory:
        run_pipeline(lakehouse, draws_page=False)
    runs = read_rows(lakehouse.store.root, JOB_RUN)
    seconds = dict(max(runs, key=lambda run: run["recorded_at"])["phase_seconds"])
    told = ", ".join(f"{phase} {took:.1f} s" for phase, took in seconds.items())
    print(f"part {part}: {told}; {memory}", flush=True)
    return seconds


def by_spark(spark: SparkSession, root: Path, folder: Path) -> dict[str, float]:
    """Plain Spark's seconds for each step, over all parts at once."""
    catalog = catalog_of(MODEL)

    def written(frame: DataFrame, name: str) -> float:
        began = time.perf_counter()
        frame.write.format("delta").save(str(folder / name))
        return time.perf_counter() - began

    def rows_of(table: Table) -> DataFrame:
        return spark.read.format("delta").load(table.path_in(str(root)))

    landing = root / "landing"
    readings = spark.read.schema(READINGS).json(str(landing / "sensor_reading"))
    labels = spark.read.schema(LABELS).json(str(landing / "quality_check"))
    ingest = written(readings, "readings") + written(labels, "labels")

    predicted = rows_of(catalog.readings).select(
        "*",
        F.lit(1).alias("prediction"),
        F.rand(0).alias("score"),
        F.create_map(F.lit("0"), F.rand(0), F.lit("1"), F.rand(1)).alias("probability"),
        F.lit("1").alias("model_version"),
    )
    scored = written(predicted, "predicted")

    day = F.date_trunc("day", "process_time")
    counted = (
        rows_of(catalog.predictions)
        .join(rows_of(catalog.labels).select("pid", "quality"), "pid", "left")
        .groupBy(day.alias("day"), "model_version", "prediction", "quality")
        .agg(
            F.count("*").alias("n_rows"),
            *(F.avg(name).alias(f"{name}_mean") for name in MODEL.predictions.features),
        )
    )
    return {"ingest": ingest, "score": scored, "aggregate": written(counted, "counted")}


def main(pieces: int, parts: int, root: Path) -> None:
    """Prints the seconds of each step, and the ratios."""
    spark = open_session()
    ours = by_lakehouse(spark, root, pieces, parts)
    with tempfile.TemporaryDirectory() as folder:
        peer = by_spark(spark, root, Path(folder))
    ours["in all"], peer["in all"] = sum(ours.values()), sum(peer.values())
    for step, took in ours.items():
        print(
            f"{step:9} {pieces / took / 1000:6,.0f} thousand pieces a second, plain Spark "
            f"{pieces / peer[step] / 1000:6,.0f}: {peer[step] / took:.2f}"
        )


if __name__ == "__main__":
    words = [*sys.argv[1:], *["10000000", "10"][len(sys.argv) - 1 :]]
    if len(words) > 2:
        main(int(words[0]), int(words[1]), Path(words[2]))
    else:
        with tempfile.TemporaryDirectory() as home:
            main(int(words[0]), int(words[1]), Path(home))
