"""What does a look at all of silver cost: at ten million rows, in seconds and in bytes?

Limit: a minute on two cores at three columns, memory that is bounded, a page below 2 MB that does
not grow with the rows. Rows are those of the glass works' first rule, in twenty files, a label for
19 of 20; further columns are noise. The lakehouse is made once, by delta-rs; each page is drawn by
a process of its own, whose greatest resident memory is the kernel's figure.

    PYTHONPATH=. python tests/benchmarks/explore.py [FOLDER]

Processors are seconds of both cores together: others used the machine, too (load 7 to 12), so the
seconds are upper bounds. DuckDB may hold 1.5 GB; beyond, it writes to a folder.

    rows        columns  spans  seconds  processors  memory    page
    10,000      3        1      0.4      0.4         297 MB    0.09 MB
    1,000,000   3        1      3.0      2.9         403 MB    0.09 MB
    10,000,000  3        1      30.2     34.8        891 MB    0.09 MB
    10,000,000  3        2      75.9     not known   1,130 MB  0.10 MB
    10,000,000  40       1      755.9    about 200   1,526 MB  0.46 MB

The third line took 160.7 s at a load of 12; the last one ran at a load of 10, and would take two
cores of its own about two minutes.
"""

import datetime as dt
import resource
import shutil
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from lakehouse.explore.build import page_path, write_page
from lakehouse.explore.subject import Column, Span, Subject

DAYS, FILES = 1000, 20
FIRST = np.datetime64("2019-07-01", "us")
SIZES = ((10_000, 3), (1_000_000, 3), (10_000_000, 3), (10_000_000, 40))
COMPARED = (10_000_000, 3)
_DAY = np.timedelta64(86_400_000_000, "us")


def subject(columns: int) -> Subject:
    """The glass works' three columns, and noise."""
    names = ["temp", "pressure", "duration", *(f"noise_{place}" for place in range(columns - 3))]
    quality = Column("quality", "integer", (0, 1))
    return Subject(
        name="bench",
        key="pid",
        event_time="process_time",
        readings="silver.reading",
        labels="silver.label",
        label=quality,
        label_time="told",
        horizon=dt.timedelta(days=2),
        columns=tuple(Column(name, "double") for name in names),
        by=quality,
        focus=1,
    )


def make(root: Path, rows: int, columns: int) -> None:
    """Write silver's tables."""
    (root / "_system").mkdir(parents=True)
    (root / "_system" / "model").write_text("bench")
    rng, size = np.random.default_rng(0), rows // FILES
    for part in range(FILES):
        ids = np.arange(part * size, (part + 1) * size)
        made = FIRST + (ids * (DAYS * _DAY.astype(np.int64) // rows)).astype("timedelta64[us]")
        temp = 350 + 10 * rng.random(size)
        pressure, duration = 12 + 2 * rng.normal(size=size), 28.5 + 4 * rng.random(size)
        good = (temp > 351) & (temp < 359) & (pressure > 8) & (pressure < 15) & (duration < 32)
        values = {"temp": temp, "pressure": pressure, "duration": duration}
        for place in range(columns - 3):
            values[f"noise_{place}"] = rng.normal(size=size)
        origin = {"source_file": pa.array([f"{part}.jsonl"] * size), "line": np.arange(size)}
        table = pa.table({"pid": ids, "process_time": _utc(made), **values, **origin})
        write_deltalake(f"{root}/silver/reading", table, mode="append")
        told = made + _DAY + (rng.random(size) * 86_400e6).astype("timedelta64[us]")
        labels = pa.table({"pid": ids, "told": _utc(told), "quality": good.astype(np.int32)})
        labels = labels.filter(pa.array(rng.random(size) < 0.95))
        write_deltalake(f"{root}/silver/label", labels, mode="append")


def measure(root: Path, columns: int, spans: tuple[Span, ...]) -> tuple[float, float, float]:
    """Seconds, seconds of processors, and megabytes of a page."""
    began, used = time.monotonic(), time.process_time()
    write_page(str(root), subject(columns), spans, page_path(root))
    seconds, processors = time.monotonic() - began, time.process_time() - used
    return seconds, processors, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Path) -> None:
    """Measure each size; print a line for each."""
    middle = dt.date(2020, 11, 1)
    halves = (Span(middle, None), Span(None, middle - dt.timedelta(days=1)))
    for rows, columns in SIZES:
        root = folder / f"{rows}-{columns}"
        shutil.rmtree(root, ignore_errors=True)
        make(root, rows, columns)
        for spans in ((Span(),), halves) if (rows, columns) == COMPARED else ((Span(),),):
            with get_context("spawn").Pool(1) as pool:
                seconds, processors, memory = pool.apply(measure, (root, columns, spans))
            size = page_path(root).stat().st_size
            print(
                f"    {rows:<11,} {columns:<8} {len(spans):<6} {seconds:<8.1f} "
                f"{processors:<10.1f} {memory:<5,.0f} MB  "
                f"{size / 1e6:.2f} MB",
                flush=True,
            )
        shutil.rmtree(root)


def _utc(times: np.ndarray) -> pa.Array:
    return pa.array(times).cast(pa.timestamp("us", tz="UTC"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch))
