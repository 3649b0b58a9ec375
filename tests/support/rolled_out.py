"""The small model while its second version is rolled out."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.scoring.scorer import score
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from tests.support.opened import MEMORY
from tests.support.small_model import Settings, at, small_lakehouse
from tests.support.written import (
    A_DAY,
    CHANGED,
    told_at,
    train,
    write_labels,
    write_readings,
)

BEFORE = 5 * A_DAY
"""The first reading that comes while the rollout runs."""
BEGAN = told_at(4 * A_DAY - 1)
"""Newest label time as of which the rollout began."""
ROLLOUT = f"small-2-{BEGAN:%Y%m%dT%H%M%S}"


def by_canary(settings: Settings, **more: Any) -> None:
    """A quarter of the keys, then half; an alarm's winner is rolled out, too."""
    own = {"strategy": "canary", "shares": [0.25, 0.5], "dwell": "1 day", "longest": "5 days"}
    settings["rollout"] = {**own, "at_alarm": "rollout", **more}


@cache
def _begun(spark: SparkSession) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rolled-", dir=MEMORY))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lakehouse = small_lakehouse(spark, folder / "lake", by_canary)
    write_readings(lakehouse, range(2 * A_DAY))
    write_labels(lakehouse, range(A_DAY))
    train(lakehouse, told_at(A_DAY - 1))
    score(lakehouse, AVAILABLE_NOW)
    write_readings(lakehouse, range(2 * A_DAY, BEFORE))
    score(lakehouse, AVAILABLE_NOW)
    write_labels(lakehouse, range(A_DAY, 4 * A_DAY))
    train(lakehouse, BEGAN, at(CHANGED))
    write_readings(lakehouse, range(BEFORE, BEFORE + A_DAY))
    return folder / "lake"


def begun(
    spark: SparkSession, folder: Path, change: Callable[[Settings], Any] = by_canary
) -> Lakehouse:
    """A copy to write to: the rule has changed, version 2 knows it and has passed the gate, and the
    readings of the first day of its rollout wait to be scored.
    """
    shutil.copytree(_begun(spark), folder / "lake")
    return small_lakehouse(spark, folder / "lake", change)


def scored(lakehouse: Lakehouse) -> None:
    """Score the rollout's first day; then its labels come."""
    score(lakehouse, AVAILABLE_NOW)
    write_labels(lakehouse, range(4 * A_DAY, BEFORE + A_DAY))
