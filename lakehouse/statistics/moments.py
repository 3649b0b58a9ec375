"""Count, mean and spread of numbers, mergeable without loss."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Number of values, their mean, and the sum of their squared distances from it (`m2`).

    Merging follows Chan, Golub & LeVeque, "Algorithms for computing the sample variance" (1983), which stays exact
    to rounding where the mean is large against the spread; sums of squares do not. What a double cannot hold of the
    mean is kept in `mean_rest`, or the rounding of many merged means would reach the spread.
    """

    n: int = 0
    mean: float = 0.0
    mean_rest: float = 0.0
    m2: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """The moments of finite values, in two passes."""
        if not len(values):
            return cls()
        mean = float(values.mean())
        deviations = values - mean
        # The deviations add up to zero but for what the mean lost to rounding.
        rest = float(deviations.sum()) / len(values)
        return cls(len(values), mean, rest, float(deviations @ deviations) - len(values) * rest**2)

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both sets of values together."""
        n = self.n + other.n
        if not n:
            return self
        delta = (other.mean - self.mean) + (other.mean_rest - self.mean_rest)
        share = other.n / n
        mean, lost = _sum_and_loss(self.mean, delta * share)
        m2 = self.m2 + other.m2 + delta**2 * self.n * share
        return Moments(n, mean, self.mean_rest + lost, m2)

    @property
    def stddev(self) -> float | None:
        """The sample standard deviation (n - 1), as Spark's `stddev`; None for fewer than two values."""
        return math.sqrt(max(self.m2, 0.0) / (self.n - 1)) if self.n > 1 else None


NO_MOMENTS = Moments()


def _sum_and_loss(a: float, b: float) -> tuple[float, float]:
    """A sum and what rounding took from it (Knuth's two-sum)."""
    total = a + b
    b_in_total = total - a
    return total, (a - (total - b_in_total)) + (b - b_in_total)
