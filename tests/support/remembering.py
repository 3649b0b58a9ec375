"""The small model with features of earlier rows: the mean of x over an hour, and the time since the
last repair. Its labels follow the first of them.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.storage.lakehouse import Lakehouse
from tests.support.rows import land
from tests.support.small_model import (
    BEGAN,
    Line,
    Settings,
    at,
    measured,
    readings,
    small_lakehouse,
    truths,
)

A_DAY = 144
REPAIRS: Settings = {
    "key": "job",
    "time": "done_at",
    "columns": {"job": {"type": "long"}, "done_at": {"type": "timestamp"}},
}
FEATURES: Settings = {
    "x_mean_1h": {"what": "mean", "of": "x", "over": "1 hour"},
    "since_repair": {"what": "seconds_since", "table": "repair", "over": "3 days"},
}


def with_history(settings: Settings) -> None:
    """The small model's settings, with two features of earlier rows."""
    settings["history"] = {"tables": {"repair": REPAIRS}, "features": dict(FEATURES)}
    settings["predictions"]["features"] = ["x", "z", *FEATURES]


def remembering(
    spark: SparkSession, root: Path, change: Callable[[Settings], Any] = with_history
) -> Lakehouse:
    """The lakehouse at a root."""
    return small_lakehouse(spark, root, change)


def mean_before(number: int) -> float | None:
    """The mean of x of the pieces of the hour before a piece: five, where lines are in time."""
    before = [measured(earlier)[0] for earlier in range(max(0, number - 5), number)]
    return math.fsum(before) / len(before) if before else None


def is_ok(number: int) -> str:
    """The rule that labels follow."""
    return "ok" if (mean_before(number) or 0.0) > 0 else "broken"


def repairs(*jobs: tuple[int, dt.datetime]) -> list[Line]:
    """Lines of repairs."""
    return [{"job": job, "done_at": done_at.isoformat()} for job, done_at in jobs]


def land_in(
    lakehouse: Lakehouse, table: str, name: str, lines: Sequence[Any], landed: dt.datetime
) -> None:
    """Land a file of one kind of line."""
    land(Path(lakehouse.landing) / table, name, lines, landed)


def land_day(lakehouse: Lakehouse, day: int) -> None:
    """Land a day's pieces in files of three hours, its repair as it was done, and its labels."""
    numbers = range(day * A_DAY, (day + 1) * A_DAY)
    for start in numbers[::18]:
        name, own = f"{start:05d}", range(start, start + 18)
        land_in(lakehouse, "reading", name, readings(own), at(own[-1]))
    done_at = BEGAN + dt.timedelta(days=day, hours=9, minutes=35)
    job = repairs((day, done_at))
    land_in(lakehouse, "repair", f"{day}", job, done_at + dt.timedelta(minutes=1))
    land_labels(lakehouse, day, numbers)


def land_labels(lakehouse: Lakehouse, day: int, numbers: Iterable[int]) -> None:
    """Land a day's labels at its end."""
    end = BEGAN + dt.timedelta(days=day + 1, hours=1)
    land_in(lakehouse, "truth", f"{day}", truths(numbers, is_ok), end)
