"""What does a feature of earlier rows cost, by the rows that it sees?

Readings one a second, in one file after another: a row comes, asks for the mean of a column over a
span, and is added. Once as ingest and the endpoint do it, and once by going through all rows of the
span.

    python -m tests.benchmarks.history

Figures of 2026-12-02, two cores, microseconds of a row that asks and comes, and of one that goes
through all rows:

         10 rows seen: mean  26, max  40; through all rows      6 and      4
      1,000 rows seen: mean  32, max  42; through all rows     39 and     48
    100,000 rows seen: mean  51, max 213; through all rows  7,529 and  3,334
    900,000 rows seen: mean  30, max 609; through all rows 32,876 and 25,839

A row that comes and asks nothing takes 5 to 12.
"""

import datetime as dt
import math
import time
from itertools import islice

from lakehouse.history.running import RunningHistory
from lakehouse.settings import HistorySettings

START = int(dt.datetime(2024, 3, 1, tzinfo=dt.UTC).timestamp())
SECOND = 1_000_000
ASKED = 2_000


def temp(number: int) -> float:
    """Of a reading."""
    return 350 + math.sin(number)


def main() -> None:
    """Compare the spans."""
    for seen in (10, 100, 1_000, 10_000, 100_000, 900_000):
        for what in ("mean", "max"):
            feature = {"what": what, "of": "temp", "over": f"{seen + 1} seconds"}
            history = RunningHistory(HistorySettings.model_validate({"features": {"it": feature}}))
            began = time.perf_counter()
            for number in range(seen):
                history.add(None, None, (START + number) * SECOND, {"temp": temp(number)})
            # The first that asks computes the figures of all blocks.
            history.features(None, (START + seen) * SECOND, {"temp": 0.0})
            added = (time.perf_counter() - began) / seen
            found = []
            began = time.perf_counter()
            for number in range(seen, seen + ASKED):
                own, at = {"temp": temp(number)}, (START + number) * SECOND
                found.append(history.features(None, at, own)["it"])
                history.add(None, None, at, own)
            took = (time.perf_counter() - began) / ASKED
            values = list(map(temp, range(seen + ASKED)))
            began = time.perf_counter()
            for place in range(0, ASKED, 100):
                some = list(islice(values, place, place + seen))
                assert found[place] == (math.fsum(some) / seen if what == "mean" else max(some))
            plain = (time.perf_counter() - began) / (ASKED / 100)
            print(
                f"{seen:9,} rows seen: {what:4} {took * 1e6:7.1f} us a row that asks and comes, "
                f"{added * 1e6:5.1f} to come alone; through all rows {plain * 1e6:9.1f}"
            )


if __name__ == "__main__":
    main()
