"""Tests of whether two samples are of one distribution: by binned counts or by sketches."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.special import chdtrc, fdtrc, kolmogorov, ndtr
from scipy.stats import false_discovery_control, ks_2samp, kstwo

from lakehouse.profiling.moments import Moments
from lakehouse.profiling.sketches import WINDOW_VALUES, is_exact, representatives, weighted_values

EXACT_KS_PAIRS = 1_000_000
"""Product of sizes up to which the KS p-value is exact; beyond, the limit is within 0.015."""

EXACT_KS_SIZE = 1000
"""Effective size up to which the p-value is scipy's own, whose cost grows with the size."""

MEAN_ERROR = 0.05 / WINDOW_VALUES
"""Standard error of the mean of a monotone function over a summary, as a share of the function's
range.

Simulated for 5000 to a million values: 0.015 / WINDOW_VALUES at most, for ranks and for distances
from the median.
"""

EPSILON = float(np.finfo(np.float64).eps)

Result: TypeAlias = dict[str, float]
"""`statistic` and `pvalue`."""


class Sample(NamedTuple):
    """What is known of one side's finite values.

    Attributes:
        values: ascending representatives of equal weight, for ranks.
        moments: exact.
        is_exact: whether the representatives are the values themselves.
        weighted: ascending values, and how many values each stands for, for means.
    """

    values: np.ndarray
    moments: Moments
    is_exact: bool
    weighted: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, sketch: bytes, moments: Moments) -> "Sample":
        """The sample that a quantile sketch and the moments of the same values stand for."""
        return cls(representatives(sketch), moments, is_exact(sketch), weighted_values(sketch))

    @property
    def n(self) -> int:
        """How many values there are."""
        return self.moments.n

    @property
    def weight(self) -> float:
        """How many values each representative stands for."""
        return self.n / len(self.values)


def ks_test(current: np.ndarray, reference: np.ndarray) -> Result:
    """The two-sample Kolmogorov-Smirnov test from counts in common, ordered bins.

    The statistic is the largest difference of the two CDFs at the bins' edges: never above that of
    the raw values, and under it by at most the largest share that one bin has on either side. The
    p-value is the one that scipy.stats.ks_2samp gives for this statistic and these sizes: exact up
    to EXACT_KS_PAIRS, asymptotic beyond. Values that share a bin are tied, which makes it err on
    the side of no drift.
    """
    n, m = int(current.sum()), int(reference.sum())
    if n * m <= EXACT_KS_PAIRS:
        # The limit would call two rows against two others certain drift (exactly: one in three).
        places = np.arange(len(current))
        # Where the exact way overflows, scipy takes the asymptotic one, and says so.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
            test = ks_2samp(
                np.repeat(places, current), np.repeat(places, reference), method="exact"
            )
        return {"statistic": float(test.statistic), "pvalue": float(test.pvalue)}
    statistic = float(np.abs(np.cumsum(current) / n - np.cumsum(reference) / m).max())
    return {"statistic": statistic, "pvalue": asymptotic_ks_pvalue(statistic, n, m)}


def asymptotic_ks_pvalue(statistic: float, n: int, m: int) -> float:
    """The two-sided asymptotic p-value of a two-sample KS statistic.

    Up to an effective size n*m/(n+m) of EXACT_KS_SIZE it is scipy's (`kstwo`). Beyond, where that
    takes up to a second, it is the limiting distribution with Vrbik's correction ("Small-sample
    corrections to Kolmogorov-Smirnov test statistic", 2018), which is within 2e-5 of it.
    """
    size = round(n * m / (n + m))
    if size <= EXACT_KS_SIZE:
        return float(np.clip(kstwo.sf(statistic, max(size, 1)), 0.0, 1.0))
    z = statistic * math.sqrt(size)
    return float(kolmogorov(z + 1 / (6 * math.sqrt(size)) + (z - 1) / (4 * size)))


