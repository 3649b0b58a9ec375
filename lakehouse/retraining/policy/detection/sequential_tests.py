"""When did an error rate begin to rise?"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class RiseResult(NamedTuple):
    """Evidence that a rate has risen.

    Attributes:
        score: the evidence at the last count, in errors; never below zero.
        change_index: the first count after the score last was zero; None where it is zero.
    """

    score: float
    change_index: int | None


class CutResult(NamedTuple):
    """Whether a stretch of counts falls into two with different rates.

    Attributes:
        excess: the greatest difference of rates beyond what chance explains; above zero means a
            cut.
        change_index: the first count after that cut; None where there is none.
    """

    excess: float
    change_index: int | None


def page_hinkley(wrong: Sequence[int], total: Sequence[int], tolerance: float) -> RiseResult:
    """The Page-Hinkley test for a rise of the mean, over counts in the order of time.

    The sum of (errors - rows * (mean so far + tolerance)), less its least value; the mean is the
    one of all rows so far, so no rate need be known. The score is in errors.
    Source: Hinkley, "Inference about the change-point from cumulative sum tests", Biometrika 58
    (1971).

    Raises:
        ValueError: Lengths differ, or a count is impossible.
    """
    _check_counts(wrong, total)
    errors, rows = np.asarray(wrong, dtype=float), np.asarray(total, dtype=float)
    if not rows.sum():
        return RiseResult(0.0, None)
    mean = errors.cumsum() / np.maximum(rows.cumsum(), 1)
    walk = np.concatenate([[0.0], (errors - rows * (mean + tolerance)).cumsum()])
    lowest = int(len(walk) - 1 - walk[::-1].argmin())
    score = float(walk[-1] - walk.min())
    return RiseResult(score, lowest if score > 0 else None)


def adwin(wrong: Sequence[int], total: Sequence[int], delta: float) -> CutResult:
    """ADWIN's cut test for a rise, over counts in the order of time: every split into an older and
    a newer part.

    A cut is where the newer rate exceeds the older by more than
    sqrt(2 v L / m) + 2 L / (3 m), 1 / m = 1 / n0 + 1 / n1, L = ln(2 n / delta), v the variance of
    all rows.
    Source: Bifet and Gavaldà, "Learning from time-changing data with adaptive windowing", SDM
    (2007), with every
    split in place of exponential buckets, since counts by window are few; a fall is no reason to
    retrain.

    Raises:
        ValueError: Lengths differ, or a count is impossible.
    """
    _check_counts(wrong, total)
    errors, rows = np.cumsum(wrong, dtype=float), np.cumsum(total, dtype=float)
    splits = [place for place in range(len(rows) - 1) if 0 < rows[place] < rows[-1]]
    if not splits:
        return CutResult(0.0, None)
    older, newer = rows[splits], rows[-1] - rows[splits]
    rise = (errors[-1] - errors[splits]) / newer - errors[splits] / older
    rate = errors[-1] / rows[-1]
    size, level = 1 / (1 / older + 1 / newer), math.log(2 * rows[-1] / delta)
    excess = rise - np.sqrt(2 * rate * (1 - rate) * level / size) - 2 * level / (3 * size)
    best = int(excess.argmax())
    return CutResult(float(excess[best]), splits[best] + 1 if excess[best] > 0 else None)


def _check_counts(wrong: Sequence[int], total: Sequence[int]) -> None:
    if len(wrong) != len(total):
        raise ValueError(
            f"There are {len(wrong)} counts of errors and {len(total)} totals: pass one of each "
            "per window."
        )
    if any(not 0 <= errors <= rows for errors, rows in zip(wrong, total, strict=True)):
        raise ValueError("A count of errors is negative or above its total.")
