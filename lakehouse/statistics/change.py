"""When did an error rate begin to rise?"""

import math
from collections.abc import Sequence
from typing import NamedTuple


class CusumResult(NamedTuple):
    """Evidence that a rate has risen, in nats: the log-likelihood ratio of risen to unchanged.

    Attributes:
        score: The evidence at the last count, never below zero.
        peak: The highest evidence at any count.
        change_index: The first count after the score last was zero: the maximum-likelihood estimate of where the rise
            began; None where the score is zero.
    """

    score: float
    peak: float
    change_index: int | None


def cusum(wrong: Sequence[int], total: Sequence[int], p0: float, p1: float) -> CusumResult:
    """The one-sided CUSUM for a rise of an error rate from p0 to p1, over counts in the order of time.

    S_t = max(0, S_{t-1} + wrong_t * ln(p1 / p0) + (total_t - wrong_t) * ln((1 - p1) / (1 - p0))), with S_0 = 0.
    Source: Page, "Continuous inspection schemes", Biometrika 41 (1954).

    Raises:
        ValueError: Lengths differ, a count is impossible, or not 0 < p0 < p1 < 1.
    """
    if not 0 < p0 < p1 < 1:
        raise ValueError(f"Write rates with 0 < p0 < p1 < 1, not p0 = {p0} and p1 = {p1}.")
    if len(wrong) != len(total):
        raise ValueError(
            f"There are {len(wrong)} counts of errors and {len(total)} totals: pass one of each per window."
        )
    if any(not 0 <= errors <= rows for errors, rows in zip(wrong, total, strict=True)):
        raise ValueError("A count of errors is negative or above its total.")
    per_error, per_success = math.log(p1 / p0), math.log((1 - p1) / (1 - p0))
    score, peak, last_zero = 0.0, 0.0, -1
    for index, (errors, rows) in enumerate(zip(wrong, total, strict=True)):
        score = max(0.0, score + errors * per_error + (rows - errors) * per_success)
        peak = max(peak, score)
        last_zero = index if score == 0 else last_zero
    return CusumResult(score, peak, last_zero + 1 if score > 0 else None)
