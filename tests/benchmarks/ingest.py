"""What does ingest cost beside plain Spark, which keeps no raw line, checks no rule and looks for
no key?

Peer: `spark.read.json` with a schema, written to a Delta table, in the same Spark with code
generation on, as it is by
default. Both read the same files of the glass works; they take turns, each into empty tables, and
the best counts.

    spark-submit --properties-file conf/spark-local.properties tests/benchmarks/ingest.py [LINES]
    [FILES] [SOURCE]

SOURCE is `plain` or `gzip`.

Figures of 2026-11-30, two cores, heap of 3 GB:

| lines | files | lakehouse | plain Spark | share of its rate |
|---|---|---|---|---|
| 2 million | 20 | 10.1 s | 9.2 s | .91 |
| 2 million | 1 | 10.0 s | 8.0 s | .80 |
| 200,000 | 10,000 | 28 s, from a cold start | | |
| 2 GB | 1 | 83 s; a Python worker holds 418 MB at most | | |
| 2 GB, as gzip | 1 | 128 s; 413 MB | | |
"""

import gzip
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.glassware.gateway import json_lines
from lakehouse.glassware.pieces import Stream
from lakehouse.ingest.pipeline import ingest
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.session import open_session

SCHEMA = "pid long, process_time timestamp, temp double, pressure double, duration double"


def write_files(folder: Path, lines: int, files: int, is_gzip: bool) -> int:
    """Writes readings, so many lines in so many files; returns their bytes without compression."""
    folder.mkdir(parents=True)
    stream, size, step = Stream(pieces=lines, period=1.0), 0, 50_000
    for number in range(files):
        first, last = number * lines // files + 1, (number + 1) * lines // files
        path = folder / f"{number:06}.jsonl{'.gz' if is_gzip else ''}"
        with gzip.open(path, "wb", 1) if is_gzip else path.open("wb") as file:
            for start in range(first, last + 1, step):
                text = "".join(
                    json_lines(stream.readings(start, min(start + step - 1, last)))
                ).encode()
                size += len(text)
                file.write(text)
    return size


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def by_lakehouse(spark: SparkSession, landing: Path, root: Path) -> float:
    """Landing to bronze and silver."""
    environment = EnvironmentSettings(root=str(root), landing=str(landing))
    lakehouse = open_lakehouse(spark, load_model_settings("conf/glassware.yaml"), environment)
    took = seconds(lambda: ingest(lakehouse, AVAILABLE_NOW))
    rows = lakehouse.store.read(lakehouse.catalog.readings).count()
    print(f"  {rows:,} rows in silver, {took:.1f} s", flush=True)
    return took


def by_spark(spark: SparkSession, landing: Path, root: Path) -> float:
    """JSON to Delta."""
    usual = spark.newSession()
    usual.conf.set("spark.sql.codegen.wholeStage", "true")
    usual.conf.set("spark.sql.codegen.factoryMode", "FALLBACK")
    frame = usual.read.schema(SCHEMA).json(str(landing / "sensor_reading"))
    return seconds(lambda: frame.write.format("delta").save(str(root)))


def main(lines: int, files: int, is_gzip: bool) -> None:
    """Prints both rates and their ratio."""
    spark = open_session()
    with tempfile.TemporaryDirectory() as folder:
        landing = Path(folder) / "landing"
        size = write_files(landing / "sensor_reading", lines, files, is_gzip)
        print(
            f"{lines:,} lines in {files:,} {'gzip' if is_gzip else 'plain'} files, "
            f"{size / 2**20:,.0f} MiB"
        )
        contenders = {"lakehouse": by_lakehouse, "plain Spark": by_spark}
        best = dict.fromkeys(contenders, float("inf"))
        for turn in range(3):
            for name, work in contenders.items():
                root = Path(folder) / f"{name}-{turn}"
                best[name] = min(best[name], work(spark, landing, root))
                shutil.rmtree(root)
    for name, took in best.items():
        print(f"{name}: {lines / took / 1000:,.0f} thousand lines a second ({took:.1f} s)")
    print(f"ratio {best['plain Spark'] / best['lakehouse']:.2f}")


if __name__ == "__main__":
    words = [*sys.argv[1:], *["2000000", "20", "plain"][len(sys.argv) - 1 :]]
    main(int(words[0]), int(words[1]), words[2] == "gzip")
