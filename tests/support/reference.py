"""What the metric tables must hold, computed from raw rows by pandas, NumPy, SciPy and
scikit-learn.

Independent of the lakehouse: nothing of it is imported, and only bin edges are passed in. Each
function takes raw cells and gives the expected columns by name, each as a value, a bound (`Near`,
`Between`), or a dictionary of these; `differences` compares a row with them. Cells are Python
values or a Series of them: None, NA and NaT are null, NaN is a value of a double column and null in
any other, so a nullable column of doubles must not come as a plain float Series.

The bounds are those that docs/statistics.md states.
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial.distance import jensenshannon

from tests.support.expectations import Between, Near, allowed, differences
from tests.support.reference_quality import (
    CONFIDENCE_BINS,
    LOGIT_RANGE,
    SCORE_BINS,
    classification_of,
    is_nan,
    is_null,
    regression_of,
    text_of,
)

__all__ = [
    "CONFIDENCE_BINS",
    "LOGIT_RANGE",
    "SCORE_BINS",
    "Between",
    "Near",
    "classification_of",
    "differences",
    "drift_of",
    "profile_of",
    "regression_of",
]

WHOLE = 2048
"""Distinct values of a window up to which its quantile summary holds all of them."""
RANK_ERROR = 0.001
"""Of quantiles, beyond that: what is stated for the distributions that are looked at."""
MEAN_ERROR = 0.05 / WHOLE
"""Standard error of a summary's mean, as a share of the range, that p-values allow for."""
DISTINCT_WHOLE, DISTINCT_ERROR = 4096, 4 * 0.016
"""Distinct values up to which their count is exact, and four standard errors beyond."""
MAX_CATEGORIES, MAX_FREQUENT = 10_000, 100
SHARE_FLOOR = 1e-4
KS_EXACT_PAIRS, KS_PVALUE_ERROR = 1_000_000, 2e-5
STEPS = 1000
EPOCH = dt.datetime(1970, 1, 1)


# Columns


def profile_of(values: Iterable[Any], data_type: str, kind: str) -> dict[str, Any]:
    """The columns of `profile_metrics` that describe one column of the raw rows."""
    raw = list(values)
    cells = _cells(raw, data_type)
    is_text = data_type == "string"
    distinct = _distinct(cells)
    numbers = np.array([]) if is_text else _numbers(cells)
    zeros = None if is_text else int((numbers == 0).sum())
    nan = None if is_text else int(np.isnan(numbers).sum())
    lengths = [len(cell) for cell in cells] if is_text else []
    return {
        "count": len(cells),
        "num_nulls": len(raw) - len(cells),
        "distinct_count": distinct,
        "percent_null": _percent(len(raw) - len(cells), raw),
        "percent_distinct": _percent(distinct, raw),
        "num_zeros": zeros,
        "num_nan": nan,
        "percent_zeros": _percent(zeros, raw),
        "percent_nan": _percent(nan, raw),
        **_location(_finite(numbers)),
        "min_length": min(lengths, default=None),
        "max_length": max(lengths, default=None),
        "avg_length": Near(sum(lengths) / len(lengths)) if lengths else None,
        "frequent_items": _frequent(cells) if kind == "categorical" else None,
    }


def _location(finite: np.ndarray) -> dict[str, Any]:
    n = len(finite)
    if not n:
        return dict.fromkeys(("avg", "stddev", "min", "max", "median", "quantiles"))
    ranked, largest = np.sort(finite), float(np.abs(finite).max())
    shifted = (
        finite - ranked[n // 2]
    )  # without the offset, or rounding of the mean would show in the deviation
    with np.errstate(over="ignore", invalid="ignore"):
        stddev = float(np.std(shifted, ddof=1)) if n > 1 else None
    quantiles = _hyndman_fan_2(ranked) if n <= WHOLE else _quantile_bounds(ranked)
    return {
        "avg": Near(math.fsum(value / n for value in finite), abs=1e-14 * largest),
        "stddev": None
        if stddev is None
        else Near(stddev if math.isfinite(stddev) else math.inf, abs=1e-15 * largest),
        "min": float(ranked[0]),
        "max": float(ranked[-1]),
        "median": Near(float(np.median(ranked))) if n <= WHOLE else _rank_bounds(ranked, 0.5),
        "quantiles": quantiles,
    }


def _hyndman_fan_2(ranked: np.ndarray) -> Between:
    """Hyndman & Fan's second type by its definition, in whole numbers so that no step of the CDF is
    missed.
    """
    n, values = len(ranked), []
    for i in range(STEPS):
        at, between = i * n // STEPS, i * n % STEPS == 0
        values.append((ranked[max(at - 1, 0)] + ranked[at]) / 2 if between else ranked[at])
    return Between(np.array(values), np.array(values))


def _quantile_bounds(ranked: np.ndarray) -> Between:
    shares = np.arange(STEPS) / STEPS
    return _rank_bounds(ranked, shares)


def _rank_bounds(ranked: np.ndarray, shares: Any) -> Between:
    low, high = (np.clip(np.asarray(shares) + error, 0, 1) for error in (-RANK_ERROR, RANK_ERROR))
    return Between(
        np.quantile(ranked, low, method="lower"), np.quantile(ranked, high, method="higher")
    )


def _distinct(cells: Sequence[Any]) -> Any:
    # NaN is one value, and no set knows that.
    n = len({"NaN" if is_nan(cell) else cell for cell in cells})
    error = n * DISTINCT_ERROR
    return n if n <= DISTINCT_WHOLE else Between(n - error, min(n + error, len(cells)))


def _percent(part: Any, rows: Sequence[Any]) -> Any:
    if part is None or not rows:
        return None
    if isinstance(part, Between):
        return Between(100 * part.low / len(rows), 100 * part.high / len(rows))
    return Near(100 * part / len(rows))


def _frequent(cells: Sequence[Any]) -> list[dict[str, Any]] | None:
    counts = Counter(map(text_of, cells))
    if len(counts) > MAX_CATEGORIES:
        return None
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"item": item, "count": count} for item, count in ranked[:MAX_FREQUENT]]


