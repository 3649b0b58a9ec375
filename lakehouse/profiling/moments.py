"""Count, mean and spread of numbers, mergeable without loss."""

import math
from dataclasses import dataclass

import numpy as np

HEADROOM = 2.0**64
"""What values are divided by where their sum would be too large for a double."""


@dataclass(frozen=True)
class Moments:
    """Number of values, their mean, and the sum of their squared distances from it (`m2`).

    Merging follows Chan, Golub & LeVeque, "Algorithms for computing the sample variance" (1983),
    which stays exact to rounding where the mean is large against the spread; sums of squares do
    not. What a double cannot hold of the mean is kept in `mean_rest`, or the rounding of many
    merged means would reach the spread.
    """

    n: int = 0
    mean: float = 0.0
    mean_rest: float = 0.0
    m2: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """The moments of finite values, in two passes; `m2` is infinite if it overflows."""
        if not len(values):
            return cls()
        n, least, greatest = len(values), float(values.min()), float(values.max())
        if least == greatest:
            return cls(n, least)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            if not math.isfinite(mean):  # the sum is too large for a double, the mean is not
                mean = min(max(float((values / HEADROOM).mean()) * HEADROOM, least), greatest)
            deviations = values - mean
            # The deviations add up to zero but for what the mean lost to rounding.
            rest = float(deviations.sum()) / n
            m2 = float(deviations @ deviations) - n * rest * rest
        return cls(n, mean, rest, m2) if math.isfinite(m2) else cls(n, mean, 0.0, math.inf)

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both sets of values together."""
        if not (self.n and other.n):
            return self if self.n else other
        n = self.n + other.n
        share = other.n / n
        delta = (other.mean - self.mean) + (other.mean_rest - self.mean_rest)
        if math.isinf(delta):
            return Moments(n, self.mean * (1 - share) + other.mean * share, 0.0, math.inf)
        mean, lost = _sum_and_loss(self.mean, delta * share)
        # Not delta**2, which raises where the product is infinite.
        m2 = self.m2 + other.m2 + delta * delta * self.n * share
        return Moments(n, mean, self.mean_rest + lost, m2)

    @property
    def stddev(self) -> float | None:
        """The sample standard deviation (n - 1), as Spark's; None for fewer than two values.

        Infinite where the squared deviations are too large for a double.
        """
        return math.sqrt(max(self.m2, 0.0) / (self.n - 1)) if self.n > 1 else None


NO_MOMENTS = Moments()


def _sum_and_loss(a: float, b: float) -> tuple[float, float]:
    """A sum and what rounding took from it (Knuth's two-sum)."""
    total = a + b
    b_in_total = total - a
    return total, (a - (total - b_in_total)) + (b - b_in_total)
