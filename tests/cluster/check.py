"""Runs the pipeline on a real cluster, by the README's command line, and compares what it gives.

`make cluster-test` runs it: `python -m tests.cluster.check WHEEL [PIECES]`. Spark's own master and
workers of one core each start on this machine and end with it.

1. Three nights, on two workers and on this machine alone: the tables are equal, row by row.
2. The same with a worker that is killed in the middle.
3. A backfill of PIECES pieces (2 million) with one executor and with two: seconds of each step.

Each worker is held to a core of its own, and the driver shares the first one's. Figures of
2026-12-03, two cores: three nights on two workers take 39 to 47 s. Seconds of a backfill with one
executor and with two:

                2,000,000 pieces    6,000,000 pieces
    open          9,   8   1.21       9,   9   1.00
    ingest       31,  22   1.37      56,  45   1.24
    score        38,  22   1.71      59,  44   1.36
    aggregate    30,  23   1.30      88,  64   1.38
    compare      11,  11   0.96      57,  63   0.91
    retrain      79,  48   1.65      90,  59   1.53
    in all      210, 146   1.44     373, 296   1.26

The limit is plain Spark's own ingest, scoring and aggregation in the same place (`by_spark` of
tests/benchmarks/backfill.py): 69 and 61 s for 2 million, 1.13; 209 and 120 s for 6 million, 1.74.
A second run of 2 million gave 193 and 167 s, 1.15, and plain Spark 76 and 59 s, 1.29.

So a second executor does not give 1.7 times. Of 193 s the driver worked 60, by what /proc told of
its processes each second. Each executor starts, imports and compiles for itself: training took 52 s
of the processor on one, and 64 on both together.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lakehouse.settings import load_model_settings
from lakehouse.storage.plain_tables import read_rows
from lakehouse.storage.store import Store
from lakehouse.tables import catalog_of
from tests.cluster.standalone import Cluster, cluster, core_of
from tests.support.alike import differences
from tests.support.truth import untrue

FOLDER = Path(".lakehouse/cluster").resolve()
SUBMIT = str(Path(sys.executable).with_name("spark-submit"))
MODEL = load_model_settings("conf/glassware.yaml")
SIZES = {"spark.executor.cores": "1", "spark.executor.memory": "2g", "spark.driver.memory": "2g"}


def pipeline_on(running: Cluster, root: Path, wheel: Path, cores: int) -> subprocess.Popen[bytes]:
    """The README's command line, with so many executors."""
    sizes = SIZES | {"spark.cores.max": str(cores)}
    words = ["--master", running.url, "--properties-file", "conf/spark-cluster.properties"]
    words += [part for key, value in sizes.items() for part in ("--conf", f"{key}={value}")]
    words += ["--py-files", str(wheel), "jobs/run_pipeline.py", "--root", str(root)]
    process = _started([SUBMIT, *words], root)
    os.sched_setaffinity(process.pid, core_of(0))  # it shares the first worker's machine
    return process


def pipeline_here(root: Path) -> subprocess.Popen[bytes]:
    """The same on this machine alone."""
    words = ["--properties-file", "conf/spark-local.properties"]
    return _started([SUBMIT, *words, "jobs/run_pipeline.py", "--root", str(root)], root)


def _started(words: list[str], root: Path) -> subprocess.Popen[bytes]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = {
        **os.environ,
        "PATH": path,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    with root.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, env=settings)


def ended(process: subprocess.Popen[bytes], root: Path) -> None:
    """Wait for a run.

    Raises:
        AssertionError: it does not end well.
    """
    code = process.wait()
    assert code == 0, f"exit code {code}: {root.with_suffix('.log').read_text()[-3000:]}"


def landed(name: str, *words: str) -> Path:
    """A root whose landing folder has what the generator lands."""
    root = FOLDER / name
    shutil.rmtree(root, ignore_errors=True)
    root.with_suffix(".log").unlink(missing_ok=True)
    words = ("jobs/simulate.py", "--landing", str(root / "landing"), *words)
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return root


def compare(root: Path, other: Path) -> None:
    """Raise where tables of two lakehouses differ, or do not hold what has landed."""
    spark: Any = None  # tables are read without
    one, two = (Store(spark, str(each), catalog_of(MODEL)) for each in (root, other))
    found = [*differences(one, two), *untrue(two, other / "landing")]
    assert not found, "\n".join(found)


def nights(wheel: Path) -> None:
    """Three nights here, on a cluster, and on one that loses a worker."""
    until = ("--until", "2019-07-04")
    here, there, hurt = (landed(name, *until) for name in ("here", "there", "hurt"))
    ended(pipeline_here(here), here)
    with cluster(FOLDER / "nodes", workers=2) as running:
        began = time.monotonic()
        ended(pipeline_on(running, there, wheel, 2), there)
        print(f"three nights on two workers: {time.monotonic() - began:.0f} s", flush=True)
        compare(here, there)
        print("their tables are those of a run on one machine", flush=True)
        process = pipeline_on(running, hurt, wheel, 2)
        while not any((hurt / "bronze").glob("*/*.parquet")):
            assert process.poll() is None, hurt.with_suffix(".log").read_text()[-3000:]
            time.sleep(0.05)
        running.kill_worker()
        ended(process, hurt)
        compare(here, hurt)
        print("so they are where a worker was killed in the middle", flush=True)


def backfill(wheel: Path, pieces: int) -> None:
    """One executor, then two, over the same pieces."""
    words = ("--pieces", str(pieces), "--period", "1")
    seconds: dict[int, dict[str, float]] = {}
    for executors in (1, 2):
        root = landed(f"backfill-{executors}", *words)
        with cluster(FOLDER / "nodes", executors) as running:
            began = time.monotonic()
            ended(pipeline_on(running, root, wheel, executors), root)
            seconds[executors] = phases(root) | {"in all": time.monotonic() - began}
    for phase, one in seconds[1].items():
        two = seconds[2][phase]
        words = f"{one:6.0f} s with one executor, {two:6.0f} s with two: {one / two:.2f}"
        print(f"{phase:12} {words}", flush=True)
    compare(FOLDER / "backfill-1", FOLDER / "backfill-2")
    print("their tables are equal, too", flush=True)


def phases(root: Path) -> dict[str, float]:
    """The seconds of each phase of a pipeline's run, as it has recorded them."""
    run = read_rows(str(root), catalog_of(MODEL).job_run)[-1]
    return dict(run["phase_seconds"])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--pieces", type=int, default=2_000_000, help="of the backfill; 0: none")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    nights(options.wheel)
    if options.pieces:
        backfill(options.wheel, options.pieces)


if __name__ == "__main__":
    main()