# Drift


def drift_of(
    current: Iterable[Any],
    reference: Iterable[Any],
    data_type: str,
    kind: str,
    edges: Sequence[float] | None = None,
) -> dict[str, Any]:
    """The columns of `drift_metrics` that compare one column's raw rows, given the inner edges of
    its bins.
    """
    now, before = list(current), list(reference)
    a, b = _cells(now, data_type), _cells(before, data_type)
    deltas = _deltas(profile_of(now, data_type, kind), profile_of(before, data_type, kind))
    if kind == "categorical":
        return {
            **deltas,
            **_NO_DISTANCE,
            **_between_categories(Counter(map(text_of, a)), Counter(map(text_of, b))),
        }
    x, y = _finite(_numbers(a)), _finite(_numbers(b))
    if not (len(x) and len(y)):
        return {**deltas, **_NO_DISTANCE}
    return {**deltas, **_NO_DISTANCE, **_between_numbers(x, y), **_between_bins(x, y, edges)}


_NO_DISTANCE: dict[str, Any] = dict.fromkeys(
    (
        *(
            "js_distance",
            "ks_test",
            "wasserstein_distance",
            "population_stability_index",
            "chi_squared_test",
        ),
        *("tv_distance", "l_infinity_distance", "hellinger_distance", "kl_divergence"),
        *("mann_whitney_test", "levene_test"),
    )
)


