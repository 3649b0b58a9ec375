"""Small streams for the policy's tests: rows, counts and records, filled in where a test does not
care.
"""

from dataclasses import replace

import numpy as np

from lakehouse.models.expected_error.spline_logistic import N_BINS, SplineLogistic
from lakehouse.retraining.policy.detection.detect import Detection
from lakehouse.retraining.policy.records import (
    BinCounts,
    Errors,
    RowRule,
    Rows,
    Segment,
    VersionRecord,
)
from lakehouse.retraining.policy.triggers import TriggerInput

START = np.datetime64("2024-03-01T00:00:00", "us")
HOUR, DAY = np.timedelta64(1, "h"), np.timedelta64(1, "D")
NO_DIFFICULTY = SplineLogistic((), (), (), ())
EASY = 2
"""A bin of the difficulty, of the calls of class 0."""


def rows(
    features: np.ndarray, labels: np.ndarray, names: tuple[str, ...] = ("temp", "pressure")
) -> Rows:
    """A row per ten minutes."""
    event_time = START + np.arange(len(labels)) * np.timedelta64(10, "m")
    return Rows(
        names, np.asarray(features, float), np.asarray(labels), event_time, event_time + 2 * DAY
    )


def record(
    version: int = 1, judged: int = 1_000, wrong: int = 30, **given: object
) -> VersionRecord:
    """A first model's record; every bin has the same errors."""
    full = np.ones(2 * N_BINS)
    plain = VersionRecord(
        version=version,
        as_of=START,
        drift_period=START,
        changed_at=None,
        row_rule=RowRule((Segment(None),)),
        reference=None,
        since_change=judged,
        errors=Errors(full * judged, full * wrong),
        expected_error=NO_DIFFICULTY,
    )
    return replace(plain, **given)


def counts(wrong: list[int], labelled: int = 8, version: int = 1, bins: int = EASY) -> BinCounts:
    """A count per hour."""
    hours = (START + np.arange(len(wrong)) * HOUR).astype("datetime64[h]")
    same = np.ones(len(wrong), dtype=int)
    return BinCounts(hours, version * same, bins * same, labelled * same, np.array(wrong))


def quiet(log_statistic: float = 0.0) -> Detection:
    """A detection of that evidence, of a change in the third of three hours."""
    hours = (START + np.arange(3) * HOUR).astype("datetime64[h]")
    return Detection(log_statistic, hours, np.array([0.05, 0.15, 0.8]))


def history(wrong: list[int], labelled: int = 8, **given: object) -> TriggerInput:
    """What rules look at: a count per hour, the first training a day before."""
    hours = (START + np.arange(len(wrong)) * HOUR).astype("datetime64[h]")
    plain = TriggerInput(
        as_of=START + len(wrong) * HOUR,
        detection=quiet(),
        hours=hours,
        labelled=np.full(len(wrong), float(labelled)),
        wrong=np.array(wrong, dtype=float),
        trainings=(START - DAY,),
    )
    return replace(plain, **given)