def chi_squared_test(current: np.ndarray, reference: np.ndarray) -> Result:
    """The test of homogeneity of two rows of counts, as chi2_contingency(correction=False).

    Categories that neither side has must not be passed. Where there is one category only nothing
    can differ: the statistic is 0 and the p-value 1.
    """
    table = np.stack([current, reference]).astype(np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    freedom = table.shape[1] - 1
    return {"statistic": statistic, "pvalue": float(chdtrc(freedom, statistic)) if freedom else 1.0}


def mann_whitney_test(current: Sample, reference: Sample) -> Result:
    """The two-sided Mann-Whitney U test of whether either side tends to larger values.

    Where both sides are exact it is scipy.stats.mannwhitneyu(current, reference,
    method="asymptotic"), with its corrections for ties and continuity. Beyond, U / (n * m) is off
    by the summaries' rank error, which the p-value allows for with MEAN_ERROR. Where all values are
    equal the p-value is 1.
    """
    n, m = current.n, reference.n
    below = np.searchsorted(reference.values, current.values, side="left")
    up_to = np.searchsorted(reference.values, current.values, side="right")
    statistic = float((below + up_to).sum()) / 2 * current.weight * reference.weight
    untied = n + m + 1 - _tie_term(current, reference) / ((n + m) * (n + m - 1))
    error = (
        n * m * math.hypot(*(0 if side.is_exact else MEAN_ERROR for side in (current, reference)))
    )
    variance = n * m / 12 * max(untied, 0.0) + error**2
    if not variance:
        return {"statistic": statistic, "pvalue": 1.0}
    z = (abs(statistic - n * m / 2) - 0.5) / math.sqrt(variance)
    return {"statistic": statistic, "pvalue": min(2 * float(ndtr(-z)), 1.0)}


def levene_test(current: Sample, reference: Sample) -> Result | None:
    """The Brown-Forsythe test of equal spread: an F test of distances from the medians.

    Where both sides are exact it is scipy.stats.levene(current, reference, center="median").
    Beyond, a side's mean distance is off by less than the width of a bucket, which the p-value
    allows for with MEAN_ERROR. None where no distance varies and the means agree, as for two
    constants; where they do not agree, the statistic is infinite.
    Source: Brown & Forsythe, "Robust tests for the equality of variances" (1974).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        a, b = _distances(current), _distances(reference)
    freedom, within = current.n + reference.n - 2, a.squares + b.squares
    gap = abs(a.mean - b.mean) if abs(a.mean - b.mean) > max(a.rounding, b.rounding) else 0.0
    if not math.isfinite(within) or not (within or gap):
        return None
    if not within:
        return {"statistic": math.inf, "pvalue": 0.0}
    variance = within / freedom * (1 / current.n + 1 / reference.n)
    allowed = math.hypot(math.sqrt(variance), a.error, b.error)
    pvalue = float(fdtrc(1, freedom, (gap / allowed) ** 2))
    return {"statistic": gap * gap / variance, "pvalue": pvalue}


def adjusted_pvalues(pvalues: Sequence[float | None]) -> list[float | None]:
    """The p-values of tests made at once, adjusted for their number; None stays None.

    Rejecting what is at most q keeps the expected share of false alarms among the rejected to q.
    Source: Benjamini & Hochberg, "Controlling the false discovery rate" (1995);
    scipy.stats.false_discovery_control.
    """
    given = [pvalue for pvalue in pvalues if pvalue is not None]
    adjusted = iter(false_discovery_control(given).tolist() if given else [])
    return [None if pvalue is None else next(adjusted) for pvalue in pvalues]


class _Distances(NamedTuple):
    """Distances from the median.

    Attributes:
        mean: Of all.
        squares: Sum of their squared deviations from the mean.
        error: Standard error of the mean from sketching.
        rounding: What the rounding of the values can make of equal distances.
    """

    mean: float
    squares: float
    error: float
    rounding: float


def _distances(sample: Sample) -> _Distances:
    (values, counts), moments = sample.weighted, sample.moments
    median = float(np.median(sample.values))
    distances = np.abs(values - median)
    # Not `@`: where all cores are busy, threads of BLAS wait for each other.
    mean = float((distances * counts).sum()) / moments.n
    rounding = 8 * EPSILON * max(abs(float(values[0])), abs(float(values[-1])))
    if sample.is_exact:
        squares, error = float((np.square(distances - mean) * counts).sum()), 0.0
    else:
        # All squares around the median are known exactly: a sketch thins out the tails and would
        # understate them.
        bias = (moments.mean - median) + moments.mean_rest
        total = moments.m2 + moments.n * bias * bias
        squares = total - moments.n * mean * mean
        error = MEAN_ERROR * math.hypot(distances[0], distances[-1])
        squares = squares if squares > 1e-9 * total else 0.0
    return _Distances(
        mean, squares if math.sqrt(squares / moments.n) > rounding else 0.0, error, rounding
    )


def _tie_term(a: Sample, b: Sample) -> float:
    """The sum of t^3 - t over the numbers t of equal values."""
    values = np.concatenate([a.values, b.values])
    weights = np.concatenate([np.full(len(a.values), a.weight), np.full(len(b.values), b.weight)])
    _, places = np.unique(values, return_inverse=True)
    ties = np.bincount(places, weights=weights)
    return float((ties**3 - ties).sum())