def _deltas(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    names = ("avg", "percent_null", "percent_zeros", "percent_distinct")
    return {
        "count_delta": now["count"] - before["count"],
        **{f"{name}_delta": _difference(now[name], before[name]) for name in names},
    }


def _difference(now: Any, before: Any) -> Any:
    if now is None or before is None:
        return None
    (a, b), (c, d) = _limits(now), _limits(before)
    return Between(a - d, b - c)


def _limits(expected: Any) -> tuple[float, float]:
    if isinstance(expected, Between):
        return expected.low, expected.high
    return expected.value - allowed(expected), expected.value + allowed(expected)


def _between_categories(now: Counter[str], before: Counter[str]) -> dict[str, Any]:
    if not (now and before) or max(len(now), len(before)) > MAX_CATEGORIES:
        return {}
    names = sorted({*now, *before})
    p, q = (np.array([side[name] for name in names]) for side in (now, before))
    test = stats.chi2_contingency([p, q], correction=False)
    gaps = np.abs(p / p.sum() - q / q.sum())
    return {
        "js_distance": Near(float(jensenshannon(p, q)), abs=1e-7),
        "chi_squared_test": {
            "statistic": Near(test.statistic),
            "pvalue": Near(test.pvalue, rel=1e-7),
        },
        "tv_distance": Near(float(gaps.sum() / 2)),
        "l_infinity_distance": Near(float(gaps.max())),
        **_between_shares(p, q),
    }


def _between_bins(x: np.ndarray, y: np.ndarray, edges: Sequence[float] | None) -> dict[str, Any]:
    if edges is None:
        return {}
    limits = [-np.inf, *edges, np.inf]
    a, b = (pd.cut(side, limits, right=True, labels=False) for side in (x, y))
    p, q = (np.bincount(side, minlength=len(limits) - 1) for side in (a, b))
    exact = len(a) * len(b) <= KS_EXACT_PAIRS
    test = stats.ks_2samp(a, b, method="exact" if exact else "asymp")
    now, before = (np.maximum(side / side.sum(), SHARE_FLOOR) for side in (p, q))
    return {
        "ks_test": {
            "statistic": Near(test.statistic),
            "pvalue": Near(test.pvalue, abs=1e-12 if exact else KS_PVALUE_ERROR),
        },
        "population_stability_index": Near(float(((now - before) * np.log(now / before)).sum())),
        **_between_shares(p, q),
    }


def _between_shares(p: np.ndarray, q: np.ndarray) -> dict[str, Any]:
    now, before = (np.maximum(side / side.sum(), SHARE_FLOOR) for side in (p, q))
    common = np.sqrt(p / p.sum() * (q / q.sum())).sum()
    return {
        # The root makes 1e-8 of what rounding leaves of 1 - 1.
        "hellinger_distance": Near(math.sqrt(max(1 - common, 0)), abs=1e-7),
        "kl_divergence": Near(float(stats.entropy(now, before))),
    }


def _between_numbers(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    wasserstein, reach = (
        float(stats.wasserstein_distance(x, y)),
        float(np.ptp(np.concatenate([x, y]))),
    )
    errors = [RANK_ERROR * (len(side) > WHOLE) for side in (x, y)]
    error = sum(errors) * reach + 1e-12 * max(reach, 1)
    return {
        "wasserstein_distance": Near(wasserstein, abs=error),
        "mann_whitney_test": _mann_whitney(x, y, sum(errors)),
        "levene_test": _levene(x, y, errors),
    }


def _mann_whitney(x: np.ndarray, y: np.ndarray, error: float) -> dict[str, Any]:
    with np.errstate(divide="ignore"):
        test = stats.mannwhitneyu(x, y, method="asymptotic")
    if not error:
        return {"statistic": Near(test.statistic), "pvalue": Near(test.pvalue, rel=1e-7)}
    pairs = len(x) * len(y)
    _, ties = np.unique(np.concatenate([x, y]), return_counts=True)
    n = len(x) + len(y)
    spread = math.sqrt(
        pairs / 12 * (n + 1 - float((ties.astype(float) ** 3 - ties).sum()) / n / (n - 1))
    )
    return {
        "statistic": Between(test.statistic - error * pairs, test.statistic + error * pairs),
        "pvalue": _pvalue_bounds(
            float(stats.norm.isf(test.pvalue / 2)),
            error * pairs / spread,
            pairs * _sketching(x, y) / spread,
        ),
    }


def _levene(x: np.ndarray, y: np.ndarray, errors: Sequence[float]) -> dict[str, Any] | None:
    a, b = (np.abs(side - np.median(side)) for side in (x, y))
    with np.errstate(over="ignore"):
        within = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    rounding = 16 * np.finfo(float).eps * max(np.abs(x).max(), np.abs(y).max())
    if not math.isfinite(within) or max(np.ptp(a), np.ptp(b)) <= rounding:
        apart = abs(a.mean() - b.mean()) > rounding
        return {"statistic": math.inf, "pvalue": 0.0} if apart and math.isfinite(within) else None
    if not any(errors):
        test = stats.levene(x, y, center="median")
        return {"statistic": Near(test.statistic, rel=1e-7), "pvalue": Near(test.pvalue, rel=1e-5)}
    freedom = len(x) + len(y) - 2
    spread = math.sqrt(within / freedom * (1 / len(x) + 1 / len(y)))
    z, slack = (
        abs(a.mean() - b.mean()) / spread,
        sum(e * np.ptp(side) for e, side in zip(errors, (x, y), strict=True)),
    )
    allowed = MEAN_ERROR * math.hypot(*(np.ptp(side) for side in (x, y))) / spread
    low, high = max(z - slack / spread, 0) ** 2, (z + slack / spread) ** 2
    # Half a percent for what the sketched median and mean make of the squares within.
    return {
        "statistic": Between(low * 0.995, high * 1.005),
        "pvalue": _pvalue_bounds(z, slack / spread * 1.005, allowed),
    }


def _sketching(*sides: np.ndarray) -> float:
    return MEAN_ERROR * math.hypot(*(float(len(side) > WHOLE) for side in sides))


def _pvalue_bounds(z: float, error: float, allowed: float) -> Between:
    """Two-sided p-values of z ± error, the high one as far as allowing for sketching raises it."""
    low, high = z + error, max(z - error, 0) / math.hypot(1, allowed)
    return Between(2 * stats.norm.sf(low * 1.01), min(2 * stats.norm.sf(high * 0.99), 1.0))


# Cells


def _cells(values: Iterable[Any], data_type: str) -> list[Any]:
    """The cells that are not null, each as a Python value of the declared type."""
    present = [
        value
        for value in values
        if not (is_null(value) and not (data_type == "double" and is_nan(value)))
    ]
    convert = {
        "double": float,
        "long": int,
        "integer": int,
        "boolean": bool,
        "string": str,
        "timestamp": _utc,
    }[data_type]
    return [convert(value) for value in present]


def _utc(moment: dt.datetime) -> dt.datetime:
    """Naive, in UTC; pandas' nanoseconds are cut."""
    python = moment.floor("us").to_pydatetime() if isinstance(moment, pd.Timestamp) else moment
    return python.astimezone(dt.UTC).replace(tzinfo=None) if python.tzinfo else python


def _numbers(cells: Sequence[Any]) -> np.ndarray:
    epoch = dt.datetime(1970, 1, 1)
    return np.array(
        [(c - epoch).total_seconds() if isinstance(c, dt.datetime) else float(c) for c in cells],
        dtype=float,
    )


def _finite(numbers: np.ndarray) -> np.ndarray:
    return numbers[np.isfinite(numbers)]
