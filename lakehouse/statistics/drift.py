"""How far a column has moved from a reference: every distance from additive facts, none from raw rows."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.special import chdtrc, kolmogorov, rel_entr
from scipy.stats import kstwo

from lakehouse.statistics.profile import ColumnProfile
from lakehouse.statistics.sketches import representatives

PSI_FLOOR = 1e-4
"""The share that an empty bin is taken to have, so that one empty bin does not make the index infinite."""

EXACT_KS_SIZE = 1000
"""Effective sample size up to which the p-value is scipy's own, whose cost grows with the size."""

NUMERIC_DISTANCES = ("ks_test", "wasserstein_distance", "population_stability_index")
CATEGORICAL_DISTANCES = ("js_distance", "chi_squared_test", "tv_distance", "l_infinity_distance")


def drift_of(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    """The columns of `drift_metrics` that compare one column, by name; deltas are current minus reference.

    Numeric columns have KS, Wasserstein and PSI, categorical ones chi-squared, total variation, L-infinity and
    Jensen-Shannon; the others are None, as are all of them where a side has no values, KS and PSI where a side was
    profiled without bins, and the categorical ones where values are too many to be counted one by one.

    Raises:
        ValueError: The profiles are of different columns, or counted in different bins.
    """
    if current.spec != reference.spec:
        raise ValueError(f"Different columns cannot be compared: {current.spec} and {reference.spec}.")
    measure = _categorical_distances if current.spec.is_categorical else _numeric_distances
    return {
        **_deltas(current, reference),
        **dict.fromkeys(NUMERIC_DISTANCES + CATEGORICAL_DISTANCES),
        **measure(current, reference),
    }


def non_null_columns_delta(current: Iterable[str], reference: Iterable[str]) -> dict[str, int]:
    """How many columns hold values now and did not in the reference (`added`), and the reverse (`missing`)."""
    now, before = set(current), set(reference)
    return {"added": len(now - before), "missing": len(before - now)}


def ks_test(current: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """The two-sample Kolmogorov-Smirnov test from counts in common, ordered bins.

    The statistic is the largest difference of the two CDFs at the bins' edges: never above that of the raw values,
    and under it by at most the largest share that one bin has on either side. The p-value is the one that
    scipy.stats.ks_2samp(method="asymp") gives for this statistic and these sizes.
    """
    n, m = int(current.sum()), int(reference.sum())
    statistic = float(np.abs(np.cumsum(current) / n - np.cumsum(reference) / m).max())
    return {"statistic": statistic, "pvalue": ks_pvalue(statistic, n, m)}


def ks_pvalue(statistic: float, n: int, m: int) -> float:
    """The two-sided asymptotic p-value of a two-sample KS statistic.

    Up to an effective size n*m/(n+m) of EXACT_KS_SIZE it is scipy's (`kstwo`). Beyond, where that takes up to a
    second, it is the limiting distribution with Vrbik's correction ("Small-sample corrections to Kolmogorov-Smirnov
    test statistic", 2018), which is within 2e-5 of it.
    """
    size = round(n * m / (n + m))
    if size <= EXACT_KS_SIZE:
        return float(np.clip(kstwo.sf(statistic, max(size, 1)), 0.0, 1.0))
    z = statistic * math.sqrt(size)
    return float(kolmogorov(z + 1 / (6 * math.sqrt(size)) + (z - 1) / (4 * size)))


def wasserstein_distance(current: bytes, reference: bytes) -> float:
    """The first Wasserstein distance between two quantile sketches, in the column's own unit.

    The area between the two CDFs. Sketches are closer than bins, which know nothing inside the outermost ones: exact
    up to sketches.KLL_K values a side, beyond off by at most the rank error (0.15 %) times the range, per side.
    """
    a, b = representatives(current), representatives(reference)
    values = np.concatenate([a, b])
    steps = np.concatenate([np.full(len(a), 1 / len(a)), np.full(len(b), -1 / len(b))])
    order = np.argsort(values, kind="stable")
    gaps = np.cumsum(steps[order])[:-1]
    return float(np.abs(gaps) @ np.diff(values[order]))


def population_stability_index(current: np.ndarray, reference: np.ndarray) -> float:
    """Sum of (p - q) * ln(p / q) over the shares of common bins, each taken to be PSI_FLOOR at least.

    Source: Siddiqi, "Credit Risk Scorecards" (2006); below 0.1 no change, from 0.2 a significant one.
    """
    p = np.maximum(current / current.sum(), PSI_FLOOR)
    q = np.maximum(reference / reference.sum(), PSI_FLOOR)
    return float((p - q) @ np.log(p / q))


def chi_squared_test(current: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """The test of homogeneity of two rows of counts per category, as scipy.stats.chi2_contingency(correction=False).

    Categories that neither side has must not be passed. Where there is one category only nothing can differ: the
    statistic is 0 and the p-value 1.
    """
    table = np.stack([current, reference]).astype(np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    freedom = table.shape[1] - 1
    return {"statistic": statistic, "pvalue": float(chdtrc(freedom, statistic)) if freedom else 1.0}


def js_distance(p: np.ndarray, q: np.ndarray) -> float:
    """The square root of the Jensen-Shannon divergence in nats (natural logarithm), from 0 to sqrt(ln 2).

    As scipy.spatial.distance.jensenshannon by default.
    """
    middle = (p + q) / 2
    divergence = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return math.sqrt(max(float(divergence), 0.0))


def _deltas(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    deltas: dict[str, Any] = {
        "count_delta": current.count - reference.count,
        "avg_delta": _difference(current.avg, reference.avg),
    }
    for name in ("null", "zeros", "distinct"):
        deltas[f"percent_{name}_delta"] = _difference(_percent(current, name), _percent(reference, name))
    return deltas


def _percent(profile: ColumnProfile, name: str) -> float | None:
    if name == "zeros" and profile.spec.is_text:
        return None
    parts = {"null": profile.num_nulls, "zeros": profile.num_zeros, "distinct": profile.distinct_count}
    return profile.percent(parts[name])


def _difference(current: float | None, reference: float | None) -> float | None:
    return None if current is None or reference is None else current - reference


def _numeric_distances(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    if not (current.moments.n and reference.moments.n):
        return {}
    assert current.quantile_sketch is not None
    assert reference.quantile_sketch is not None
    distances: dict[str, Any] = {
        "wasserstein_distance": wasserstein_distance(current.quantile_sketch, reference.quantile_sketch)
    }
    if current.bin_counts is None or reference.bin_counts is None:
        return distances
    if current.bin_edges != reference.bin_edges:
        raise ValueError(
            f"Profiles of column {current.spec.name!r} count in different bins and cannot be compared: profile the "
            "current rows with the reference's edges."
        )
    counts = np.array(current.bin_counts), np.array(reference.bin_counts)
    return {**distances, "ks_test": ks_test(*counts), "population_stability_index": population_stability_index(*counts)}


def _categorical_distances(current: ColumnProfile, reference: ColumnProfile) -> dict[str, Any]:
    if not current.items or not reference.items:
        return {}
    categories = sorted(current.items.keys() | reference.items.keys())
    now = np.array([current.items.get(category, 0) for category in categories])
    before = np.array([reference.items.get(category, 0) for category in categories])
    p, q = now / now.sum(), before / before.sum()
    gaps = np.abs(p - q)
    return {
        "js_distance": js_distance(p, q),
        "chi_squared_test": chi_squared_test(now, before),
        "tv_distance": float(gaps.sum()) / 2,
        "l_infinity_distance": float(gaps.max()),
    }

