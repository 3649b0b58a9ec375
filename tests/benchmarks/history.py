"""What does a feature of earlier rows cost, by the rows that it sees?

Readings one a second, in one file after another; the mean of a column over spans that hold 10 to
100,000 rows, computed as ingest does, and once by going through all rows of the span.

    python -m tests.benchmarks.history
"""

import datetime as dt
import math
import time

import numpy as np
import pyarrow as pa

from lakehouse.history.features import history_features
from lakehouse.settings import HistorySettings

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
ASKED = 2_000
A_FILE = 100


def readings(first: int, n: int) -> pa.Table:
    """Rows of so many seconds."""
    numbers = np.arange(first, first + n)
    times = np.datetime64(START.replace(tzinfo=None), "us") + numbers * np.timedelta64(1, "s")
    return pa.table(
        {
            "at": pa.array(times, pa.timestamp("us", "UTC")),
            "temp": np.random.default_rng(first).normal(350, 1, n),
            "landed_file_id": numbers // A_FILE,
            "line": numbers % A_FILE,
        }
    )


def main() -> None:
    """Compare the spans."""
    for seen in (10, 100, 1_000, 10_000, 100_000):
        feature = {"what": "mean", "of": "temp", "over": f"{seen + 1} seconds"}
        settings = HistorySettings.model_validate({"features": {"mean": feature}})
        earlier, rows = readings(0, seen), readings(seen, ASKED)
        began = time.perf_counter()
        found = history_features(rows, earlier, {}, settings, "at")["mean"].to_pylist()
        took = (time.perf_counter() - began) / (seen + ASKED)
        values = [*earlier["temp"].to_pylist(), *rows["temp"].to_pylist()]
        began = time.perf_counter()
        for place in range(0, ASKED, 100):
            some = values[place : place + seen]
            assert found[place] == math.fsum(some) / seen
        plain = (time.perf_counter() - began) / (ASKED / 100)
        print(
            f"{seen:7,} rows seen: {took * 1e6:7.1f} us a row that comes; sums alone {plain * 1e6:9.1f}"
        )


if __name__ == "__main__":
    main()
